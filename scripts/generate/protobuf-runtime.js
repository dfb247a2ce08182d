/**
 * The part of protobufjs that onnx-proto's generated code needs, with four changes. It takes the place of
 * `protobufjs/minimal` in the bundle.
 *
 * - No Buffer: bytes are plain `Uint8Array` views of the input, in Node as in a browser.
 * - No `long`: a 64-bit value is a number where that is exact and a bigint elsewhere.
 * - Packed fields of a tensor are typed arrays, filled without an intermediate array.
 * - A reader counts its depth, so that nested messages cannot exhaust the stack.
 */
import Reader from 'protobufjs/src/reader.js';
import util from 'protobufjs/src/util/minimal.js';
import Writer from 'protobufjs/src/writer.js';

const noBuffers = { _configure() {} };
util.Buffer = null;
util.Long = null;

const { LongBits } = util;
const bitsFrom = LongBits.from;

LongBits.from = (value) => {
  if (typeof value === 'bigint') {
    return new LongBits(Number(BigInt.asUintN(32, value)), Number(BigInt.asUintN(32, value >> 32n)));
  }
  if (!Number.isSafeInteger(value)) {
    throw new RangeError(`64-bit field: ${value} is not an exact integer; pass a bigint`);
  }
  return bitsFrom(value);
};

/** A number where it is exact, else a bigint. Rounding never turns an unsafe integer into a safe one. */
LongBits.prototype.toNumber = function toNumber(unsigned) {
  const hi = unsigned ? this.hi : this.hi | 0;
  const number = hi * 2 ** 32 + this.lo;
  return Number.isSafeInteger(number) ? number : (BigInt(hi) << 32n) | BigInt(this.lo);
};

Reader._configure(noBuffers);
Writer._configure(noBuffers);
// protobufjs pools small allocations; a result must own its ArrayBuffer
Writer.alloc = (size) => new Uint8Array(size);

/** As in protobuf's own readers. */
const MAX_DEPTH = 100;
const littleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

class OnnxReader extends Reader {
  depth = 0;
  /** What a source threw, where the bytes come from one. */
  failure = undefined;

  /** A message about a position, as one in the whole input. */
  located(message) {
    return message;
  }

  /** Reads the fields of one nested message of `length` bytes; nothing in it can reach past its end. */
  nested(length, fields) {
    const outerEnd = this.len;
    const end = this.pos + length;
    if (end > outerEnd)
      throw new RangeError(`message of ${length} bytes ends past its container at ${this.pos}`);
    if (this.depth === MAX_DEPTH) throw new RangeError(`messages nested more than ${MAX_DEPTH} deep`);
    this.depth += 1;
    this.len = end;
    const message = fields(this, length);
    this.len = outerEnd;
    this.depth -= 1;
    return message;
  }

  /** An int64 that only makes sense as a size or a version: exact as a number, or an error. */
  exact64() {
    const value = this.int64();
    if (typeof value === 'bigint')
      throw new RangeError(`64-bit value ${value} is beyond 2^53 at ${this.pos}`);
    return value;
  }

  /** One occurrence of a repeated scalar, packed or not, into a plain array. */
  repeated(tag, list, read) {
    if ((tag & 7) !== 2) {
      list.push(this[read]());
      return list;
    }
    const end = this.packedEnd();
    while (this.pos < end) list.push(this[read]());
    return this.closePacked(end, list);
  }

  /**
   * The same into a typed array. The usual case, one packed run, is read in place; anything else collects in
   * a plain array, so that many small runs stay linear, and `TensorProto` converts it when it is complete.
   */
  repeatedTyped(tag, list, read, kind) {
    if ((tag & 7) !== 2 || list.length > 0) {
      return this.repeated(tag, Array.isArray(list) ? list : Array.from(list), read);
    }
    const end = this.packedEnd();
    const length = end - this.pos;
    if (kind === Float32Array || kind === Float64Array) {
      if (length % kind.BYTES_PER_ELEMENT !== 0) throw new RangeError(`ragged packed run at ${this.pos}`);
      const values = new kind(length / kind.BYTES_PER_ELEMENT);
      if (littleEndian) {
        new Uint8Array(values.buffer).set(this.buf.subarray(this.pos, end));
        this.pos = end;
      } else for (let i = 0; i < values.length; i++) values[i] = this[read]();
      return values;
    }
    let count = 0;
    for (let at = this.pos; at < end; at++) if (this.buf[at] < 128) count += 1;
    const values = new kind(count);
    const big = kind === BigInt64Array || kind === BigUint64Array;
    for (let i = 0; i < count; i++) values[i] = big ? BigInt(this[read]()) : this[read]();
    return this.closePacked(end, values);
  }

  /** The bytes of a tensor. */
  rawData(message) {
    message.rawData = this.bytes();
  }

  packedEnd() {
    const length = this.size();
    const end = this.pos + length;
    if (end > this.len)
      throw new RangeError(`packed run of ${length} bytes ends past its message at ${this.pos}`);
    return end;
  }

  closePacked(end, list) {
    if (this.pos !== end) throw new RangeError(`packed run does not end at ${end}`);
    return list;
  }
}

const roots = {};

export { OnnxReader as Reader, roots, util, Writer };
