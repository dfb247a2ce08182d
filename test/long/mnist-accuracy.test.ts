/** The trained networks on all 10,000 test images, image by image the answer of onnxruntime-web. */
import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { Stepper } from '#compiler/check/stepper.ts';
import { importOnnx } from '#compiler/import/onnx/index.ts';
import { wasmTarget } from '#compiler/targets/wasm/index.ts';
import { f32 } from '#ir/tensor.ts';
import { runPipeline } from '#passes/pass.ts';
import { graphPipeline, lowerPipeline } from '#passes/pipeline.ts';
import { PIXELS, testImages } from '../../examples/mnist/images.mjs';
import { collectionFile, withModels } from '../support/collection.ts';
import { runOnnxruntime } from '../support/onnxruntime.ts';

const BATCH = 100;

const answers = (logits: Float32Array): number[] =>
  Array.from({ length: logits.length / 10 }, (_, i) => {
    const row = logits.subarray(i * 10, (i + 1) * 10);
    return row.indexOf(Math.max(...row));
  });

withModels.describe('10,000 MNIST test images', () => {
  // correct answers by onnxruntime, as the models were published
  test.each([
    ['mnist-vgg', 9955],
    ['mnist-vgg-bn', 9955],
    ['mnist-shufflenet', 9938],
    ['mnist-shufflenet-bn', 9938],
  ])('%s: %i correct, each image as onnxruntime-web', async (name, expected) => {
    const path = collectionFile(`models/${name}.onnx`);
    const { images, labels, count } = await testImages();
    const { graph } = importOnnx(await readFile(path), { dims: { batch: BATCH } });
    runPipeline(graph, graphPipeline);
    runPipeline(graph, lowerPipeline);
    const stepper = await Stepper.load(wasmTarget.lower(graph));
    const shape = [BATCH, 1, 28, 28];
    const ours: number[] = [];
    const theirs: number[] = [];
    for (let i = 0; i < count; i += BATCH) {
      const data = images.slice(i * PIXELS, (i + BATCH) * PIXELS);
      stepper.setInputs(new Map([['image', f32(shape, data)]]));
      stepper.run();
      ours.push(...answers(stepper.outputs().get('logits')?.data as Float32Array));
      const results = await runOnnxruntime(path, { image: { data, shape } });
      theirs.push(...answers(results.logits?.data as Float32Array));
    }
    expect(ours).toEqual(theirs);
    expect(ours.filter((digit, i) => digit === labels[i])).toHaveLength(expected);
  });
});
