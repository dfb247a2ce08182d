/** Model files of which only what is asked for is read. */

/** Bytes behind a number of them and a way to get at any: a file, or an answer of a server that is already there. */
export interface ByteSource {
  readonly size: number;
  /**
   * Bytes `start` to `end`, which are inside; the result does not change later, but where it may lie in `scratch`.
   * @throws CompileError `file-unreadable`
   */
  read(start: number, end: number, scratch?: Uint8Array): Uint8Array;
}

/** A file in memory, or one that is read where it is needed. */
export type FileBytes = Uint8Array | ByteSource;

export const isInMemory = (bytes: FileBytes): bytes is Uint8Array => bytes instanceof Uint8Array;

export const sizeOf = (bytes: FileBytes): number => (isInMemory(bytes) ? bytes.length : bytes.size);

/** Bytes `start` to `end`, as far as there are any. A part of what is in memory is a view. */
export function bytesAt(bytes: FileBytes, start: number, end: number, scratch?: Uint8Array): Uint8Array {
  if (isInMemory(bytes)) return bytes.subarray(start, end);
  const last = Math.min(end, bytes.size);
  return start < last ? bytes.read(start, last, scratch) : new Uint8Array();
}

export const wholeFile = (bytes: FileBytes): Uint8Array => bytesAt(bytes, 0, sizeOf(bytes));
