#!/usr/bin/env node
/**
 * How long `convolith compile` takes, the whole process: medians of five, of the time and, where other work shares the
 * machine, of the time on a processor: of the main thread, which is the least that a run can take, and of all threads.
 *
 *   node scripts/bench/compile-time.mjs                    mobilenet_v2 and resnet50
 *   node scripts/bench/compile-time.mjs NAME|MODEL.onnx …  networks of the list, or models
 *   npx node@26 scripts/bench/compile-time.mjs             on another Node
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { internal, repository } from './internal.mjs';
import { given, NETWORKS, pathOf } from './networks.mjs';

const { median } = await internal('scripts/bench/results.ts');
const TRIES = 5;

/** Said at the end of the process: milliseconds on a processor. */
const REPORT = `data:text/javascript,${encodeURIComponent(`
import { readFileSync } from 'node:fs';
const main = () => {
  try {
    return Number(readFileSync('/proc/self/schedstat', 'utf8').split(' ')[0]) / 1e6;
  } catch {
    return null;
  }
};
process.on('exit', () => {
  const { user, system } = process.cpuUsage();
  process.stderr.write(JSON.stringify({ main: main(), all: (user + system) / 1000 }));
});
`)}`;

const { positionals } = parseArgs({ allowPositionals: true });
const wanted = positionals.length > 0 ? positionals : ['mobilenet_v2', 'resnet50'];
const work = mkdtempSync(join(tmpdir(), 'convolith-compile-'));
try {
  for (const text of wanted) {
    const network = NETWORKS.find(({ name }) => name === text) ?? given(text);
    const path = pathOf(network, work);
    const runs = Array.from({ length: TRIES }, () => compile(path, network.shape));
    const of = (what) => `${(median(runs.map((run) => run[what] ?? Number.NaN)) / 1000).toFixed(2)} s`;
    console.log(
      `${network.name}: ${of('ms')}; on a processor: main thread ${of('main')}, all threads ${of('all')}`,
    );
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}

function compile(path, shape) {
  const args = ['compile', path, '-o', join(work, 'bundle'), '--quiet', ...(shape ? ['--shape', shape] : [])];
  const begin = performance.now();
  const { status, stderr } = spawnSync(
    process.execPath,
    ['--import', REPORT, join(repository, 'dist/cli.js'), ...args],
    { encoding: 'utf8' },
  );
  const ms = performance.now() - begin;
  if (status !== 0) throw new Error(stderr);
  return { ms, ...JSON.parse(stderr.slice(stderr.lastIndexOf('{'))) };
}
