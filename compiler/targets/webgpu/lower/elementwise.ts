/** Elementwise ops and casts as calls of the map family. */
import { elementwiseParts } from '#compiler/schedule/elementwise.ts';
import type { View } from '#compiler/schedule/view.ts';
import { arg } from '#ir/expr.ts';
import { type Node, operand, result } from '#ir/graph.ts';
import type { DType } from '#ir/types.ts';
import type { LowerContext } from '../context.ts';
import { type Domain, unsupportedIn } from '../wgsl-expr.ts';
import { wordOf } from '../words.ts';

/** Floats where any is one, unsigned integers where all are, else signed ones. */
function domainOf(types: readonly DType[]): Domain {
  if (types.includes('f32')) return 'f32';
  return types.every((type) => wordOf(type) === 'u32' || type === 'bool') &&
    types.some((t) => wordOf(t) === 'u32')
    ? 'u32'
    : 'i32';
}

export function elementwiseRefusal(node: Node): string | undefined {
  const { expr, operands } = elementwiseParts(node);
  const domain = domainOf([...operands.map((v) => v.type.dtype), result(node).type.dtype]);
  const missing = unsupportedIn(expr, domain);
  return missing === undefined ? undefined : `no code for ${missing} of ${domain}`;
}

export function lowerElementwise(node: Node, context: LowerContext): void {
  const { expr, operands } = elementwiseParts(node);
  const { dtype } = result(node).type;
  const domain = domainOf([...operands.map((v) => v.type.dtype), dtype]);
  const inputs = operands.map((value) => ranked(context.anyView(value), result(node).type.shape.length));
  context.map(expr, inputs, context.output(node), dtype, domain);
}

/** A view with leading axes of size 1. */
const ranked = (view: View, rank: number): View => {
  const lead = rank - view.shape.length;
  return {
    ...view,
    shape: [...new Array<number>(lead).fill(1), ...view.shape],
    strides: [...new Array<number>(lead).fill(0), ...view.strides],
  };
};

/** From floats by truncation, from integers exactly, to bool by `≠ 0`. */
export function lowerCast(node: Node, context: LowerContext): void {
  const input = context.anyView(operand(node, 0));
  const { dtype } = result(node).type;
  context.map(arg(0), [input], context.output(node), dtype, wordOf(operand(node, 0).type.dtype));
}
