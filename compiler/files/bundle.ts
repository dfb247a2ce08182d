/** Bundles on disk. */
import { readFileSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { CompileError, fail } from '#ir/diagnostics.ts';
import type { Model, TensorInfo } from '#runtime/model-types.ts';
import { MANIFEST_FILE, type Manifest, openManifest } from '../bundle/manifest.ts';
import { type BundleReader, verifyBundle } from '../bundle/verify.ts';
import { makeFolderAtomic, type WriteFile } from './atomic.ts';

export interface WriteBundleOptions {
  /** Replace a folder that is not a bundle too. */
  readonly force?: boolean;
}

/**
 * Writes the files of a bundle; complete, or not at all. A bundle that is there is replaced, an empty folder filled.
 * @throws CompileError `file-unreadable` where that fails, or the folder holds something else
 */
export async function writeBundle(
  folder: string,
  files: ReadonlyMap<string, Uint8Array>,
  options: WriteBundleOptions = {},
): Promise<void> {
  await makeBundleFolder(
    folder,
    async (write) => {
      for (const [name, bytes] of files) write(name, bytes);
    },
    options,
  );
}

/**
 * Writes a bundle while it is being compiled: `make` gets what to write its files with. What that throws is thrown.
 * @throws CompileError `file-unreadable` as `writeBundle`, also where something else came to be there meanwhile; the signal's
 * reason if it is aborted, and then what was there stays
 */
export async function makeBundleFolder<T>(
  folder: string,
  make: (write: WriteFile) => Promise<T>,
  { force = false, signal }: WriteBundleOptions & { readonly signal?: AbortSignal } = {},
): Promise<T> {
  const requireReplaceable = async (): Promise<void> => {
    signal?.throwIfAborted();
    if (force || (await isReplaceable(folder))) return;
    fail(
      'file-unreadable',
      folder,
      'this is there and is no bundle; it is left as it is',
      'name another folder, or force it',
    );
  };
  await requireReplaceable();
  return makeFolderAtomic(folder, make, requireReplaceable);
}

/** Is nothing there, or nothing inside, or only what a bundle has? */
async function isReplaceable(folder: string): Promise<boolean> {
  const there = await stat(folder).catch(() => undefined);
  if (!there) return true;
  if (!there.isDirectory()) return false;
  const names = await readdir(folder);
  if (names.length === 0) return true;
  const manifest = await readManifest(folder).catch(() => undefined);
  return (
    manifest !== undefined && names.every((n) => n === MANIFEST_FILE || Object.hasOwn(manifest.files, n))
  );
}

/** Is there a manifest of a bundle? Says nothing about the other files. */
export async function isBundle(folder: string): Promise<boolean> {
  return readManifest(folder).then(
    () => true,
    () => false,
  );
}

/** @throws CompileError `bundle-corrupt` */
export async function readManifest(folder: string): Promise<Manifest> {
  const bytes = folderReader(folder)(MANIFEST_FILE);
  if (!bytes) fail('bundle-corrupt', folder, `it has no ${MANIFEST_FILE}`);
  const manifest = await openManifest(new TextDecoder().decode(bytes));
  if ('problem' in manifest) fail('bundle-corrupt', join(folder, MANIFEST_FILE), manifest.problem);
  return manifest;
}

/** The files of a bundle, by name, as its manifest lists them. @throws CompileError `bundle-corrupt` if one is missing */
export async function readBundle(folder: string): Promise<Map<string, Uint8Array>> {
  const manifest = await readManifest(folder);
  const read = folderReader(folder);
  const names = [...Object.keys(manifest.files), MANIFEST_FILE];
  return new Map(
    names.map((name) => {
      const bytes = read(name);
      return [name, bytes ?? fail('bundle-corrupt', join(folder, name), 'this file is missing')];
    }),
  );
}

/** For `verifyBundle`. */
export const folderReader =
  (folder: string): ((name: string) => Uint8Array | undefined) =>
  (name) => {
    try {
      return readFileSync(join(folder, name));
    } catch {
      return undefined;
    }
  };

/** @throws CompileError with every problem found */
export async function requireSoundBundle(read: BundleReader): Promise<void> {
  const problems = await verifyBundle(read);
  if (problems.length > 0) throw new CompileError(problems);
}

/** What the `index.js` of a bundle gives; its own `index.d.ts` is precise about names and types. */
export type LoadedBundle = Model<
  Readonly<Record<string, unknown>>,
  Record<string, BundleArray>,
  Record<string, { readonly data: BundleArray; readonly shape: readonly number[] }>
>;

export type BundleTensor = TensorInfo;

export type BundleArray =
  | Float32Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;

/** Loads a bundle by its own `index.js`: runs code of the folder. */
export async function loadBundle(
  folder: string,
  options: Readonly<Record<string, unknown>> = {},
): Promise<LoadedBundle> {
  const { digest } = await readManifest(folder);
  const url = pathToFileURL(join(resolve(folder), 'index.js'));
  // a module is loaded once per address: a bundle that was compiled again is another one
  const module = (await import(`${url.href}?${digest}`)) as {
    load(options: Readonly<Record<string, unknown>>): Promise<LoadedBundle>;
  };
  return module.load(options);
}
