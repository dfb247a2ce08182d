/** Elementwise ops and batch normalisation as calls of the map family. */

import { loopsOver, mergeLoops, splitInnermost } from '#compiler/schedule/loops.ts';
import { axesByStride, broadcastViewStrides, reshapeView, type View } from '#compiler/schedule/view.ts';
import { InternalError } from '#ir/diagnostics.ts';
import { arg, binary, constant, type Expr, formatExpr, substitute, unary } from '#ir/expr.ts';
import {
  epilogueOperands,
  isOp,
  type Node,
  opDef,
  operand,
  ownInputs,
  result,
  tensorOf,
  type Value,
} from '#ir/graph.ts';
import { f32 } from '#ir/tensor.ts';
import { bytesOf, type Shape } from '#ir/types.ts';
import type { LowerContext } from '../context.ts';
import { isLaneType } from '../kernels/lanes.ts';
import { type Domain, domainOf, unsupportedScalar } from '../kernels/scalar.ts';
import { unsupportedFunction } from '../simd-expr.ts';

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

export function lowerElementwise(node: Node, context: LowerContext): void {
  const { expr, operands } = elementwiseParts(node);
  const plan = elementwisePlan(expr, operands, result(node));
  const out = context.output(node);
  if (plan.kind === 'scalar')
    emitScalarMap(
      context,
      expr,
      plan.domain,
      operands.map((v) => context.anyView(v)),
      out,
    );
  else
    emitMap(
      context,
      expr,
      operands.map((value) => readable(context, value, out)),
      out,
    );
}

type Plan =
  | { readonly kind: 'vector' }
  | { readonly kind: 'scalar'; readonly domain: Domain }
  | { readonly kind: 'none'; readonly reason: string };

/** Vector code where all types are lanes of floats, scalar code in the domain that is exact where they are not. */
export function elementwisePlan(expr: Expr, operands: readonly Value[], out: Value): Plan {
  const types = [...operands.map((v) => v.type.dtype), out.type.dtype];
  const vectorless = unsupportedFunction(expr);
  const floats = types.includes('f32') || types.every((t) => t === 'bool');
  if (floats && types.every(isLaneType) && !vectorless) return { kind: 'vector' };
  const domain: Domain = types.some((t) => t === 'f32') ? 'f64' : 'i64';
  const scalarless = unsupportedScalar(expr, domain);
  if (!scalarless) return { kind: 'scalar', domain };
  return {
    kind: 'none',
    reason: `no code for ${vectorless ?? scalarless} of ${[...new Set(types)].join(' and ')}`,
  };
}

/** A view of an operand whose elements lie side by side where the output's do, or are one value for all. */
function readable(context: LowerContext, value: Value, out: View): View {
  const view = context.anyView(value);
  const [innermost] = axesByStride(out)
    .filter((axis) => (out.shape[axis] ?? 1) > 1)
    .slice(-1);
  if (innermost === undefined) return view;
  const step = broadcastViewStrides(view, out.shape)[innermost];
  if (step === bytesOf(view.dtype) || step === 0) return view;
  const channelsLast = innermost === 1 && value.type.shape.length === out.shape.length;
  return context.view(value, channelsLast ? 'channelsLast' : 'rowMajor');
}

export function emitMap(context: LowerContext, expr: Expr, inputs: readonly View[], out: View): void {
  const strides = [out.strides, ...inputs.map((view) => broadcastViewStrides(view, out.shape))];
  const loops = mergeLoops(loopsOver(out.shape, strides, axesByStride(out)));
  const { outer, inner } = splitInnermost(loops, strides.length);
  context.call(
    {
      family: 'map',
      params: {
        outer,
        count: inner.count,
        inputs: inner.steps.slice(1).map((step) => (step === 0 ? 'splat' : 'vector')),
        types: [...inputs, out].map((view) => (isLaneType(view.dtype) ? view.dtype : 'f32')),
        expr: formatExpr(expr),
      },
    },
    [...inputs, out],
  );
}

function emitScalarMap(
  context: LowerContext,
  expr: Expr,
  domain: Domain,
  inputs: readonly View[],
  out: View,
): void {
  const strides = [out.strides, ...inputs.map((view) => broadcastViewStrides(view, out.shape))];
  context.call(
    {
      family: 'scalarMap',
      params: {
        loops: mergeLoops(loopsOver(out.shape, strides, axesByStride(out))),
        inputs: inputs.map((view) => view.dtype),
        output: out.dtype,
        domain,
        expr: formatExpr(expr),
      },
    },
    [...inputs, out],
  );
}

/** Cast between any two types: from floats by truncation, from integers exactly, to bool by `≠ 0`. */
export function lowerCast(node: Node, context: LowerContext): void {
  const input = context.anyView(operand(node, 0));
  emitScalarMap(context, arg(0), domainOf(input.dtype), [input], context.output(node));
}

/** (x − mean) / √(variance + ε) · scale + bias; with constant statistics as x · a + b, with a and b computed now. */
export function lowerBatchNormalization(node: Node, context: LowerContext): void {
  if (!isOp(node, 'BatchNormalization')) return;
  const out = context.output(node);
  const perChannel = out.shape.map((size, axis) => (axis === 1 ? size : 1));
  const { affine, operands } = normalisation(node, context, perChannel, node.attrs.epsilon);
  const more = operands.length;
  const expr = node.epilogue ? substitute(node.epilogue, (i) => (i === 0 ? affine : arg(i + more))) : affine;
  const extras = epilogueOperands(node).flatMap((v) => (v ? [readable(context, v, out)] : []));
  emitMap(context, expr, [readable(context, operand(node, 0), out), ...operands, ...extras], out);
}

/** The expression over x0 and the operands, which have a value per channel. */
function normalisation(
  node: Node,
  context: LowerContext,
  shape: Shape,
  epsilon: number,
): { affine: Expr; operands: readonly View[] } {
  const constants = [1, 2, 3, 4].flatMap((slot) => {
    const data = tensorOf(node.operands[slot])?.data;
    return data instanceof Float32Array ? [data] : [];
  });
  const [scale, bias, mean, variance] = constants;
  if (scale && bias && mean && variance) {
    const factor = scale.map((s, c) => s / Math.sqrt((variance[c] ?? 0) + epsilon));
    const offset = bias.map((b, c) => b - (mean[c] ?? 0) * (factor[c] ?? 0));
    return {
      affine: binary('add', binary('mul', arg(0), arg(1)), arg(2)),
      operands: [context.constant(f32(shape, factor)), context.constant(f32(shape, offset))],
    };
  }
  const deviation = unary('sqrt', binary('add', arg(4), epsilon));
  const normal = binary('div', binary('sub', arg(0), arg(3)), deviation);
  return {
    affine: binary('add', binary('mul', normal, arg(1)), arg(2)),
    operands: [1, 2, 3, 4].map((slot) => reshapeView(context.view(operand(node, slot), 'rowMajor'), shape)),
  };
}
