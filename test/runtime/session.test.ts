import { readFileSync, writeFileSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { loadBundle } from '#compiler/files/index.ts';
import { Builder } from '#ir/builder.ts';
import { evaluateGraph } from '#ir/evaluate.ts';
import { f32, i64 } from '#ir/tensor.ts';
import { bundleFolder, smallNet, temporaryFolder } from '../support/bundles.ts';
import { Random } from '../support/graphs.ts';

let folder: string;
beforeAll(async () => {
  folder = await bundleFolder(smallNet());
});

const image = (seed = 1) => new Random(seed).tensor([1, 3, 9, 7]).data as Float32Array;
const load = (options: Record<string, unknown> = {}) => loadBundle(folder, { warmup: false, ...options });

describe('outputs', () => {
  test('are the network’s, by name', async () => {
    const model = await load({ warmup: true });
    const outputs = await model.run({ image: image() });
    const graph = smallNet();
    const expected = evaluateGraph(graph, new Map([['image', f32([1, 3, 9, 7], image())]]));
    expect(Object.keys(outputs)).toEqual(['features', 'scores']);
    for (const { name, value } of graph.outputs) {
      const want = expected.get(value)?.data as Float32Array;
      const got = outputs[name] as Float32Array;
      expect(got).toBeInstanceOf(Float32Array);
      expect(got.length).toBe(want.length);
      got.forEach((x, i) => {
        expect(x).toBeCloseTo(want[i] ?? Number.NaN, 4);
      });
    }
  });

  test('come with their shapes where asked', async () => {
    const model = await load();
    const { scores, features } = await model.run({ image: image() }, { shapes: true });
    expect(scores?.shape).toEqual([1, 5]);
    expect(features?.shape).toEqual([1, 8, 9, 7]);
    expect(scores?.data).toEqual((await model.run({ image: image() })).scores);
  });

  test('stay as they are when the model runs again', async () => {
    const model = await load();
    const { scores } = await model.run({ image: image(1) });
    const copy = scores?.slice();
    await model.run({ image: image(2) });
    expect(scores).toEqual(copy);
  });

  test('keep names that are no identifiers, or that objects have', async () => {
    const graph = smallNet({ input: 'the "image"', outputs: ['__proto__', 'a/b:0 \u2028*/'] });
    const model = await loadBundle(await bundleFolder(graph), { warmup: false });
    const outputs = await model.run({ 'the "image"': image() });
    expect(Object.keys(outputs)).toEqual(['__proto__', 'a/b:0 \u2028*/']);
    expect(outputs['a/b:0 \u2028*/']).toEqual((await (await load()).run({ image: image() })).scores);
  });
});

describe('inputs', () => {
  test('may be plain arrays', async () => {
    const model = await load();
    expect(await model.run({ image: Array.from(image()) })).toEqual(await model.run({ image: image() }));
  });

  const wanted = 'input "image": expected a Float32Array of 189 elements (1×3×9×7)';
  test.each([
    ['missing', {}, `${wanted}; nothing was given`],
    ['undefined', { image: undefined }, `${wanted}; nothing was given`],
    ['too short', { image: new Float32Array(188) }, `${wanted}; got 188 elements`],
    ['of another type', { image: new Uint8Array(189) }, `${wanted}; got Uint8Array`],
    ['of doubles', { image: new Float64Array(189) }, `${wanted}; got Float64Array`],
    ['a tensor of another library', { image: { data: image() } }, `${wanted}; got Object`],
    ['a number', { image: 3 }, `${wanted}; got Number`],
    [
      'nested arrays',
      { image: [[1, 2]] },
      `${wanted}; got an array whose element 0 is no number: flatten it`,
    ],
    [
      'an array with a hole',
      { image: new Array(189) },
      `${wanted}; got an array whose element 0 is no number`,
    ],
    ['unknown', { image: image(), mask: image() }, 'run: there is no input "mask"; there is "image"'],
  ])('that are %s are refused', async (_, inputs, message) => {
    const model = await load();
    await expect(model.run(inputs)).rejects.toThrow(message);
    await expect(model.run({ image: image() })).resolves.toBeDefined();
  });

  test('of whole numbers take their own arrays, 64-bit ones BigInts', async () => {
    const b = new Builder('integers');
    const table = b.constant('table', f32([2, 2], [1, 2, 3, 4]));
    b.output('rows', b.op('Gather', [table, b.input('index', [3], 'i64')], { axis: 0 }));
    b.output('same', b.op('Identity', [b.input('flags', [2], 'bool')], {}));
    b.output('constant', b.constant('numbers', i64([1, 2])));
    const model = await loadBundle(await bundleFolder(b.graph), { warmup: false });
    const outputs = await model.run({ index: [1n, 0n, 1n], flags: new Uint8Array([0, 1]) });
    expect(outputs).toEqual({
      rows: Float32Array.of(3, 4, 1, 2, 3, 4),
      same: Uint8Array.of(0, 1),
      constant: BigInt64Array.of(1n, 2n),
    });
    await expect(model.run({ index: [1, 0, 1], flags: [0, 1] })).rejects.toThrow(
      'input "index": expected a BigInt64Array of 3 elements (3); got an array whose element 0 is no bigint',
    );
  });
});

describe('load', () => {
  test.each([
    [{ backend: 'webgpu' }, 'backend: this bundle has "wasm" (or "auto"), not "webgpu"'],
    [{ threads: 4 }, 'threads: this bundle runs on 1 thread, not 4'],
    [{ warmup: 'yes' }, 'warmup: expected true or false, got yes'],
    [{ warmUp: true }, 'load: there is no option "warmUp"; there is "backend"'],
  ])('refuses %j', async (options, message) => {
    await expect(loadBundle(folder, options)).rejects.toThrow(message);
  });

  test('run refuses options that it does not have', async () => {
    const model = await load();
    await expect(model.run({ image: image() }, { shape: true } as never)).rejects.toThrow(
      'run: there is no option "shape"; there is "shapes"',
    );
  });

  test('tells what it loaded', async () => {
    const { info } = await load({ backend: 'wasm', threads: 1 });
    expect(info).toMatchObject({
      name: 'small',
      backend: 'wasm',
      threads: 1,
      inputs: [{ name: 'image', dtype: 'f32', shape: [1, 3, 9, 7] }],
      outputs: [{ name: 'features' }, { name: 'scores', shape: [1, 5] }],
      parameters: 216 + 8 + 72 + 40 + 5,
    });
    expect(info.macs).toBe(8 * 27 * 63 + 8 * 9 * 12 + 40);
    expect(info.memoryBytes % 65536).toBe(0);
    expect(info.generator).toMatch(/^convolith \d/);
  });

  test('reports progress, to the end', async () => {
    const seen: [string, number][] = [];
    await loadBundle(folder, {
      onProgress: (stage: string, fraction: number) => seen.push([stage, fraction]),
    });
    expect(seen).toContainEqual(['weights', 1]);
    expect(seen.at(-1)?.[0]).toBe('warmup');
  });

  test('stops when it is aborted', async () => {
    await expect(load({ signal: AbortSignal.abort() })).rejects.toThrow('abort');
    const controller = new AbortController();
    const pending = load({ warmup: true, signal: controller.signal, onProgress: () => controller.abort() });
    await expect(pending).rejects.toThrow('abort');
  });

  test('says so where the engine has no SIMD', async () => {
    const validate = vi.spyOn(WebAssembly, 'validate').mockReturnValue(false);
    await expect(load()).rejects.toThrow('no WebAssembly SIMD');
    validate.mockRestore();
  });

  test.each([
    ['weights.bin', (bytes: Uint8Array) => bytes.subarray(1), 'weights.bin has'],
    ['weights.bin', (bytes: Uint8Array) => Uint8Array.of(...bytes, 0), 'weights.bin has'],
    ['model.wasm', (bytes: Uint8Array) => bytes.subarray(0, -1), 'model.wasm has'],
  ])('notices %s of another size', async (name, change, message) => {
    const copy = join(await temporaryFolder(), 'copy');
    await cp(folder, copy, { recursive: true });
    writeFileSync(join(copy, name), change(readFileSync(join(copy, name))));
    await expect(loadBundle(copy)).rejects.toThrow(message);
  });

  test.each(['weights.bin', 'model.wasm'])('verify: true notices another byte in %s', async (name) => {
    const copy = join(await temporaryFolder(), 'copy');
    await cp(folder, copy, { recursive: true });
    await expect(loadBundle(copy, { verify: true })).resolves.toBeDefined();
    const bytes = readFileSync(join(copy, name));
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    writeFileSync(join(copy, name), bytes);
    await expect(loadBundle(copy, { verify: true })).rejects.toThrow(`${name} is corrupt`);
  });
});

test('runs that overlap do not mix', async () => {
  const model = await load();
  const alone = [];
  for (let seed = 1; seed <= 5; seed++) alone.push(await model.run({ image: image(seed) }));
  const together = await Promise.all([1, 2, 3, 4, 5].map((seed) => model.run({ image: image(seed) })));
  expect(together).toEqual(alone);
});

test('a model that was disposed of refuses to run', async () => {
  const model = await load();
  model.dispose();
  model.dispose();
  await expect(model.run({ image: image() })).rejects.toThrow('model "small" was disposed of; load it again');
});

test('two bundles, and two loads of one, live side by side', async () => {
  const other = await loadBundle(await bundleFolder(smallNet({ name: 'other', seed: 9 })));
  const [one, two] = [await load(), await load()];
  const { scores } = await one.run({ image: image() });
  expect((await other.run({ image: image() })).scores).not.toEqual(scores);
  expect((await two.run({ image: image() })).scores).toEqual(scores);
  one.dispose();
  expect((await two.run({ image: image() })).scores).toEqual(scores);
});

test('a thousand runs give the same bits, in the same memory', async () => {
  const instantiate = vi.spyOn(WebAssembly, 'instantiate');
  const model = await load();
  const memory = instantiate.mock.calls[0]?.[1]?.convolith?.memory;
  instantiate.mockRestore();
  if (!(memory instanceof WebAssembly.Memory)) throw new Error('the module got no memory');
  const before = memory.buffer;
  const first = await model.run({ image: image() });
  for (let i = 0; i < 500; i++) {
    await model.run({ image: image(i) });
    expect(await model.run({ image: image() })).toEqual(first);
  }
  // growth would have detached the buffer, and the declared maximum forbids it
  expect(memory.buffer).toBe(before);
  expect(before.byteLength).toBe(model.info.memoryBytes);
  expect(() => memory.grow(1)).toThrow();
});
