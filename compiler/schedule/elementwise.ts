/** Elementwise nodes as one expression, for every target. */
import { InternalError } from '#ir/diagnostics.ts';
import { arg, constant, type Expr, substitute } from '#ir/expr.ts';
import { epilogueOperands, type Node, opDef, ownInputs, tensorOf, type Value } from '#ir/graph.ts';

/** The whole expression of an elementwise node over its operands, epilogue included. */
export function nodeExpression(node: Node): Expr | undefined {
  const own = opDef(node.op).expression?.(node.attrs as never, node.arity);
  if (!own || !node.epilogue) return own;
  return substitute(node.epilogue, (i) => (i === 0 ? own : arg(node.arity + i - 1)));
}

/** The expression with single-element constants written into it, and the operands that are left. */
export function elementwiseParts(node: Node): { expr: Expr; operands: Value[] } {
  const expr = nodeExpression(node);
  if (!expr) throw new InternalError(`${node.op} has no expression`);
  const operands: Value[] = [];
  const terms = [...ownInputs(node), ...epilogueOperands(node)].map((value): Expr => {
    const data = tensorOf(value)?.data;
    const only = data?.length === 1 ? Number(data[0]) : undefined;
    // beyond 2^53 a number would not be the integer that it stands for
    if (only !== undefined && (value?.type.dtype === 'f32' || Number.isSafeInteger(only)))
      return constant(only);
    if (value) operands.push(value);
    return arg(operands.length - 1);
  });
  return { expr: substitute(expr, (i) => terms[i] ?? arg(i)), operands };
}
