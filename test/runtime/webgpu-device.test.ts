/** Outputs that stay on the device, and inputs that are there, on a software adapter in Node. */
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { compileGraph } from '#compiler/compile.ts';
import { Builder } from '#ir/builder.ts';
import type { Graph, Value } from '#ir/graph.ts';
import { deviceProblem, sourceOf } from '#runtime/gpu-inputs.ts';
import type { DeviceTensor } from '#runtime/model-types.ts';
import type { AnyModel, ShapedOutput } from '#runtime/session.ts';
import { loadFrom, smallNet, write } from '../support/bundles.ts';
import { Random } from '../support/graphs.ts';
import { deviceOf, withAdapter } from '../support/webgpu.ts';

const BOTH = ['wasm', 'webgpu'] as const;
const image = Float32Array.from({ length: 3 * 9 * 7 }, (_, i) => Math.sin(i));

/** What reads the features of `smallNet`. */
function secondNet(): Graph {
  const b = new Builder('second');
  const weight = new Random(7).tensor([4, 8, 3, 3], -0.5, 0.5);
  b.output('y', b.relu(b.conv(b.input('x', [1, 8, 9, 7]), b.constant('w', weight))));
  return b.graph;
}

const folders: Record<'first' | 'second', string> = { first: '', second: '' };
beforeAll(async () => {
  folders.first = await write(await compileGraph(smallNet(), { target: BOTH }));
  folders.second = await write(await compileGraph(secondNet(), { target: BOTH, gpuPrecision: 'f16' }));
});

const models: AnyModel[] = [];
afterEach(() => {
  for (const model of models.splice(0)) model.dispose();
});
async function loaded(folder: string, device: GPUDevice): Promise<AnyModel> {
  const model = await loadFrom(folder, { device, warmup: false });
  models.push(model);
  return model;
}

const read = async (tensor: DeviceTensor<ShapedOutput> | undefined) => (await tensor?.read())?.data;
const onDevice = async (model: AnyModel, inputs: Record<string, unknown>, into?: object) =>
  (await model.runOnDevice(inputs as never, into ? ({ into } as never) : undefined)) as Record<
    string,
    DeviceTensor<ShapedOutput>
  >;

/** A buffer on a device with words in it. */
function bufferOf(device: GPUDevice, words: Float32Array | Int32Array, usage = GPUBufferUsage.COPY_SRC) {
  const buffer = device.createBuffer({ size: words.byteLength, usage: usage | GPUBufferUsage.COPY_DST });
  device.queue.writeBuffer(buffer, 0, words as Float32Array<ArrayBuffer>);
  return buffer;
}

test('on WebAssembly it is refused, as are buffers', async () => {
  const model = await loadFrom(folders.first, { backend: 'wasm', warmup: false });
  models.push(model);
  expect(model.device).toBeUndefined();
  await expect(model.runOnDevice({ image })).rejects.toThrow(
    'runOnDevice needs WebGPU; this model runs on WebAssembly',
  );
  class GPUBuffer {}
  await expect(model.run({ image: new GPUBuffer() as never })).rejects.toThrow(
    'expected a Float32Array of 189 elements (1×3×9×7); got GPUBuffer',
  );
});

test('data is looked at without enumerating its elements', () => {
  const ownKeys = () => expect.fail('all elements were enumerated');
  const tensor = { name: 'image', dtype: 'f32', shape: [3] } as const;
  for (const data of [Float32Array.of(1, 2, 3), [1, 2, 3]]) {
    const watched = new Proxy(data, { ownKeys, get: (target, key) => Reflect.get(target, key) });
    expect(sourceOf(watched)).toBeUndefined();
    expect(deviceProblem(tensor, watched)).toBeUndefined();
  }
});

withAdapter.describe('on a device', () => {
  test('two models in a row give what they give by arrays, and the caller owns what is between', async () => {
    const device = await deviceOf('vulkan');
    const [one, two] = [await loaded(folders.first, device), await loaded(folders.second, device)];
    expect(one.device).toBe(device);
    const first = await one.run({ image });
    const want = await two.run({ x: first.features as Float32Array<ArrayBuffer> });
    const outputs = await onDevice(one, { image });
    const { features, scores } = outputs;
    expect(Object.keys(outputs)).toEqual(['features', 'scores']);
    expect(features).toMatchObject({ dtype: 'f32', word: 'f32', shape: [1, 8, 9, 7] });
    const { STORAGE, COPY_SRC, COPY_DST } = GPUBufferUsage;
    expect(features?.buffer.usage).toBe(STORAGE | COPY_SRC | COPY_DST);
    expect(features?.buffer.size).toBe(4 * 8 * 9 * 7);
    const second = await onDevice(two, { x: features });
    expect(await second.y?.read()).toEqual({ data: want.y, shape: [1, 4, 7, 5] });
    expect(await two.run({ x: features?.buffer as GPUBuffer })).toEqual(want);
    // later runs leave outputs alone
    await one.run({ image: image.map((x) => -x) });
    await onDevice(one, { image: image.map((x) => 2 * x) });
    expect(await read(features)).toEqual(first.features);
    expect(await read(scores)).toEqual(first.scores);
    features?.destroy();
    await expect(features?.read()).rejects.toThrow(/this output cannot be read: .*destroyed/s);
    await expect(one.run({ image: features as never })).rejects.toThrow('got a GPUBuffer of 1×8×9×7');
  });

  test('outputs go into buffers of the caller, at once and in order', async () => {
    const device = await deviceOf('vulkan');
    const [one, two] = [await loaded(folders.first, device), await loaded(folders.second, device)];
    const features = device.createBuffer({
      size: 4 * 8 * 9 * 7 + 64,
      usage: GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    });
    const want = await two.run({ x: (await one.run({ image })).features as Float32Array<ArrayBuffer> });
    // nothing is awaited between them
    const chained = [
      onDevice(one, { image }, { features }),
      onDevice(two, { x: { buffer: features } }),
      onDevice(one, { image: image.map((x) => -x) }, { features }),
    ];
    const [given, got] = await Promise.all(chained);
    expect(given?.features?.buffer).toBe(features);
    expect(await read(got?.y)).toEqual(want.y);

    const refused = (into: object) => expect(onDevice(one, { image }, into)).rejects;
    await refused({ other: features }).toThrow('into: there is no output "other"; there is "features"');
    await refused({ scores: 'x' }).toThrow('into "scores": what was given is no GPUBuffer');
    await refused({ features: null }).toThrow('into "features": what was given is no GPUBuffer');
    await refused({ features, scores: features }).toThrow(
      'into "scores": what was given is also for the output "features"',
    );
    const small = device.createBuffer({ size: 16, usage: GPUBufferUsage.COPY_DST });
    await refused({ scores: small }).toThrow('has 16 bytes, and the output 20');
    const still = device.createBuffer({ size: 20, usage: GPUBufferUsage.COPY_SRC });
    await refused({ scores: still }).toThrow('lacks the usage COPY_DST');
  });

  test('what is wrong with a buffer is said', async () => {
    const device = await deviceOf('vulkan');
    const model = await loaded(folders.first, device);
    const refused = (given: unknown) => expect(model.run({ image: given as never })).rejects;
    const want = await model.run({ image });
    const good = bufferOf(device, image);
    expect(await model.run({ image: good })).toEqual(want);
    const apart = new Float32Array(image.length + 5);
    apart.set(image, 3);
    const larger = bufferOf(device, apart);
    expect(await model.run({ image: { buffer: larger, offset: 12, shape: [1, 3, 9, 7] } })).toEqual(want);

    await refused(larger).toThrow(
      'input "image": expected a Float32Array of 189 elements (1×3×9×7); ' +
        'got a GPUBuffer of 776 bytes; a word for each element takes 756',
    );
    await refused({ buffer: larger, offset: 24 }).toThrow('takes 756 from 24 on');
    await refused({ buffer: larger, offset: 2 }).toThrow('no multiple of 4');
    await refused({ buffer: good, shape: [1, 3, 7, 9] }).toThrow('got a GPUBuffer of 1×3×7×9');
    await refused({ buffer: good, word: 'i32' }).toThrow('got a GPUBuffer of i32, and f32 is f32 there');
    await refused(bufferOf(device, image, GPUBufferUsage.STORAGE)).toThrow('without the usage COPY_SRC');
    const mapped = device.createBuffer({ size: 756, usage: GPUBufferUsage.COPY_SRC, mappedAtCreation: true });
    await refused(mapped).toThrow('that is mapped');
    const strange = await deviceOf('null');
    await refused(bufferOf(strange, image)).toThrow(
      /the device refuses this run, which reads "image" on the device: /,
    );
    good.destroy();
    await refused(good).toThrow(
      /the device refuses this run, which reads "image" on the device: .*destroyed/s,
    );
    const texture = device.createTexture({
      size: [7, 9],
      format: 'rgba8unorm',
      usage: GPUTextureUsage.TEXTURE_BINDING,
    });
    await refused(texture).toThrow('a network that was compiled with --preprocess takes pictures');
    // and it is as good as before
    expect(await model.run({ image })).toEqual(want);
  });

  test('integers are words, and an axis whose size depends on data has its count behind it', async () => {
    const b = new Builder('found');
    const [found, count] = b.node('NonZero', [b.input('x', [2, 3], 'u8')], {}).outputs as [Value, Value];
    b.graph.addOutput('found', found, { axis: 1, value: count });
    const device = await deviceOf('vulkan');
    const model = await loaded(await write(await compileGraph(b.graph as Graph, { target: BOTH })), device);
    const want = await model.run({ x: [0, 7, 0, 0, 255, 2] });
    const { found: got } = await onDevice(model, { x: bufferOf(device, Int32Array.of(0, 7, 0, 0, 255, 2)) });
    expect(got).toMatchObject({
      dtype: 'i64',
      word: 'i32',
      shape: [2, 6],
      count: { axis: 1, offset: 48 },
    });
    expect(got?.buffer.size).toBe(52);
    expect(await got?.read()).toEqual(want.found);
  });
});

describe('types', () => {
  test('a model without inputs on a device is as it was', async () => {
    const { files } = await compileGraph(smallNet());
    const text = new TextDecoder().decode(files.get('index.d.ts'));
    expect(text).not.toMatch(/readonly image: .*DeviceInput/);
    const both = await compileGraph(smallNet(), { target: BOTH });
    expect(new TextDecoder().decode(both.files.get('index.d.ts'))).toMatch(/readonly image: .*DeviceInput/);
  });
});
