import { Reader } from './protobuf-runtime.js';

/** How much is read at once. A message that is not longer is decoded in memory, whole. */
const WINDOW = 16384;
/** The longest varint. */
const VARINT = 10;

/** Bytes of the source that stay there. */
export class ByteRange {
  constructor(start, length) {
    this.start = start;
    this.length = length;
  }
}

/**
 * Reads from a source, by windows. Positions count from the start of the source, so that the generated code sees no
 * difference; what the window holds is decoded by a plain reader. The data of a tensor whose message is longer than a
 * window is not read: a range stands for it.
 */
export class RangeReader extends Reader {
  constructor(source) {
    super(new Uint8Array());
    this.source = source;
    this.len = source.size;
    /** Where the window begins. */
    this.base = 0;
    /** Does the plain reader read? Positions in what it throws are those in the window. */
    this.inside = false;
    this.inner = new Reader(this.buf);
  }

  /** What a method of the plain reader gives, which looks at no more than `count` bytes. */
  take(count, read, ...args) {
    const end = Math.min(this.pos + count, this.source.size);
    if (this.pos < this.base || end > this.base + this.inner.buf.length) {
      const bytes = this.load(this.pos, Math.min(this.source.size, Math.max(end, this.pos + WINDOW)));
      this.inner = new Reader(bytes);
      this.base = this.pos;
    }
    const { inner, base } = this;
    inner.pos = this.pos - base;
    inner.len = this.len - base;
    inner.depth = this.depth;
    this.inside = true;
    const value = inner[read](...args);
    this.inside = false;
    this.pos = base + inner.pos;
    return value;
  }

  load(start, end) {
    try {
      return this.source.read(start, end);
    } catch (error) {
      this.failure = error;
      throw error;
    }
  }

  located(message) {
    if (!this.inside) return message;
    return message.replace(
      /(: | > |\bat |\boffset )(\d+)\b(?! bytes)/g,
      (_, before, at) => before + (Number(at) + this.base),
    );
  }

  /** The same of a method that reads a length and so many bytes. */
  takeRun(read, ...args) {
    const start = this.pos;
    const length = this.size();
    const header = this.pos - start;
    const inside = this.pos + length <= this.len;
    this.pos = start;
    // the plain reader says what is wrong with a length beyond the end, without a look at the bytes
    return this.take(inside ? Math.max(header + length, VARINT) : VARINT, read, ...args);
  }

  /** A message of tensor data, in its place. */
  leave(unit, what) {
    const length = this.size();
    const start = this.pos;
    if (start + length > this.len)
      throw new RangeError(`index out of range: ${start} + ${length} > ${this.len}`);
    if (length % unit !== 0) throw new RangeError(`ragged ${what} at ${start}`);
    this.pos += length;
    return new ByteRange(start, length);
  }

  nested(length, fields) {
    if (length > WINDOW || this.pos + length > this.len) return super.nested(length, fields);
    return this.take(length + VARINT, 'nested', length, fields);
  }

  rawData(message) {
    message.rawRange = this.leave(1, 'bytes');
  }

  repeatedTyped(tag, list, read, kind) {
    const packed = (tag & 7) === 2;
    if (packed && kind === Float32Array && list.length === 0) return this.leave(4, 'packed run');
    // a second run: few files have any
    const before = list instanceof ByteRange ? this.floats(list) : list;
    return packed
      ? this.takeRun('repeatedTyped', tag, before, read, kind)
      : super.repeatedTyped(tag, before, read, kind);
  }

  floats({ start, length }) {
    const bytes = this.load(start, start + length);
    const view = new DataView(bytes.buffer, bytes.byteOffset, length);
    return Array.from({ length: length / 4 }, (_, i) => view.getFloat32(4 * i, true));
  }

  skip(length) {
    if (length === undefined) this.take(VARINT, 'skip');
    else super.skip(length);
    return this;
  }

  string() {
    return this.takeRun('string');
  }

  bytes() {
    return this.takeRun('bytes');
  }
}

for (const scalar of ['uint32', 'int32', 'int64', 'uint64', 'float', 'double', 'size', 'tag']) {
  RangeReader.prototype[scalar] = function () {
    return this.take(VARINT, scalar);
  };
}
