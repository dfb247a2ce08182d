#!/usr/bin/env node
/**
 * What `rewrite --factorize` costs a trained MNIST classifier in accuracy: each method alone and all together, at several
 * budgets, with and without calibration on 512 training images. The test images are read once, after every network is made.
 *
 *   node scripts/rewrite-accuracy.mjs              print the table
 *   node scripts/rewrite-accuracy.mjs --readme     and write it into README.md
 *   node scripts/rewrite-accuracy.mjs --held-out   on 10,000 training images instead, for comparing choices
 */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { internal, repository } from './bench/internal.mjs';
import { writeBetween } from './rewrite/generated.mjs';

const { values } = parseArgs({
  options: {
    readme: { type: 'boolean', default: false },
    'held-out': { type: 'boolean', default: false },
  },
});
if (values.readme && values['held-out']) throw new Error('--readme writes the accuracy on test images alone');
const collection = process.env.CONVOLITH_MODELS ?? resolve(repository, '../shared');
const path = join(collection, 'models/mnist-vgg.onnx');
if (!existsSync(path)) throw new Error(`no model at ${path}: set CONVOLITH_MODELS`);

const { BUDGETS, CALIBRATION_IMAGES, correctOf, evenly, imagesOf, rewriteAll } = await internal(
  'scripts/rewrite/accuracy.ts',
);
const train = await imagesOf('train');
const { original, rows } = await rewriteAll(new Uint8Array(readFileSync(path)), train, console.error);

// from here on nothing is chosen any more
const images = values['held-out'] ? train : await imagesOf('t10k');
const calibration = new Set(evenly(train.count, CALIBRATION_IMAGES));
const indices = values['held-out']
  ? evenly(train.count, 12_000)
      .filter((i) => !calibration.has(i))
      .slice(0, 10_000)
  : evenly(images.count, images.count);
const percent = (correct) => ((100 * correct) / indices.length).toFixed(2);
const own = await correctOf(original, images, indices);
const lines = [];
for (const { name, calibrated, graphs } of rows) {
  const cells = [];
  for (const graph of graphs) cells.push(graph ? percent(await correctOf(graph, images, indices)) : '·');
  lines.push(`| ${name} | ${calibrated ? 'yes' : 'no'} | ${cells.join(' | ')} |`);
  console.error(lines.at(-1));
}
const table = [
  `| method | calibrated | ${BUDGETS.map((part) => `MACs ≤ ${Math.round(100 * part)} %`).join(' | ')} |`,
  `| --- | --- | ${BUDGETS.map(() => '---:').join(' | ')} |`,
  ...lines,
].join('\n');
console.log(`original: ${percent(own)} %\n\n${table}`);

if (values.readme) {
  const told = `Accuracy in % on the 10,000 test images; the original has ${percent(own)} %. A dot: no ranks meet the budget.`;
  writeBetween(join(repository, 'README.md'), 'rewrite-accuracy', `${told}\n\n${table}`);
}
