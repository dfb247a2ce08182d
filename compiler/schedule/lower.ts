/** A graph as a kernel program, whatever the target: its nodes one after the other, its inputs and outputs in memory of their own. */
import type { Graph, Node, Value } from '#ir/graph.ts';
import type { ViewContext } from './context.ts';
import type { KernelProgram } from './program.ts';
import { isInLayout, type View } from './view.ts';

export function lowerNodes<Kernel, Context extends ViewContext<Kernel>>(
  graph: Graph,
  context: Context,
  lowerNode: (node: Node, context: Context) => void,
): KernelProgram<Kernel> {
  const { builder } = context;
  const inputs = graph.inputs.map((value) => {
    const view = context.port(value);
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
  return builder.finish(graph, inputs, outputs, reads, (value) => context.viewsOf(value));
}

/** A row-major view of an output in memory of its own: not an input's, not a constant's, not a part of something. */
function ownMemory(context: ViewContext<unknown>, value: Value, inputs: ReadonlySet<View['storage']>): View {
  const isOwn = ({ storage }: View) => storage.kind === 'arena' && !inputs.has(storage);
  const view = context.viewsOf(value).find((v) => isOwn(v) && isInLayout(v, 'rowMajor'));
  if (view) return view;
  const copy = context.port(value);
  context.copy(context.anyView(value), copy);
  return copy;
}
