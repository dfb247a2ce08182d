#!/usr/bin/env node
/**
 * Kernel calls per inference of the networks of the model collection: each node by itself, after the passes, and the nodes
 * that onnxruntime's own optimisations leave. And how long writing resnet50 as ONNX takes.
 *
 *   node scripts/kernel-calls.mjs              print the table
 *   node scripts/kernel-calls.mjs --write      and write it into docs/rewrite.md
 *   node scripts/kernel-calls.mjs --only resnet50,unet
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { internal, repository } from './bench/internal.mjs';
import { pathOf } from './bench/networks.mjs';
import { writeBetween } from './rewrite/generated.mjs';

const { values } = parseArgs({
  options: { write: { type: 'boolean', default: false }, only: { type: 'string' } },
});
const collection = process.env.CONVOLITH_MODELS ?? resolve(repository, '../shared');
const zoo = readdirSync(join(collection, 'zoo'))
  .filter((file) => file.endsWith('.onnx'))
  .map((file) => file.slice(0, -5));
const names = values.only ? values.only.split(',') : zoo;
const { kernelCalls, exportTime } = await internal('scripts/rewrite/calls.ts');
const folder = mkdtempSync(join(tmpdir(), 'convolith-calls-'));
const rows = [];
let written = '';
try {
  for (const name of names) {
    const path = pathOf({ name }, folder);
    const { nodes, before, exactNodes, after } = await kernelCalls(path);
    rows.push(
      `| ${name} | ${nodes} | ${exactNodes} | ${before} | ${after} | ${optimisedNodes(path, name)} |`,
    );
    console.error(rows.at(-1));
    if (name === 'resnet50') {
      const { ms, bytes } = await exportTime(path);
      written = `Writing resnet50 as ONNX (${(bytes / 2 ** 20).toFixed(1)} MiB) took ${Math.round(ms)} ms.`;
    }
    for (const file of readdirSync(folder)) rmSync(join(folder, file), { recursive: true });
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

const table = [
  '| network | nodes of the file | after exact passes | kernel calls, each node by itself | kernel calls, compiled | nodes in onnxruntime |',
  '| --- | ---: | ---: | ---: | ---: | ---: |',
  ...rows,
].join('\n');
console.log(`${table}\n\n${written}`);
if (values.write) writeBetween(join(repository, 'docs/rewrite.md'), 'kernel-calls', `${table}\n\n${written}`);

function optimisedNodes(path, name) {
  const weights = existsSync(join(folder, `${name}.weights`)) ? [`${name}.weights`] : [];
  const { stdout, stderr } = spawnSync(
    process.execPath,
    [join(repository, 'scripts/rewrite/optimised-nodes.mjs'), path, ...weights],
    { encoding: 'utf8', maxBuffer: 2 ** 28 },
  );
  const counts = [...`${stdout}${stderr}`.matchAll(/Number of nodes: (\d+)/g)].map(([, n]) => Number(n));
  if (counts.length === 0) throw new Error(`onnxruntime does not say how many nodes ${name} has`);
  return counts[0];
}
