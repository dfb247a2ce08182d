/** Whole networks and official cases, written as ONNX and as JSON and read again. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { exportJson } from '#compiler/export/json/index.ts';
import { exportOnnx } from '#compiler/export/onnx/index.ts';
import { readModel } from '#compiler/files/index.ts';
import { importJson } from '#compiler/import/json/index.ts';
import { importOnnx } from '#compiler/import/onnx/index.ts';
import { formatSafetensors } from '#compiler/weights/safetensors.ts';
import { CompileError } from '#ir/diagnostics.ts';
import { evaluateGraph } from '#ir/evaluate.ts';
import type { Graph } from '#ir/graph.ts';
import { verifyGraph } from '#ir/verify.ts';
import { graphCost } from '#passes/analysis/cost.ts';
import { runPipeline } from '#passes/pass.ts';
import { spellingPipeline } from '#passes/pipeline.ts';
import { COSINE_BOUND, compareOutputs, RELATIVE_BOUND } from '../support/agreement.ts';
import {
  collectionFile,
  collectionNames,
  repositoryFolder,
  withModels,
  zooModel,
} from '../support/collection.ts';
import { compareGraphs } from '../support/graphs.ts';
import { runCase } from '../support/onnx-cases.ts';
import { runOnnxruntime } from '../support/onnxruntime.ts';
import { noise } from '../support/op.ts';

withModels.test('official cases pass after a round trip through the exporter', () => {
  const wrong: string[] = [];
  let passed = 0;
  for (const suite of ['onnx-node-tests', 'onnx-pytorch-tests']) {
    for (const name of collectionNames(suite)) {
      const folder = collectionFile(`${suite}/${name}`);
      if (!readdirSync(folder).includes('model.onnx') || runCase(folder).status !== 'passed') continue;
      try {
        const result = runCase(folder, (graph) => importOnnx(exportOnnx(graph).model).graph);
        if (result.status === 'passed') passed++;
        else wrong.push(`${name}: ${result.why}`);
      } catch (error) {
        wrong.push(`${name}: ${error instanceof CompileError ? error.message : String(error)}`);
      }
    }
  }
  expect(wrong).toEqual([]);
  expect(passed).toBeGreaterThan(950);
});

const onnxruntimeOf = async (model: string | Uint8Array, graph: Graph) => {
  const feeds = Object.fromEntries(
    graph.inputs.map((v, i) => [
      v.name,
      { data: noise(v.type.shape, i + 1).data as Float32Array, shape: v.type.shape },
    ]),
  );
  return runOnnxruntime(model, feeds);
};

withModels.describe('networks of the zoo, written as ONNX again', () => {
  test.each(['mobilenet_v2', 'shufflenet_v2_x1_0', 'unet', 'wavenet1d', 'r3d_18'])('%s', async (name) => {
    const { model } = await zooModel(name);
    const { graph } = await readModel(model, { requireWeights: true });
    const written = exportOnnx(graph).model;
    expect(graphCost(importOnnx(written).graph).totals).toEqual(graphCost(graph).totals);
    const theirs = await onnxruntimeOf(model, graph);
    const ours = await onnxruntimeOf(written, graph);
    for (const [output, { data, shape }] of Object.entries(theirs)) {
      const found = compareOutputs(data as Float32Array, ours[output]?.data as Float32Array, shape);
      expect(found.relative, output).toBeLessThanOrEqual(RELATIVE_BOUND);
      expect(found.cosine, output).toBeGreaterThanOrEqual(COSINE_BOUND);
    }
  });
});

withModels.describe('networks of the zoo, written as JSON', () => {
  test.each(['resnet18', 'squeezenet1_1', 'mobilenet_v2', 'shufflenet_v1_g3', 'unet'])('%s', async (name) => {
    const { graph } = await readModel((await zooModel(name)).model, { requireWeights: true });
    const { macs } = graphCost(graph).totals;
    runPipeline(graph, spellingPipeline);
    const { network, weights } = exportJson(graph);
    expect(weights.size).toBeGreaterThan(10);
    const back = importJson(network).graph;
    expect(verifyGraph(back)).toEqual([]);
    expect(graphCost(back).totals.macs).toBe(macs);
    // a reshape that flattens is a flatten
    const ops = (g: Graph) => g.nodes.map((n) => (n.op === 'Reshape' ? 'Flatten' : n.op)).sort();
    expect(ops(back)).toEqual(ops(graph));
  });
});

withModels.test('a trained network keeps its results through JSON and safetensors', async () => {
  for (const file of ['mnist-vgg-bn', 'mnist-shufflenet-bn']) {
    const { graph } = await readModel(collectionFile(`models/${file}.onnx`), { requireWeights: true });
    runPipeline(graph, spellingPipeline);
    const { network, weights } = exportJson(graph);
    expect(
      compareGraphs(graph, importJson(network, { weights: formatSafetensors(weights) }).graph),
    ).toBeLessThan(1e-6);
  }
});

test('onnxruntime agrees about networks written as JSON', async () => {
  for (const file of ['shuffled-grouped/shufflenet.json', 'dilated/context.json']) {
    const { graph } = importJson(readFileSync(join(repositoryFolder, 'examples', file), 'utf8'));
    const theirs = await onnxruntimeOf(exportOnnx(graph).model, graph);
    const feeds = new Map(graph.inputs.map((v, i) => [v.name, noise(v.type.shape, i + 1)]));
    const ours = evaluateGraph(graph, feeds);
    for (const { name, value } of graph.outputs) {
      const want = ours.get(value)?.data as Float32Array;
      const { relative } = compareOutputs(want, theirs[name]?.data as Float32Array, value.type.shape);
      expect(relative, name).toBeLessThanOrEqual(RELATIVE_BOUND);
    }
  }
});
