/** Exact products of bytes whose weights are computed: operands minus their zero points, multiplied and summed as integers. */
import {
  type Contraction,
  convContraction,
  matMulContraction,
  type Subtract,
} from '#compiler/schedule/contract.ts';
import { loopsOver, mergeLoops } from '#compiler/schedule/loops.ts';
import { axesByStride, type View } from '#compiler/schedule/view.ts';
import { isOp, type Node } from '#ir/graph.ts';
import { PLAIN } from '#ir/ops/integer-product.ts';
import type { LowerContext } from '../context.ts';
import { lowerKnownConvInteger, lowerKnownMatMulInteger } from './dot.ts';

const subtractIn =
  (context: LowerContext): Subtract =>
  (input, zero, strides, out) => {
    const loops = mergeLoops(loopsOver(out.shape, [out.strides, input.strides, strides], axesByStride(out)));
    const params = {
      loops,
      inputs: [input.dtype, zero.dtype],
      output: 'i32' as const,
      domain: 'i64' as const,
      expr: 'sub(x0, x1)',
    };
    context.call({ family: 'scalarMap', params }, [input, zero, out]);
  };

function contract(context: LowerContext, { a, b, kept, reduced }: Contraction, out: View): void {
  const params = { a: a.dtype, b: b.dtype, output: 'i32' as const, kept, reduced };
  context.call({ family: 'contract', params }, [a, b, out]);
}

export function lowerConvInteger(node: Node, context: LowerContext): void {
  if (!isOp(node, 'ConvInteger') || lowerKnownConvInteger(node, context)) return;
  const out = context.output(node);
  const given = { attrs: node.attrs, slots: PLAIN, out };
  contract(context, convContraction(node, context, given, subtractIn(context)), out);
}

export function lowerMatMulInteger(node: Node, context: LowerContext): void {
  if (!isOp(node, 'MatMulInteger') || lowerKnownMatMulInteger(node, context)) return;
  const out = context.output(node);
  contract(context, matMulContraction(node, context, { slots: PLAIN, out }, subtractIn(context)), out);
}
