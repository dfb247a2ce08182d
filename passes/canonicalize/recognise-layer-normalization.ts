/**
 * Before      Add(Mul(Div(d, Sqrt(Add(ReduceMean(d²), ε))), scale), bias), d = Sub(x, ReduceMean(x)), d² = Pow(d, 2) or
 *             Mul(d, d); with or without the Add
 * After       LayerNormalization(x, scale, bias)
 * Conditions  both means over all axes from one on; ε one number; scale and bias constants of these axes alone, which do not
 *             enlarge x; nobody else reads a step on the way
 */
import {
  constantOf,
  type Graph,
  isOp,
  type Node,
  type OpName,
  operand,
  producer,
  result,
  tensorOf,
  type Value,
} from '#ir/graph.ts';
import { sameShape } from '#ir/types.ts';
import { soleUser, supersede } from '../edit.ts';
import { definePass } from '../pass.ts';
import { applyRules, defineRule, no, op } from '../pattern.ts';
import { noEpilogues } from '../properties.ts';

interface Plan {
  readonly x: Value;
  readonly y: Value;
  readonly scale: Value;
  readonly bias: Value | undefined;
  readonly axis: number;
  readonly epsilon: number;
  readonly name: string;
}

/** What a quotient normalises. */
interface Normalised {
  readonly x: Value;
  readonly axis: number;
  readonly epsilon: number;
  /** The nodes before the quotient. */
  readonly steps: readonly Node[];
}

const quotient = op('Div');

const rule = defineRule<Plan>({
  name: 'recogniseLayerNormalization',
  pattern: quotient,
  check(match, graph) {
    const node: Node = match.node(quotient);
    const found = normalisedBy(node);
    if (!found) return undefined;
    const scaling = soleUser(graph, result(node));
    const scale = isOp(scaling, 'Mul') ? affineOperand(scaling as Node, result(node), found) : undefined;
    if (!scaling || !scale) return no(`"${result(node).name}" is not scaled by constants, as the op asks`);
    const inside = new Set([...found.steps, node]);
    const seen = found.steps.find((s) => readOutside(result(s), inside, graph));
    if (seen) return no(`"${result(seen).name}" is a step of it that others read`);
    const adding = soleUser(graph, result(scaling));
    const bias = isOp(adding, 'Add') ? affineOperand(adding as Node, result(scaling), found) : undefined;
    const end = bias && adding ? adding : scaling;
    return { ...found, scale, bias, y: result(end), name: end.name };
  },
  rewrite({ x, y, scale, bias, axis, epsilon, name }, graph) {
    const inputs = bias ? [x, scale, bias] : [x, scale];
    const node = graph.addNode('LayerNormalization', inputs, { axis, epsilon }, { name });
    supersede(graph, y, result(node as Node));
  },
});

const readOutside = (value: Value, steps: ReadonlySet<Node>, graph: Graph): boolean =>
  graph.isOutput(value) || value.uses.some((use) => !steps.has(use.node));

const madeBy = <K extends OpName>(value: Value, kind: K): Node<K> | undefined => {
  const node = producer(value);
  return isOp(node, kind) ? node : undefined;
};

/** d / √(mean(d²) + ε) with d = x − mean(x). */
function normalisedBy(node: Node): Normalised | undefined {
  const d = operand(node, 0);
  const centre = madeBy(d, 'Sub') as Node | undefined;
  const root = madeBy(operand(node, 1), 'Sqrt') as Node | undefined;
  const shifted = root && (madeBy(operand(root, 0), 'Add') as Node | undefined);
  if (!centre || !root || !shifted) return undefined;
  const [p, q] = [operand(shifted, 0), operand(shifted, 1)];
  const epsilon = numberOf(q) ?? numberOf(p);
  const variance = madeBy(numberOf(q) === undefined ? q : p, 'ReduceMean');
  const [x, mean] = [operand(centre, 0), madeBy(operand(centre, 1), 'ReduceMean')];
  if (epsilon === undefined || !variance || !mean || operand(mean as Node, 0) !== x) return undefined;
  const squared = operand(variance as Node, 0);
  const square = producer(squared);
  const isSquare =
    (isOp(square, 'Pow') && operand(square as Node, 0) === d && numberOf(operand(square as Node, 1)) === 2) ||
    (isOp(square, 'Mul') && square.operands.every((v) => v === d));
  const axis = firstAxis(mean, x);
  if (!square || !isSquare || axis === undefined || axis !== firstAxis(variance, squared)) return undefined;
  return { x, axis, epsilon, steps: [mean as Node, centre, square, variance as Node, shifted, root] };
}

/** The axis from which on a mean is over all, kept as axes of size 1. */
function firstAxis({ attrs }: Node<'ReduceMean'>, x: Value): number | undefined {
  const axes = [...attrs.axes].sort((a, b) => a - b);
  const rank = x.type.shape.length;
  const from = rank - axes.length;
  const last = axes.length > 0 && axes.every((axis, i) => axis === from + i);
  return last && attrs.keepDims && x.type.dtype === 'f32' ? from : undefined;
}

function numberOf(value: Value): number | undefined {
  const data = tensorOf(value)?.data;
  return data?.length === 1 && value.type.dtype === 'f32' ? Number(data[0]) : undefined;
}

/** The constant beside `value`, where it is one of the axes that are normalised. */
function affineOperand(node: Node, value: Value, { x, axis }: Normalised): Value | undefined {
  const other = node.operands.find((v) => v !== value);
  const shape = constantOf(other)?.type.shape;
  const fits =
    shape && shape.length <= x.type.shape.length - axis && sameShape(result(node).type.shape, x.type.shape);
  return fits ? other : undefined;
}

export const recogniseLayerNormalization = definePass({
  name: 'recogniseLayerNormalization',
  summary: 'Recognises a layer normalisation spelled as means, a root and a quotient',
  requires: [noEpilogues],
  ensures: [noEpilogues],
  run: (graph, context) => applyRules(graph, [rule], context),
});
