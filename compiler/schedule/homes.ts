/** Results that are written where a Concat wants them, among the channels of its own result, so that it copies nothing. */
import { type Graph, isOp, type Node, type OpName, producer, type Value } from '#ir/graph.ts';
import { elementCount, type Layout } from '#ir/types.ts';
import { nodeExpression } from './elementwise.ts';

/** A place among the channels of the result of a Concat. */
export interface Home {
  readonly concat: Value;
  readonly channel: number;
}

/** Ops whose kernels store by the strides of their result; elementwise ones do too. */
const STRIDED: ReadonlySet<OpName> = new Set<OpName>([
  'Conv',
  'ShuffledConv',
  'ConvTranspose',
  'MaxPool',
  'AveragePool',
  'Concat',
]);

/** Kernels load and store so many channels at once, which should not begin across a boundary of them. */
const VECTOR = 4;

/**
 * Where operands of a Concat of channels go. The largest comes first: of values that several join, as the layers of a dense block
 * do, the smaller ones are then parts of it.
 */
export function homesOf(graph: Graph, layouts: ReadonlyMap<Value, Layout>): ReadonlyMap<Value, Home> {
  const layoutOf = (value: Value): Layout => layouts.get(value) ?? 'rowMajor';
  const homes = new Map<Value, Home>();
  const outputs = new Set(graph.outputs.map(({ value }) => value));
  const joins = graph.nodes.flatMap((node) => {
    const [result] = node.outputs;
    return result && joinsChannels(node, layoutOf) ? [{ node, result }] : [];
  });
  joins.sort((a, b) => elementCount(b.result.type.shape) - elementCount(a.result.type.shape));
  const places = new Map(graph.nodes.map((node, place) => [node, place]));
  for (const { node, result } of joins) {
    const late = madeTogether(node, places);
    let channel = 0;
    for (const value of node.operands) {
      if (!value) continue;
      const movable = !homes.has(value) && !outputs.has(value) && storesByStrides(value, layoutOf);
      if (movable && late.has(value) && channel % VECTOR === 0) homes.set(value, { concat: result, channel });
      channel += value.type.shape[1] ?? 0;
    }
  }
  return homes;
}

/** Memory for a whole join is not begun with a part of which the others are this many nodes away, as a skip connection is. */
const MOST_APART = 16;

/** Operands of a join that are made shortly before it, or before others that are. */
function madeTogether(join: Node, places: ReadonlyMap<Node, number>): ReadonlySet<Value> {
  const made = join.operands.flatMap((value) => {
    const place = value && places.get(producer(value) as Node);
    return value && place !== undefined ? [{ value, place }] : [];
  });
  made.sort((a, b) => b.place - a.place);
  const together = new Set<Value>();
  let next = places.get(join) ?? 0;
  for (const { value, place } of made) {
    if (next - place > MOST_APART) break;
    together.add(value);
    next = place;
  }
  return together;
}

/** Does the node join floats along their channels, pixel by pixel, in whole vectors? */
function joinsChannels(node: Node, layoutOf: (value: Value) => Layout): boolean {
  const [result] = node.outputs;
  if (!isOp(node, 'Concat') || node.attrs.axis !== 1 || !result) return false;
  const { shape, dtype } = result.type;
  return dtype === 'f32' && (shape[1] ?? 0) % VECTOR === 0 && layoutOf(result) === 'channelsLast';
}

function storesByStrides(value: Value, layoutOf: (value: Value) => Layout): boolean {
  const node = producer(value);
  if (!node || elementCount(value.type.shape) === 0 || layoutOf(value) !== 'channelsLast') return false;
  // of one channel the elements of a row would be side by side, and are not among others
  if (value.type.shape[1] === 1) return false;
  return STRIDED.has(node.op) || nodeExpression(node) !== undefined;
}
