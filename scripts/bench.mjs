#!/usr/bin/env node
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
/**
 * Inference time of compiled networks against onnxruntime-web (wasm, one thread), in one process, in alternating rounds.
 *
 *   npm run bench -- MODEL.onnx[@INPUT=1x3x224x224] …      [--rounds 15]
 *
 * Without models: mobilenet_v2 and resnet18 of the model collection. Both sides are warmed up until their times settle;
 * each round times both, one after the other, and the ratio is taken per round. Medians are printed.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { compileModel } from 'convolith';
import { loadBundle, openModel, writeBundle } from 'convolith/files';
import * as ort from 'onnxruntime-web/wasm';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: 'string', default: '15' } },
});
const rounds = Number(values.rounds);
const work = await mkdtemp(join(tmpdir(), 'convolith-bench-'));
ort.env.wasm.numThreads = 1;
ort.env.logLevel = 'error';

try {
  console.log('network              convolith   onnxruntime-web   ratio (median of rounds; min–max)');
  for (const subject of positionals.length > 0 ? positionals : await zoo('mobilenet_v2', 'resnet18')) {
    await bench(subject);
  }
} finally {
  await rm(work, { recursive: true });
}

async function bench(subject) {
  const [path, shapeText] = subject.split('@');
  const [input, sizes] = shapeText?.split('=') ?? [];
  const shapes = input ? { [input]: sizes.split('x').map(Number) } : {};
  const model = await openModel(path);
  const { files } = await compileModel(model.bytes, { shapes, externalData: model.externalData });
  const folder = join(work, basename(path, '.onnx'));
  await writeBundle(folder, files);
  const ours = await loadBundle(folder);
  const [port] = ours.info.inputs;
  const data = Float32Array.from({ length: port.shape.reduce((a, b) => a * b, 1) }, (_, i) =>
    Math.sin(i * 0.37),
  );

  const weights = path.replace(/\.onnx$/, '.weights');
  const session = await ort.InferenceSession.create(await readFile(path), {
    executionProviders: ['wasm'],
    externalData: existsSync(weights) ? [{ path: basename(weights), data: await readFile(weights) }] : [],
  });
  const tensor = new ort.Tensor('float32', data, port.shape);
  const sides = [
    () => ours.run({ [port.name]: data }),
    () => session.run({ [session.inputNames[0]]: tensor }),
  ];
  for (const side of sides) await settle(side);
  const times = [[], []];
  for (let round = 0; round < rounds; round++) {
    for (const [i, side] of sides.entries()) times[i].push(await time(side, 3));
  }
  const ratios = times[1].map((t, i) => t / times[0][i]);
  const ms = (t) => `${median(t).toFixed(2)} ms`;
  const spread = `${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)}`;
  console.log(
    `${basename(path, '.onnx').padEnd(18)} ${ms(times[0]).padStart(11)} ${ms(times[1]).padStart(17)}   ${median(ratios).toFixed(2)}× (${spread})`,
  );
  ours.dispose();
  await session.release();
}

/** Milliseconds per call, over a few calls. */
async function time(side, calls) {
  const start = performance.now();
  for (let i = 0; i < calls; i++) await side();
  return (performance.now() - start) / calls;
}

/** Engines optimise while code runs: goes on until three batches differ by less than a tenth, within ten seconds. */
async function settle(side) {
  const end = performance.now() + 10_000;
  const recent = [];
  while (performance.now() < end) {
    recent.push(await time(side, 5));
    const last = recent.slice(-3);
    if (recent.length >= 5 && Math.max(...last) < 1.1 * Math.min(...last)) return;
  }
}

function median(list) {
  const sorted = [...list].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

/** Zoo networks of the collection, with their weights. */
async function zoo(...names) {
  const repository = resolve(dirname(fileURLToPath(import.meta.url)), '..');
  const collection = process.env.CONVOLITH_MODELS ?? resolve(repository, '../shared');
  execFileSync(process.execPath, [join(collection, 'zoo/materialize.mjs'), work, ...names], {
    stdio: 'ignore',
  });
  return names.map((name) => join(work, `${name}.onnx`));
}
