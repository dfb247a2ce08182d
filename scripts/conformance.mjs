#!/usr/bin/env node
/**
 * Runs folders of official ONNX operator cases through the reference evaluator and, compiled, through WebAssembly. Of WebGPU it
 * tells what test/golden/webgpu/claims.txt claims, which the long suite runs.
 *
 *   npm run conformance -- [DIR …] [--json | --markdown | --readme]
 *
 * Without folders: those of the model collection, else Debian's libonnx-testdata. Prints op × passed, failed, unsupported;
 * --readme writes it into README.md instead, from the collection only.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';

const repository = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: Object.fromEntries(
    ['json', 'markdown', 'readme'].map((name) => [name, { type: 'boolean', default: false }]),
  ),
});

const outfile = join(repository, '.cache/conformance.mjs');
await mkdir(dirname(outfile), { recursive: true });
await build({
  entryPoints: [join(repository, 'test/support/conformance-report.ts')],
  outfile,
  bundle: true,
  platform: 'node',
  format: 'esm',
  logLevel: 'error',
});
const {
  DEBIAN_CASES,
  hasCases,
  markdownTable,
  readClaims,
  runConformance,
  summary,
  textTable,
  withConformance,
} = await import(pathToFileURL(outfile));

const collection = process.env.CONVOLITH_MODELS ?? resolve(repository, '../shared');
const collected = existsSync(join(collection, 'onnx-node-tests'));
const usual = collected
  ? ['onnx-node-tests', 'onnx-pytorch-tests'].map((name) => join(collection, name))
  : [DEBIAN_CASES];
if (values.readme && (positionals.length > 0 || !collected)) {
  console.error(
    '--readme writes the results of all cases of the model collection (CONVOLITH_MODELS), of no others',
  );
  process.exit(2);
}
const folders = positionals.length > 0 ? positionals : usual;
const missing = folders.filter((folder) => !hasCases(folder));
if (missing.length > 0) {
  console.error(`no official cases in ${missing.join(', ')}`);
  console.error('name a folder whose subfolders hold model.onnx, or install libonnx-testdata');
  process.exit(2);
}

const cases = await runConformance(folders, readClaims(repository));
if (values.json) {
  console.log(JSON.stringify({ cases }, null, 2));
} else if (values.readme) {
  const readme = join(repository, 'README.md');
  writeFileSync(readme, withConformance(readFileSync(readme, 'utf8'), cases));
  console.log(`README.md: ${summary(cases)}`);
} else if (values.markdown) {
  console.log(`${summary(cases)}\n\n${markdownTable(cases)}`);
} else {
  console.log(textTable(cases));
  for (const c of cases) {
    if (c.reason) console.log(`\n${c.name}: reference ${c.reference}, WebAssembly ${c.wasm}\n  ${c.reason}`);
  }
  console.log(`\n${summary(cases)}`);
}
