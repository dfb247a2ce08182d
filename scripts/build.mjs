/**
 * Builds `dist/`: the library for browsers and Node, its file adapters, the command, and the types of the first two.
 * One esbuild run with shared chunks, so that an error class is the same class through every entry and
 * `convolith --help` loads only what it needs. An entry that does not exist is skipped with a notice.
 */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import './generate.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const dist = join(root, 'dist');
/** Built here and moved at the end: what runs from `dist/` meanwhile never sees half a build. */
const staging = join(root, '.cache', `build-${process.pid}`);
const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

const entries = { index: 'compiler/index.ts', files: 'compiler/files/index.ts', cli: 'compiler/cli/main.ts' };
/** Entries that must load in a browser. */
const portable = ['index'];
const typed = ['index', 'files'];

const present = Object.entries(entries).filter(([name, path]) => {
  const exists = existsSync(join(root, path));
  if (!exists) console.warn(`build: ${path} does not exist; dist/${name}.js is not built`);
  return exists;
});

mkdirSync(staging, { recursive: true });
try {
  if (present.length > 0) {
    await bundle();
    emitTypes();
    const notices = 'THIRD-PARTY-NOTICES.txt';
    copyFileSync(join(root, 'compiler/import/onnx/generated', notices), join(staging, notices));
  }
  rmSync(dist, { recursive: true, force: true });
  renameSync(staging, dist);
} catch (error) {
  console.error(`build: ${error.message}`);
  process.exitCode = 1;
} finally {
  rmSync(staging, { recursive: true, force: true });
}

async function bundle() {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: Object.fromEntries(present),
    outdir: staging,
    chunkNames: 'chunks/[name]-[hash]',
    bundle: true,
    splitting: true,
    metafile: true,
    format: 'esm',
    platform: 'neutral',
    target: 'es2022',
    // protobufjs and onnx-proto are inside a generated module, so what is left to import are the dependencies
    external: ['node:*', ...Object.keys(dependencies)],
    legalComments: 'none',
    logLevel: 'warning',
  });
  const output = (name) => `${relative(root, staging)}/${name}.js`.replaceAll('\\', '/');
  for (const name of portable)
    if (metafile.outputs[output(name)]) rejectNodeImports(metafile.outputs, name, output(name));
  const command = join(staging, 'cli.js');
  if (existsSync(command)) {
    const text = readFileSync(command, 'utf8');
    if (!text.startsWith('#!')) writeFileSync(command, `#!/usr/bin/env node\n${text}`);
    chmodSync(command, 0o755);
  }
  for (const [name] of present) {
    const kib = (files) =>
      (files.reduce((sum, file) => sum + metafile.outputs[file].bytes, 0) / 1024).toFixed(1);
    const entry = output(name);
    const atOnce = reachable(metafile.outputs, entry, (kind) => kind === 'import-statement');
    console.log(
      `build: dist/${name}.js loads ${kib(atOnce)} KiB at once, ${kib(reachable(metafile.outputs, entry))} KiB in all`,
    );
  }
}

/** The output files that an entry loads, itself included, through imports of the kinds that `follow` accepts. */
function reachable(outputs, entry, follow = () => true) {
  const found = new Set([entry]);
  for (const file of found) {
    for (const { path, kind, external } of outputs[file].imports)
      if (!external && follow(kind)) found.add(path);
  }
  return [...found];
}

function rejectNodeImports(outputs, name, entry) {
  const offenders = reachable(outputs, entry).flatMap((file) =>
    outputs[file].imports
      .filter(({ path }) => path.startsWith('node:'))
      .map(({ path }) => `${path}, in code from ${Object.keys(outputs[file].inputs).join(', ')}`),
  );
  if (offenders.length > 0) {
    throw new Error(`dist/${name}.js must load in a browser, but imports\n  ${offenders.join('\n  ')}`);
  }
}

/** Declarations, with `#ir/…` and `.ts` specifiers turned into relative `.js` ones: `#ir` means nothing to a consumer. */
function emitTypes() {
  if (!present.some(([name]) => typed.includes(name))) return;
  const types = join(staging, 'types');
  const tsc = spawnSync(
    join(root, 'node_modules/.bin/tsc'),
    ['-p', 'tsconfig.build.json', '--outDir', types],
    {
      cwd: root,
      stdio: 'inherit',
    },
  );
  if (tsc.status !== 0) throw new Error('the types do not compile');
  const generated = 'compiler/import/onnx/generated/onnx-proto.d.ts';
  mkdirSync(dirname(join(types, generated)), { recursive: true });
  copyFileSync(join(root, generated), join(types, generated));
  for (const name of readdirSync(types, { recursive: true })) {
    if (!name.endsWith('.d.ts')) continue;
    const file = join(types, name);
    const text = readFileSync(file, 'utf8');
    const rewritten = text.replace(
      /(\bfrom |\bimport\(|\bimport )(['"])([#.][^'"\n]*)\2/g,
      (_, before, quote, specifier) => {
        return `${before}${quote}${consumerSpecifier(specifier, dirname(file), types)}${quote}`;
      },
    );
    if (rewritten !== text) writeFileSync(file, rewritten);
  }
}

function consumerSpecifier(specifier, folder, types) {
  const script = specifier.replace(/\.ts$/, '.js');
  if (!script.startsWith('#')) return script;
  const path = relative(folder, join(types, script.slice(1))).replaceAll('\\', '/');
  return path.startsWith('.') ? path : `./${path}`;
}
