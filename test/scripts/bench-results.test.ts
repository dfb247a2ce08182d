import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { BenchLayer, BenchReport } from '#compiler/bench/index.ts';
import { BENCH_VERSION } from '#compiler/version.ts';
import {
  type Measurement,
  mainTable,
  memoryRow,
  peakShares,
  resultsPage,
  tablePart,
  withResults,
} from '../../scripts/bench/results.ts';
import { marked, partOf } from '../../scripts/page.ts';
import { repositoryFolder } from '../support/collection.ts';

const even = (x: number) => ({ median: x, low: x, high: x });

const layer = (kind: string, macs: number, ofPeak: number | null, op = 'Conv'): BenchLayer => ({
  name: kind,
  op,
  kind,
  shape: [1],
  kernels: [],
  ms: even(1),
  share: 0,
  macs,
  doneMacs: macs,
  gflops: 1,
  doneGflops: 1,
  ofPeak,
});

const side = (name: string, runMs: number) => ({
  name,
  version: '1.2',
  loadMs: 1,
  firstRunMs: 1,
  settled: true,
  runMs: even(runMs),
});

const report = (oursMs: number, ratio: number, layers: BenchLayer[] = []): BenchReport => ({
  version: BENCH_VERSION,
  name: 'net',
  backend: 'wasm',
  macs: 1,
  inputs: [],
  rounds: 9,
  ours: side('convolith', oursMs),
  other: {
    ...side('onnxruntime-web', oursMs * ratio),
    deviation: 0,
    ratio: { median: ratio, low: ratio - 0.1, high: ratio + 0.1 },
  },
  otherMissing: null,
  peakGflops: even(50),
  layers,
  layersMissing: null,
  layersTotal: {
    settled: true,
    passes: 9,
    ms: even(1),
    macs: 1,
    doneMacs: 1,
    gflops: 1,
    doneGflops: 1,
    ofPeak: null,
  },
});

const stats = { memoryBytes: 4.5 * 2 ** 20, weightBytes: 3 * 2 ** 20, arenaBytes: 2 ** 20 };

const measurement = (network: string, node: string, ratio: number, more: Partial<Measurement> = {}) => ({
  network,
  on: { date: '2026-01-02T03:04:05.000Z', node, v8: '11.3', cpu: 'A CPU ', cpus: 2, load: 0.25 },
  rounds: 9,
  bench: report(20, ratio, [layer('standard', 1e6, 0.5), layer('depthwise', 1e6, 0.25)]),
  start: { ours: { loadMs: 10, firstRunMs: 30 }, other: { loadMs: 100, firstRunMs: 50 } },
  warm: { engine: node.startsWith('20') ? 'simd' : 'relaxed', firstMs: 30, laterMs: 20, runs: 100 },
  others: {},
  compile: { ms: [2000], stats },
  ...more,
});

test('a row has both times, the ratio, the shares of the peak and the first results', () => {
  expect(
    mainTable([measurement('a', '20.1', 2)])
      .split('\n')
      .at(-1),
  ).toBe('| a | 20.0 ms | 40.0 ms | 2.00× (1.90–2.10) | 50 % | 25 % | 40.0 ms | 150 ms |');
});

test('native onnxruntime has a column where it was timed', () => {
  const native = { version: '1', oursMs: even(20), runMs: even(5), ratio: even(0.25) };
  const rows = mainTable([
    measurement('a', '20.1', 2, { others: { 'onnxruntime-node': native } }),
    measurement('b', '20.1', 2, { others: { 'onnxruntime-node': 'not installed' } }),
  ]).split('\n');
  expect(rows[0]).toMatch(/ \| native onnxruntime \|$/);
  expect(rows[2]).toMatch(/ \| 5\.00 ms \(0\.25×\) \|$/);
  expect(rows[3]).toMatch(/ \| · \|$/);
});

test('small layers, other layers and layers of no known rate are not in the shares of the peak', () => {
  const layers = [
    layer('standard', 1e6, 0.6),
    layer('pointwise', 1e6, 0.8),
    layer('pointwise', 4e5, 0.1),
    layer('grouped', 1e6, null),
    layer('Gemm', 1e6, 0.1, 'Gemm'),
  ];
  expect(peakShares(report(1, 2, layers))).toEqual([0.7, undefined]);
});

test('each Node has a table in the order of the list, and what it comes to', () => {
  const all = [
    measurement('b', '26.0', 3),
    measurement('b', '20.1', 2),
    measurement('a', '20.1', 8),
    measurement('gone', '20.1', 9),
  ];
  const lines = tablePart(all, ['a', 'b']).split('\n');
  expect(
    lines.filter((line) => /^(Node|\| [ab]|Geometric)/.test(line)).map((line) => line.slice(0, 17)),
  ).toEqual([
    'Node 20.1, SIMD:',
    '| a | 20.0 ms | 1',
    '| b | 20.0 ms | 4',
    'Geometric mean of',
    'Node 26.0, relaxe',
    '| b | 20.0 ms | 6',
    'Geometric mean of',
  ]);
  expect(lines).toContain('Geometric mean of the ratios: 4.00×; the smallest: 2.00× (b).');
});

test('a busy machine is told', () => {
  const one = measurement('a', '20.1', 2);
  const busy = { ...one, on: { ...one.on, load: 7.6 } };
  expect(tablePart([one], ['a'])).not.toContain('busy');
  expect(tablePart([busy], ['a'])).toMatch(/\nThe machine was busy .* \(load average up to 8\)/);
});

test('the page says which first runs are slow, what compiling took and how all was measured', () => {
  const tfjs = { version: '4', oursMs: even(20), runMs: even(50), ratio: even(2.5) };
  const all = [
    measurement('a', '20.1', 2, {
      warm: { engine: 'simd', firstMs: 31, laterMs: 20, runs: 30 },
      compile: { ms: [3000, 1000, 2000], stats },
      others: { 'onnxruntime-node': 'not installed', 'TensorFlow.js': tfjs },
      memory: { ours: { growth: 2 ** 20 }, other: { growth: 3 * 2 ** 20 } },
    }),
    measurement('b', '20.1', 3),
  ];
  const page = resultsPage(all, ['a', 'b']);
  expect(page).toContain('| a | 31.0 ms | 20.0 ms | 15–30 | 1.55× ✗ |');
  expect(page).toContain('| b | 30.0 ms | 20.0 ms | 50–100 | 1.50× |');
  expect(page).toContain('1 of 2 are beyond 1.5×');
  expect(page).toContain('| a | 2.0 s | 3.0 s, 1.0 s, 2.0 s |');
  expect(page).toContain('| a | 20.0 ms | 50.0 ms | 2.50× (2.50–2.50) |');
  expect(page).toContain('| a | 1.0 MiB | 3.0 MiB | 3.00× | 4.5 MiB | 3.0 MiB | 1.0 MiB | 0.5 MiB |');
  expect(page).toContain('A CPU, 2 logical cores. Node 20.1 (V8 11.3). 2026-01-02.');
  expect(page).toContain('convolith 1.2 against onnxruntime-web 1.2, TensorFlow.js 4;');
  expect(page).toContain('- Native onnxruntime was not timed: not installed.');
  expect(partOf(page, 'bench')).toBe(tablePart(all, ['a', 'b']));
});

test('without another runtime there is nothing to compare memory with', () => {
  expect(memoryRow('a', { ours: { growth: 2 ** 20 } }, stats).slice(0, 4)).toEqual([
    'a',
    '1.0 MiB',
    '·',
    '·',
  ]);
});

test('a page keeps what is around its part', () => {
  const all = [measurement('a', '20.1', 2)];
  const page = `before\n${marked('bench', 'old')}\nafter\n`;
  expect(withResults(page, all, ['a'])).toBe(`before\n${marked('bench', tablePart(all, ['a']))}\nafter\n`);
  expect(() => withResults('nothing', all, ['a'])).toThrow('no part between <!-- generated: bench -->');
});

test('README.md and bench/RESULTS.md have the same table', () => {
  const page = (file: string) => readFileSync(join(repositoryFolder, file), 'utf8');
  const why = 'to write both: npm run bench -- --render';
  expect(partOf(page('README.md'), 'bench'), why).toBe(partOf(page('bench/RESULTS.md'), 'bench'));
});
