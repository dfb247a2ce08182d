#!/usr/bin/env node
/**
 * Inference time of compiled networks against onnxruntime-web (wasm, one thread), as `convolith bench` measures it: a row
 * for each network.
 *
 *   npm run bench -- MODEL.onnx[@INPUT=1x3x224x224] …      [--rounds 15]
 *
 * Without models: mobilenet_v2 and resnet18 of the model collection.
 */
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: 'string', default: '15' } },
});
const repository = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const work = await mkdtemp(join(tmpdir(), 'convolith-bench-'));

try {
  console.log(
    'network              convolith   onnxruntime-web   ratio (median of rounds; 10th–90th percentile)',
  );
  for (const subject of positionals.length > 0 ? positionals : zoo('mobilenet_v2', 'resnet18'))
    bench(subject);
} finally {
  await rm(work, { recursive: true });
}

/** Each network in a process of its own. */
function bench(subject) {
  const [path, shape] = subject.split('@');
  const options = ['--json', '--rounds', values.rounds, ...(shape ? ['--shape', shape] : [])];
  const command = [join(repository, 'dist/cli.js'), 'bench', path, ...options];
  const stdio = ['ignore', 'pipe', 'inherit'];
  const { ours, other, otherMissing } = JSON.parse(
    execFileSync(process.execPath, command, { stdio, maxBuffer: 2 ** 28 }),
  );
  const ms = (side) => `${side.runMs.median.toFixed(2)} ms`;
  const name = basename(path, '.onnx').padEnd(18);
  if (!other) {
    console.log(`${name} ${ms(ours).padStart(11)}   ${otherMissing}`);
    return;
  }
  const { median, low, high } = other.ratio;
  const ratio = `${median.toFixed(2)}× (${low.toFixed(2)}–${high.toFixed(2)})`;
  console.log(`${name} ${ms(ours).padStart(11)} ${ms(other).padStart(17)}   ${ratio}`);
}

/** Zoo networks of the collection, with their weights. */
function zoo(...names) {
  const collection = process.env.CONVOLITH_MODELS ?? resolve(repository, '../shared');
  execFileSync(process.execPath, [join(collection, 'zoo/materialize.mjs'), work, ...names], {
    stdio: 'ignore',
  });
  return names.map((name) => join(work, `${name}.onnx`));
}
