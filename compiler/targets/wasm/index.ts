/** The WebAssembly SIMD target. */

import { homesOf } from '#compiler/schedule/homes.ts';
import { lowerNodes } from '#compiler/schedule/lower.ts';
import { type KernelProgram, ProgramBuilder } from '#compiler/schedule/program.ts';
import { type Diagnostic, diagnostic } from '#ir/diagnostics.ts';
import type { Graph } from '#ir/graph.ts';
import { assignLayouts } from '#passes/layout/assign-layouts.ts';
import type { Target } from '../target.ts';
import { LowerContext, type LowerOptions } from './context.ts';
import { emitModule, memoryMap, type WasmCode } from './emit.ts';
import type { WasmKernel } from './kernels/index.ts';
import { lowerNode, refusal } from './lower/index.ts';

export { type Choices, freeChoices, SharedChoices } from './choices.ts';
export type { LowerOptions } from './context.ts';
export type { CostProfile } from './costs.ts';
export {
  type EmitOptions,
  emitLinked,
  emitModule,
  MEMORY_IMPORT,
  type MemoryMap,
  memoryMap,
  runExport,
  STEP_CHUNK,
  type WasmCode,
} from './emit.ts';
export { ENGINES, type Engine } from './engines.ts';
export { kernelLabel, type WasmKernel } from './kernels/index.ts';

export type WasmProgram = KernelProgram<WasmKernel>;

function unsupported(graph: Graph): Diagnostic[] {
  return graph.nodes.flatMap((node) => {
    const reason = refusal(node);
    return reason === undefined ? [] : [diagnostic('target-unsupported', node.name, `${node.op}: ${reason}`)];
  });
}

/** Lowers a graph whose weights are present and whose nodes are all supported. */
export function lowerGraph(graph: Graph, options: LowerOptions = {}): WasmProgram {
  const builder = new ProgramBuilder<WasmKernel>();
  const layouts = assignLayouts(graph);
  const program = lowerNodes<WasmKernel, LowerContext>(
    graph,
    new LowerContext(builder, layouts, homesOf(graph, layouts), options),
    lowerNode,
  );
  // refuses a program that no memory can hold, before anyone allocates for it
  memoryMap(program);
  return program;
}

export const wasmTarget: Target<WasmKernel, WasmCode> = {
  name: 'wasm',
  unsupported,
  lower: (graph) => lowerGraph(graph),
  emit: (program) => emitModule(program),
};
