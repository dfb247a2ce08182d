/** Packages that are used where they are installed, and are no dependencies. */
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

interface PackageText {
  readonly main?: string;
  readonly exports?: Readonly<Record<string, { import?: string | { default?: string } }>>;
}

/**
 * A package as the folder where the command runs has it, else as convolith has it; undefined where neither does, or it does
 * not load here.
 * @param entry the part of the package, as in `./wasm`; `.` is all of it
 */
export async function importInstalled<T>(name: string, entry = '.'): Promise<T | undefined> {
  const near = await findNear(process.cwd(), name, entry);
  const own = entry === '.' ? name : `${name}/${entry.slice(2)}`;
  for (const specifier of [...(near ? [near] : []), own]) {
    try {
      return (await import(specifier)) as T;
    } catch {
      // not there, or not for this Node
    }
  }
  return undefined;
}

/** The module that importing from a folder gives. */
async function findNear(folder: string, name: string, entry: string): Promise<string | undefined> {
  for (let at = folder; ; at = dirname(at)) {
    const home = join(at, 'node_modules', name);
    const text = await readFile(join(home, 'package.json'), 'utf8').catch(() => undefined);
    if (text !== undefined) {
      const { main, exports } = JSON.parse(text) as PackageText;
      const found = exports?.[entry]?.import;
      const path =
        found === undefined && entry === '.' ? main : typeof found === 'string' ? found : found?.default;
      return path === undefined ? undefined : pathToFileURL(join(home, path)).href;
    }
    if (dirname(at) === at) return undefined;
  }
}
