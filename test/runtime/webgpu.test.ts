/** Bundles on WebGPU, on a software adapter in Node. */

import { afterEach, beforeAll, expect, test } from 'vitest';
import { compileGraph } from '#compiler/compile.ts';
import { Builder } from '#ir/builder.ts';
import type { CompileError } from '#ir/diagnostics.ts';
import type { Graph, Value } from '#ir/graph.ts';
import { expectAlike, loadFrom, smallNet, write } from '../support/bundles.ts';
import { deviceOf, pretendGpu, provideGpu, withAdapter } from '../support/webgpu.ts';

const BOTH = ['wasm', 'webgpu'] as const;
const image = Float32Array.from({ length: 3 * 9 * 7 }, (_, i) => Math.sin(i));

let folder: string;
let undo: (() => void) | undefined;
beforeAll(async () => {
  folder = await write(await compileGraph(smallNet(), { target: BOTH }));
});
afterEach(() => {
  undo?.();
  undo = undefined;
});

test('without WebGPU the network runs on WebAssembly, and says why', async () => {
  const model = await loadFrom(folder, { warmup: false });
  expect(model.info).toMatchObject({ backend: 'wasm', backendNote: 'this engine has no WebGPU' });
  await expect(loadFrom(folder, { backend: 'webgpu' })).rejects.toThrow('this engine has no WebGPU');
});

test('a bundle for WebAssembly alone has no file for WebGPU, and says how to get one', async () => {
  const bundle = await compileGraph(smallNet());
  expect([...bundle.files.keys()].filter((name) => /gpu|wgsl/.test(name))).toEqual([]);
  const plain = await write(bundle);
  await expect(loadFrom(plain, { backend: 'webgpu' })).rejects.toThrow(
    'compile it with --target wasm,webgpu',
  );
  expect((await loadFrom(plain, { warmup: false })).info.backendNote).toBeUndefined();
});

test('a target that is none is refused', async () => {
  await expect(compileGraph(smallNet(), { target: ['wasm', 'metal'] as never })).rejects.toThrow(
    'expected some of wasm, webgpu; got metal',
  );
});

test('a form without a kernel there is named', async () => {
  const b = new Builder('units');
  const operands = [b.input('x', [1, 1, 1]), b.input('w', [1, 2000, 1]), b.input('r', [1, 2000, 2000])];
  b.output('y', b.op('RNN', operands, { direction: 'forward', activations: 'tanh(x0)' }));
  await expect(compileGraph(b.graph as Graph, { target: BOTH })).rejects.toThrow(
    'RNN on WebGPU: RNN of 2000 units; a workgroup holds the states of 1364',
  );
});

withAdapter.test('outputs whose size depends on data are cut as on WebAssembly', async () => {
  const b = new Builder('found');
  const [found, count] = b.node('NonZero', [b.input('x', [2, 3])], {}).outputs as [Value, Value];
  b.graph.addOutput('found', found, { axis: 1, value: count });
  const bundle = await write(await compileGraph(b.graph as Graph, { target: BOTH }));
  const wasm = await loadFrom(bundle, { backend: 'wasm', warmup: false });
  const gpu = await loadFrom(bundle, { device: await deviceOf('vulkan') });
  for (const x of [
    [0, 0, 0, 0, 0, 0],
    [0, 7, 0, 0, -1, 2],
  ]) {
    const want = await wasm.run({ x });
    expect(await gpu.run({ x })).toEqual(want);
  }
  gpu.dispose();
});

withAdapter.test('gives what WebAssembly gives', async () => {
  const wasm = await loadFrom(folder, { backend: 'wasm', warmup: false });
  undo = await provideGpu();
  const stages: string[] = [];
  const model = await loadFrom(folder, {
    backend: 'webgpu',
    verify: true,
    onProgress: (stage) => stages.push(stage),
  });
  expect(model.info).toMatchObject({ backend: 'webgpu', threads: 1 });
  expect(model.info.engine).toMatch(/swiftshader/i);
  expect([...new Set(stages)]).toEqual(['weights', 'warmup']);
  expectAlike(await model.run({ image }), await wasm.run({ image }));
  // plain arrays and shapes, as on WebAssembly
  const shaped = await model.run({ image: [...image] }, { shapes: true });
  expect(Object.values(shaped).map((output) => (output as { shape: number[] }).shape)).toEqual([
    [1, 8, 9, 7],
    [1, 5],
  ]);
  await expect(model.run({ image: image.slice(1) })).rejects.toThrow(
    'expected a Float32Array of 189 elements',
  );
  model.dispose();
  await expect(model.run({ image })).rejects.toThrow('was disposed of');
});

withAdapter.test('in half precision, a device without it keeps values whole and says so', async () => {
  const halves = await write(await compileGraph(smallNet(), { target: BOTH, gpuPrecision: 'f16' }));
  const wasm = await loadFrom(halves, { backend: 'wasm', warmup: false });
  const whole = await loadFrom(halves, { device: await deviceOf('vulkan'), warmup: false });
  expect(whole.info.backendNote).toMatch(/^the device has no shader-f16/);
  expectAlike(await whole.run({ image }), await wasm.run({ image }), 1e-3);
  // nothing is computed on this one, but everything is checked
  const half = await loadFrom(halves, { device: await deviceOf('null', ['shader-f16']), warmup: false });
  expect(half.info.backendNote).toBeUndefined();
  expect(half.info.memoryBytes).toBeLessThan(whole.info.memoryBytes);
  half.dispose();
  whole.dispose();
});

test('a precision of GPUs is one of two, and needs code for one', async () => {
  const message = (options: object) =>
    compileGraph(smallNet(), options).then(
      () => '',
      (error: CompileError) => error.message,
    );
  expect(await message({ gpuPrecision: 'f16' })).toContain('give the target wasm,webgpu');
  expect(await message({ target: BOTH, gpuPrecision: 'f8' })).toContain('expected one of f32, f16; got f8');
});

withAdapter.test('runs that overlap are done one after the other', async () => {
  undo = await provideGpu();
  const model = await loadFrom(folder, { backend: 'webgpu', warmup: false });
  const other = image.map((x) => -2 * x);
  const [a, b] = [await model.run({ image }), await model.run({ image: other })];
  const [first, second] = await Promise.all([model.run({ image }), model.run({ image: other })]);
  expect([first, second]).toEqual([a, b]);
  model.dispose();
});

withAdapter.test('inputs are read when the run begins', async () => {
  undo = await provideGpu();
  const model = await loadFrom(folder, { backend: 'webgpu', warmup: false });
  const want = await model.run({ image });
  const reused = image.slice();
  const [first, second] = [model.run({ image: reused }), model.run({ image: reused.fill(1) })];
  expect(await first).toEqual(want);
  expect(await second).not.toEqual(want);
  model.dispose();
});

test('auto falls back where a GPU fails in any way', async () => {
  const adapter = {
    info: { description: 'a GPU' },
    limits: { maxStorageBufferBindingSize: 2 ** 31, maxBufferSize: 2 ** 31 },
    requestDevice: () => Promise.reject(new Error('no device today')),
  };
  undo = pretendGpu({ requestAdapter: async () => adapter });
  const model = await loadFrom(folder, { warmup: false });
  expect(model.info).toMatchObject({ backend: 'wasm', backendNote: 'no device today' });
  await expect(loadFrom(folder, { backend: 'webgpu' })).rejects.toThrow('no device today');
});

withAdapter.test('auto leaves a software adapter alone', async () => {
  undo = await provideGpu();
  const model = await loadFrom(folder, { warmup: false });
  expect(model.info.backend).toBe('wasm');
  expect(model.info.backendNote).toMatch(/^the adapter is software \(google swiftshader/);
});

test('what is no device is refused, whatever the backend', async () => {
  const adapter = { features: new Set(), limits: {}, info: {}, requestDevice: async () => null };
  for (const device of [{}, adapter, null, 'device', { queue: {}, limits: {} }])
    for (const backend of ['auto', 'webgpu'] as const)
      await expect(loadFrom(folder, { backend, device: device as never })).rejects.toThrow(
        'device: expected a GPUDevice, for the backend "webgpu" or "auto"',
      );
});

withAdapter.test('two models share a device of the caller, which stays theirs', async () => {
  const device = await deviceOf('vulkan');
  const [one, two] = await Promise.all([
    loadFrom(folder, { device, warmup: false }),
    loadFrom(folder, { device, warmup: false }),
  ]);
  const want = await one?.run({ image });
  one?.dispose();
  expect(await two?.run({ image })).toEqual(want);
  two?.dispose();
});

withAdapter.test('a device that is lost is replaced, and one of the caller is told of', async () => {
  undo = await provideGpu();
  const made: GPUDevice[] = [];
  const { gpu } = navigator;
  const requestAdapter = gpu.requestAdapter.bind(gpu);
  Object.defineProperty(gpu, 'requestAdapter', {
    configurable: true,
    value: async (options: GPURequestAdapterOptions) => {
      const adapter = await requestAdapter(options);
      const requestDevice = adapter?.requestDevice.bind(adapter);
      Object.defineProperty(adapter, 'requestDevice', {
        value: async (descriptor: GPUDeviceDescriptor) => {
          const device = (await requestDevice?.(descriptor)) as GPUDevice;
          made.push(device);
          return device;
        },
      });
      return adapter;
    },
  });
  const model = await loadFrom(folder, { backend: 'webgpu', warmup: false });
  const want = await model.run({ image });
  made[0]?.destroy();
  await made[0]?.lost;
  expect(await model.run({ image })).toEqual(want);
  expect(made).toHaveLength(2);
  model.dispose();

  const adapter = await requestAdapter();
  const own = await (adapter as GPUAdapter).requestDevice();
  const theirs = await loadFrom(folder, { device: own, warmup: false });
  own.destroy();
  await own.lost;
  await expect(theirs.run({ image })).rejects.toThrow('load the model on a new one');
});

withAdapter.test('a network beyond the limits of the device is refused before anything is made', async () => {
  const { GpuProgram } = await import('#runtime/gpu-program.ts');
  const device = await deviceOf('null');
  const plan = { arenaBytes: 2 ** 33, banks: [], kernels: [], calls: [], inputs: [], outputs: [] };
  await expect(
    GpuProgram.create(device, { plan, wgsl: '', banks: [], inputs: [], outputs: [] }),
  ).rejects.toThrow(/the network needs a buffer of 8589934592 bytes; the device binds at most \d+/);
});
