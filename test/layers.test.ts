import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { expect, test } from 'vitest';
import { repositoryFolder } from './support/collection.ts';

/** The arrows of the architecture: which areas an area may import, besides itself, and why no other. */
const layers: Readonly<Record<string, readonly [may: string, why: string]>> = {
  ir: ['', 'ir says what a model is and stands alone'],
  passes: [
    'ir package',
    'passes measure and improve a model, whatever compiles it; linear algebra is a library',
  ],
  compiler: [
    'ir passes abi target package',
    'the compiler runs in a browser and knows of the runtime only what it shares with it',
  ],
  target: ['ir passes abi compiler package', 'a target never imports another target: share outside both'],
  files: ['ir passes abi compiler target package node', 'file adapters extend the library, not the command'],
  cli: ['ir passes abi compiler target package node files runtime', 'the command imports anything but tests'],
  runtime: ['abi', 'the runtime ships inside bundles, which have no dependencies'],
  abi: [
    '',
    'abi.ts, engines.ts, gpu-plan.ts, model-types.ts and stored-weights.ts are shared by compiler and runtime, so they may pull in neither',
  ],
  examples: ['public package node', 'examples show the public API, so they use nothing else'],
};

/** The area of a path from the repository's root; each target is an area of its own. */
function areaOf(path: string): string {
  const target = /^compiler\/targets\/([^/]+)\//.exec(path);
  if (target) return `target ${target[1]}`;
  if (/^runtime\/(abi|engines|gpu-plan|model-types|stored-weights)\.ts$/.test(path)) return 'abi';
  return /^compiler\/(cli|files)\//.exec(path)?.[1] ?? path.split('/')[0] ?? path;
}

/** The area that an import leads to. */
function importedArea(file: string, specifier: string): string {
  if (specifier.startsWith('#')) return areaOf(specifier.slice(1));
  if (specifier.startsWith('node:')) return 'node';
  if (!specifier.startsWith('.')) return /^convolith(\/|$)/.test(specifier) ? 'public' : 'package';
  const area = areaOf(posix.join(posix.dirname(file), specifier));
  return area === 'dist' ? 'public' : area;
}

/** Every rule that a source file breaks, with the reason for the rule. */
function violations(file: string, source: string): string[] {
  const area = areaOf(file);
  const kind = area.split(' ')[0] ?? area;
  const [may, why] = layers[kind] ?? ['', 'the folder belongs to no layer'];
  const code = source.replace(/^\s*(\/\*[\s\S]*?\*\/|\/\/.*$)/gm, '');
  const found: string[] = [];
  const check = (specifier: string, dynamic: boolean) => {
    const to = importedArea(file, specifier);
    // in Node the runtime reads its files through an import() that a browser never reaches
    const guarded = kind === 'runtime' && dynamic && to === 'node';
    const allowed = to === area || may.split(' ').includes(to.split(' ')[0] ?? to);
    if (!allowed && !guarded) found.push(`${file} imports '${specifier}': ${why}`);
  };
  const statement = /^(?:import|export)\b(?:[^'";]*?\bfrom)?\s*['"]([^'"\n]+)['"]/gm;
  for (const [, specifier = ''] of code.matchAll(statement)) check(specifier, false);
  for (const [, specifier = ''] of code.matchAll(/\bimport\(\s*['"]([^'"\n]+)['"]/g)) check(specifier, true);
  if (['ir', 'passes', 'compiler', 'target'].includes(kind)) {
    const bare = code.replace(/'[^'\n]*'|"[^"\n]*"|`[^`]*`|\/\/.*$/gm, "''");
    for (const [, name] of bare.matchAll(
      /(?<![.\w])(process|Buffer|console|__dirname|__filename)\b(?=\s*[.([),;])/g,
    )) {
      found.push(`${file} uses ${name}: it also runs in a browser tab, and only compiler/cli prints`);
    }
  }
  return found;
}

test('imports follow the arrows', () => {
  const folders = ['ir', 'passes', 'compiler', 'runtime', 'examples'];
  const files = folders
    .filter((name) => existsSync(join(repositoryFolder, name)))
    .flatMap((folder) =>
      readdirSync(join(repositoryFolder, folder), { recursive: true, encoding: 'utf8' })
        .map((name) => posix.join(folder, name.replaceAll('\\', '/')))
        .filter((path) => /\.(m?js|ts)$/.test(path) && !/\/(generated|node_modules|dist)\//.test(path)),
    );
  const found = files.flatMap((file) => violations(file, readFileSync(join(repositoryFolder, file), 'utf8')));
  expect(files).toContain('ir/types.ts');
  expect(found.join('\n')).toBe('');
});

test.each([
  ['ir/graph.ts', "import type { Pass } from '#passes/pass.ts';"],
  ['ir/graph.ts', "import { z } from 'zod';"],
  ['passes/fuse/pad.ts', "import {\n  a,\n  b,\n} from '../../compiler/index.ts';"],
  ['passes/pass.ts', "import { readFileSync } from 'node:fs';"],
  ['compiler/bundle/writer.ts', "export { load } from '#runtime/session.ts';"],
  ['compiler/index.ts', "import { main } from './cli/main.ts';"],
  ['compiler/index.ts', "const fs = await import('node:fs');"],
  ['compiler/import/onnx/read.ts', "import './../../files/index.ts';"],
  ['compiler/targets/wasm/emit.ts', "import { emit } from '../webgpu/emit.ts';"],
  ['compiler/files/index.ts', "import { print } from '#compiler/cli/print.ts';"],
  ['runtime/session.ts', "import { op } from '#ir/op.ts';"],
  ['runtime/session.ts', "import fs from 'node:fs';"],
  ['runtime/abi.ts', "import { load } from './session.ts';"],
  ['runtime/model-types.ts', "import { load } from './session.ts';"],
  ['examples/mnist/demo.mjs', "import { compile } from '../../compiler/index.ts';"],
  ['ir/text.ts', 'export const debug = process.env.DEBUG;'],
  ['compiler/index.ts', 'const bytes = Buffer.from(text);'],
  ['passes/pass.ts', "  console.log('cost', cost);"],
])('a file that breaks a rule is found: %s %s', (file, source) => {
  expect(violations(file, source)).toHaveLength(1);
});

test.each([
  ['ir/ops/conv.ts', "import { taps } from '../window.ts'; // not from 'node:fs'\n/** import('node:fs') */"],
  [
    'compiler/targets/wasm/emit.ts',
    "import { a } from '../target.ts';\nimport { b } from './kernels/conv.ts';",
  ],
  ['compiler/targets/index.ts', "import { wasm } from './wasm/index.ts';\nimport { z } from 'zod';"],
  [
    'compiler/bundle/manifest.ts',
    "import type { Manifest } from '#runtime/abi.ts';\nconst s = 'process.exit()';",
  ],
  [
    'compiler/cli/run.ts',
    "import { load } from '#runtime/index.ts';\nimport { read } from '../files/index.ts';",
  ],
  [
    'runtime/session.ts',
    "import type { Manifest } from './abi.ts';\nconst fs = await import('node:fs/promises');",
  ],
  ['examples/mnist/demo.mjs', "import { audit } from 'convolith';\nimport '../../dist/files.js';"],
])('a file that keeps the rules passes: %s', (file, source) => {
  expect(violations(file, source)).toEqual([]);
});
