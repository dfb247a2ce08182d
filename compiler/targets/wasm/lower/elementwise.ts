/** Elementwise ops and batch normalisation as calls of the map family. */

import { elementwiseParts, nodeExpression } from '#compiler/schedule/elementwise.ts';
import { loopsOver, mergeLoops, splitInnermost } from '#compiler/schedule/loops.ts';
import { axesByStride, broadcastViewStrides, type View } from '#compiler/schedule/view.ts';
import { InternalError } from '#ir/diagnostics.ts';
import { arg, type Expr, formatExpr } from '#ir/expr.ts';
import { type Node, operand, producer, result, type Value } from '#ir/graph.ts';
import { quantizedRange } from '#ir/ops/quantize.ts';
import { bytesOf, type DType } from '#ir/types.ts';
import { exprBounds } from '#passes/fuse/bounds.ts';
import { type LowerContext, readingAlong } from '../context.ts';
import { isLaneType } from '../kernels/lanes.ts';
import { type Domain, domainOf, unsupportedScalar } from '../kernels/scalar.ts';
import { unsupportedFunction } from '../simd-expr.ts';

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
      operands.map((value) => context.operandFor(value, out, innermostAxis(out))),
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

/** The axis along which the output's elements lie side by side. */
function innermostAxis(out: View): number {
  const [axis = 0] = axesByStride(out)
    .filter((a) => (out.shape[a] ?? 1) > 1)
    .slice(-1);
  return axis;
}

function emitMap(context: LowerContext, expr: Expr, inputs: readonly View[], out: View): void {
  const strides = [out.strides, ...inputs.map((view) => broadcastViewStrides(view, out.shape))];
  const loops = mergeLoops(loopsOver(out.shape, strides, axesByStride(out)));
  const { outer, inner } = splitInnermost(loops, strides.length);
  if (inner.count > 1 && inner.steps[0] !== bytesOf(out.dtype))
    throw new InternalError('results of the map family lie side by side');
  context.call(
    {
      family: 'map',
      params: {
        outer,
        count: inner.count,
        inputs: inputs.map((view, k) => readingAlong(inner.steps[k + 1] ?? 0, bytesOf(view.dtype))),
        types: [...inputs, out].map(({ dtype }) => (isLaneType(dtype) || dtype === 'i32' ? dtype : 'f32')),
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
  const value = operand(node, 0);
  if (castsInVectors(value, result(node).type.dtype)) {
    const out = context.output(node);
    emitMap(context, arg(0), [context.operandFor(value, out, innermostAxis(out))], out);
    return;
  }
  const input = context.anyView(value);
  emitScalarMap(context, arg(0), domainOf(input.dtype), [input], context.output(node));
}

/** Vectors read small integers as floats; they saturate where they write bytes, so those must be known to fit. */
function castsInVectors(value: Value, to: DType): boolean {
  const { dtype } = value.type;
  if (to === 'f32') return dtype === 'u8' || dtype === 'i8' || dtype === 'i32';
  if (dtype !== 'f32' || (to !== 'u8' && to !== 'i8')) return false;
  const node = producer(value);
  const expr = node && (nodeExpression(node) ?? node.epilogue);
  const [low, high] = quantizedRange(to);
  const bounds = expr && exprBounds(expr, () => ({ low: -Infinity, high: Infinity }));
  return bounds !== undefined && bounds.low >= low && bounds.high <= high;
}
