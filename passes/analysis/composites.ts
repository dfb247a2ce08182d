/**
 * What the field calls by one name though it is several layers: patterns over the graph as it is, before any rewrite.
 * A node is in one composite at most, and the largest wins. What is matched goes through normalisation and activations,
 * and ends where somebody else reads a value.
 */
import { type ConvClass, convClasses } from '#ir/conv-kind.ts';
import {
  type Graph,
  isOp,
  type Node,
  opDef,
  operand,
  ownInput,
  producer,
  result,
  type Value,
} from '#ir/graph.ts';
import { shuffleGroups } from '../canonicalize/recognise-channel-shuffle.ts';
import { followChannelwise, soleReader } from './paths.ts';

/** In the order of a report where nothing else decides. */
export const COMPOSITE_KINDS = [
  /** Pointwise to more channels, depthwise, pointwise without activation; or the last two alone, at expansion 1. */
  'inverted-residual',
  /** Depthwise, then pointwise. */
  'depthwise-separable',
  /** k×1 then 1×k, or the reverse. */
  'spatially-separable',
  /** Pointwise, then depthwise k×1 and 1×k. */
  'flattened',
  /** A grouped conv, then a channel shuffle. */
  'grouped-shuffle',
  /** A channel shuffle after anything else. */
  'channel-shuffle',
  /** x times a gate made of its global average by two dense layers. */
  'squeeze-excite',
  /** A conv, then DepthToSpace. */
  'sub-pixel',
] as const;
export type CompositeKind = (typeof COMPOSITE_KINDS)[number];

export interface Composite {
  /** `inverted-residual-3`: the third of its kind, in graph order. */
  readonly id: string;
  readonly kind: CompositeKind;
  readonly nodes: readonly Node[];
}

/** The composites of a graph, in graph order. */
export function composites(graph: Graph, classes: Classes = convClasses(graph)): readonly Composite[] {
  const found = candidates(graph, classes);
  const position = new Map(graph.nodes.map((node, i) => [node, i]));
  const at = ({ nodes }: Candidate) => Math.min(...nodes.map((n) => position.get(n) ?? 0));
  const taken = new Set<Node>();
  const kept = [...found]
    .sort((a, b) => b.nodes.length - a.nodes.length || at(a) - at(b))
    .filter(({ nodes }) => {
      const free = nodes.every((n) => !taken.has(n));
      if (free) for (const n of nodes) taken.add(n);
      return free;
    })
    .sort((a, b) => at(a) - at(b));
  const counts = new Map<CompositeKind, number>();
  return kept.map(({ kind, nodes }) => {
    const count = (counts.get(kind) ?? 0) + 1;
    counts.set(kind, count);
    return { id: `${kind}-${count}`, kind, nodes };
  });
}

type Classes = ReadonlyMap<Node, ConvClass>;
type Candidate = Omit<Composite, 'id'>;

function candidates(graph: Graph, classes: Classes): readonly Candidate[] {
  const gates = squeezeExcites(graph, classes);
  const units = unitsOf(graph, classes, gates);
  return [
    ...[...gates.values()].map(({ nodes }): Candidate => ({ kind: 'squeeze-excite', nodes })),
    ...[...units.values()].flatMap((unit) => [
      ...blocksAround(graph, unit),
      ...separable(unit),
      ...subPixel(graph, unit),
    ]),
    ...shuffles(graph, units),
  ];
}

/** A conv with what is done to its channels after it. */
interface Unit {
  readonly conv: Node;
  readonly is: ConvClass;
  readonly nodes: readonly Node[];
  readonly active: boolean;
  /** Where the gate behind it is not counted in, and where it is. */
  readonly end: Value;
  readonly gated: Value;
  readonly next: () => Unit | undefined;
  previous?: Unit;
}

function unitsOf(graph: Graph, classes: Classes, gates: ReadonlyMap<Value, Gate>): ReadonlyMap<Node, Unit> {
  const units = new Map<Node, Unit>();
  for (const [conv, is] of classes) {
    const { nodes, end, active } = followChannelwise(graph, result(conv));
    const gate = gates.get(end);
    const gated = gate ? followChannelwise(graph, gate.end) : { nodes: [], end, active: false };
    const reader = soleReader(graph, gated.end);
    units.set(conv, {
      conv,
      is,
      nodes: [conv, ...nodes, ...gated.nodes],
      active: active || gated.active,
      end,
      gated: gated.end,
      next: () => (reader && ownInput(reader, 0) === gated.end ? units.get(reader) : undefined),
    });
  }
  for (const unit of units.values()) {
    const next = unit.next();
    if (next) next.previous = unit;
  }
  return units;
}

const channels = ({ conv }: Unit): { readonly cin: number; readonly cout: number } => ({
  cin: operand(conv, 0).type.shape[1] ?? 0,
  cout: result(conv).type.shape[1] ?? 0,
});

const isPointwise = (unit: Unit | undefined): unit is Unit => unit?.is.kind === 'pointwise';

/** Inverted residuals and depthwise-separable pairs, from their depthwise conv. */
function blocksAround(graph: Graph, depthwise: Unit): readonly Candidate[] {
  const { is, previous } = depthwise;
  const project = depthwise.next();
  if (!is.depthwise || is.transposed || is.pointwise || is.separableHalf || !isPointwise(project)) return [];
  const pair = [...depthwise.nodes, ...project.nodes];
  if (project.active || !depthwise.active) return [{ kind: 'depthwise-separable', nodes: pair }];
  const wide = channels(depthwise).cout;
  const expands =
    isPointwise(previous) &&
    channels(previous).cin < wide &&
    channels(project).cout < wide &&
    previous.active;
  const entry = operand(expands ? previous.conv : depthwise.conv, 0);
  const sum = soleReader(graph, project.end);
  const residual = sum && isOp(sum, 'Add') && sum.operands.includes(entry) ? [sum as Node] : [];
  return [{ kind: 'inverted-residual', nodes: [...(expands ? previous.nodes : []), ...pair, ...residual] }];
}

/** Spatially separable pairs from their first half, and the flattened conv around a depthwise one. */
function separable(first: Unit): readonly Candidate[] {
  const second = first.next();
  if (!second || !isHalf(first) || !isHalf(second) || first.is.depthwise !== second.is.depthwise) return [];
  const axes = [...wideAxes(first), ...wideAxes(second)];
  const rank = result(first.conv).type.shape.length - 2;
  if (axes.length !== rank || new Set(axes).size !== rank) return [];
  const pair = [...first.nodes, ...second.nodes];
  const lateral = first.previous;
  return first.is.depthwise && isPointwise(lateral)
    ? [{ kind: 'flattened', nodes: [...lateral.nodes, ...pair] }]
    : [{ kind: 'spatially-separable', nodes: pair }];
}

const isHalf = ({ is }: Unit): boolean => is.separableHalf && !is.transposed;

const wideAxes = ({ is }: Unit): readonly number[] =>
  is.axes.flatMap(({ kernel }, axis) => (kernel > 1 ? [axis] : []));

function subPixel(graph: Graph, unit: Unit): readonly Candidate[] {
  const reader = soleReader(graph, unit.end);
  return reader && isOp(reader, 'DepthToSpace') && !unit.is.transposed
    ? [{ kind: 'sub-pixel', nodes: [...unit.nodes, reader as Node] }]
    : [];
}

function shuffles(graph: Graph, units: ReadonlyMap<Node, Unit>): readonly Candidate[] {
  const before = new Map([...units.values()].map((unit) => [unit.end, unit]));
  return graph.nodes.flatMap((node): Candidate[] => {
    const shuffle = shuffleNodes(graph, node);
    const [first] = shuffle;
    if (!first) return [];
    const x = operand(first, 0);
    const unit = soleReader(graph, x) ? before.get(x) : undefined;
    return unit && unit.is.groups > 1 && !unit.is.depthwise
      ? [{ kind: 'grouped-shuffle', nodes: [...unit.nodes, ...shuffle] }]
      : [{ kind: 'channel-shuffle', nodes: shuffle }];
  });
}

/** The nodes of a shuffle around `node`: itself, or the reshapes before and after a Transpose. */
function shuffleNodes(graph: Graph, node: Node): readonly Node[] {
  if (isOp(node, 'ChannelShuffle')) return [node as Node];
  if (!isOp(node, 'Transpose')) return [];
  const view = producer(operand(node as Node, 0));
  const back = soleReader(graph, result(node as Node));
  if (!view || !back || !isView(view) || !isView(back) || !soleReader(graph, result(view))) return [];
  const x = operand(view, 0).type.shape;
  const y = result(back).type.shape;
  const same = x.length === y.length && x.every((size, axis) => size === y[axis]);
  return same && shuffleGroups(x, result(view).type.shape, node.attrs.perm) !== undefined
    ? [view, node as Node, back]
    : [];
}

const isView = (node: Node): boolean => opDef(node.op).traits.view === true;

interface Gate {
  readonly nodes: readonly Node[];
  readonly end: Value;
}

/** By the value that is gated. */
function squeezeExcites(graph: Graph, classes: Classes): ReadonlyMap<Value, Gate> {
  const gates = new Map<Value, Gate>();
  for (const pool of graph.nodes) {
    const x = isGlobalPool(pool) ? operand(pool, 0) : undefined;
    const gate = x && gateFrom(graph, classes, pool, x);
    if (gate) gates.set(x, gate);
  }
  return gates;
}

/** From the average of `x` through two dense layers to the product with `x`. */
function gateFrom(graph: Graph, classes: Classes, pool: Node, x: Value): Gate | undefined {
  const nodes = [pool];
  let dense = 0;
  for (let value = result(pool); ; ) {
    const followed = followChannelwise(graph, value);
    nodes.push(...followed.nodes);
    const reader = soleReader(graph, followed.end);
    if (!reader) return undefined;
    nodes.push(reader);
    if (isOp(reader, 'Mul') && reader.operands.includes(x)) {
      return dense === 2 ? { nodes, end: result(reader as Node) } : undefined;
    }
    if (classes.get(reader)?.pointwise || isOp(reader, 'Gemm') || isOp(reader, 'MatMul')) dense++;
    else if (!isView(reader)) return undefined;
    value = result(reader);
  }
}

/** Is one position left of every spatial axis, the average of all? */
function isGlobalPool(node: Node): boolean {
  if (isOp(node, 'GlobalAveragePool')) return true;
  if (!isOp(node, 'ReduceMean') && !isOp(node, 'AveragePool')) return false;
  const [x, y] = [operand(node as Node, 0).type.shape, result(node as Node).type.shape];
  const spatial = y.slice(2);
  return x.length > 2 && y[1] === x[1] && spatial.every((size) => size === 1);
}
