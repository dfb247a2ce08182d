/** Layers as tuning sees them: what makes two of them alike, and one of them alone. */
import type { AttrValue } from '#ir/attrs.ts';
import { formatExpr } from '#ir/expr.ts';
import {
  constantOf,
  Graph,
  type Node,
  type OpAttrsInput,
  type OpName,
  opDef,
  result,
  tensorOf,
  type Value,
} from '#ir/graph.ts';
import { formatType } from '#ir/types.ts';
import { graphCost } from '#passes/analysis/cost.ts';

/** Multiply-accumulates below which a layer is not worth the measuring. */
const LEAST_MACS = 500_000;

/** Layers of one shape: they have one key. */
export interface LayerShape {
  readonly key: string;
  /** The first of them. */
  readonly node: Node;
  readonly count: number;
  /** Of all of them. */
  readonly macs: number;
}

/** Op, attributes, operands and epilogue: layers of equal keys do the same work. */
export function layerKey(node: Node): string {
  const attrs = Object.entries(node.attrs as Readonly<Record<string, AttrValue>>).sort(([a], [b]) =>
    a < b ? -1 : 1,
  );
  const numbered = new Map<Value, number>();
  const operands = node.operands.map((value) => {
    if (!value) return '_';
    const known = numbered.get(value);
    if (known !== undefined) return `=${known}`;
    numbered.set(value, numbered.size);
    return `${formatType(value.type)}${constantOf(value) ? ' const' : ''}`;
  });
  const own = operands.slice(0, node.arity).join(', ');
  const extra = operands.slice(node.arity).join(', ');
  return [
    `${node.op}(${own})`,
    `{${attrs.map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(', ')}}`,
    ...(node.epilogue ? [`-> ${formatExpr(node.epilogue)}`] : []),
    ...(extra === '' ? [] : [`with (${extra})`]),
  ].join(' ');
}

/** The layers of a lowered graph that tuning looks at, those with the most work first. */
export function layerShapes(graph: Graph): readonly LayerShape[] {
  const { nodes } = graphCost(graph);
  const shapes = new Map<string, LayerShape>();
  for (const node of graph.nodes) {
    const macs = nodes.get(node)?.macs ?? 0;
    if (!opDef(node.op).channelAxis || macs < LEAST_MACS) continue;
    const key = layerKey(node);
    const known = shapes.get(key);
    shapes.set(key, {
      key,
      node: known?.node ?? node,
      count: (known?.count ?? 0) + 1,
      macs: (known?.macs ?? 0) + macs,
    });
  }
  return [...shapes.values()].sort((a, b) => b.macs - a.macs);
}

export interface LoneLayer {
  readonly graph: Graph;
  /** The layer; nodes before it put its operands into memory, as other layers would. */
  readonly node: Node;
}

/** A graph of one layer. What is computed in the network comes from a node that copies an input, in the layer's layout. */
export function loneLayer(source: Node): LoneLayer {
  const graph = new Graph('layer');
  const spatial = opDef(source.op).traits.layout === 'spatial';
  const copies = new Map<Value, Value>();
  const copyOf = (value: Value): Value => {
    const known = copies.get(value);
    if (known) return known;
    const made = standIn(graph, value, copies.size, spatial);
    copies.set(value, made);
    return made;
  };
  const operands = source.operands.map((value) => value && copyOf(value));
  const extra = operands.slice(source.arity).flatMap((value) => (value ? [value] : []));
  const node = graph.addNode(
    source.op,
    operands.slice(0, source.arity),
    source.attrs as unknown as OpAttrsInput<OpName>,
    { name: source.name, ...(source.epilogue && { epilogue: { expr: source.epilogue, operands: extra } }) },
  );
  node.outputs.forEach((value, i) => {
    graph.addOutput(`y${i}`, value);
  });
  return { graph, node };
}

function standIn(graph: Graph, value: Value, index: number, spatial: boolean): Value {
  const constant = tensorOf(value);
  if (constant) return graph.addConstant(`c${index}`, constant);
  const input = graph.addInput(`x${index}`, value.type);
  if (value.type.dtype !== 'f32') return input;
  const name = `before${index}`;
  const axes = value.type.shape.length - 2;
  if (!spatial || axes < 1) return result(graph.addNode('Neg', [input], {}, { name }));
  const ones = new Array<number>(axes).fill(1);
  const pads = new Array<number>(2 * axes).fill(0);
  // a pool of single positions, whose result has its channels last
  const attrs = { kernel: ones, strides: ones, dilations: ones, pads };
  return result(graph.addNode('MaxPool', [input], attrs, { name }));
}
