import { readFileSync } from 'node:fs';
import { fail } from '#ir/diagnostics.ts';

/** The whole file. @throws CompileError `file-unreadable` */
export function readFileOnce(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    fail('file-unreadable', path, error instanceof Error ? error.message : String(error));
  }
}
