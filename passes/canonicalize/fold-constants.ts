/**
 * Before      y = f(c, d), c and d constants; n = Shape(x), whatever x is
 * After       y and n constants
 * Conditions  the result is not large beside what it is computed from, and not long to compute; where the data of an
 *             operand is missing, so is that of the result, and the graph folds all the same
 * Formula     the reference evaluator
 */
import { evaluateNode } from '#ir/evaluate.ts';
import { constantOf, type Graph, type Node, opCost, opDef, tensorOf, type Value } from '#ir/graph.ts';
import { type Constant, type Tensor, tensor } from '#ir/tensor.ts';
import { elementCount, type TensorType } from '#ir/types.ts';
import { supersede } from '../edit.ts';
import { definePass } from '../pass.ts';
import { applyRules, defineRule, type No, no, nodeThat } from '../pattern.ts';
import { noDeadNodes } from '../properties.ts';

/** Results up to this many elements are always folded; larger ones only if they are no larger than their operands. */
const SMALL_RESULT = 2 ** 16;
/** Arithmetic that is worth doing at compile time. */
const MOST_OPERATIONS = 2 ** 28;

interface Folding {
  readonly node: Node;
  /** The first operand without data; undefined where all is known. */
  readonly missing: string | undefined;
}

const ofTypes = (node: Node): boolean => opDef(node.op).traits.ofTypes === true;

const foldable = nodeThat(
  (node) => node.operands.length > 0 && (ofTypes(node) || node.operands.every((v) => !v || constantOf(v))),
);

const rule = defineRule<Folding>({
  name: 'foldConstants',
  pattern: foldable,
  check(match) {
    const node: Node = match.node(foldable);
    return tooMuch(node) ?? { node, missing: ofTypes(node) ? undefined : missingData(node) };
  },
  rewrite({ node, missing }, graph) {
    const results =
      missing === undefined
        ? evaluateNode(node, dataOrPlaceholder)
        : node.outputs.map(({ type }) => absent(type, missing));
    node.outputs.forEach((old, i) => {
      const constant = results[i];
      if (constant && graph.isUsed(old)) replace(graph, old, constant);
    });
  },
});

const replace = (graph: Graph, old: Value, constant: Constant): void =>
  supersede(graph, old, graph.addConstant(old.name, constant));

const absent = (type: TensorType, missing: string): Constant => ({ type, data: null, missing });

/** An op that reads only the types of its operands does not need their values. */
const dataOrPlaceholder = (value: Value): Tensor =>
  tensorOf(value) ?? { type: value.type, data: tensor(value.type.dtype, [0], []).data };

const missingData = (node: Node): string | undefined => {
  for (const value of node.operands) {
    const constant = constantOf(value);
    if (constant && !constant.data) return constant.missing;
  }
  return undefined;
};

function tooMuch(node: Node): No | undefined {
  const total = (values: readonly (Value | undefined)[]) =>
    values.reduce((sum, v) => sum + (v ? elementCount(v.type.shape) : 0), 0);
  const made = total(node.outputs);
  if (made > SMALL_RESULT && made > total(node.operands)) return no(`the result has ${made} elements`);
  const { macs, otherOps } = opCost(node);
  return macs + otherOps > MOST_OPERATIONS ? no(`it takes ${macs + otherOps} operations`) : undefined;
}

export const foldConstants = definePass({
  name: 'foldConstants',
  summary: 'Computes what depends on constants only',
  requires: [noDeadNodes],
  ensures: [noDeadNodes],
  run: (graph, context) => applyRules(graph, [rule], context),
});
