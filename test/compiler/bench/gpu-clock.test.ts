/** What is said where the clock of a device tells nothing, or one pass was held up. */
import { expect, test } from 'vitest';
import { type EncodePass, GpuClock } from '#compiler/bench/gpu-clock.ts';
import { GpuPeak } from '#compiler/bench/gpu-peak.ts';
import { calibrateGpu } from '#compiler/tune/calibrate-gpu.ts';
import { GpuBandwidth } from '#compiler/tune/probes/gpu-memory.ts';
import { type FakeClock, fakeDevice } from '../../support/fake-gpu.ts';

const ZEROS: FakeClock = () => 0n;

test('stamps that do not differ, or go back, tell nothing', async () => {
  const spans = [2_000_000n, 0n, -5n, 500_000n];
  const clock = new GpuClock(await fakeDevice((k) => spans[k] ?? 0n), 4);
  const times = await clock.time(Array<EncodePass>(4).fill(() => {}));
  expect(times).toEqual([2, undefined, undefined, 0.5]);
});

test('a device that fails while it is timed is refused', async () => {
  const device = await fakeDevice(ZEROS);
  Object.assign(device.queue, {
    submit() {
      throw new Error('the device is lost');
    },
  });
  await expect(new GpuClock(device, 1).time([() => {}])).rejects.toMatchObject({
    diagnostics: [{ code: 'gpu-refused', message: 'the device is lost' }],
  });
});

test.each([
  ['peak', async () => (await GpuPeak.load(await fakeDevice(ZEROS))).gflops()],
  [
    'memory',
    async () => (await GpuBandwidth.load(await fakeDevice(ZEROS), false)).gigabytesPerSecond(1 << 20),
  ],
  ['profile', async () => calibrateGpu(await fakeDevice(ZEROS), { adapter: 'a', software: false })],
])('without a positive sample there is no %s', async (_, measure) => {
  await expect(measure()).rejects.toMatchObject({ diagnostics: [{ code: 'gpu-refused' }] });
  await expect(measure()).rejects.toThrow('the clock of the device is too coarse');
});

test('one pass that seems short, or was held up, decides nothing', async () => {
  const usual = 8_000_000n;
  const disturbed: FakeClock = (k) => (k % 3 === 0 ? 1000n : k % 3 === 1 ? usual : 100n * usual);
  const rate = async (clock: FakeClock) => (await GpuPeak.load(await fakeDevice(clock))).gflops();
  expect(await rate(disturbed)).toBe(await rate(() => usual));
  const bandwidth = async (clock: FakeClock) =>
    (await GpuBandwidth.load(await fakeDevice(clock), false)).gigabytesPerSecond(1 << 20);
  expect(await bandwidth((k) => (k === 2 ? 1n : usual))).toBe(await bandwidth(() => usual));
});
