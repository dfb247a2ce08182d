import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ByteWriter,
  f32Bytes,
  f64Bytes,
  i32Leb,
  i64Leb,
  unsignedLeb,
} from '#compiler/targets/wasm/encoder/bytes.ts';
import { EncoderError } from '#compiler/targets/wasm/encoder/error.ts';

/** The integer that LEB128 bytes stand for. */
function decode(bytes: readonly number[], signed: boolean): bigint {
  const value = bytes.reduceRight((rest, byte) => (rest << 7n) | BigInt(byte & 0x7f), 0n);
  return signed ? BigInt.asIntN(7 * bytes.length, value) : value;
}

/** Whether the last byte says nothing that the one before it does not say. */
function wasteful(bytes: readonly number[], signed: boolean): boolean {
  const [last, before] = [bytes.at(-1), bytes.at(-2)];
  if (before === undefined) return false;
  const extension = signed && (before & 0x40) !== 0 ? 0x7f : 0;
  return last === extension;
}

const continues = (bytes: readonly number[]): boolean[] => bytes.map((byte) => byte > 0x7f);

function expectLeb(bytes: readonly number[], value: bigint, signed: boolean): void {
  expect(decode(bytes, signed)).toBe(value);
  expect(wasteful(bytes, signed)).toBe(false);
  expect(continues(bytes)).toEqual(bytes.map((_, index) => index < bytes.length - 1));
}

describe('LEB128', () => {
  it('of unsigned integers is shortest and reads back', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffff_ffff }), (n) =>
        expectLeb(unsignedLeb(n), BigInt(n), false),
      ),
    );
    for (const n of [0, 127, 128, 16383, 16384, 2 ** 21, 2 ** 28 - 1, 2 ** 28, 2 ** 31, 2 ** 32 - 1]) {
      expectLeb(unsignedLeb(n), BigInt(n), false);
    }
  });

  it('of 32-bit integers is shortest and reads back as signed', () => {
    const check = (n: number) => expectLeb(i32Leb(n), BigInt(n | 0), true);
    fc.assert(fc.property(fc.integer({ min: -(2 ** 31), max: 2 ** 32 - 1 }), check));
    for (let bit = 0; bit < 31; bit += 1)
      for (const d of [-1, 0, 1]) [2 ** bit + d, -(2 ** bit) + d].forEach(check);
    [-(2 ** 31), 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1].forEach(check);
  });

  it('of 64-bit integers is shortest and reads back as signed', () => {
    const check = (n: bigint) => expectLeb(i64Leb(n), BigInt.asIntN(64, n), true);
    fc.assert(fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }), check));
    for (let bit = 0n; bit < 63n; bit += 1n)
      [2n ** bit, 2n ** bit - 1n, -(2n ** bit), -(2n ** bit) - 1n].forEach(check);
    [-(2n ** 63n), 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n].forEach(check);
  });

  it('rejects what does not fit', () => {
    for (const n of [-1, 2 ** 32, 0.5, Number.NaN, Infinity])
      expect(() => unsignedLeb(n)).toThrow(EncoderError);
    for (const n of [-(2 ** 31) - 1, 2 ** 32, 0.5, Number.NaN]) expect(() => i32Leb(n)).toThrow(EncoderError);
    for (const n of [-(2n ** 63n) - 1n, 2n ** 64n]) expect(() => i64Leb(n)).toThrow(EncoderError);
  });
});

describe('floats', () => {
  it('are IEEE 754, little endian', () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true }), (n) => {
        expect(new DataView(Uint8Array.from(f32Bytes(n)).buffer).getFloat32(0, true)).toBe(n);
      }),
    );
    fc.assert(
      fc.property(fc.double({ noNaN: true }), (n) => {
        expect(new DataView(Uint8Array.from(f64Bytes(n)).buffer).getFloat64(0, true)).toBe(n);
      }),
    );
  });

  it('have one NaN', () => {
    const odd = new Float32Array(new Uint32Array([0xffa0_0001]).buffer)[0] ?? 0;
    expect(f32Bytes(odd)).toEqual([0, 0, 0xc0, 0x7f]);
    expect(f64Bytes(odd)).toEqual([0, 0, 0, 0, 0, 0, 0xf8, 0x7f]);
  });
});

it('a writer grows, and its result does not change afterwards', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 })), (parts) => {
      const writer = new ByteWriter();
      for (const part of parts) writer.raw(part);
      const written = writer.finish();
      writer.byte(1);
      expect(Buffer.compare(written, Buffer.concat(parts))).toBe(0);
      expect(writer.length).toBe(written.length + 1);
    }),
  );
});
