/** The WebGPU target: WGSL for the very shapes of a network. */
import { type KernelProgram, ProgramBuilder } from '#compiler/schedule/program.ts';
import type { View } from '#compiler/schedule/view.ts';
import { type Diagnostic, diagnostic } from '#ir/diagnostics.ts';
import type { Graph, Node, Value } from '#ir/graph.ts';
import { assignLayouts } from '#passes/layout/assign-layouts.ts';
import type { Target } from '../target.ts';
import { LowerContext } from './context.ts';
import { emitProgram, type GpuCode } from './emit.ts';
import type { GpuKernel } from './kernels/index.ts';
import { lowerNode, refusal } from './lower/index.ts';
import { wordOf } from './words.ts';

export { emitProgram, type GpuCode } from './emit.ts';
export type { GpuKernel } from './kernels/index.ts';

export type GpuProgram = KernelProgram<GpuKernel>;

function unsupported(graph: Graph): Diagnostic[] {
  const counts = graph.outputs.flatMap(({ name, count }) =>
    count ? [diagnostic('target-unsupported', name, 'its size depends on data')] : [],
  );
  return [
    ...counts,
    ...graph.nodes.flatMap((node) => {
      const reason = refusal(node);
      return reason === undefined
        ? []
        : [diagnostic('target-unsupported', node.name, `${node.op} on WebGPU: ${reason}`)];
    }),
  ];
}

/** Lowers a graph whose weights are present and whose nodes are all supported. */
export function lowerGraph(graph: Graph): GpuProgram {
  const builder = new ProgramBuilder<GpuKernel>();
  const context = new LowerContext(builder, assignLayouts(graph));
  const inputs = graph.inputs.map((value) => {
    const view = context.scratch(value.type.shape, wordOf(value.type.dtype));
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
  const outputs = graph.outputs.map(({ name, value }) => {
    const view = ownMemory(context, value, inputStorages);
    builder.liveToEnd(view.storage);
    return { name, type: value.type, view, count: undefined };
  });
  return builder.finish(graph, inputs, outputs, reads, (value) => context.viewsOf(value));
}

/** A row-major view of an output in memory of its own: not an input's, not a constant's, not a part of something. */
function ownMemory(context: LowerContext, value: Value, inputs: ReadonlySet<View['storage']>): View {
  const view = context.view(value, 'rowMajor');
  if (view.storage.kind === 'arena' && !inputs.has(view.storage)) return view;
  const copy = context.scratch(value.type.shape, wordOf(value.type.dtype));
  context.copy(view, copy);
  return copy;
}

export const webgpuTarget: Target<GpuKernel, GpuCode> = {
  name: 'webgpu',
  unsupported,
  lower: lowerGraph,
  emit: emitProgram,
};
