/** What kernels of the WebGPU target give on the software adapter, against the reference. */
import { expect } from 'vitest';
import {
  emitProgram,
  type GpuChoices,
  type GpuPrecision,
  lowerGraph,
} from '#compiler/targets/webgpu/index.ts';
import { roundToHalves } from '#compiler/weights/rounding.ts';
import { Builder } from '#ir/builder.ts';
import { cloneGraph } from '#ir/clone.ts';
import { constantTensor, evaluateGraph, outputTensor } from '#ir/evaluate.ts';
import type { Graph, Value } from '#ir/graph.ts';
import type { Tensor } from '#ir/tensor.ts';
import { randomInputs } from './graphs.ts';
import { complaintsOf, optimisedForGpu, refusalsOf, runOnGpu } from './webgpu.ts';

export type Inputs = ReadonlyMap<string, Tensor>;

/** As the target reads it, with constants that half precision holds. */
export const halved = (graph: Graph): Graph =>
  cloneGraph(
    optimisedForGpu(graph),
    ({ type, data }) =>
      ({
        type,
        data: data instanceof Float32Array ? roundToHalves(data) : data,
      }) as never,
  );

/** The largest difference of any output to the reference, relative to its largest magnitude. */
export async function differenceOnGpu(
  graph: Graph,
  inputs: Inputs = randomInputs(graph, 3),
  precision?: GpuPrecision,
  choices?: GpuChoices,
): Promise<number> {
  const values = evaluateGraph(graph, inputs);
  const optimised = optimisedForGpu(graph);
  expect(refusalsOf(optimised)).toEqual([]);
  const given = optimised.inputs.map(({ name }) => inputs.get(name) as Tensor);
  const outputs = await runOnGpu(optimised, given, precision, choices);
  let worst = 0;
  const lookup = (value: Value) => values.get(value) ?? constantTensor(value);
  graph.outputs.forEach((output, i) => {
    const { type, data } = outputTensor(output, lookup);
    const want = [...data].map(Number);
    expect(outputs[i]?.shape).toEqual(type.shape);
    const got = outputs[i]?.data as Float32Array;
    expect(got.length).toBe(want.length);
    const scale = Math.max(1e-30, ...want.map(Math.abs));
    want.forEach((x, k) => {
      worst = Math.max(worst, Math.abs(x - Number(got[k])) / scale);
    });
  });
  return worst;
}

/** The kernels of a graph in either precision: what the reference gives, and no complaints of a device with or without halves. */
export async function expectKernels(graph: Graph, bound: number, inputs?: Inputs): Promise<void> {
  for (const [source, precision, features] of [
    [graph, 'f32', []],
    [halved(graph), 'f16', ['shader-f16']],
  ] as const) {
    const code = emitProgram(lowerGraph(optimisedForGpu(source), precision));
    expect(await complaintsOf(code, [...features])).toEqual([]);
    expect(await differenceOnGpu(source, inputs, precision), precision).toBeLessThanOrEqual(bound);
  }
}

/** Likewise, of a graph on given inputs. */
export function expectKernelsOf(
  bound: number,
  build: (b: Builder, input: (tensor: Tensor) => Value) => readonly Value[],
): Promise<void> {
  const b = new Builder('kernels');
  const inputs = new Map<string, Tensor>();
  const results = build(b, (given) => {
    const name = `input${inputs.size}`;
    inputs.set(name, given);
    return b.input(name, given.type.shape, given.type.dtype);
  });
  results.forEach((value, i) => {
    b.output(`out${i}`, value);
  });
  return expectKernels(b.graph, bound, inputs);
}
