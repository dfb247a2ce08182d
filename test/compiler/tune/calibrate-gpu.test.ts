/** The probes of a device, on the software adapter: that they do the work whose time is taken. */
import { expect, test } from 'vitest';
import { dispatchProbe } from '#compiler/tune/probes/gpu-dispatch.ts';
import { GpuBandwidth } from '#compiler/tune/probes/gpu-memory.ts';
import { type GpuProfile, parseProfile, parseProfileOf } from '#compiler/tune/profile.ts';
import { deviceOf, withAdapter } from '../../support/webgpu.ts';

const timedDevice = () => deviceOf('vulkan', ['timestamp-query']);

withAdapter.test('the probe of memory reads all of it, again and again', async () => {
  const probe = await GpuBandwidth.load(await timedDevice(), true);
  for (const bytes of [1 << 20, 1 << 24]) expect(await probe.sums(bytes)).toEqual(probe.expected(bytes));
  probe.dispose();
});

withAdapter.test('an invocation reads what others had read before, of the smallest set too', async () => {
  const probe = await GpuBandwidth.load(await timedDevice(), true);
  const sums = await probe.sums(1 << 20);
  // 64 turns of four vectors: what the last would have more than the first, were they always its own
  const more = (sums.at(-1) ?? 0) - (sums[0] ?? 0);
  expect(Math.abs(more)).toBeLessThan((sums.length - 1) * 4 * 64);
  probe.dispose();
});

withAdapter.test('the probe of dispatches dispatches', async () => {
  const probe = await dispatchProbe(await timedDevice());
  let now = 0;
  // each run takes as long as the clock says: a second
  expect(await probe.ns(() => now++)).toBe(0);
  // one to begin with, and nine rounds of few and of many
  expect(await probe.count()).toBe(220 + 9 * (20 + 220));
  probe.dispose();
});

const gpu: GpuProfile = {
  version: 3,
  kind: 'webgpu',
  adapter: 'an adapter',
  software: false,
  peakGflops: 1,
  bandwidth: [{ bytes: 1, gigabytesPerSecond: 1 }],
  dispatchNs: 1,
};

test('a profile of one kind is refused where the other is needed', () => {
  expect(parseProfileOf('webgpu', gpu)).toEqual(gpu);
  expect(() => parseProfileOf('wasm', gpu, 'gpu.json')).toThrow(
    'gpu.json: this is a profile of webgpu; one of wasm is needed',
  );
});

test.each([
  [{ ...gpu, kind: 'metal' }, 'kind'],
  [{ ...gpu, bandwidth: [] }, 'bandwidth'],
  [{ ...gpu, callNs: 1 }, 'callNs'],
])('a profile that is something else is refused: %#', (value, part) => {
  expect(() => parseProfile(value, 'file')).toThrow(part);
});
