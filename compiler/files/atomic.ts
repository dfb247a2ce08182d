/** Files and folders that appear complete or not at all: written under a temporary name beside the target, then renamed. */
import { randomUUID } from 'node:crypto';
import { mkdir, open, rename, rm, rmdir, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve, sep } from 'node:path';
import { fail, InternalError } from '#ir/diagnostics.ts';
import { systemReason } from './read-file.ts';

export type FileContent = Uint8Array | string;

/** Replaces what is there. @throws CompileError `file-unreadable`, also where the folder that it lies in is not there */
export async function writeFileAtomic(path: string, content: FileContent): Promise<void> {
  await inPlaceOf(path, (temporary) => writeFile(temporary, content).catch(unreadable(path)));
}

/**
 * Writes a folder of files, by relative path. A folder that is there is replaced: what it held is gone afterwards.
 * @throws CompileError `file-unreadable`, also where the target is a file
 */
export async function writeFolderAtomic(
  path: string,
  files: ReadonlyMap<string, FileContent>,
): Promise<void> {
  await makeFolderAtomic(path, async (write) => {
    for (const [name, content] of files) write(name, content);
  });
}

/** Begins to write a file of a folder; its content must not change until the folder is there. */
export type WriteFile = (name: string, content: FileContent) => void;

/**
 * A folder whose files are written while others are still being made. What `make` throws is thrown; nothing of the folder
 * is there then.
 * @param ready asked when all is written, before anything is replaced; what it throws keeps things as they were
 * @throws CompileError `file-unreadable`, as `writeFolderAtomic`
 */
export async function makeFolderAtomic<T>(
  path: string,
  make: (write: WriteFile) => Promise<T>,
  ready: () => void | Promise<void> = () => {},
): Promise<T> {
  return inPlaceOf(path, async (temporary) => {
    const first = await mkdir(temporary, { recursive: true }).catch(unreadable(path));
    const writes: Promise<void>[] = [];
    try {
      const made = await make((name, content) => {
        const write = writeWhole(within(temporary, name), content);
        write.catch(() => {}); // told below, when all are awaited
        writes.push(write);
      });
      await Promise.all(writes).catch(unreadable(path));
      await ready();
      return made;
    } catch (error) {
      await Promise.allSettled(writes); // what is still being written would outlive the folder
      await removeWithParents(temporary, first ?? temporary);
      throw error;
    }
  });
}

/** Removes a folder, and those around it that were made for it, up to `first`, if they are empty. */
async function removeWithParents(folder: string, first: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  for (let around = dirname(folder); around.startsWith(first); around = dirname(around)) {
    const left = await rmdir(around).then(
      () => false,
      () => true,
    );
    if (left) return;
  }
}

function within(folder: string, name: string): string {
  const target = resolve(folder, name);
  if (!target.startsWith(resolve(folder) + sep)) throw new InternalError(`"${name}" leaves the folder`);
  return target;
}

/** The most bytes that are written in one call; the system takes less than 2 GiB. */
const MOST_AT_ONCE = 2 ** 30;

/** In few calls; `writeFile` takes a turn of the event loop for each half megabyte. */
async function writeWhole(target: string, content: FileContent): Promise<void> {
  await mkdir(dirname(target), { recursive: true });
  const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
  const file = await open(target, 'w');
  try {
    for (let at = 0; at < bytes.length; ) {
      const { bytesWritten } = await file.write(bytes, at, Math.min(MOST_AT_ONCE, bytes.length - at));
      at += bytesWritten;
    }
  } finally {
    await file.close();
  }
}

/** Of an error of the operating system, the diagnostic. */
const unreadable =
  (path: string) =>
  (error: unknown): never =>
    fail('file-unreadable', path, systemReason(error));

/** A name beside the target, so that the rename stays on one file system. */
const beside = (path: string, what: string): string =>
  join(dirname(path), `.${basename(path)}.${what}-${randomUUID().slice(0, 8)}`);

async function inPlaceOf<T>(given: string, write: (temporary: string) => Promise<T>): Promise<T> {
  const path = resolve(given);
  const temporary = beside(path, 'new');
  try {
    const written = await write(temporary);
    await swap(temporary, path).catch(unreadable(given));
    return written;
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
}

/** A rename replaces a file, and not a folder that holds something: that one steps aside first. */
async function swap(temporary: string, path: string): Promise<void> {
  const old = (await isFolder(path)) ? beside(path, 'old') : undefined;
  if (!old) {
    await rename(temporary, path);
    return;
  }
  if (!(await isFolder(temporary))) throw new Error(`${path} is a folder`);
  await rename(path, old);
  try {
    await rename(temporary, path);
  } catch (error) {
    await rename(old, path);
    throw error;
  }
  await rm(old, { recursive: true, force: true });
}

const isFolder = async (path: string): Promise<boolean> =>
  stat(path).then(
    (s) => s.isDirectory(),
    () => false,
  );
