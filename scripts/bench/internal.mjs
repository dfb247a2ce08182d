/** What the scripts take from the sources, as a module of its own. */
import { mkdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

export const repository = resolve(dirname(fileURLToPath(import.meta.url)), '../..');

/** @param {string} source a TypeScript file, from the repository's root */
export async function internal(source) {
  const outfile = join(repository, '.cache/bench', source.replaceAll('/', '-').replace(/\.ts$/, '.mjs'));
  mkdirSync(dirname(outfile), { recursive: true });
  await build({
    absWorkingDir: repository,
    entryPoints: [source],
    outfile,
    bundle: true,
    platform: 'node',
    external: ['playwright-core'],
    format: 'esm',
    logLevel: 'error',
  });
  return import(pathToFileURL(outfile));
}
