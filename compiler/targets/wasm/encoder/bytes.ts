import { EncoderError } from './error.ts';

/** A growing byte buffer with the primitive encodings of the WebAssembly binary format (little endian, LEB128). */
export class ByteWriter {
  #bytes = new Uint8Array(64);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  byte(value: number): this {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
    return this;
  }

  raw(bytes: ArrayLike<number>): this {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
    return this;
  }

  u32(value: number): this {
    return this.raw(unsignedLeb(value));
  }

  /** The byte length, then the UTF-8 bytes. */
  text(value: string): this {
    return this.sized(new TextEncoder().encode(value));
  }

  /** The byte length, then the bytes. */
  sized(bytes: ArrayLike<number>): this {
    return this.u32(bytes.length).raw(bytes);
  }

  /** A copy of what was written. */
  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#length);
  }

  #reserve(count: number): void {
    const needed = this.#length + count;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }
}

/** Shortest unsigned LEB128 of an integer in [0, 2^32). */
export function unsignedLeb(value: number): number[] {
  if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) {
    throw new EncoderError(`${value} is not an unsigned 32-bit integer`);
  }
  const bytes: number[] = [];
  let rest = value;
  while (rest > 0x7f) {
    bytes.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  bytes.push(rest);
  return bytes;
}

/** Shortest signed LEB128 of a 32-bit integer; [2^31, 2^32) means the same bits read as signed. */
export function i32Leb(value: number): number[] {
  if (!Number.isInteger(value) || value < -0x8000_0000 || value > 0xffff_ffff) {
    throw new EncoderError(`${value} is not a 32-bit integer`);
  }
  const bytes: number[] = [];
  let rest = value | 0;
  while (rest < -64 || rest > 63) {
    bytes.push((rest & 0x7f) | 0x80);
    rest >>= 7;
  }
  bytes.push(rest & 0x7f);
  return bytes;
}

/** Shortest signed LEB128 of a 64-bit integer; [2^63, 2^64) means the same bits read as signed. */
export function i64Leb(value: bigint): number[] {
  if (value < -(1n << 63n) || value >= 1n << 64n) {
    throw new EncoderError(`${value} is not a 64-bit integer`);
  }
  const bytes: number[] = [];
  let rest = BigInt.asIntN(64, value);
  while (rest < -64n || rest > 63n) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest & 0x7fn));
  return bytes;
}

/** IEEE 754 single; every NaN becomes the canonical one, so that output does not depend on the engine. */
export function f32Bytes(value: number): number[] {
  if (Number.isNaN(value)) return [0x00, 0x00, 0xc0, 0x7f];
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, value, true);
  return [...new Uint8Array(view.buffer)];
}

/** IEEE 754 double; every NaN becomes the canonical one. */
export function f64Bytes(value: number): number[] {
  if (Number.isNaN(value)) return [0, 0, 0, 0, 0, 0, 0xf8, 0x7f];
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value, true);
  return [...new Uint8Array(view.buffer)];
}
