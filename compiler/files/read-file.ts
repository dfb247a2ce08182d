import { readFileSync } from 'node:fs';
import { fail } from '#ir/diagnostics.ts';

/** The whole file. @throws CompileError `file-unreadable` */
export function readFileOnce(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    fail('file-unreadable', path, systemReason(error));
  }
}

/** What the operating system said, without the code, the call and the path: `no such file or directory`. */
export function systemReason(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  if (message.startsWith('EISDIR')) return 'this is a folder';
  return /^E[A-Z0-9]+: (.+?), \w+( '.*)?$/s.exec(message)?.[1] ?? message;
}
