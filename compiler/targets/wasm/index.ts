/** The WebAssembly SIMD target. */

import { type KernelProgram, ProgramBuilder } from '#compiler/schedule/program.ts';
import type { View } from '#compiler/schedule/view.ts';
import { type Diagnostic, diagnostic } from '#ir/diagnostics.ts';
import type { Graph, Node, Value } from '#ir/graph.ts';
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
  const context = new LowerContext(builder, assignLayouts(graph), options);
  const inputs = graph.inputs.map((value) => {
    const view = context.scratch(value.type.shape, value.type.dtype);
    builder.liveFromStart(view.storage);
    context.define(value, view);
    return { name: value.name, view };
  });
  const inputStorages = new Set(inputs.map(({ view }) => view.storage));
  const reads = new Map<Node, ReadonlyMap<Value, View>>();
  for (const node of graph.nodes) {
    context.beginNode(node);
    lowerNode(node, context);
    for (const value of node.outputs) {
      for (const { storage } of context.viewsOf(value)) builder.liveToHere(storage);
    }
    reads.set(node, context.reads);
  }
  context.beginNode(undefined);
  const ports = new Map<Value, View>();
  const port = (value: Value): View => {
    const view = ports.get(value) ?? ownMemory(context, value, inputStorages);
    ports.set(value, view);
    builder.liveToEnd(view.storage);
    return view;
  };
  const outputs = graph.outputs.map(({ name, value, count }) => ({
    name,
    type: value.type,
    view: port(value),
    count: count && { axis: count.axis, view: port(count.value) },
  }));
  const program = builder.finish(graph, inputs, outputs, reads, (value) => context.viewsOf(value));
  // refuses a program that no memory can hold, before anyone allocates for it
  memoryMap(program);
  return program;
}

/** A row-major view of an output in memory of its own: not an input's, not a constant's, not a part of something. */
function ownMemory(context: LowerContext, value: Value, inputs: ReadonlySet<View['storage']>): View {
  const view = context.view(value, 'rowMajor');
  if (view.storage.kind === 'arena' && !inputs.has(view.storage)) return view;
  const copy = context.scratch(value.type.shape, value.type.dtype);
  context.copy(view, copy);
  return copy;
}

export const wasmTarget: Target<WasmKernel, WasmCode> = {
  name: 'wasm',
  unsupported,
  lower: (graph) => lowerGraph(graph),
  emit: (program) => emitModule(program),
};
