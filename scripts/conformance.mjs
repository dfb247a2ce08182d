#!/usr/bin/env node
/**
 * Runs folders of official ONNX operator cases through the reference evaluator and, compiled, through WebAssembly.
 *
 *   npm run conformance -- [DIR …] [--json | --markdown]
 *
 * Without folders: those of the model collection, else Debian's libonnx-testdata. Prints op × passed, failed, unsupported.
 */
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';

const repository = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean', default: false }, markdown: { type: 'boolean', default: false } },
});

const outfile = join(repository, '.cache/conformance.mjs');
await mkdir(dirname(outfile), { recursive: true });
await build({
  entryPoints: [join(repository, 'test/support/conformance.ts')],
  outfile,
  bundle: true,
  platform: 'node',
  format: 'esm',
  logLevel: 'error',
});
const { byOperator, DEBIAN_CASES, hasCases, runConformance } = await import(pathToFileURL(outfile));

const collection = process.env.CONVOLITH_MODELS ?? resolve(repository, '../shared');
const usual = existsSync(join(collection, 'onnx-node-tests'))
  ? ['onnx-node-tests', 'onnx-pytorch-tests'].map((name) => join(collection, name))
  : [DEBIAN_CASES];
const folders = positionals.length > 0 ? positionals : usual;
const missing = folders.filter((folder) => !hasCases(folder));
if (missing.length > 0) {
  console.error(`no official cases in ${missing.join(', ')}`);
  console.error('name a folder whose subfolders hold model.onnx, or install libonnx-testdata');
  process.exit(2);
}

const cases = await runConformance(folders);
const share = (of) => {
  const passed = cases.filter((c) => of(c) === 'passed').length;
  return `${passed} of ${cases.length} (${((100 * passed) / cases.length).toFixed(1)} %)`;
};
const summary = `reference ${share((c) => c.reference)}, compiled to WebAssembly ${share((c) => c.wasm)}`;

if (values.json) {
  console.log(JSON.stringify({ cases }, null, 2));
} else {
  const cells = byOperator(cases).map((row) => [
    row.op,
    ...[row.reference, row.wasm].flatMap((o) =>
      [o.passed, o.failed, o.unsupported].map((n) => String(n || '·')),
    ),
  ]);
  const head = ['op', 'passed', 'failed', 'unsupported', 'passed', 'failed', 'unsupported'];
  if (values.markdown) {
    console.log(`${summary}\n`);
    console.log(
      '| op | reference: passed | failed | unsupported | WebAssembly: passed | failed | unsupported |',
    );
    console.log('| --- | --- | --- | --- | --- | --- | --- |');
    for (const row of cells) console.log(`| ${row.join(' | ')} |`);
  } else {
    const widths = head.map((title, i) => Math.max(title.length, ...cells.map((row) => row[i].length)));
    const line = (row) =>
      row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  ');
    console.log(
      `${' '.repeat(widths[0])}  ${'reference'.padEnd(widths[1] + widths[2] + widths[3] + 4)}  WebAssembly`,
    );
    console.log(line(head));
    for (const row of cells) console.log(line(row));
    for (const c of cases) {
      if (c.reason)
        console.log(`\n${c.name}: reference ${c.reference}, WebAssembly ${c.wasm}\n  ${c.reason}`);
    }
    console.log(`\n${summary}`);
  }
}
