/** The table of a benchmark on a device, of figures that are made up. */
import pc from 'picocolors';
import { expect, test } from 'vitest';
import { benchSchema } from '#compiler/bench/report-schema.ts';
import { renderBench } from '#compiler/cli/bench-table.ts';
import { BENCH_VERSION } from '#compiler/version.ts';
import { expectGolden } from '../../support/golden.ts';

const even = (median: number) => ({ median, low: median * 0.9, high: median * 1.1 });
const rates = (macs: number, ms: number) => {
  const gflops = macs === 0 ? null : (2 * macs) / ms / 1e6;
  return { macs, doneMacs: macs, gflops, doneGflops: gflops, ofPeak: gflops && gflops / 1000 };
};

const layer = (name: string, op: string, kernel: string, macs: number, ms: number) => ({
  name,
  op,
  kind: op,
  shape: [1, 8, 6, 6],
  kernels: [kernel],
  ms: even(ms),
  share: ms / 0.5,
  ...rates(macs, ms),
  predictedMs: ms / 2,
  dispatches: [{ kernel, ms }],
});

const report = benchSchema.parse({
  version: BENCH_VERSION,
  name: 'net',
  backend: 'webgpu',
  gpu: { adapter: 'a GPU', software: false, precision: 'f16', dispatches: 2 },
  macs: 200e6,
  inputs: [{ name: 'image', dtype: 'f32', shape: [1, 3, 8, 8] }],
  rounds: 15,
  ours: {
    name: 'convolith on WebGPU',
    version: '1',
    loadMs: 120,
    firstRunMs: 4,
    settled: true,
    runMs: even(1.5),
    predictedMs: 1.1,
  },
  other: {
    name: 'convolith on WebAssembly',
    version: '1',
    loadMs: 20,
    firstRunMs: 9,
    settled: false,
    runMs: even(6),
    ratio: even(4),
    deviation: 1e-3,
  },
  otherMissing: null,
  peakGflops: even(1000),
  layers: [
    layer('stem', 'Conv', 'conv_3x3s1x1_6x6_3to8_p4_v4', 200e6, 0.4),
    layer('pool', 'MaxPool', 'maxpool_2x2s2x2_3x3_c8_v4', 0, 0.1),
  ],
  layersMissing: null,
  layersTotal: { settled: true, passes: 60, ms: even(0.5), predictedMs: 0.25, ...rates(200e6, 0.5) },
});

const options = { width: 120, colours: pc.createColors(false) };

test('with layers, and without a clock for them', () => {
  const blind = benchSchema.parse({
    ...report,
    gpu: { ...report.gpu, adapter: 'a driver', software: true },
    other: null,
    otherMissing: 'nothing was to be compared with',
    peakGflops: null,
    layers: [],
    layersMissing: 'the device has no timestamp-query: only the whole is timed',
    layersTotal: null,
  });
  const texts = [report, blind].map((one) => renderBench(one, options));
  expectGolden('cli/bench-webgpu.txt', `${texts.join(`\n${'─'.repeat(40)}\n`)}\n`);
  expect(texts[1]).not.toContain('stem');
});
