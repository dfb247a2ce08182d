/** Files of which parts are read. */
import { closeSync, fstatSync, openSync, readFileSync, readSync, type Stats } from 'node:fs';
import { fail } from '#ir/diagnostics.ts';
import type { FileBytes } from '../import/byte-source.ts';
import { systemReason } from './read-file.ts';

/**
 * A file that is read where it is needed; what is no regular file, as a pipe, is read whole. No file stays open: each
 * read opens it, and finds out whether it is still the same. @throws CompileError `file-unreadable`, later reads too
 */
export function openFile(path: string): FileBytes {
  return opened(path, (file, stats) => {
    // files of the kernel tell no size
    if (!stats.isFile() || stats.size === 0) return new Uint8Array(readFileSync(file));
    return {
      size: stats.size,
      read: (start, end, scratch) =>
        opened(path, (again, now) => {
          if (isSame(now, stats)) return readPart(again, start, end, scratch);
          return fail('file-unreadable', path, 'it has changed since it was opened');
        }),
    };
  });
}

const isSame = (a: Stats, b: Stats): boolean =>
  a.ino === b.ino && a.dev === b.dev && a.size === b.size && a.mtimeMs === b.mtimeMs;

function opened<T>(path: string, body: (file: number, stats: Stats) => T): T {
  const reading = <R>(step: () => R): R => {
    try {
      return step();
    } catch (error) {
      if (!isSystemError(error)) throw error;
      return fail('file-unreadable', path, systemReason(error));
    }
  };
  const file = reading(() => openSync(path, 'r'));
  try {
    return reading(() => body(file, fstatSync(file)));
  } finally {
    closeSync(file);
  }
}

const isSystemError = (error: unknown): boolean => error instanceof Error && 'syscall' in error;

function readPart(file: number, start: number, end: number, scratch?: Uint8Array): Uint8Array {
  const size = end - start;
  const bytes = scratch && size <= scratch.length ? scratch.subarray(0, size) : new Uint8Array(size);
  let done = 0;
  while (done < bytes.length) {
    // a system reads at most so much at once
    const count = readSync(file, bytes, done, Math.min(bytes.length - done, 2 ** 30), start + done);
    if (count === 0) break;
    done += count;
  }
  return bytes;
}
