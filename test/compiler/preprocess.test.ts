import { describe, expect, test } from 'vitest';
import { compileGraph, compileModel } from '#compiler/compile.ts';
import { loadBundle } from '#compiler/files/index.ts';
import { placePicture } from '#compiler/preprocess/geometry.ts';
import { preprocessGraph } from '#compiler/preprocess/graph.ts';
import { type PreprocessOptions, parsePreprocess, pictureTarget } from '#compiler/preprocess/options.ts';
import { type Picture, pictureTensor } from '#compiler/preprocess/picture.ts';
import { Builder } from '#ir/builder.ts';
import { CompileError } from '#ir/diagnostics.ts';
import { evaluateGraph } from '#ir/evaluate.ts';
import type { Graph } from '#ir/graph.ts';
import type { Tensor } from '#ir/tensor.ts';
import { seededInput } from '#runtime/abi.ts';
import { write } from '../support/bundles.ts';
import { diagnosticsOf } from './import/codes.ts';

/** A network that gives back what it reads. */
function mirror(shape: readonly number[]): Graph {
  const b = new Builder('mirror');
  b.output('y', b.op('Identity', [b.input('image', shape)], {}));
  return b.graph;
}

const noise = (width: number, height: number): Picture => ({
  width,
  height,
  data: seededInput({ dtype: 'u8', shape: [height, width, 4] }, 5, 0) as Uint8Array,
});

/** What the network reads of a picture, with the preprocessing inside it. */
function inside(
  shape: readonly number[],
  options: PreprocessOptions,
  { width, height, data }: Picture,
): Tensor {
  const { graph } = preprocessGraph(mirror(shape), options, { width, height });
  const input: Tensor = { type: { dtype: 'u8', shape: [1, height, width, 4] }, data: data as Uint8Array };
  const [output] = graph.outputs;
  const values = evaluateGraph(graph, new Map([['image', input]]));
  return (output && values.get(output.value)) as Tensor;
}

const IMAGENET = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };

describe('the graph in front of a network does what is done to a picture outside', () => {
  test.each<[string, readonly number[], PreprocessOptions, readonly [number, number]]>([
    ['imagenet', [1, 3, 6, 8], IMAGENET, [8, 6]],
    ['blue first', [1, 3, 6, 8], { channels: 'bgr', scale: 1, mean: [103.9, 116.8, 123.7] }, [8, 6]],
    ['gray', [1, 1, 6, 8], { mean: 0.1307, std: 0.3081 }, [8, 6]],
    ['channels last', [1, 6, 8, 3], { layout: 'nhwc', mean: 0.5, std: 0.5 }, [8, 6]],
    ['with alpha', [1, 4, 6, 8], {}, [8, 6]],
    ['shrunk', [1, 3, 6, 8], IMAGENET, [31, 17]],
    ['grown', [1, 3, 24, 32], IMAGENET, [9, 7]],
    ['covered', [1, 3, 6, 8], { ...IMAGENET, resize: 'cover' }, [31, 17]],
    ['contained', [1, 3, 6, 8], { ...IMAGENET, resize: 'contain', pad: 114 }, [31, 17]],
    ['contained, upright', [1, 3, 9, 9], { resize: 'contain' }, [4, 16]],
  ])('%s', (_, shape, options, [width, height]) => {
    const picture = noise(width, height);
    const want = pictureTensor(picture, pictureTarget('image', { dtype: 'f32', shape }, options));
    const got = inside(shape, options, picture);
    expect(got.type.shape).toEqual(want.type.shape);
    got.data.forEach((x, i) => {
      expect(Math.abs(Number(x) - Number(want.data[i]))).toBeLessThan(2e-4);
    });
  });
});

test('by hand: reordered, scaled, normalised', () => {
  const picture = { width: 1, height: 1, data: Uint8Array.of(255, 51, 0, 7) };
  const options = { channels: 'bgr', mean: [0, 0.2, 0.5], std: [1, 2, 0.25] } as const;
  const target = pictureTarget('image', { dtype: 'f32', shape: [1, 3, 1, 1] }, options);
  const { data } = pictureTensor(picture, target);
  expect(Array.from(data as Float32Array, (x) => Math.round(x * 1e6) / 1e6)).toEqual([0, 0, 2]);
});

test('sizes: cover cuts off evenly, contain pads evenly', () => {
  const [source, target] = [
    { width: 320, height: 240 },
    { width: 224, height: 224 },
  ];
  expect(placePicture(source, target, 'stretch').map((a) => [a.resized, a.start])).toEqual([
    [224, 0],
    [224, 0],
  ]);
  expect(placePicture(source, target, 'cover').map((a) => [a.resized, a.start])).toEqual([
    [224, 0],
    [299, 37],
  ]);
  expect(placePicture(source, target, 'contain').map((a) => [a.resized, a.start])).toEqual([
    [168, -28],
    [224, 0],
  ]);
});

const messages = (work: () => unknown): readonly string[] => {
  try {
    work();
  } catch (error) {
    if (error instanceof CompileError) return error.diagnostics.map((d) => `${d.subject}: ${d.message}`);
    throw error;
  }
  return [];
};

describe('what is wrong is told by its place', () => {
  test.each<[unknown, string, string]>([
    [
      'imagnet',
      'preprocess: "imagnet" is none of imagenet, unit, signed, and no object',
      'did you mean imagenet?',
    ],
    [{ men: 1 }, 'preprocess.men: there is no such option', 'did you mean mean?'],
    [
      { source: { width: 0, height: 1 } },
      'preprocess.source.width: expected a whole number of pixels from 1 to 65535; got 0',
      '',
    ],
    [{ source: [{ width: 2 }] }, 'preprocess.source[0].height: this is missing; expected a whole number', ''],
    [
      { resize: 'strech' },
      'preprocess.resize: expected "stretch", "cover", "contain"; got "strech"',
      'did you mean stretch?',
    ],
    [{ mean: ['a'] }, 'preprocess.mean[0]: expected a number, or a list of one for each channel', ''],
    [{ pad: -1 }, 'preprocess.pad: expected a number from 0 to 255; got -1', ''],
    [[1], 'preprocess: expected an object of options, or a name such as "imagenet"; got [1]', ''],
  ])('%j', (value, message, hint) => {
    const found = diagnosticsOf(() => parsePreprocess(value));
    expect(found.map((d) => `${d.subject}: ${d.message}`).join('\n')).toContain(message);
    expect(found.map((d) => d.code)).toEqual(['usage-invalid']);
    expect(found[0]?.hint).toContain(hint);
    expect(found[0]?.hint).not.toBe('');
  });

  test.each<[readonly number[], PreprocessOptions, string]>([
    [[1, 2, 6, 8], {}, 'none of the inputs (image) is a picture of floats'],
    [[1, 3, 6, 8], { input: 'picture' }, 'there is no input "picture"; there is image'],
    [[1, 3, 6, 8], { mean: [1, 2] }, 'mean has 2 numbers; the network has 3 channels'],
    [[1, 3, 6, 8], { std: 0 }, 'std is divided by'],
    [[1, 3, 6, 8], { channels: 'gray' }, 'the network asks for 3 channels (nchw); "gray" has 1'],
    [[1, 4, 6, 8], { pixels: 'rgb' }, 'the network reads rgba, and the pixels are rgb'],
  ])('%j %j', (shape, options, message) => {
    expect(messages(() => preprocessGraph(mirror(shape), options)).join('\n')).toContain(message);
    for (const { hint } of diagnosticsOf(() => preprocessGraph(mirror(shape), options)))
      expect(hint).not.toContain('COMMAND');
  });
});

describe('hints say what to write', () => {
  test.each<[string, unknown, string, string]>([
    [
      'a fraction in quotes',
      { scale: '1/255' },
      'scale',
      'write it as a number: "scale": 0.00392156862745098',
    ],
    ['one of a list', { std: [1, '1/2', 1] }, 'std[1]', 'write it as a number: 0.5'],
    ['a number in quotes', { scale: '0.5' }, 'scale', 'write it without quotes: "scale": 0.5'],
    ['a mean', { mean: 'imagenet' }, 'mean', 'for example "mean": [0.485, 0.456, 0.406] or "mean": 0.5'],
    ['one mean', { mean: [0.4, null, 0.5] }, 'mean[1]', 'for example 0.5'],
    ['a deviation', { std: {} }, 'std', 'for example "std": [0.229, 0.224, 0.225] or "std": 0.5'],
    [
      'a size',
      { source: '320x240' },
      'source',
      'for example "source": { "width": 320, "height": 240 } or "source": [{ "width": 320, "height": 240 }, ',
    ],
    ['half a size', { source: { width: 640 } }, 'source.height', 'add "height": 240'],
    ['no options', 5, '', 'for example { "mean": 0.5, "std": 0.5 } or "imagenet"'],
  ])('%s', (_, value, key, hint) => {
    const [found, ...more] = diagnosticsOf(() => parsePreprocess(value));
    expect(more).toEqual([]);
    expect(found).toMatchObject({ code: 'usage-invalid', subject: `preprocess${key && `.${key}`}` });
    expect(found?.hint).toContain(hint);
  });
});

describe('options that would stop or blind the network are refused at the border', () => {
  test.each<[string, unknown, string, string]>([
    ['a mean beyond f32', { mean: [1e39, 0, 0] }, 'mean[0]', 'the largest is 3.4028234663852886e+38'],
    ['a deviation beyond f32', { std: 1e39 }, 'std', 'the largest is 3.4028234663852886e+38'],
    ['a scale that is 0', { scale: 0 }, 'scale', 'for example "scale": 0.00392156862745098 or "scale": 1'],
    ['a scale that is 0 in f32', { scale: 1e-60 }, 'scale', 'for example "scale": 0.00392156862745098'],
    ['a deviation that is 0', { std: [1, 0, 1] }, 'std[1]', 'for example 0.5'],
    ['padding of what is cut off', { resize: 'cover', pad: 3 }, 'pad', 'write "resize": "contain" too'],
    ['padding of what is stretched', { pad: 3 }, 'pad', 'write "resize": "contain" too'],
  ])('%s', (_, value, key, hint) => {
    const [found, ...more] = diagnosticsOf(() => parsePreprocess(value));
    expect(more).toEqual([]);
    expect(found).toMatchObject({ code: 'usage-invalid', subject: `preprocess.${key}` });
    expect(found?.hint).toContain(hint);
  });

  test('but not the padding that is there unless said', () => {
    expect(parsePreprocess({ resize: 'cover', pad: 0 })).toEqual({ resize: 'cover', pad: 0 });
    expect(parsePreprocess({ resize: 'contain', pad: 3 })).toEqual({ resize: 'contain', pad: 3 });
  });

  test.each<[string, PreprocessOptions]>([
    ['mean / std', { mean: 1e30, std: 1e-30 }],
    ['scale / std', { scale: 1e30, std: [1, 1, 1e-30] }],
    ['a byte', { scale: 2e36 }],
  ])('%s beyond f32', (_, options) => {
    const [found] = diagnosticsOf(() => preprocessGraph(mirror([1, 3, 6, 8]), options));
    expect(found).toMatchObject({ code: 'usage-invalid', subject: 'image' });
    expect(found?.message).toMatch(/is more than f32 holds$/);
  });
});

test('a bundle takes an ImageData, its bytes, or bytes with their shape; two sizes are two specialisations', async () => {
  const source = [
    { width: 8, height: 6 },
    { width: 16, height: 3 },
    { width: 20, height: 12 },
  ];
  const { files, manifest, stats } = await compileGraph(mirror([1, 3, 6, 8]), {
    preprocess: { ...IMAGENET, source },
    check: 'full',
  });
  expect(stats.specialisations).toBe(3);
  expect(manifest.inputs[0]).toMatchObject({
    dtype: 'u8',
    shape: [1, 6, 8, 4],
    picture: { pixels: 'rgba', channels: 'rgb', mean: IMAGENET.mean },
  });
  const model = await loadBundle(await write({ files, manifest, stats, diagnostics: [] }), { warmup: false });
  expect(model.info.inputs).toEqual([{ name: 'image', dtype: 'u8', shape: [1, 6, 8, 4], pixels: 'rgba' }]);
  const large = noise(20, 12);
  const bytes = large.data as Uint8Array;
  const expected = await model.run({ image: bytes });
  expect(await model.run({ image: new Uint8ClampedArray(bytes) })).toEqual(expected);
  expect(await model.run({ image: { ...large, data: new Uint8ClampedArray(bytes) } })).toEqual(expected);
  expect(await model.run({ image: { data: bytes, shape: [1, 12, 20, 4] } })).toEqual(expected);
  const small = noise(8, 6);
  await expect(model.run({ image: small.data })).rejects.toThrow(
    'the inputs fit several specialisations: "image" u8 1×6×8×4; or "image" u8 1×3×16×4; give { data, shape }',
  );
  const want = pictureTensor(small, pictureTarget('image', { dtype: 'f32', shape: [1, 3, 6, 8] }, IMAGENET));
  const { y } = await model.run({ image: { ...small } });
  (y as Float32Array).forEach((x, i) => {
    expect(x).toBeCloseTo(Number(want.data[i]), 5);
  });
  await expect(model.run({ image: { ...small, height: 7 } })).rejects.toThrow('fit no specialisation');
});

test('options that are wrong stop the compile before it starts', async () => {
  const compiled = compileModel(new Uint8Array(), { specialisations: [] });
  await expect(compiled).rejects.toThrow('none are given');
});
