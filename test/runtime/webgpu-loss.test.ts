/** Devices that are lost, and models that are disposed of, while a network runs. */
import { afterEach, beforeAll, expect, test } from 'vitest';
import { compileGraph } from '#compiler/compile.ts';
import type { LoadOptions } from '#runtime/model-types.ts';
import type { AnyModel } from '#runtime/session.ts';
import { loadFrom, smallNet, write } from '../support/bundles.ts';
import { countOn } from '../support/counting-device.ts';
import { cutBundle } from '../support/cut.ts';
import { makeDevice, pretendGpu, provideGpu, withAdapter } from '../support/webgpu.ts';

const image = Float32Array.from({ length: 3 * 9 * 7 }, (_, i) => Math.sin(i));
const KINDS = ['whole', 'split'] as const;

const folders: Record<(typeof KINDS)[number], string> = { whole: '', split: '' };
let undo: (() => void) | undefined;
beforeAll(async () => {
  folders.whole = await write(await compileGraph(smallNet(), { target: ['wasm', 'webgpu'] }));
  folders.split = await cutBundle(smallNet(), ({ name }) => name !== 'second');
});
afterEach(() => {
  undo?.();
  undo = undefined;
});

/** A model on a device of its own. */
const own = async (kind: (typeof KINDS)[number], options: LoadOptions = {}): Promise<AnyModel> => {
  undo = await provideGpu();
  return loadFrom(folders[kind], { backend: 'webgpu', warmup: false, ...options });
};
const deviceOf = (model: AnyModel): GPUDevice => model.device as GPUDevice;

for (const kind of KINDS)
  withAdapter.describe(kind, () => {
    test('a loss during a run is named, and the next run is on a new device', async () => {
      const model = await own(kind);
      const want = await model.run({ image });
      const running = model.run({ image });
      deviceOf(model).destroy();
      await expect(running).rejects.toThrow(/^the device was lost during this run \(.+\); run again$/);
      expect(await model.run({ image })).toEqual(want);
      deviceOf(model).destroy();
      await expect(model.runOnDevice({ image })).rejects.toThrow(/lost during this run \(.+\); run again$/);
      expect(await model.run({ image })).toEqual(want);
      model.dispose();
    });

    test('so is one of a device of the caller, and an output that was on it', async () => {
      const device = await makeDevice();
      const model = await loadFrom(folders[kind], { device, warmup: false });
      const { features } = (await model.runOnDevice({ image })) as Record<
        string,
        { read(): Promise<unknown> }
      >;
      const running = model.run({ image });
      device.destroy();
      await expect(running).rejects.toThrow(/lost during this run \(.+\); load the model on a new one$/);
      await expect(features?.read()).rejects.toThrow(
        /^this output cannot be read: the device was lost \(.+\)$/,
      );
      await expect(model.run({ image })).rejects.toThrow(/^the device was lost \(.+\): load the model/);
    });

    test('a model that is disposed of during a run says so', async () => {
      for (const device of [undefined, await makeDevice()]) {
        const model = await own(kind, device ? { device } : {});
        const runs = [model.run({ image }), model.run({ image })];
        model.dispose();
        for (const run of await Promise.allSettled(runs)) {
          // what was submitted before may still be done
          if (run.status === 'rejected')
            expect(run.reason.message).toMatch(/^the model was disposed of during/);
          else expect(device).toBeDefined();
        }
        await expect(model.run({ image })).rejects.toThrow('was disposed of; load it again');
        device?.destroy();
      }
    });

    test('a load that is aborted midway leaves nothing on the device of the caller', async () => {
      const device = await makeDevice();
      const counts = countOn(device);
      for (const at of ['weights', 'warmup']) {
        const controller = new AbortController();
        const { signal } = controller;
        const onProgress = (stage: string) => stage === at && controller.abort(new Error('enough'));
        await expect(loadFrom(folders[kind], { device, signal, onProgress })).rejects.toThrow('enough');
        expect(counts.buffers.size).toBe(0);
      }
      expect(counts.made.get('arena')).toBeGreaterThan(0);
      device.destroy();
    });
  });

/** `navigator.gpu` whose adapters are given other names, one after the other. */
async function renamed(names: readonly string[]): Promise<void> {
  const restore = await provideGpu();
  const { gpu } = navigator;
  restore();
  let next = 0;
  undo = pretendGpu({
    requestAdapter: async (options: GPURequestAdapterOptions) => {
      const adapter = (await gpu.requestAdapter(options)) as GPUAdapter;
      const description = names[Math.min(next++, names.length - 1)];
      return {
        info: { description, vendor: '' },
        limits: adapter.limits,
        features: adapter.features,
        requestDevice: (descriptor: GPUDeviceDescriptor) => adapter.requestDevice(descriptor),
      };
    },
  });
}

withAdapter.test('after a loss the model tells of its new device', async () => {
  await renamed(['one GPU', 'another GPU']);
  const model = await loadFrom(folders.whole, { warmup: false });
  expect(model.info.engine).toBe('one GPU');
  deviceOf(model).destroy();
  await deviceOf(model).lost;
  await model.run({ image });
  expect(model.info.engine).toBe('another GPU');
  model.dispose();
});

withAdapter.test('auto does not move to a software adapter', async () => {
  await renamed(['one GPU', 'SwiftShader']);
  const model = await loadFrom(folders.whole, { warmup: false });
  deviceOf(model).destroy();
  await deviceOf(model).lost;
  await expect(model.run({ image })).rejects.toThrow(
    /^the device was lost \(.+\): the adapter is software \(SwiftShader\)$/,
  );
  model.dispose();
});

withAdapter.test('where asked for, the self-test is run on the new device too', async () => {
  await renamed(['one GPU']);
  for (const verify of [true, false]) {
    const model = await loadFrom(folders.whole, { warmup: false, verify });
    const counts: number[] = [];
    const { gpu } = navigator;
    const { requestAdapter } = gpu;
    Object.assign(gpu, {
      requestAdapter: async () => {
        const adapter = (await requestAdapter.call(gpu)) as GPUAdapter;
        return {
          ...adapter,
          requestDevice: async (descriptor: GPUDeviceDescriptor) => {
            const device = await adapter.requestDevice(descriptor);
            const { submit } = device.queue;
            Object.assign(device.queue, {
              submit: (list: GPUCommandBuffer[]) => {
                counts.push(list.length);
                submit.call(device.queue, list);
              },
            });
            return device;
          },
        };
      },
    });
    deviceOf(model).destroy();
    await deviceOf(model).lost;
    await model.run({ image });
    expect(counts).toHaveLength(verify ? 2 : 1);
    model.dispose();
    Object.assign(gpu, { requestAdapter });
  }
});
