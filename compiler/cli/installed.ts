/** Packages that are used where they are installed, and are no dependencies. */
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

interface PackageText {
  readonly version?: string;
  readonly main?: string;
  readonly exports?: Readonly<Record<string, { import?: string | { default?: string } }>>;
}

export interface Installed<T> {
  readonly module: T;
  /** Empty where it is not known. */
  readonly version: string;
}

/**
 * A package as the folder where the command runs has it, else as convolith has it; undefined where neither does, and the reason
 * where it does not load here.
 * @param entry the part of the package, as in `./wasm`; `.` is all of it
 */
export async function importInstalled<T>(
  name: string,
  { entry = '.', folder = process.cwd() }: { readonly entry?: string; readonly folder?: string } = {},
): Promise<Installed<T> | string | undefined> {
  let reason: string | undefined;
  for (const from of [folder, dirname(fileURLToPath(import.meta.url))]) {
    const found = await findNear(from, name, entry);
    if (!found) continue;
    try {
      return { module: (await import(found.url)) as T, version: found.version };
    } catch (error) {
      reason ??= `${name} ${found.version} does not load: ${error instanceof Error ? error.message : String(error)}`;
    }
  }
  return reason ?? importResolved(entry === '.' ? name : `${name}/${entry.slice(2)}`);
}

/** As the engine resolves it, which may be without a folder of packages. */
async function importResolved<T>(specifier: string): Promise<Installed<T> | string | undefined> {
  try {
    return { module: (await import(specifier)) as T, version: '' };
  } catch (error) {
    const { code = '', message = '' } = error as NodeJS.ErrnoException;
    const absent = code === 'ERR_MODULE_NOT_FOUND' && message.includes(`'${specifier.split('/')[0]}`);
    return absent ? undefined : `${specifier} does not load: ${message}`;
  }
}

/** The module that importing from a folder gives. */
async function findNear(
  folder: string,
  name: string,
  entry: string,
): Promise<{ readonly url: string; readonly version: string } | undefined> {
  for (let at = folder; ; at = dirname(at)) {
    const home = join(at, 'node_modules', name);
    const text = await readFile(join(home, 'package.json'), 'utf8').catch(() => undefined);
    if (text !== undefined) {
      const { version = '', main, exports } = JSON.parse(text) as PackageText;
      const found = exports?.[entry]?.import;
      const path =
        found === undefined && entry === '.' ? main : typeof found === 'string' ? found : found?.default;
      return path === undefined ? undefined : { url: pathToFileURL(join(home, path)).href, version };
    }
    if (dirname(at) === at) return undefined;
  }
}
