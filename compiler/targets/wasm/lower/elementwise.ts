/** Elementwise ops and batch normalisation as calls of the map family. */

import { loopsOver, mergeLoops, splitInnermost } from '#compiler/schedule/loops.ts';
import { axesByStride, broadcastViewStrides, type View } from '#compiler/schedule/view.ts';
import { InternalError } from '#ir/diagnostics.ts';
import { arg, constant, type Expr, formatExpr, substitute } from '#ir/expr.ts';
import {
  epilogueOperands,
  isOp,
  type Node,
  opDef,
  operand,
  ownInputs,
  tensorOf,
  type Value,
} from '#ir/graph.ts';
import { f32 } from '#ir/tensor.ts';
import { constantFloats, type LowerContext } from '../context.ts';

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
    if (data?.length === 1) return constant(Number(data[0]));
    if (value) operands.push(value);
    return arg(operands.length - 1);
  });
  return { expr: substitute(expr, (i) => terms[i] ?? arg(i)), operands };
}

export function lowerElementwise(node: Node, context: LowerContext): void {
  const { expr, operands } = elementwiseParts(node);
  const out = context.output(node);
  emitMap(
    context,
    expr,
    operands.map((value) => readable(context, value, out)),
    out,
  );
}

/** A view of an operand whose elements lie side by side where the output's do, or are one value for all. */
function readable(context: LowerContext, value: Value, out: View): View {
  const view = context.anyView(value);
  const [innermost] = axesByStride(out)
    .filter((axis) => (out.shape[axis] ?? 1) > 1)
    .slice(-1);
  if (innermost === undefined) return view;
  const step = broadcastViewStrides(view, out.shape)[innermost];
  if (step === 4 || step === 0) return view;
  const channelsLast = innermost === 1 && value.type.shape.length === out.shape.length;
  return context.view(value, channelsLast ? 'channelsLast' : 'rowMajor');
}

function emitMap(context: LowerContext, expr: Expr, inputs: readonly View[], out: View): void {
  const strides = [out.strides, ...inputs.map((view) => broadcastViewStrides(view, out.shape))];
  const loops = mergeLoops(loopsOver(out.shape, strides, axesByStride(out)));
  const { outer, inner } = splitInnermost(loops, strides.length);
  context.call(
    {
      family: 'map',
      params: {
        outer,
        count: inner.count,
        inputs: inner.steps.slice(1).map((step) => (step === 4 ? 'vector' : 'splat')),
        expr: formatExpr(expr),
      },
    },
    [...inputs, out],
  );
}

/** (x − mean) / √(variance + ε) · scale + bias, as x · a + b with a and b computed now. */
export function lowerBatchNormalization(node: Node, context: LowerContext): void {
  if (!isOp(node, 'BatchNormalization')) return;
  const scale = constantFloats(node, 1);
  const bias = constantFloats(node, 2);
  const mean = constantFloats(node, 3);
  const variance = constantFloats(node, 4);
  const factor = scale.map((s, c) => s / Math.sqrt((variance[c] ?? 0) + node.attrs.epsilon));
  const offset = bias.map((b, c) => b - (mean[c] ?? 0) * (factor[c] ?? 0));
  const out = context.output(node);
  const shape = out.shape.map((size, axis) => (axis === 1 ? size : 1));
  const affine: Expr = {
    kind: 'binary',
    fn: 'add',
    x: { kind: 'binary', fn: 'mul', x: arg(0), y: arg(1) },
    y: arg(2),
  };
  const expr = node.epilogue ? substitute(node.epilogue, (i) => (i === 0 ? affine : arg(i + 2))) : affine;
  const extras = epilogueOperands(node).flatMap((v) => (v ? [readable(context, v, out)] : []));
  const inputs = [
    readable(context, operand(node, 0), out),
    context.constant(f32(shape, factor)),
    context.constant(f32(shape, offset)),
    ...extras,
  ];
  emitMap(context, expr, inputs, out);
}
