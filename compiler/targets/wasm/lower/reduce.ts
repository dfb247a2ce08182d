/** Reductions, global pooling and softmax. */

import { type Loop, mergeLoops } from '#compiler/schedule/loops.ts';
import { isReduction, keptAxes, RECIPES, type Recipe } from '#compiler/schedule/reductions.ts';
import { axesByStride, type View } from '#compiler/schedule/view.ts';
import { parseExpr } from '#ir/expr.ts';
import { isOp, type Node, operand } from '#ir/graph.ts';
import type { LowerContext } from '../context.ts';
import type { ReduceParams } from '../kernels/reduce.ts';
import { unsupportedScalar } from '../kernels/scalar.ts';

/** Why a reduction cannot be lowered: scalar code, for types other than f32, knows the basic functions only. */
export function reductionRefusal(node: Node): string | undefined {
  const { dtype } = operand(node, 0).type;
  if (!isReduction(node.op) || dtype === 'f32') return undefined;
  const { before, after } = RECIPES[node.op];
  const missing = [before, after(1)].map((e) => unsupportedScalar(parseExpr(e), 'f64')).find((m) => m);
  return missing === undefined ? undefined : `no code for ${missing} of ${dtype}`;
}

export function lowerReduction(node: Node, context: LowerContext): void {
  if (!isReduction(node.op)) return;
  const { axes, keepDims } = node.attrs as { axes: readonly number[]; keepDims: boolean };
  const outAxes = keptAxes(operand(node, 0).type.shape.length, axes, keepDims);
  reduceInto(node, context, context.anyView(operand(node, 0)), outAxes, RECIPES[node.op]);
}

export function lowerGlobalAveragePool(node: Node, context: LowerContext): void {
  if (!isOp(node, 'GlobalAveragePool')) return;
  const input = context.anyView(operand(node, 0));
  const outAxes = input.shape.map((_, axis) => (axis < 2 ? axis : -1));
  reduceInto(node, context, input, outAxes, RECIPES.ReduceMean);
}

/** `outAxes[i]`: the output axis of input axis i, or −1 if it is reduced. */
function reduceInto(
  node: Node,
  context: LowerContext,
  input: View,
  outAxes: readonly number[],
  recipe: Recipe,
): void {
  const out = context.output(node);
  const order = axesByStride(input);
  const stride = (list: readonly number[], axis: number) => list[outAxes[axis] ?? -1] ?? 0;
  const loopOf = (axis: number): Loop => ({
    count: input.shape[axis] ?? 1,
    steps: [input.strides[axis] ?? 0, stride(out.strides, axis)],
  });
  const isReduced = (axis: number) => (outAxes[axis] ?? -1) < 0;
  const kept = mergeLoops(order.filter((axis) => !isReduced(axis)).map(loopOf));
  const reduced = mergeLoops(
    order
      .filter(isReduced)
      .map((axis) => ({ count: input.shape[axis] ?? 1, steps: [input.strides[axis] ?? 0] })),
  );
  const count = reduced.reduce((n, loop) => n * loop.count, 1);
  if (input.dtype !== 'f32') {
    const { combine, before } = recipe;
    const params = { dtype: input.dtype, combine, before, after: recipe.after(count), kept, reduced };
    context.call({ family: 'scalarReduce', params }, [input, out]);
    return;
  }
  const lastKept = kept[kept.length - 1];
  const lastReduced = reduced[reduced.length - 1];
  let inner: ReduceParams['inner'] = { kind: 'none', count: 1 };
  let keptLoops: readonly Loop[] = kept;
  let reducedLoops: readonly Loop[] = reduced;
  if (lastKept?.steps[0] === 4 && lastKept.steps[1] === 4) {
    inner = { kind: 'kept', count: lastKept.count };
    keptLoops = kept.slice(0, -1);
  } else if (lastReduced?.steps[0] === 4) {
    inner = { kind: 'reduced', count: lastReduced.count };
    reducedLoops = reduced.slice(0, -1);
  }
  context.call(
    {
      family: 'reduce',
      params: {
        combine: recipe.combine,
        before: recipe.before,
        after: recipe.after(count),
        kept: keptLoops,
        reduced: reducedLoops,
        inner,
      },
    },
    [input, out],
  );
}

export function lowerSoftmax(node: Node, context: LowerContext): void {
  if (!isOp(node, 'Softmax')) return;
  const { axis } = node.attrs;
  const out = context.output(node);
  const input = context.view(operand(node, 0), context.layoutOf(node.outputs[0] ?? operand(node, 0)));
  const others = axesByStride(out).filter((a) => a !== axis);
  const loops = mergeLoops(
    others.map((a) => ({ count: out.shape[a] ?? 1, steps: [input.strides[a] ?? 0, out.strides[a] ?? 0] })),
  );
  const last = loops[loops.length - 1];
  const columns = last?.steps[0] === 4 && last.steps[1] === 4 ? last.count : 1;
  context.call(
    {
      family: 'softmax',
      params: {
        outer: columns > 1 ? loops.slice(0, -1) : loops,
        length: out.shape[axis] ?? 1,
        inputStep: input.strides[axis] ?? 0,
        outputStep: out.strides[axis] ?? 0,
        columns,
      },
    },
    [input, out],
  );
}
