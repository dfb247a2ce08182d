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
 * The program of a graph, which is left as it is. Weights that are missing are taken as zeros, so where a kernel is chosen by
 * what rounding does to the weights, it is the faster one.
 * @throws CompileError for nodes that the target lacks
 */
export function planProgram(source: Graph, options: LowerOptions = {}): WasmProgram {
  let stored = 0;
  // no two are equal: else layers that differ in their weights alone would be merged
  const present = (constant: Constant): Constant => {
    if (constant.data) return constant;
    const { type } = constant;
    const data = allocate(type.dtype, elementCount(type.shape));
    if (data instanceof Float32Array && data.length > 0) data[0] = ++stored;
    return { type, data };
  };
  const graph = cloneGraph(source, present);
  runPipeline(graph, graphPipeline);
  runPipeline(graph, lowerPipeline);
  throwAny(wasmTarget.unsupported(graph));
  return lowerGraph(graph, options);
}
