/** The files of a bundle: from the file system in Node, by fetch elsewhere. */
import type { FileEntry } from './abi.ts';

export interface ReadContext {
  readonly signal: AbortSignal | undefined;
  /** The SHA-256 is checked too. */
  readonly verify: boolean;
}

const sizeError = (name: string, expected: number, got: number | string): Error =>
  new Error(`${name} has ${got} bytes; this bundle's has ${expected}: copy all files of the bundle again`);

/**
 * @param response what came from there, where it was asked for already
 * @throws Error for a file that is missing, of another size or, where asked, of another digest than the manifest says
 */
export async function readFile(
  url: URL,
  name: string,
  entry: FileEntry,
  context: ReadContext,
  response?: Response,
): Promise<Uint8Array<ArrayBuffer>> {
  const source = await openFile(url, name, entry, context, response);
  try {
    const bytes = new Uint8Array(entry.bytes);
    await source.read(bytes, () => {});
    if (context.verify) await checkDigest(name, bytes, entry);
    return bytes;
  } finally {
    await source.close();
  }
}

export async function checkDigest(
  name: string,
  bytes: Uint8Array<ArrayBuffer>,
  entry: FileEntry,
): Promise<void> {
  if (!globalThis.crypto?.subtle) {
    throw new Error('verify: true needs crypto.subtle, which pages have over https and on localhost only');
  }
  // what is shared cannot be digested where it lies
  const own = bytes.buffer instanceof ArrayBuffer ? bytes : new Uint8Array(bytes);
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', own));
  const text = Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
  if (text !== entry.sha256) throw new Error(`${name} is corrupt: its SHA-256 is not that of this bundle`);
}

export async function request(url: URL, { signal }: ReadContext): Promise<Response> {
  const response = await fetch(url, signal ? { signal } : {});
  if (!response.ok) throw new Error(`${url} cannot be loaded: HTTP ${response.status}`);
  return response;
}

/** What a file is read from. */
export interface Source {
  /** Fills `target`, and tells how many bytes came since it last did. @throws Error where there are fewer, or more */
  read(target: Uint8Array<ArrayBuffer>, onBytes: (count: number) => void): Promise<void>;
  close(): Promise<void>;
}

export const openFile = async (
  url: URL,
  name: string,
  entry: FileEntry,
  context: ReadContext,
  response?: Response,
): Promise<Source> =>
  url.protocol === 'file:'
    ? fromDisk(url, name, entry)
    : streamed(response ?? (await request(url, context)), name, entry);

function streamed({ body }: Response, name: string, { bytes }: FileEntry): Source {
  const reader = body?.getReader();
  return {
    async read(target, onBytes) {
      let at = 0;
      for (;;) {
        const { value } = (await reader?.read()) ?? {};
        if (!value) break;
        if (at + value.length > bytes) throw sizeError(name, bytes, 'more');
        target.set(value, at);
        at += value.length;
        onBytes(value.length);
      }
      if (at < bytes) throw sizeError(name, bytes, at);
    },
    close: async () => reader?.cancel(),
  };
}

interface FileSystem {
  open(path: URL): Promise<{
    stat(): Promise<{ readonly size: number }>;
    read(
      target: Uint8Array,
      offset: number,
      length: number,
      position: number,
    ): Promise<{ readonly bytesRead: number }>;
    close(): Promise<void>;
  }>;
}

/** Files are read in parts, several at a time: most of it is finding memory, which more than one thread does faster. */
const READERS = 4;
const PART_BYTES = 1 << 20;

async function fromDisk(url: URL, name: string, { bytes }: FileEntry): Promise<Source> {
  // a name that bundlers do not see: in a page there is nothing to bundle
  const fs = 'node:fs/promises';
  const { open } = (await import(/* @vite-ignore */ /* webpackIgnore: true */ fs)) as FileSystem;
  const handle = await open(url);
  const { size } = await handle.stat();
  if (size !== bytes) {
    await handle.close();
    throw sizeError(name, bytes, size);
  }
  return {
    async read(target, onBytes) {
      let next = 0;
      const readParts = async () => {
        while (next < target.length) {
          const at = next;
          next += PART_BYTES;
          const part = target.subarray(at, next);
          for (let done = 0; done < part.length; ) {
            const { bytesRead } = await handle.read(part, done, part.length - done, at + done);
            if (bytesRead === 0) throw sizeError(name, bytes, at + done);
            done += bytesRead;
            onBytes(bytesRead);
          }
        }
      };
      await Promise.all(Array.from({ length: READERS }, readParts));
    },
    close: () => handle.close(),
  };
}
