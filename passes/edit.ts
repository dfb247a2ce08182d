/** The edits that rewrites are made of. A value that takes another's place takes its name too. */
import type { Expr } from '#ir/expr.ts';
import {
  constantOf,
  type Graph,
  type Node,
  type OpAttrs,
  type OpAttrsInput,
  type OpName,
  ownInputs,
  producer,
  result,
  type Value,
} from '#ir/graph.ts';
import { type Constant, f32, type Tensor } from '#ir/tensor.ts';
import { elementCount, type Shape } from '#ir/types.ts';

/** Is the node still part of its graph? A removed node has lost its operands. */
export const isLive = (node: Node): boolean => node.operands.length >= node.arity;

/** `by`, which was made for this, stands where `old` stood and takes its name; what nobody reads any more goes. */
export function supersede(graph: Graph, old: Value, by: Value): void {
  redirect(graph, old, by);
  takeName(by, old);
}

/** Gives `by` the name of a value that is no longer part of the graph. */
const takeName = (by: Value, old: Value): void => {
  (by as { name: string }).name = old.name;
};

/** The constant `by` takes the name of `old`, which it was computed from, unless somebody still reads that. */
export function inheritName(graph: Graph, by: Value, old: Value): void {
  if (by !== old && !graph.isUsed(old)) takeName(by, old);
}

/** Whoever read `old` reads `by` from now on, a value that was there before; what nobody reads any more goes. */
export function redirect(graph: Graph, old: Value, by: Value): void {
  graph.replaceUses(old, by);
  removeDead(graph, producer(old));
}

/** Removes a node whose outputs nobody reads, and the nodes before it that this leaves unread. */
export function removeDead(graph: Graph, node: Node | undefined): number {
  let removed = 0;
  const pending = node ? [node] : [];
  for (let next = pending.pop(); next; next = pending.pop()) {
    if (!isLive(next) || next.outputs.some((v) => graph.isUsed(v))) continue;
    const before = next.operands.map(producer);
    graph.removeNode(next);
    removed++;
    for (const p of before) if (p) pending.push(p);
  }
  return removed;
}

export interface NodeChange<K extends OpName> {
  readonly inputs?: readonly (Value | undefined)[];
  readonly attrs?: Partial<OpAttrs<K>>;
  /** Another node whose (only) output the changed one stands for; the node itself where absent. */
  readonly standsFor?: Value;
  readonly epilogue?: { readonly expr: Expr; readonly operands: readonly Value[] };
}

/** A node like `node` but for `change`, in its place; `node` goes if nobody else reads it. */
export function rebuild<K extends OpName>(graph: Graph, node: Node<K>, change: NodeChange<K>): Node<K> {
  const changed = graph.addNode(
    node.op,
    change.inputs ?? ownInputs(node as Node),
    { ...node.attrs, ...change.attrs } as unknown as OpAttrsInput<K>,
    {
      name: node.name,
      ...(node.origin ? { origin: node.origin } : {}),
      ...(change.epilogue ? { epilogue: change.epilogue } : {}),
    },
  );
  if (change.standsFor) supersede(graph, change.standsFor, result(changed as Node));
  else
    node.outputs.forEach((old, i) => {
      supersede(graph, old, result(changed as Node, i));
    });
  removeDead(graph, node as Node);
  return changed;
}

export interface NewWeights<K extends OpName> {
  readonly x: Value;
  readonly weight: Constant;
  readonly bias?: Constant | undefined;
  readonly attrs?: Partial<OpAttrs<K>>;
  readonly standsFor?: Value;
}

/**
 * A layer (data, weight, bias) like `node` over other weights, in its place. New constants take the names of those that
 * they stand for, unless somebody still reads these; a constant that is the old one stays.
 */
export function reweigh<K extends OpName>(
  graph: Graph,
  node: Node<K>,
  { x, weight, bias, ...change }: NewWeights<K>,
): Node<K> {
  const before = [...node.operands];
  const named = (slot: number, constant: Constant, suffix: string): Value => {
    const old = before[slot];
    if (old && constantOf(old) === constant) return old;
    return graph.addConstant(old?.name ?? `${node.name}_${suffix}`, constant);
  };
  const w = named(1, weight, 'weight');
  const b = bias && named(2, bias, 'bias');
  const changed = rebuild(graph, node, { inputs: b ? [x, w, b] : [x, w], ...change });
  [w, b].forEach((value, i) => {
    const old = before[i + 1];
    if (value && old) inheritName(graph, value, old);
  });
  return changed;
}

/** The only node that reads `value`, in however many slots; undefined where there are others or it is an output. */
export function soleUser(graph: Graph, value: Value): Node | undefined {
  const [first] = value.uses;
  if (!first || graph.isOutput(value)) return undefined;
  return value.uses.every((use) => use.node === first.node) ? first.node : undefined;
}

/** Who reads `value` besides `user`, in words for a refusal; undefined where nobody does. */
export function otherReader(graph: Graph, value: Value, user: Node): string | undefined {
  if (graph.isOutput(value)) return `"${value.name}" is also an output of the graph`;
  const other = value.uses.find((use) => use.node !== user)?.node;
  return other && `"${value.name}" is also read by "${other.name}"`;
}

export const missingConstant = (shape: Shape, reason: string): Constant => ({
  type: { dtype: 'f32', shape },
  data: null,
  missing: reason,
});

/**
 * An f32 constant computed from others in double arithmetic and rounded once. Where one of them has no data, the
 * result has none either, so that a model without its weights is rewritten all the same.
 */
export function derive(
  shape: Shape,
  from: readonly Constant[],
  compute: (...data: Tensor['data'][]) => (index: number) => number,
): Constant {
  const data: Tensor['data'][] = [];
  for (const constant of from) {
    if (!constant.data) return missingConstant(shape, constant.missing);
    data.push(constant.data);
  }
  const at = compute(...data);
  const values = new Float32Array(elementCount(shape));
  for (let i = 0; i < values.length; i++) values[i] = at(i);
  return f32(shape, values);
}
