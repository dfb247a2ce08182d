import pc from 'picocolors';
import { describe, expect, test } from 'vitest';
import { renderProfile } from '#compiler/cli/profile-table.ts';
import { compileGraph } from '#compiler/compile.ts';
import { chooseTile } from '#compiler/targets/wasm/choices.ts';
import { BUILT_IN_COSTS } from '#compiler/targets/wasm/costs.ts';
import { ENGINES } from '#compiler/targets/wasm/index.ts';
import { planWinograd } from '#compiler/targets/wasm/lower/winograd-plan.ts';
import { calibrate } from '#compiler/tune/calibrate.ts';
import {
  costsOf,
  formatProfile,
  type MachineProfile,
  PROFILE_VERSION,
  parseProfile,
} from '#compiler/tune/profile.ts';
import { Builder } from '#ir/builder.ts';
import { CompileError } from '#ir/diagnostics.ts';
import { supportedEngines } from '#runtime/engines.ts';
import { noise } from '../../support/op.ts';

const PEAK = 50;

/** What a machine that is as the built-in figures say would measure. */
const builtIn: MachineProfile = {
  version: PROFILE_VERSION,
  kind: 'wasm',
  engine: 'V8 1',
  cpu: 'this',
  engines: {
    simd: engineProfile('simd'),
    relaxed: engineProfile('relaxed'),
  },
  elements: {
    moved: 0.1,
    operation: 0.02,
    exp: 0.5,
    log: 0.7,
    tanh: 0.6,
    erf: 0.9,
    logistic: 0.6,
    pooled: 0.05,
    transposed: 0.3,
  },
  winograd: { 2: { inputMacs: 200, outputMacs: 240 }, 4: { inputMacs: 670, outputMacs: 570 } },
  weightByteMacs: 0.12,
  streamedByteNs: { oneRow: 0.05, fourRows: 0.02 },
  bandwidth: [{ bytes: 16384, gigabytesPerSecond: 90 }],
  callNs: 3,
};

function engineProfile(name: 'simd' | 'relaxed') {
  return {
    peakGflops: PEAK,
    tiles: ENGINES[name].tiles.map(({ pixels, channels, efficiency }) => ({
      pixels,
      channels,
      gflops: efficiency * PEAK,
    })),
    windows: [{ kernel: 3, stride: 1, gflops: 30 }],
  };
}

/** The profile of a machine on which only tiles of one width are any good. */
const onlyWidth = (width: number): MachineProfile => ({
  ...builtIn,
  engines: {
    simd: crippled(builtIn.engines.simd, width),
    relaxed: crippled(engineProfile('relaxed'), width),
  },
});

const crippled = (engine: MachineProfile['engines']['simd'], width: number) => ({
  ...engine,
  tiles: engine.tiles.map((tile) => (tile.channels === width ? tile : { ...tile, gflops: 1 })),
});

describe('what the cost model takes from a profile', () => {
  test('is built in without one, and the same from a machine that is so', () => {
    expect(costsOf(undefined)).toBe(BUILT_IN_COSTS);
    const costs = costsOf(builtIn);
    expect(costs.winograd).toEqual(BUILT_IN_COSTS.winograd);
    for (const name of ['simd', 'relaxed'] as const) {
      costs.engines[name].tiles.forEach((tile, i) => {
        expect(tile.efficiency).toBeCloseTo(ENGINES[name].tiles[i]?.efficiency ?? 0, 12);
      });
    }
  });

  test('is built in where the profile lacks it', () => {
    const { relaxed: _, ...engines } = builtIn.engines;
    const fewer = { ...engines.simd, tiles: engines.simd.tiles.slice(0, 1) };
    const costs = costsOf({ ...builtIn, engines: { simd: fewer } });
    expect(costs.engines.relaxed).toBe(ENGINES.relaxed);
    expect(costs.engines.simd.tiles.slice(1)).toEqual(ENGINES.simd.tiles.slice(1));
  });

  test.each([4, 8, 16, 24])('decides the width of panels: %i', (width) => {
    expect(chooseTile(49, 96, costsOf(onlyWidth(width)))[1]).toBe(width);
  });

  test('decides on minimal filtering', () => {
    const axis = { kernel: 3, stride: 1, dilation: 1, padBegin: 1, padEnd: 1 };
    const layer = {
      axes: [axis, axis],
      filters: {
        data: noise([64, 64, 3, 3], 1).data as Float32Array,
        groups: 1,
        inputChannels: 64,
        channels: 64,
      },
      batch: 1,
      outSize: [28, 28] as const,
    };
    expect(planWinograd(layer, { costs: costsOf(builtIn) })?.outputs).toBe(4);
    const slow = { inputMacs: 1e5, outputMacs: 1e5 };
    const four = { ...builtIn, winograd: { ...builtIn.winograd, 4: slow } };
    expect(planWinograd(layer, { costs: costsOf(four) })?.outputs).toBe(2);
    const both = { ...builtIn, winograd: { 2: slow, 4: slow } };
    expect(planWinograd(layer, { costs: costsOf(both) })).toBeUndefined();
    // the filters of F(4×4) are too large for the second-level cache, those of F(2×2) are not
    expect(planWinograd(layer, { costs: costsOf({ ...builtIn, weightByteMacs: 100 }) })?.outputs).toBe(2);
  });
});

test('a doctored profile changes what is compiled, always in the same way', async () => {
  const b = new Builder('net');
  b.output('y', b.conv(b.input('x', [1, 16, 12, 12]), b.constant('w', noise([48, 16, 1, 1], 1))));
  const files = async (profile?: MachineProfile) =>
    (await compileGraph(b.graph, { ...(profile && { profile }) })).files;
  const plain = await files();
  expect(await files(builtIn)).toEqual(plain);
  const doctored = await files(onlyWidth(4));
  expect(doctored.get('weights.bin')).not.toEqual(plain.get('weights.bin'));
  expect(await files(onlyWidth(4))).toEqual(doctored);
  await expect(files({ ...builtIn, callNs: -1 })).rejects.toThrow('profile.callNs');
});

describe('calibration', () => {
  test('measures a profile, which the table shows', async () => {
    let now = 0;
    const seen: number[] = [];
    const profile = await calibrate({
      machine: { engine: 'V8 1', cpu: 'this' },
      engines: supportedEngines(),
      // everything takes the same time, by a clock of the test's own
      clock: () => (now += 20),
      onProgress: (fraction) => seen.push(fraction),
    });
    expect(parseProfile(JSON.parse(formatProfile(profile)))).toEqual(profile);
    expect(profile.engines.simd.tiles).toHaveLength(ENGINES.simd.tiles.length);
    expect('relaxed' in profile.engines).toBe(supportedEngines().includes('relaxed'));
    expect(profile.bandwidth.map(({ bytes }) => bytes / 1024)).toEqual([
      16, 64, 256, 1024, 4096, 16384, 65536,
    ]);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect([seen[0], seen.at(-1)]).toEqual([0, 1]);
    const text = renderProfile(profile, { width: 100, colours: pc.createColors(false) });
    for (const line of [
      /^V8 1 on this$/m,
      /^tile 4×8 .* 0\.95$/m,
      /^F\(4×4\) inputs /m,
      /^64\.0 KiB /m,
      / ns$/m,
    ]) {
      expect(text).toMatch(line);
    }
  });

  test('is aborted', async () => {
    const options = { machine: { engine: 'V8 1', cpu: 'this' }, engines: ['simd'] as const };
    const signal = AbortSignal.abort(new Error('stop'));
    await expect(calibrate({ ...options, signal })).rejects.toThrow('stop');
    await expect(calibrate({ ...options, fast: true } as never)).rejects.toThrow(CompileError);
  });
});

test.each<[value: unknown, path: string, message: string]>([
  [3, 'file', 'expected what convolith calibrate writes: an object of which "kind" is'],
  [{ ...builtIn, version: 1 }, 'file.version', `expected ${PROFILE_VERSION}; got 1`],
  [{ ...builtIn, engines: {} }, 'file.engines.simd', 'this is missing'],
  [{ ...builtIn, weightByteMacs: '0' }, 'file.weightByteMacs', 'got "0"'],
  [{ ...builtIn, winograd: { 2: builtIn.winograd[2] } }, 'file.winograd["4"]', 'this is missing'],
  [
    {
      ...builtIn,
      engines: { simd: { ...builtIn.engines.simd, tiles: [{ pixels: 4, channels: 8, gflops: 0 }] } },
    },
    'file.engines.simd.tiles[0].gflops',
    'got 0',
  ],
])('a profile that is something else is refused by path', (value, path, message) => {
  try {
    parseProfile(value, 'file');
    expect.unreachable();
  } catch (error) {
    if (!(error instanceof CompileError)) throw error;
    const problem = error.diagnostics.find(({ subject }) => subject === path);
    expect(problem?.message).toContain(message);
    expect(problem).toMatchObject({
      code: 'usage-invalid',
      hint: expect.stringContaining('calibrate -o FILE'),
    });
  }
});
