/** Whole networks on a WebGPU adapter against the reference: within 1e-4 of the largest magnitude of each output. */
import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { readModel } from '#compiler/files/index.ts';
import { ModelProto } from '#compiler/import/onnx/generated/onnx-proto.js';
import { importOnnx } from '#compiler/import/onnx/index.ts';
import { evaluateGraph } from '#ir/evaluate.ts';
import type { Graph } from '#ir/graph.ts';
import { compareOutputs } from '../support/agreement.ts';
import { collectionFile, withModels, zooModel } from '../support/collection.ts';
import { noise } from '../support/op.ts';
import { optimisedForGpu, refusalsOf, runOnGpu, withAdapter } from '../support/webgpu.ts';

const BOUND = 1e-4;

/** Networks of the zoo, with the size of the picture where it is another than the file's. */
const NETWORKS: readonly [name: string, size?: number][] = [
  ['mobilenet_v2'],
  ['squeezenet1_1'],
  ['shufflenet_v1_g3'],
  ['resnet18', 64],
  ['unet', 64],
  ['espcn_x3'],
  ['dcgan_generator'],
];

/** The model at another size of its picture. */
function resized(bytes: Uint8Array, size: number): Uint8Array {
  const model = ModelProto.decode(bytes) as unknown as OpenModel;
  for (const input of model.graph.input.slice(0, 1)) {
    for (const dim of input.type.tensorType.shape?.dim.slice(2) ?? []) dim.dimValue = size;
  }
  for (const output of model.graph.output) output.type.tensorType.shape = null;
  model.graph.valueInfo = [];
  return ModelProto.encode(model as never);
}

/** What of a model is changed. */
interface OpenModel {
  readonly graph: {
    readonly input: readonly OpenPort[];
    readonly output: readonly OpenPort[];
    valueInfo: readonly unknown[];
  };
}
interface OpenPort {
  readonly type: { readonly tensorType: { shape: { readonly dim: { dimValue: number }[] } | null } };
}

async function zooGraph(name: string, size: number | undefined): Promise<Graph> {
  const { model, weights } = await zooModel(name);
  if (size === undefined) return (await readModel(model, { requireWeights: true })).graph;
  const bytes = resized(await readFile(model), size);
  const data = await readFile(weights);
  return importOnnx(bytes, { externalData: () => data }).graph;
}

async function expectAgreement(graph: Graph): Promise<void> {
  const inputs = graph.inputs.map(({ type }, i) => noise(type.shape, i + 1));
  const values = evaluateGraph(
    graph,
    new Map(graph.inputs.map(({ name }, i) => [name, inputs[i] ?? noise([])])),
  );
  const optimised = optimisedForGpu(graph);
  expect(refusalsOf(optimised)).toEqual([]);
  const outputs = await runOnGpu(optimised, inputs);
  graph.outputs.forEach(({ name, value }, i) => {
    const want = values.get(value)?.data as Float32Array;
    const { relative } = compareOutputs(want, outputs[i] as Float32Array, value.type.shape);
    console.log(`${graph.name} ${name}: ${relative.toExponential(1)} off`);
    expect(relative).toBeLessThanOrEqual(BOUND);
  });
}

withModels.describe('networks on WebGPU', () => {
  withAdapter.describe('agree with the reference', () => {
    for (const [name, size] of NETWORKS) {
      test(size === undefined ? name : `${name} at ${size}×${size}`, async () => {
        await expectAgreement(await zooGraph(name, size));
      });
    }
    for (const name of ['mnist-vgg', 'mnist-shufflenet']) {
      test(name, async () => {
        const { graph } = await readModel(collectionFile(`models/${name}.onnx`), { dims: { batch: 1 } });
        await expectAgreement(graph);
      });
    }
  });
});
