/** The kernel program that compiling a graph gives, without its weights being needed. */
import { cloneGraph } from '#ir/clone.ts';
import type { Graph } from '#ir/graph.ts';
import { allocate, type Constant } from '#ir/tensor.ts';
import { elementCount } from '#ir/types.ts';
import { runPipeline } from '#passes/pass.ts';
import { graphPipeline, lowerPipeline } from '#passes/pipeline.ts';
import { throwAny } from './compile-options.ts';
import { type LowerOptions, lowerGraph, type WasmProgram, wasmTarget } from './targets/wasm/index.ts';

/**
 * A graph after the passes of `compile`; the one given is left as it is. Floats that are missing are made up, all alive and
 * no two tensors equal: passes drop channels of zeros, divide filters of rank one and merge layers of the same weights.
 */
export function planGraph(source: Graph): Graph {
  let stored = 0;
  const present = (constant: Constant): Constant => {
    if (constant.data) return constant;
    const { type } = constant;
    const data = allocate(type.dtype, elementCount(type.shape));
    if (data instanceof Float32Array) makeUp(data, ++stored);
    return { type, data };
  };
  const graph = cloneGraph(source, present);
  runPipeline(graph, graphPipeline);
  runPipeline(graph, lowerPipeline);
  return graph;
}

/** The program of a graph, as by `planGraph`. @throws CompileError for nodes that the target lacks */
export const planProgram = (source: Graph, options: LowerOptions = {}): WasmProgram =>
  lowerPlan(planGraph(source), options);

/** @throws CompileError for nodes that the target lacks */
export function lowerPlan(graph: Graph, options: LowerOptions = {}): WasmProgram {
  throwAny(wasmTarget.unsupported(graph));
  return lowerGraph(graph, options);
}

/** From ½ to 1½, which does for variances too. */
function makeUp(data: Float32Array, seed: number): void {
  let state = seed;
  for (let i = 0; i < data.length; i++) {
    // Numerical Recipes, an even quick generator
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    data[i] = 0.5 + state / 2 ** 32;
  }
}
