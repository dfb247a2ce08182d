/** Merging an elementwise node into the epilogue of a node that produces one of its operands. */
import { arg, constant, type Expr, operationCount, substitute } from '#ir/expr.ts';
import {
  epilogueOperands,
  type Graph,
  type Node,
  opDef,
  operand,
  ownInputs,
  producer,
  result,
  tensorOf,
  type Value,
} from '#ir/graph.ts';
import { simplify } from '#ir/simplify.ts';
import { elementCount, sameShape } from '#ir/types.ts';
import { otherReader, removeDead, soleUser, supersede } from '../edit.ts';
import { type No, no } from '../pattern.ts';

/** Beyond these an epilogue is no longer cheap beside its anchor, and would be awkward for kernels. */
const MOST_OPERATIONS = 96;
const MOST_OPERANDS = 6;

export const isElementwise = (node: Node): boolean => opDef(node.op).expression !== undefined;
export const takesEpilogue = (node: Node): boolean => opDef(node.op).traits.epilogue === true;

export interface Fusion {
  /** The node whose epilogue grows. */
  readonly anchor: Node;
  /** The node whose place the anchor takes; the anchor itself where an operand of its epilogue is drawn in. */
  readonly replaced: Node;
  readonly expr: Expr;
  readonly operands: readonly Value[];
}

/** What an elementwise node does to one element, as an expression whose argument i is operand slot i. */
function nodeExpr(node: Node): Expr {
  const expression = opDef(node.op).expression;
  const own = expression ? expression(node.attrs as never, node.arity) : arg(0);
  if (!node.epilogue) return own;
  return substitute(node.epilogue, (i) => (i === 0 ? own : arg(node.arity + i - 1)));
}

/** The number that a constant of one element is, where it is known. */
function scalarOf(value: Value): number | undefined {
  const tensor = tensorOf(value);
  return tensor && elementCount(tensor.type.shape) === 1 ? Number(tensor.data[0]) : undefined;
}

/** Operands of an elementwise node other than numbers and `result(anchor)`, each once. */
export function otherOperands(node: Node, anchor: Node): Value[] {
  const others = node.operands.flatMap((v) =>
    v && v !== anchor.outputs[0] && scalarOf(v) === undefined ? [v] : [],
  );
  return [...new Set(others)];
}

/** The nodes that could take `node` into their epilogue, by op alone; the last in the graph's order first. */
export function anchorsOf(node: Node, graph: Graph, accept: (anchor: Node) => boolean): Node[] {
  const found = new Set<Node>();
  for (const value of node.operands) {
    const anchor = producer(value);
    if (anchor && anchor.outputs[0] === value && takesEpilogue(anchor) && accept(anchor)) found.add(anchor);
  }
  if (found.size < 2) return [...found];
  return graph.nodes.filter((n) => found.has(n)).reverse();
}

/**
 * The fusion of elementwise `node` into `anchor`, or why it cannot be. The anchor's result must have no other reader, so
 * no operand of `node` can depend on the anchor but through it: all are there before the anchor runs.
 */
export function planFusion(graph: Graph, node: Node, anchor: Node): Fusion | No {
  const fused = result(anchor);
  const other = otherReader(graph, fused, node) ?? secondOutput(graph, anchor);
  if (other) return no(other);
  if (fused.type.dtype !== 'f32' || result(node).type.dtype !== 'f32')
    return no('the element type is not f32');
  const odd = node.operands.find((v) => v && v.type.dtype !== 'f32' && !conditionOf(graph, v, node));
  if (odd) return no(`operand "${odd.name}" is ${odd.type.dtype}, not f32`);
  if (!sameShape(fused.type.shape, result(node).type.shape)) {
    return no(`the result of "${node.name}" is larger than that of "${anchor.name}"`);
  }
  const merged = new Epilogue(epilogueOperands(anchor));
  const before = anchor.epilogue ?? arg(0);
  const expr = substitute(nodeExpr(node), (slot) => {
    const value = node.operands[slot];
    if (!value || value === fused) return before;
    const condition = conditionOf(graph, value, node);
    return condition
      ? substitute(nodeExpr(condition), (i) => merged.term(operand(condition, i)))
      : merged.term(value);
  });
  return merged.finish(anchor, node, expr);
}

/**
 * The fusion of elementwise `node` into the epilogue that reads its result, where the anchor of that epilogue is its
 * only reader and as large; undefined where this is not so.
 */
export function planInline(graph: Graph, node: Node): Fusion | No | undefined {
  const value = result(node);
  const anchor = soleUser(graph, value);
  if (!anchor?.epilogue || isElementwise(anchor) || ownInputs(anchor).includes(value)) return undefined;
  if (!sameShape(value.type.shape, result(anchor).type.shape)) return undefined;
  if (node.operands.some((v) => v?.type.dtype !== 'f32')) return undefined;
  const merged = new Epilogue([]);
  const inner = substitute(nodeExpr(node), (slot) => merged.term(operand(node, slot)));
  const expr = substitute(anchor.epilogue, (i) => {
    const read = anchor.operands[anchor.arity + i - 1];
    if (i === 0 || !read) return arg(0);
    return read === value ? inner : merged.term(read);
  });
  return merged.finish(anchor, anchor, expr);
}

/** An epilogue in the making: its extra operands, each once. */
class Epilogue {
  readonly #operands: Value[];

  constructor(operands: readonly (Value | undefined)[]) {
    this.#operands = operands.flatMap((v) => (v ? [v] : []));
  }

  /** What stands for a value: the number that it is, or an argument. */
  term(value: Value): Expr {
    const number = scalarOf(value);
    if (number !== undefined) return constant(number);
    if (!this.#operands.includes(value)) this.#operands.push(value);
    return arg(this.#operands.indexOf(value) + 1);
  }

  finish(anchor: Node, replaced: Node, e: Expr): Fusion | No {
    const expr = simplify(e);
    const operations = operationCount(expr);
    if (operations > MOST_OPERATIONS) return no(`the epilogue would have ${operations} operations`);
    const operands = this.#operands;
    if (operands.length > MOST_OPERANDS) return no(`the epilogue would have ${operands.length} operands`);
    return { anchor, replaced, expr, operands };
  }
}

/** The comparison of f32 values that makes a condition for `reader` alone, which can be part of its expression. */
function conditionOf(graph: Graph, value: Value, reader: Node): Node | undefined {
  const node = producer(value);
  const fits =
    node &&
    value.type.dtype === 'bool' &&
    isElementwise(node) &&
    soleUser(graph, value) === reader &&
    sameShape(value.type.shape, result(reader).type.shape) &&
    node.operands.every((v) => v?.type.dtype === 'f32');
  return fits ? node : undefined;
}

const secondOutput = (graph: Graph, anchor: Node): string | undefined => {
  const used = anchor.outputs.slice(1).find((v) => graph.isUsed(v));
  return used && `"${used.name}" of the same node is also read`;
};

/** Carries a fusion out, in place, so that the order of the layers stays; the result takes the name of the one that goes. */
export function fuse({ anchor, replaced, expr, operands }: Fusion, graph: Graph): void {
  const drawnIn = epilogueOperands(anchor);
  graph.setEpilogue(anchor, expr, operands);
  if (replaced !== anchor) supersede(graph, result(replaced), result(anchor));
  for (const value of drawnIn) removeDead(graph, producer(value));
}
