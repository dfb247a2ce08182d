/** Exact products of integers, and those of quantised operands brought back to a quantised type. */
import {
  convContraction,
  knownProductOf,
  matMulContraction,
  type Subtract,
} from '#compiler/schedule/contract.ts';
import { layoutStrides, type View } from '#compiler/schedule/view.ts';
import { arg, binary, type Expr, unary } from '#ir/expr.ts';
import { isOp, type Node, result } from '#ir/graph.ts';
import { PLAIN, QUANTISED, type Slots } from '#ir/ops/integer-product.ts';
import { quantizedRange } from '#ir/ops/quantize.ts';
import { tensor } from '#ir/tensor.ts';
import type { Shape } from '#ir/types.ts';
import { inWords, type LowerContext, packedWords } from '../context.ts';

/** Σ (a − zero)(b − zero) at `out`, which is dense in row-major order for a product of matrices. */
function emitSums(node: Node, context: LowerContext, slots: Slots, out: View): void {
  const subtract: Subtract = (x, zero, strides, to) =>
    context.map('sub(x0, x1)', [x, { ...zero, shape: x.shape, strides }], to, 'i32');
  const { a, b, kept, reduced } =
    isOp(node, 'ConvInteger') || isOp(node, 'QLinearConv')
      ? convContraction(node, context, { attrs: node.attrs, slots, out }, subtract)
      : matMulContraction(node, context, { slots, out }, subtract);
  context.call({ family: 'contract', params: { kept: inWords(kept), reduced: inWords(reduced) } }, [
    a,
    b,
    out,
  ]);
}

export const lowerIntegerProduct = (node: Node, context: LowerContext): void =>
  emitSums(node, context, PLAIN, context.output(node));

export const quantisedRefusal = (node: Node): string | undefined =>
  knownProductOf(node) ? undefined : `${node.op} that could not be written in other operators`;

/** saturate(round(sum·factor) + zero) of x0, a sum, and x1, its factor. */
function requantised(zero: number, [low, high]: readonly [number, number]): Expr {
  const rounded = unary('round', binary('mul', arg(0), arg(1)));
  return binary('min', binary('max', binary('add', rounded, zero), low), high);
}

/** QLinearConv and QLinearMatMul of known weights and scales. */
export function lowerQLinear(node: Node, context: LowerContext): void {
  const known = knownProductOf(node);
  if (!known) return;
  const { shape, dtype } = result(node).type;
  const axis = isOp(node, 'QLinearConv') ? 1 : shape.length - 1;
  /** One number for all, or one per output channel. */
  const spread = (view: View, count: number): View => {
    const own: Shape = shape.map((_, a) => (a === axis && count > 1 ? count : 1));
    return { ...view, shape: own, strides: layoutStrides(own, view.dtype, 'rowMajor') };
  };
  const out = context.output(node);
  const sums: View = { ...context.scratch(shape, 'i32'), strides: out.strides };
  emitSums(node, context, QUANTISED, sums);
  const { bias, factors, zero } = known;
  if (bias) {
    const added = context.constant(tensor('i32', [bias.length], bias));
    context.map('add(x0, x1)', [sums, spread(added, bias.length)], sums, 'i32');
  }
  // whole in half precision too, where small factors would be none
  const scale = spread(context.table(packedWords(factors)), factors.length);
  context.map(requantised(zero, quantizedRange(dtype)), [sums, scale], out, dtype, 'f32');
}
