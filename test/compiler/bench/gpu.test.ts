/** What times a device, on the software adapter: that it does what it says, not how long that takes. */
import { expect } from 'vitest';
import { type EncodePass, GpuClock } from '#compiler/bench/gpu-clock.ts';
import { GpuLayerTimer } from '#compiler/bench/gpu-layers.ts';
import { GpuPeak } from '#compiler/bench/gpu-peak.ts';
import { lowerGraph } from '#compiler/targets/webgpu/index.ts';
import { graphCost } from '#passes/analysis/cost.ts';
import type { TensorArray } from '#runtime/abi.ts';
import { smallNet } from '../../support/bundles.ts';
import { randomInputs } from '../../support/graphs.ts';
import { deviceOf, optimisedForGpu, programOf, withAdapter } from '../../support/webgpu.ts';

const timedDevice = () => deviceOf('vulkan', ['timestamp-query']);

withAdapter.test('the peak probe adds what the formula gives', async () => {
  const probe = await GpuPeak.load(await timedDevice());
  for (const passes of [0, 1, 7, 300]) {
    const [got, want] = [await probe.run(passes), GpuPeak.expected(passes)];
    expect(got.length).toBe(want.length);
    expect(want.findIndex((x, i) => x !== got[i])).toBe(-1);
  }
  probe.dispose();
});

withAdapter.test('every pass has its time, also of more than one set of queries holds', async () => {
  const clock = new GpuClock(await timedDevice(), 3000);
  const times = await clock.time(Array<EncodePass>(3000).fill(() => {}));
  expect(times).toHaveLength(3000);
  for (const ms of times) expect(ms ?? 1).toBeGreaterThan(0);
  clock.dispose();
});

withAdapter.test('a pass through the layers is a run, of which each dispatch is in one layer', async () => {
  const graph = optimisedForGpu(smallNet());
  const program = lowerGraph(graph);
  const loaded = await programOf(graph, await timedDevice());
  const inputs = [...randomInputs(graph, 3).values()].map(({ data }) => data as TensorArray);
  const want = await loaded.run(inputs);
  const words = loaded.readInputs(inputs);
  const encoded: number[] = [];
  const timer = await GpuLayerTimer.load(
    program,
    {
      device: loaded.device,
      dispatch(pass, call) {
        encoded.push(call);
        loaded.dispatch(pass, call);
      },
    },
    () => loaded.write(words, loaded.device.createCommandEncoder()),
  );
  const { ms, dispatches = [], peak } = await timer.pass();
  expect(encoded).toEqual(program.calls.map((_, k) => k));
  const untold = (own: readonly unknown[]) => own.includes(undefined);
  expect(ms).toEqual(
    dispatches.map((own) => (untold(own) ? undefined : own.reduce((a, b) => (a ?? 0) + (b ?? 0), 0))),
  );
  expect(dispatches.flat()).toHaveLength(program.calls.length);
  expect(timer.layers.map(({ dispatches: labels }) => labels?.length)).toEqual(
    dispatches.map((own) => own.length),
  );
  expect(timer.layers.reduce((sum, { macs }) => sum + macs, 0)).toBe(graphCost(graph).totals.macs);
  expect(peak).toBeGreaterThan(0);
  // what lies in memory then is the result of a run
  expect(await loaded.run(inputs)).toEqual(want);
  timer.dispose();
  loaded.dispose();
});
