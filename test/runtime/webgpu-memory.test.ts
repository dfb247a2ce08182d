/** What runs leave on a device: nothing. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { compileGraph } from '#compiler/compile.ts';
import type { Manifest } from '#runtime/abi.ts';
import type { DeviceTensor } from '#runtime/model-types.ts';
import type { AnyModel } from '#runtime/session.ts';
import { loadFrom, smallNet, write } from '../support/bundles.ts';
import { type Counts, countOn } from '../support/counting-device.ts';
import { cutBundle } from '../support/cut.ts';
import { makeDevice, pretendGpu, provideGpu, withAdapter } from '../support/webgpu.ts';

const TARGET = ['wasm', 'webgpu'] as const;
const image = Float32Array.from({ length: 3 * 9 * 7 }, (_, i) => Math.sin(i));
const pixels = Uint8Array.from({ length: 7 * 9 * 4 }, (_, i) => (i * 7919) % 256);

let folders: Record<'whole' | 'split' | 'picture', string>;
let undo: (() => void) | undefined;
beforeAll(async () => {
  folders = {
    whole: await write(await compileGraph(smallNet(), { target: TARGET })),
    split: await cutBundle(smallNet(), ({ name }) => name !== 'second'),
    picture: await write(await compileGraph(smallNet(), { target: TARGET, preprocess: {} })),
  };
});
afterEach(() => {
  undo?.();
  undo = undefined;
});

const outputsOf = async (model: AnyModel, given: object, options?: object) =>
  (await model.runOnDevice(given as never, options as never)) as Record<string, DeviceTensor<unknown>>;

/** Runs of every kind; nothing but what there was at first is left after any. */
async function runsOn(model: AnyModel, given: object, counts: Counts, runs: number): Promise<void> {
  const device = model.device as GPUDevice;
  const scores = device.createBuffer({ size: 20, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC });
  await model.run(given as never);
  const [buffers, textures] = [counts.buffers.size, counts.textures.size];
  for (let i = 0; i < runs; i++) {
    const outputs = await outputsOf(model, given, { into: { scores } });
    if (i % 50 === 0) {
      await Promise.all([model.run(given as never), model.run(given as never), outputs.scores?.read()]);
      await expect(model.run({ image: scores } as never)).rejects.toThrow('of 20 bytes');
      const small = device.createBuffer({ size: 4, usage: GPUBufferUsage.COPY_DST });
      await expect(outputsOf(model, given, { into: { scores: small } })).rejects.toThrow('has 4 bytes');
      small.destroy();
    }
    outputs.features?.destroy();
    // runs that overlap have buffers between parts for each
    expect(counts.buffers.size).toBeLessThanOrEqual(buffers + 4);
    expect(counts.textures.size).toBe(textures);
  }
  const kept = counts.buffers.size;
  const made = new Map(counts.made);
  for (let i = 0; i < 20; i++) await model.run(given as never);
  // what is read back of a network in parts is all that is made anew
  const grown = [...counts.made].filter(([label, count]) => count !== made.get(label));
  expect(grown.map(([label]) => label).filter((label) => label !== 'reading')).toEqual([]);
  expect(counts.buffers.size).toBe(kept);
  model.dispose();
  expect([...counts.buffers]).toEqual([scores]);
  scores.destroy();
}

withAdapter.describe('leave nothing on the device', () => {
  test('a thousand of a small network', { timeout: 120_000 }, async () => {
    const device = await makeDevice();
    const counts = countOn(device);
    await runsOn(await loadFrom(folders.whole, { device, warmup: false }), { image }, counts, 1000);
    device.destroy();
  });

  test('a hundred of one in parts', async () => {
    const device = await makeDevice();
    const counts = countOn(device);
    await runsOn(await loadFrom(folders.split, { device, warmup: false }), { image }, counts, 100);
    device.destroy();
  });

  test('a hundred on pictures', async () => {
    const device = await makeDevice();
    const counts = countOn(device);
    const usage = GPUTextureUsage.TEXTURE_BINDING | GPUTextureUsage.COPY_DST;
    const texture = device.createTexture({ size: [7, 9], format: 'rgba8unorm', usage });
    device.queue.writeTexture({ texture }, pixels, { bytesPerRow: 28 }, [7, 9]);
    await runsOn(await loadFrom(folders.picture, { device, warmup: false }), { image: texture }, counts, 100);
    expect([...counts.textures]).toEqual([texture]);
    device.destroy();
  });

  test('fifty on a device of its own, which is destroyed', async () => {
    const restore = await provideGpu();
    const { gpu } = navigator;
    restore();
    const made: { readonly device: GPUDevice; readonly counts: Counts }[] = [];
    undo = pretendGpu({
      requestAdapter: async () => {
        const adapter = (await gpu.requestAdapter()) as GPUAdapter;
        const { info, limits, features } = adapter;
        const requestDevice = async (descriptor: GPUDeviceDescriptor) => {
          const device = await adapter.requestDevice(descriptor);
          made.push({ device, counts: countOn(device) });
          return device;
        };
        return { info, limits, features, requestDevice };
      },
    });
    const model = await loadFrom(folders.whole, { backend: 'webgpu' });
    const [first] = made;
    await runsOn(model, { image }, first?.counts as Counts, 50);
    await first?.device.lost;
    expect(made).toHaveLength(1);
  });
});

withAdapter.test('info has the bytes of the buffers, but for those of outputs and of arguments', async () => {
  const device = await makeDevice();
  for (const folder of [folders.whole, folders.split]) {
    const counts = countOn(device);
    const model = await loadFrom(folder, { device, warmup: false });
    await model.run({ image });
    const { webgpu } = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8')) as Manifest;
    const held = [...counts.buffers].filter(({ label }) => !/^(outputs|arguments)$/.test(label));
    const bytes = held.reduce((sum, { size }) => sum + size, webgpu?.split?.wasm.memoryBytes ?? 0);
    // those of a network in parts go through buffers like the others between parts
    const outputs = webgpu?.split ? 4 * (8 * 9 * 7 + 5) : 0;
    // each is rounded up to 16
    expect(bytes - outputs).toBeGreaterThanOrEqual(model.info.memoryBytes);
    expect(bytes - outputs).toBeLessThan(model.info.memoryBytes + 16 * held.length);
    counts.undo();
    model.dispose();
  }
  device.destroy();
});

withAdapter.test('every buffer is made where the device can refuse it', async () => {
  const device = await makeDevice();
  for (const folder of [folders.whole, folders.split]) {
    const model = await loadFrom(folder, { device, warmup: false });
    const counts = countOn(device);
    await Promise.all([model.run({ image }), model.run({ image })]);
    const { features } = await outputsOf(model, { image });
    await features?.read();
    expect(counts.scopes.length).toBeGreaterThan(0);
    expect(Math.min(...counts.scopes)).toBe(2);
    counts.undo();
    model.dispose();
  }
  device.destroy();
});

withAdapter.test('a run that fails while its outputs are read does not spoil the next', async () => {
  const device = await makeDevice();
  const { createBuffer } = device;
  const staging: GPUBuffer[] = [];
  Object.assign(device, {
    createBuffer: (descriptor: GPUBufferDescriptor) => {
      const buffer = createBuffer.call(device, descriptor);
      if (descriptor.label === 'outputs') staging.push(buffer);
      return buffer;
    },
  });
  const model = await loadFrom(folders.whole, { device, warmup: false });
  const want = await model.run({ image });
  const [first] = staging as [GPUBuffer];
  const { getMappedRange } = first;
  Object.assign(first, { getMappedRange: () => new ArrayBuffer(4) });
  await expect(model.run({ image })).rejects.toThrow();
  Object.assign(first, { getMappedRange });
  expect(await model.run({ image })).toEqual(want);
  model.dispose();
  device.destroy();
});
