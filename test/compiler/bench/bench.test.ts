import { describe, expect, test } from 'vitest';
import { bench, type Contender, type Outputs } from '#compiler/bench/index.ts';
import { timedLayers } from '#compiler/bench/layers.ts';
import { PeakProbe } from '#compiler/bench/peak.ts';
import { benchSchema } from '#compiler/bench/report-schema.ts';
import type { WasmProgram } from '#compiler/targets/wasm/index.ts';
import { wasmTarget } from '#compiler/targets/wasm/index.ts';
import { Builder } from '#ir/builder.ts';
import { f32, type Tensor } from '#ir/tensor.ts';
import { runPipeline } from '#passes/pass.ts';
import { PIPELINES } from '#passes/pipeline.ts';
import { supportedEngines } from '#runtime/engines.ts';

/** A convolution 3×3 and one 1×1. */
function program(size: number, channels: number): WasmProgram {
  const b = new Builder('two');
  const weights = (shape: readonly number[]) =>
    f32(
      shape,
      Float32Array.from({ length: shape.reduce((a, n) => a * n, 1) }, (_, i) => Math.sin(i)),
    );
  const x = b.input('x', [1, channels, size, size]);
  const wide = b.conv(x, b.constant('w', weights([channels, channels, 3, 3])), {
    pads: [1, 1, 1, 1],
    name: 'wide',
  });
  b.output(
    'y',
    b.conv(b.relu(wide), b.constant('v', weights([channels, channels, 1, 1])), { name: 'narrow' }),
  );
  for (const pipeline of Object.values(PIPELINES)) runPipeline(b.graph, pipeline);
  return wasmTarget.lower(b.graph);
}

const inputsOf = ({ inputs }: WasmProgram): Map<string, Tensor> =>
  new Map(
    inputs.map(({ name, type }) => [
      name,
      f32(type.shape, new Float32Array(type.shape.reduce((a, n) => a * n, 1)).fill(0.5)),
    ]),
  );

describe('the peak probe', () => {
  const engines = supportedEngines();

  test.each(engines.flatMap((engine) => [1, 7, 2048].map((passes) => [engine, passes] as const)))(
    'for %s: %d passes give what the formula gives',
    async (engine, passes) => {
      const probe = await PeakProbe.load(engine);
      expect(probe.run(passes)).toEqual(probe.expected(passes));
      expect(probe.run(passes)).toEqual(probe.expected(passes));
    },
  );

  test('its rate is operations by time', async () => {
    const probe = await PeakProbe.load('simd');
    let now = 0;
    // 2048 passes of 64 steps of 32 multiply-accumulates in 2 ms; the middle try is the best
    const clock = () => [0, 5, 5, 7, 7, 9.5][now++] ?? 0;
    expect(probe.gflops(clock)).toBeCloseTo((2 * 2048 * 64 * 32) / 2e6, 9);
  });
});

describe('layers', () => {
  test('each has its kernels and its cost', () => {
    const layers = timedLayers(program(8, 4));
    const costly = layers.filter(({ macs }) => macs > 0);
    expect(costly.map(({ name, kind, macs }) => [name, kind, macs])).toEqual([
      ['wide', 'standard', 64 * 16 * 9],
      ['narrow', 'pointwise', 64 * 16],
    ]);
    for (const { kernels } of layers) expect(kernels.length).toBeGreaterThan(0);
  });

  test('minimal filtering does fewer multiplications than it stands for', () => {
    const found = timedLayers(program(24, 64)).find(({ kernels }) => kernels.some((k) => /wino/.test(k)));
    if (!found) throw new Error('a layer of 64 channels is computed directly');
    expect(found.macs).toBe(24 * 24 * 64 * 64 * 9);
    // F(4×4) has 36 products for 16 outputs, F(2×2) 16 for 4; 24 is a multiple of both
    expect([36 / (16 * 9), 16 / (4 * 9)]).toContainEqual(expect.closeTo(found.doneMacs / found.macs, 9));
  });
});

describe('the report', () => {
  /** A side that takes the same time always, by a clock of the test's own. */
  function fake() {
    let now = 0;
    const log: string[] = [];
    const side = (name: string, loadMs: number, runMs: number, outputs: Outputs = new Map()): Contender => ({
      name,
      version: '1',
      prepare: async () => {
        log.push(`prepare ${name}`);
        now += 1000;
      },
      load: async () => {
        now += loadMs;
        return {
          run: () => {
            log.push(`run ${name}`);
            now += runMs;
          },
          outputs: async () => outputs,
          dispose: () => log.push(`dispose ${name}`),
        };
      },
    });
    const compiled = program(6, 4);
    const options = {
      name: 'two',
      inputs: inputsOf(compiled),
      engine: 'simd' as const,
      ours: side('ours', 20, 40),
      clock: () => (now += 0.01),
    };
    return { compiled, options, log, side };
  }

  test('has both sides and adds up', async () => {
    const { compiled, options, log, side } = fake();
    const report = await bench(compiled, { ...options, rounds: 3, other: side('theirs', 70, 100) });
    expect(benchSchema.parse(report)).toEqual(report);
    expect(report.ours.runMs.median).toBeCloseTo(40, 0);
    expect(report.ours.loadMs).toBeCloseTo(20, 0);
    expect(report.other?.ratio.median).toBeCloseTo(2.5, 1);
    expect(report.other?.firstRunMs).toBeCloseTo(100, 0);
    expect(report.layers.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 9);
    expect(report.layersTotal.macs).toBe(report.layers.reduce((sum, { macs }) => sum + macs, 0));
    expect(report.layersTotal.settled).toBe(true);
    const times = (entry: string) => log.filter((l) => l === entry).length;
    expect(times('prepare ours')).toBe(3);
    expect(times('dispose ours')).toBe(3);
    expect(times('dispose theirs')).toBe(1);
    // the rounds are last
    const runs = log.filter((l) => l.startsWith('run')).slice(-6);
    expect(runs).toEqual(['run ours', 'run theirs', 'run ours', 'run theirs', 'run ours', 'run theirs']);
  });

  test('says how far the outputs are apart', async () => {
    const { compiled, options, side } = fake();
    const ours = side('ours', 20, 40, new Map([['y', [-2, 1]]]));
    const other = side('theirs', 20, 40, new Map([['y', [-2.001, 1]]]));
    const report = await bench(compiled, { ...options, rounds: 1, ours, other });
    expect(report.other?.deviation).toBeCloseTo(0.0005, 9);
  });

  test('times nothing where the outputs differ', async () => {
    const { compiled, options, log, side } = fake();
    const ours = side('ours', 20, 40, new Map([['y', [-2, 1]]]));
    const other = side('theirs', 20, 40, new Map([['y', [-2, 1.01]]]));
    await expect(bench(compiled, { ...options, rounds: 1, ours, other })).rejects.toThrow(
      'ours and theirs differ by 5.0e-3 of the largest; 0.001 is allowed',
    );
    expect(log.slice(-2)).toEqual(['dispose ours', 'dispose theirs']);
    expect(log.filter((entry) => entry === 'run theirs')).toHaveLength(1);
  });

  test('says why there is nothing to compare with', async () => {
    const { compiled, options } = fake();
    const report = await bench(compiled, { ...options, rounds: 1, other: 'not installed' });
    expect(benchSchema.parse(report)).toMatchObject({ other: null, otherMissing: 'not installed' });
  });

  test('goes on without a runtime that fails', async () => {
    const { compiled, options } = fake();
    const failing = {
      name: 'theirs',
      version: '1',
      load: () => Promise.reject(new Error('no such operator')),
    };
    const report = await bench(compiled, { ...options, rounds: 1, other: failing });
    expect(report.other).toBe(null);
    expect(report.otherMissing).toBe('theirs does not run this model: no such operator');
  });
});
