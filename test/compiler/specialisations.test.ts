import { describe, expect, test } from 'vitest';
import { verifyBundle } from '#compiler/bundle/verify.ts';
import { specialisationOptions } from '#compiler/cli/options.ts';
import { compileModel } from '#compiler/compile.ts';
import { loadBundle } from '#compiler/files/index.ts';
import { chooseTile, SharedChoices } from '#compiler/targets/wasm/choices.ts';
import { Builder } from '#ir/builder.ts';
import { write } from '../support/bundles.ts';
import { Random } from '../support/graphs.ts';
import { info, node, onnxModel, stored } from '../support/onnx.ts';

const random = new Random(1);
const weight = (name: string, ...shape: number[]) =>
  stored(name, shape, random.tensor(shape, -0.5, 0.5).data as Float32Array);

/** Convolutions, one of them depthwise, over any batch and size, and a product of the pooled channels. */
const network = onnxModel({
  inputs: [info('image', ['batch', 3, 'height', 'width'])],
  nodes: [
    node('Conv', ['image', 'w1'], ['a'], { pads: [1n, 1n, 1n, 1n] }),
    node('Conv', ['a', 'w2'], ['b'], { group: 24n }),
    node('Conv', ['b', 'w3'], ['c'], { strides: [2n, 2n] }),
    node('GlobalAveragePool', ['c'], ['d']),
    node('Flatten', ['d'], ['e']),
    node('Gemm', ['e', 'w4'], ['scores']),
  ],
  outputs: ['scores'],
  initializers: [
    weight('w1', 24, 3, 3, 3),
    weight('w2', 24, 1, 3, 3),
    weight('w3', 40, 24, 1, 1),
    weight('w4', 40, 26),
  ],
});

const sizes = [
  [1, 3, 9, 12],
  [8, 3, 9, 12],
  [2, 3, 18, 12],
  [1, 3, 18, 24],
] as const;
const specialisations = sizes.map((image) => ({ shapes: { image } }));
const values = (shape: readonly number[]) => random.tensor(shape).data as Float32Array;

describe('one bundle for several sizes', () => {
  test('gives what bundles of their own give, from one set of weights', async () => {
    const all = await compileModel(network, { specialisations });
    expect(await verifyBundle((name) => all.files.get(name))).toEqual([]);
    const model = await loadBundle(await write(all));
    let separate = 0;
    for (const shape of sizes) {
      const own = await compileModel(network, { shapes: { image: shape } });
      separate += own.files.get('weights.bin')?.length ?? 0;
      expect(all.files.get('weights.bin')?.length).toBe(own.files.get('weights.bin')?.length);
      expect(all.stats.memoryBytes).toBeGreaterThanOrEqual(own.stats.memoryBytes);
      const alone = await loadBundle(await write(own));
      const data = values(shape);
      expect(await model.run({ image: { data, shape } })).toEqual(await alone.run({ image: data }));
    }
    expect(all.stats).toMatchObject({
      specialisations: 4,
      weightBytes: separate / 4,
      unsharedWeightBytes: separate,
    });
    expect(model.info.specialisations.map((s) => s.outputs[0]?.shape)).toEqual([
      [1, 26],
      [8, 26],
      [2, 26],
      [1, 26],
    ]);
    const { scores } = await model.run({ image: values(sizes[1]) }, { shapes: true });
    expect(scores?.shape).toEqual([8, 26]);
  });

  test('the outputs of each are in the self-test', async () => {
    const { manifest, files } = await compileModel(network, { specialisations });
    expect(manifest.further?.map((one) => one.run)).toEqual(['run1', 'run2', 'run3']);
    expect(manifest.selfTest.outputs.map((o) => o.samples)).toEqual([26, 208, 52, 26]);
    const expected = files.get('selftest.bin')?.slice() ?? new Uint8Array();
    expect(expected.length).toBe(4 * (26 + 208 + 52 + 26));
  });

  test('names what fits where nothing does', async () => {
    const two = specialisations.slice(0, 2);
    const model = await loadBundle(await write(await compileModel(network, { specialisations: two })));
    await expect(model.run({ image: new Float32Array(7) })).rejects.toThrow(
      'the inputs fit no specialisation: there is "image" f32 1×3×9×12; or "image" f32 8×3×9×12; "image": got Float32Array of 7 elements',
    );
    await expect(model.run({ image: new Uint8Array(324) })).rejects.toThrow('got Uint8Array of 324 elements');
    await expect(model.run({})).rejects.toThrow('"image": got nothing');
    const data = values(sizes[0]);
    await expect(model.run({ image: { data, shape: [3, 1, 9, 12] } })).rejects.toThrow('of 3×1×9×12');
  });

  test('asks for a shape where the number of elements does not decide', async () => {
    const shapes = [{ image: [2, 3, 9, 12] }, { image: [1, 3, 18, 12] }];
    const compiled = await compileModel(network, { specialisations: shapes.map((s) => ({ shapes: s })) });
    const model = await loadBundle(await write(compiled));
    const data = values([2, 3, 9, 12]);
    await expect(model.run({ image: data })).rejects.toThrow('give { data, shape }');
    expect((await model.run({ image: { data, shape: [1, 3, 18, 12] } })).scores).toHaveLength(26);
    expect((await model.run({ image: { data, shape: [2, 3, 9, 12] } })).scores).toHaveLength(52);
  });

  test('the same sizes twice are refused', async () => {
    const twice = compileModel(network, { specialisations: [...specialisations, ...specialisations] });
    await expect(twice).rejects.toThrow('two specialisations take the same inputs: image f32');
  });
});

describe('repeated options', () => {
  test('the k-th of a name is for the k-th specialisation, the only one for all', () => {
    const texts = { shape: ['x=1x3', 'x=2x3', 'mask=1x1'], dim: ['n=5', 'n=6'] };
    expect(specialisationOptions(texts)).toEqual([
      { dims: { n: 5 }, shapes: { x: [1, 3], mask: [1, 1] } },
      { dims: { n: 6 }, shapes: { x: [2, 3], mask: [1, 1] } },
    ]);
    expect(specialisationOptions({})).toEqual([{ dims: {}, shapes: {} }]);
    expect(() => specialisationOptions({ shape: ['x=1', 'x=2', 'y=1', 'y=2', 'y=3'] })).toThrow(
      'this is given 2 times, and --shape y 3 times',
    );
  });
});

test('layers of several specialisations agree on the width of their tiles', () => {
  const tiles = new SharedChoices();
  const { graph } = new Builder();
  const x = graph.addInput('x', { dtype: 'f32', shape: [1] });
  const [layer, another] = ['layer', 'another'].map((name) => graph.addNode('Relu', [x], {}, { name }));
  if (!layer || !another) throw new Error('two nodes were made');
  // alone, one row of pixels takes another width than eight
  expect(chooseTile(1, 96)[1]).not.toBe(chooseTile(64, 96)[1]);
  for (const pixels of [1, 64]) tiles.tile(layer, 0, pixels, 96);
  tiles.settle();
  const [one, many] = [tiles.tile(layer, 0, 1, 96), tiles.tile(layer, 0, 64, 96)];
  expect(one[1]).toBe(many[1]);
  expect(() => tiles.tile(another, 0, 1, 96)).toThrow('was not there before');
});
