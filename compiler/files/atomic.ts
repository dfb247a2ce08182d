/** Files and folders that appear complete or not at all: written under a temporary name beside the target, then renamed. */
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { mkdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve, sep } from 'node:path';
import { fail, InternalError } from '#ir/diagnostics.ts';
import { systemReason } from './read-file.ts';

export type FileContent = Uint8Array | string;

/** Replaces what is there. @throws CompileError `file-unreadable`, also where the folder that it lies in is not there */
export async function writeFileAtomic(path: string, content: FileContent): Promise<void> {
  await inPlaceOf(path, (temporary) => writeFile(temporary, content));
}

/**
 * Writes a folder of files, by relative path. A folder that is there is replaced: what it held is gone afterwards.
 * @throws CompileError `file-unreadable`, also where the target is a file
 */
export async function writeFolderAtomic(
  path: string,
  files: ReadonlyMap<string, FileContent>,
): Promise<void> {
  await inPlaceOf(path, async (temporary) => {
    await mkdir(temporary, { recursive: true });
    for (const [name, content] of files) {
      const target = resolve(temporary, name);
      if (!target.startsWith(resolve(temporary) + sep))
        throw new InternalError(`"${name}" leaves the folder`);
      await mkdir(dirname(target), { recursive: true });
      // at once: a promise writes half a megabyte at a time, with a turn of the event loop for each
      writeFileSync(target, content);
    }
  });
}

/** A name beside the target, so that the rename stays on one file system. */
const beside = (path: string, what: string): string =>
  join(dirname(path), `.${basename(path)}.${what}-${randomUUID().slice(0, 8)}`);

async function inPlaceOf(given: string, write: (temporary: string) => Promise<void>): Promise<void> {
  const path = resolve(given);
  const temporary = beside(path, 'new');
  try {
    await write(temporary);
    await swap(temporary, path);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    if (error instanceof InternalError) throw error;
    fail('file-unreadable', given, systemReason(error));
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
