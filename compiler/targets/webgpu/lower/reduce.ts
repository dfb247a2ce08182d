/** Reductions, global pooling, softmax, running sums and the largest along an axis. */
import { type Loop, mergeLoops } from '#compiler/schedule/loops.ts';
import { isReduction, keptAxes, RECIPES, type Recipe } from '#compiler/schedule/reductions.ts';
import { axesByStride, type View } from '#compiler/schedule/view.ts';
import { parseExpr } from '#ir/expr.ts';
import { isOp, type Node, operand } from '#ir/graph.ts';
import { inWords, type LowerContext, toWords, wordIn } from '../context.ts';
import { unsupportedIn } from '../wgsl-expr.ts';

export function reductionRefusal(node: Node): string | undefined {
  const { dtype } = operand(node, 0).type;
  if (dtype === 'f32' || !isReduction(node.op)) return undefined;
  const { after } = recipeOf(node.op, false);
  return unsupportedIn(parseExpr(after(1)), 'i32') === undefined ? undefined : `${node.op} of ${dtype}`;
}

/** A mean of integers is a quotient: its factor is none. */
const recipeOf = (op: keyof typeof RECIPES, floats: boolean): Recipe =>
  op === 'ReduceMean' && !floats
    ? { ...RECIPES.ReduceMean, after: (count) => `div(x0, ${count})` }
    : RECIPES[op];

export function lowerReduction(node: Node, context: LowerContext): void {
  if (!isReduction(node.op)) return;
  const { axes, keepDims } = node.attrs as { axes: readonly number[]; keepDims: boolean };
  const input = context.anyView(operand(node, 0));
  reduceInto(
    node,
    context,
    input,
    keptAxes(input.shape.length, axes, keepDims),
    recipeOf(node.op, input.dtype === 'f32'),
  );
}

export function lowerGlobalAveragePool(node: Node, context: LowerContext): void {
  const input = context.anyView(operand(node, 0));
  const outAxes = input.shape.map((_, axis) => (axis < 2 ? axis : -1));
  reduceInto(node, context, input, outAxes, RECIPES.ReduceMean);
}

/** Results below which a workgroup for each keeps a device busier than an invocation for each. */
const FEW_RESULTS = 2048;
const LONG = 128;

const together = (results: number, length: number): boolean => results <= FEW_RESULTS && length >= LONG;

function reduceInto(
  node: Node,
  context: LowerContext,
  input: View,
  outAxes: readonly number[],
  recipe: Recipe,
): void {
  const out = context.output(node);
  const order = axesByStride(input);
  const isReduced = (axis: number) => (outAxes[axis] ?? -1) < 0;
  const kept = mergeLoops(
    order
      .filter((axis) => !isReduced(axis))
      .map(
        (axis): Loop => ({
          count: input.shape[axis] ?? 1,
          steps: [input.strides[axis] ?? 0, out.strides[outAxes[axis] ?? -1] ?? 0],
        }),
      ),
  );
  const reduced = mergeLoops(
    order
      .filter(isReduced)
      .map((axis): Loop => ({ count: input.shape[axis] ?? 1, steps: [input.strides[axis] ?? 0] })),
  );
  const total = (loops: readonly Loop[]) => loops.reduce((n, loop) => n * loop.count, 1);
  const count = total(reduced);
  context.call(
    {
      family: 'reduce',
      params: {
        combine: recipe.combine,
        word: wordIn(input),
        before: recipe.before,
        after: recipe.after(count),
        kept: inWords(kept),
        reduced: inWords(reduced),
        together: together(total(kept), count),
      },
    },
    [input, out],
  );
}

/** Loops over all axes but one; steps in words of each view. */
export function rowsOf(shape: readonly number[], axis: number, views: readonly View[]): Loop[] {
  const [first] = views;
  if (!first) return [];
  const others = axesByStride({ ...first, shape }).filter((a) => a !== axis);
  return inWords(
    mergeLoops(
      others.map((a): Loop => ({ count: shape[a] ?? 1, steps: views.map((v) => v.strides[a] ?? 0) })),
    ),
  );
}

export function lowerSoftmax(node: Node, context: LowerContext): void {
  if (!isOp(node, 'Softmax')) return;
  const { axis } = node.attrs;
  const input = context.anyView(operand(node, 0));
  const out = context.output(node);
  const rows = rowsOf(out.shape, axis, [input, out]);
  const length = out.shape[axis] ?? 1;
  context.call(
    {
      family: 'softmax',
      params: {
        rows,
        length,
        inputStep: toWords(input.strides[axis] ?? 0),
        outputStep: toWords(out.strides[axis] ?? 0),
        together: together(
          rows.reduce((n, loop) => n * loop.count, 1),
          length,
        ),
      },
    },
    [input, out],
  );
}

export function lowerScan(node: Node, context: LowerContext): void {
  if (!isOp(node, 'CumSum') && !isOp(node, 'CumProd')) return;
  const { axis, exclusive, reverse } = node.attrs;
  const input = context.anyView(operand(node as Node, 0));
  const out = context.output(node as Node);
  context.call(
    {
      family: 'scan',
      params: {
        rows: rowsOf(out.shape, axis, [input, out]),
        length: out.shape[axis] ?? 1,
        inputStep: toWords(input.strides[axis] ?? 0),
        outputStep: toWords(out.strides[axis] ?? 0),
        word: wordIn(input),
        combine: (node as Node).op === 'CumSum' ? 'add' : 'mul',
        exclusive,
        reverse,
      },
    },
    [input, out],
  );
}

export function lowerArgReduction(node: Node, context: LowerContext): void {
  if (!isOp(node, 'ArgMax') && !isOp(node, 'ArgMin')) return;
  const { axis, keepDims, selectLast } = node.attrs;
  const input = context.anyView(operand(node as Node, 0));
  const out = context.output(node as Node);
  // the result with the axis in its place, whether it is kept or not
  const strides = keepDims ? out.strides : [...out.strides.slice(0, axis), 0, ...out.strides.slice(axis)];
  context.call(
    {
      family: 'argBest',
      params: {
        rows: rowsOf(input.shape, axis, [input, { ...out, shape: input.shape, strides }]),
        length: input.shape[axis] ?? 1,
        step: toWords(input.strides[axis] ?? 0),
        word: wordIn(input),
        best: (node as Node).op === 'ArgMax' ? 'max' : 'min',
        last: selectLast,
      },
    },
    [input, out],
  );
}
