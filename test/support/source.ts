import type { ByteSource } from '#compiler/import/byte-source.ts';

/** A file that knows how many of its bytes were read. */
export interface CountedSource extends ByteSource {
  readonly bytesRead: number;
}

export function countedSource(bytes: Uint8Array): CountedSource {
  let bytesRead = 0;
  return {
    size: bytes.length,
    get bytesRead() {
      return bytesRead;
    },
    read(start, end) {
      if (!(start >= 0 && start <= end && end <= bytes.length)) {
        throw new RangeError(`bytes ${start} to ${end} of ${bytes.length}`);
      }
      bytesRead += end - start;
      return bytes.slice(start, end);
    },
  };
}
