/** What was read is what is read again after it was written: the identity on the intermediate representation. */
import { expect } from 'vitest';
import { exportOnnx } from '#compiler/export/onnx/index.ts';
import { readModel } from '#compiler/files/index.ts';
import { importOnnx } from '#compiler/import/onnx/index.ts';
import type { Graph } from '#ir/graph.ts';
import { bytesOfData } from '#ir/tensor.ts';
import { printGraph } from '#ir/text.ts';
import { runPipeline } from '#passes/pass.ts';
import { graphPipeline } from '#passes/pipeline.ts';
import { withModels, zooModel } from '../support/collection.ts';

const LIGHT = [
  'densenet121',
  'dcgan_generator',
  'efficientnet_b0',
  'espcn_x3',
  'ghostnet_100',
  'googlenet',
  'mobilenet_v3_small',
  'shufflenet_v1_g3',
  'squeezenet1_1',
  'unet',
  'wavenet1d',
];

const weightsOf = (graph: Graph): readonly Uint8Array[] =>
  graph.values.flatMap(({ source }) =>
    source.kind === 'constant' && source.constant.data ? [bytesOfData(source.constant.data)] : [],
  );

/** `ceil` is written only where it changes a size, which would show here, as readers disagree about it elsewhere. */
const textOf = (graph: Graph): string =>
  printGraph(graph, { elideAbove: 16 }).replaceAll('ceil=true', 'ceil=false');

withModels.describe('import, export, import', () => {
  for (const name of LIGHT) {
    withModels.test(name, async () => {
      const { model } = await zooModel(name);
      const { graph: read, opset } = await readModel(model, { requireWeights: true });
      const first = importOnnx(exportOnnx(read, { opset }).model);
      expect(first.opset).toBe(opset);
      expect(textOf(first.graph)).toBe(textOf(read));
      const [a, b] = [weightsOf(read), weightsOf(first.graph)];
      expect(b).toHaveLength(a.length);
      expect(a.every((bytes, i) => Buffer.compare(bytes, b[i] ?? new Uint8Array()) === 0)).toBe(true);
      // and what the passes made of it, once more
      runPipeline(read, graphPipeline);
      const second = importOnnx(exportOnnx(read, { opset }).model).graph;
      const third = importOnnx(exportOnnx(second, { opset }).model).graph;
      expect(textOf(third)).toBe(textOf(second));
    });
  }
});
