import { type Graph, type Node, opDef, operand, type Value } from '#ir/graph.ts';
import type { Layout } from '#ir/types.ts';

/**
 * The memory layout of every value. Before: layouts are free. After: each value has one.
 *
 * Spatial ops compute channels last. Elementwise ops follow their operands, data movement its input, unless everyone who
 * reads a moved value wants the other order. Values of fewer than three axes have only one layout.
 */
export function assignLayouts(graph: Graph): Map<Value, Layout> {
  const layouts = new Map<Value, Layout>();
  const layoutOf = (value: Value): Layout => layouts.get(value) ?? 'rowMajor';
  for (const node of graph.nodes) {
    for (const value of node.outputs) {
      layouts.set(value, value.type.shape.length < 3 ? 'rowMajor' : choose(node, value, layoutOf));
    }
  }
  return layouts;
}

function choose(node: Node, value: Value, layoutOf: (value: Value) => Layout): Layout {
  const rank = value.type.shape.length;
  switch (opDef(node.op).traits.layout) {
    case 'spatial':
      return 'channelsLast';
    case 'rowMajor':
      return 'rowMajor';
    case 'pointwise': {
      const full = node.operands.filter((v) => v && v.type.shape.length === rank);
      return full.some((v) => v && layoutOf(v) === 'channelsLast') ? 'channelsLast' : 'rowMajor';
    }
    case 'strided': {
      const source = operand(node, 0);
      if (
        value.uses.length > 0 &&
        value.uses.every((use) => opDef(use.node.op).traits.layout === 'spatial')
      ) {
        return 'channelsLast';
      }
      return source.type.shape.length === rank && !reorders(node) ? layoutOf(source) : 'rowMajor';
    }
  }
}

/** Does an op change which axis is which? Then its input's layout says nothing about its output. */
const reorders = (node: Node): boolean => opDef(node.op).traits.reorders === true;
