/** What a benchmark says where the clock of a device tells nothing of some passes. */
import { expect, test } from 'vitest';
import { bench, type Contender, type LayerClock } from '#compiler/bench/index.ts';
import { benchSchema } from '#compiler/bench/report-schema.ts';

type Ms = number | undefined;

/** Two layers of a dispatch each. */
function timedBy(times: (pass: number) => readonly [Ms, Ms]): LayerClock {
  let passes = 0;
  const layer = {
    kind: '',
    shape: [],
    kernels: ['k'],
    macs: 1e6,
    doneMacs: 1e6,
    step: undefined,
    dispatches: ['k'],
  };
  return {
    layers: [
      { ...layer, name: 'a', op: 'Conv' },
      { ...layer, name: 'b', op: 'Conv' },
    ],
    pass() {
      const ms = times(passes++);
      return { peak: 1, ms, dispatches: ms.map((one) => [one]) };
    },
  };
}

const ours: Contender = {
  name: 'ours',
  version: '1',
  load: async () => ({ run: () => {}, outputs: async () => new Map(), dispose() {} }),
};

async function reportOf(layers: LayerClock) {
  let now = 0;
  const options = { name: 'net', rounds: 3, inputs: new Map(), macs: 2e6, ours, other: 'none', layers };
  return benchSchema.parse(await bench({ ...options, clock: () => now++, settleMs: 1 }));
}

test('a pass that was not told of is left out of the median', async () => {
  const { layers, layersTotal } = await reportOf(timedBy((pass) => [pass % 3 === 0 ? undefined : 2, 4]));
  expect(layers.map(({ ms, dispatches }) => [ms.low, ms.high, dispatches?.[0]?.ms])).toEqual([
    [2, 2, 2],
    [4, 4, 4],
  ]);
  expect(layersTotal?.ms.median).toBe(6);
});

test('a layer that is never told of is said to be, and no time is made up', async () => {
  const report = await reportOf(timedBy(() => [2, undefined]));
  expect(report).toMatchObject({ layers: [], layersTotal: null, peakGflops: null });
  expect(report.layersMissing).toBe('the clock of the device is too coarse: it tells nothing of b');
});
