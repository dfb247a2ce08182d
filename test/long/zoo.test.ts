/** Every network of the zoo, compiled, against onnxruntime-web on the same input: its output, and three values inside. */
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { expect, test } from 'vitest';
import { RUNTIME_SOURCE } from '#compiler/bundle/generated/runtime-source.ts';
import { Stepper } from '#compiler/check/stepper.ts';
import { readModel } from '#compiler/files/index.ts';
import { ModelProto } from '#compiler/import/onnx/generated/onnx-proto.js';
import { ENGINES, emitModule, type WasmProgram, wasmTarget } from '#compiler/targets/wasm/index.ts';
import type { Graph, Value } from '#ir/graph.ts';
import type { Tensor } from '#ir/tensor.ts';
import { runPipeline } from '#passes/pass.ts';
import { graphPipeline, lowerPipeline } from '#passes/pipeline.ts';
import { COSINE_BOUND, compareOutputs, RELATIVE_BOUND } from '../support/agreement.ts';
import {
  collectionFile,
  collectionNames,
  hasCollection,
  withModels,
  zooModel,
  zooNames,
} from '../support/collection.ts';
import { runOnnxruntime } from '../support/onnxruntime.ts';
import { noise } from '../support/op.ts';

/** Three float values of four axes or three, a quarter, half and three quarters of the way through. */
function insideValues(graph: Graph): Value[] {
  const values = graph.nodes
    .flatMap((n) => n.outputs)
    .filter((v) => v.type.dtype === 'f32' && v.type.shape.length > 2);
  return [0.25, 0.5, 0.75].flatMap((at) => values[Math.floor(values.length * at)] ?? []);
}

/** The model with more of its values as outputs; its weights stay in the file beside it. */
function withOutputs(path: string, names: readonly string[]): Uint8Array {
  const model = ModelProto.decode(readFileSync(path));
  const { graph } = model;
  if (!graph) throw new Error(`${path} has no graph`);
  const output = [...graph.output, ...names.map((name) => ({ name }))];
  return ModelProto.encode({ ...model, graph: { ...graph, output } });
}

/** What a client downloads besides weights, and the memory that it needs. */
function expectSmall(program: WasmProgram): void {
  for (const engine of Object.values(ENGINES)) {
    const { bytes, kernels, memory } = emitModule(program, { engine });
    const code = RUNTIME_SOURCE.length + MANIFEST_BYTES + bytes.byteLength;
    expect(code, `js and wasm (${engine.name})`).toBeLessThanOrEqual(4 * KIB * kernels.length + 20 * KIB);
    expect(memory.pages * 64 * KIB).toBeLessThanOrEqual(memory.constantBytes + memory.arenaBytes + KIB * KIB);
  }
}

const KIB = 1024;
/** What a network's own part of index.js has: inputs, outputs and hashes. */
const MANIFEST_BYTES = 2 * KIB;

withModels.describe('the zoo', () => {
  for (const name of zooNames()) {
    test(name, async () => {
      const { model: path } = await zooModel(name);
      const { graph } = await readModel(path, { requireWeights: true });
      const inside = insideValues(graph);
      for (const value of inside) graph.addOutput(value.name, value);
      const feeds = new Map<string, Tensor>(graph.inputs.map((v, i) => [v.name, noise(v.type.shape, i + 1)]));
      runPipeline(graph, graphPipeline);
      runPipeline(graph, lowerPipeline);
      const stepper = await Stepper.load(wasmTarget.lower(graph));
      expectSmall(stepper.program);
      stepper.setInputs(feeds);
      stepper.run();
      const ours = stepper.outputs();
      const ortFeeds = Object.fromEntries(
        [...feeds].map(([input, { data, type }]) => [
          input,
          { data: data as Float32Array, shape: type.shape },
        ]),
      );
      const bytes = withOutputs(
        path,
        inside.map((v) => v.name),
      );
      const options = { folder: dirname(path) };
      const theirs = await runOnnxruntime(bytes, ortFeeds, options);
      const plain = await runOnnxruntime(bytes, ortFeeds, { ...options, optimization: 'disabled' });
      expect(Object.keys(theirs)).toHaveLength(ours.size);
      for (const [output, { data, shape }] of Object.entries(theirs)) {
        const want = data as Float32Array;
        const { relative, cosine } = compareOutputs(want, ours.get(output)?.data as Float32Array, shape);
        const own = compareOutputs(want, plain[output]?.data as Float32Array, shape);
        expect(relative, `${output}: relative error`).toBeLessThanOrEqual(
          Math.max(RELATIVE_BOUND, 3 * own.relative),
        );
        expect(1 - cosine, `${output}: 1 − cosine`).toBeLessThanOrEqual(
          Math.max(1 - COSINE_BOUND, 3 * (1 - own.cosine)),
        );
      }
    });
  }
});

// weights of one value: every channel gives the same, so this is about reading, shapes and memory
withModels.describe('the networks of the ONNX project with weights made by ConstantOfShape', () => {
  for (const name of hasCollection ? collectionNames('onnx-light') : []) {
    test(`${name} compiles and runs`, async () => {
      const { graph } = await readModel(collectionFile(`onnx-light/${name}`));
      runPipeline(graph, graphPipeline);
      runPipeline(graph, lowerPipeline);
      expect(wasmTarget.unsupported(graph)).toEqual([]);
      const stepper = await Stepper.load(wasmTarget.lower(graph));
      stepper.setInputs(new Map(graph.inputs.map((v, i) => [v.name, noise(v.type.shape, i + 1)])));
      stepper.run();
      for (const { data } of stepper.outputs().values()) expect(data).toHaveLength(1000);
    });
  }
});
