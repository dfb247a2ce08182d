/** Ops that read or write places that tables or data name. */
import { type Loop, loopsOver, mergeLoops } from '#compiler/schedule/loops.ts';
import { axesByStride, type View } from '#compiler/schedule/view.ts';
import { formatExpr } from '#ir/expr.ts';
import { isOp, type Node, operand, result } from '#ir/graph.ts';
import type { ScatterReduction } from '#ir/ops/indexing.ts';
import { isKept, resizeAxis } from '#ir/ops/resize.ts';
import { type DType, elementCount, product, rowMajorStrides, type Shape } from '#ir/types.ts';
import { inWords, type LowerContext, packedWords, toWords, wordIn } from '../context.ts';

export const resizeRefusal = (node: Node): string | undefined => {
  const { dtype } = operand(node, 0).type;
  const exact = dtype === 'f32' || (isOp(node, 'Resize') && node.attrs.mode === 'nearest');
  return exact ? undefined : `${node.op} of ${dtype} values that are mixed`;
};

export function lowerResize(node: Node, context: LowerContext): void {
  if (!isOp(node, 'Resize')) return;
  const input = context.anyView(operand(node, 0));
  const out = context.output(node);
  const size = (axis: number) => input.shape[axis] ?? 1;
  const changed = out.shape.map((_, axis) => axis).filter((axis) => !isKept(node.attrs, axis, size(axis)));
  const tables = changed.map((axis) => {
    const all = resizeAxis(node.attrs, axis, size(axis));
    const taps = all.reduce((most, p) => Math.max(most, p.length), 1);
    const words = new Int32Array(all.length * taps * 2);
    const floats = new Float32Array(words.buffer);
    all.forEach((position, o) => {
      for (let t = 0; t < taps; t++) {
        const at = (o * taps + t) * 2;
        words[at] = (position[t]?.index ?? position[0]?.index ?? 0) * toWords(input.strides[axis] ?? 0);
        floats[at + 1] = position[t]?.weight ?? 0;
      }
    });
    return { taps, view: context.table(packedWords(words)) };
  });
  const epilogue = context.epilogue(node, out);
  const strides = epilogue.kernel?.strides ?? [];
  const kept = axesByStride(out).filter((axis) => !changed.includes(axis));
  const keptLoops = mergeLoops(
    kept.map(
      (axis): Loop => ({
        count: out.shape[axis] ?? 1,
        steps: [
          toWords(input.strides[axis] ?? 0),
          toWords(out.strides[axis] ?? 0),
          ...strides.map((s) => s[axis] ?? 0),
        ],
      }),
    ),
  );
  context.call(
    {
      family: 'resize',
      params: {
        kept: keptLoops,
        axes: changed.map((axis, i) => ({
          count: out.shape[axis] ?? 1,
          taps: tables[i]?.taps ?? 1,
          steps: [toWords(out.strides[axis] ?? 0), ...strides.map((s) => s[axis] ?? 0)],
        })),
        expr: epilogue.kernel?.expr ?? formatExpr({ kind: 'arg', index: 0 }),
        operands: strides.length,
        word: wordIn(input),
      },
    },
    [input, ...tables.map((t) => t.view), out, ...epilogue.views],
  );
}

/** The axes that indices name, from `first` on. */
const namedAxes = (view: View, first: number, width: number) =>
  Array.from({ length: width }, (_, k) => ({
    size: view.shape[first + k] ?? 1,
    step: toWords(view.strides[first + k] ?? 0),
  }));

function emitGather(
  context: LowerContext,
  [input, indices, out]: readonly [View, View, View],
  loops: readonly Loop[],
  named: ReturnType<typeof namedAxes>,
  indexStep = 0,
): void {
  if (elementCount(out.shape) === 0) return;
  context.call({ family: 'gather', params: { loops: inWords(mergeLoops(loops)), named, indexStep } }, [
    input,
    indices,
    out,
  ]);
}

export function lowerGather(node: Node, context: LowerContext): void {
  if (!isOp(node, 'Gather')) return;
  const { axis } = node.attrs;
  const input = context.anyView(operand(node, 0));
  const indices = context.anyView(operand(node, 1));
  const out = context.output(node);
  const rank = indices.shape.length;
  // axes of the result: those before `axis`, those of the indices, those behind
  const data = out.shape.map((_, a) =>
    a < axis ? (input.strides[a] ?? 0) : a < axis + rank ? 0 : (input.strides[a - rank + 1] ?? 0),
  );
  const named = out.shape.map((_, a) =>
    a >= axis && a < axis + rank ? (indices.strides[a - axis] ?? 0) : 0,
  );
  const loops = loopsOver(out.shape, [data, named, out.strides], axesByStride(out));
  emitGather(context, [input, indices, out], loops, namedAxes(input, axis, 1));
}

export function lowerGatherElements(node: Node, context: LowerContext): void {
  if (!isOp(node, 'GatherElements')) return;
  const { axis } = node.attrs;
  const input = context.anyView(operand(node, 0));
  const indices = context.anyView(operand(node, 1));
  const out = context.output(node);
  const loops = loopsOver(out.shape, [input.strides.with(axis, 0), indices.strides, out.strides]);
  emitGather(context, [input, indices, out], loops, namedAxes(input, axis, 1));
}

/** Steps of a row-major [tuples…, rest…] at positions of it: of the tuples' indices, and of what each names. */
function tupleLoops(
  tuples: Shape,
  width: number,
  rest: { readonly shape: Shape; readonly strides: readonly number[] },
  batch: readonly number[],
  values: View,
): Loop[] {
  const perTuple = rowMajorStrides(tuples).map((s) => s * width * 4);
  const shape = [...tuples, ...rest.shape];
  return loopsOver(shape, [
    [...batch, ...rest.strides],
    [...perTuple, ...rest.shape.map(() => 0)],
    values.strides,
  ]);
}

export function lowerGatherND(node: Node, context: LowerContext): void {
  if (!isOp(node, 'GatherND')) return;
  const { batchDims } = node.attrs;
  const input = context.anyView(operand(node, 0));
  const indices = context.rowMajor(node, 1);
  const out = context.output(node);
  const width = indices.shape.at(-1) ?? 0;
  const tuples = indices.shape.slice(0, -1);
  const batch = tuples.map((_, a) => (a < batchDims ? (input.strides[a] ?? 0) : 0));
  const rest = {
    shape: input.shape.slice(batchDims + width),
    strides: input.strides.slice(batchDims + width),
  };
  const loops = tupleLoops(tuples, width, rest, batch, out);
  emitGather(context, [input, indices, out], loops, namedAxes(input, batchDims, width), 1);
}

const COMBINED: Readonly<Record<ScatterReduction, string>> = {
  none: 'x1',
  add: 'add(x0, x1)',
  mul: 'mul(x0, x1)',
  min: 'min(x0, x1)',
  max: 'max(x0, x1)',
};

export function lowerScatterElements(node: Node, context: LowerContext): void {
  if (!isOp(node, 'ScatterElements')) return;
  const { axis, reduction } = node.attrs;
  const indices = context.anyView(operand(node, 1));
  const updates = context.anyView(operand(node, 2));
  const out = context.output(node);
  context.copy(context.anyView(operand(node, 0)), out);
  if (elementCount(indices.shape) === 0) return;
  const loops = loopsOver(indices.shape, [out.strides.with(axis, 0), indices.strides, updates.strides]);
  emitScatter(context, [out, indices, updates], loops, namedAxes(out, axis, 1), 0, [
    reduction,
    result(node as Node).type.dtype,
  ]);
}

export function lowerScatterND(node: Node, context: LowerContext): void {
  if (!isOp(node, 'ScatterND')) return;
  const { reduction } = node.attrs;
  const indices = context.rowMajor(node, 1);
  const updates = context.anyView(operand(node, 2));
  const out = context.output(node);
  context.copy(context.anyView(operand(node, 0)), out);
  if (product(updates.shape) === 0) return;
  const width = indices.shape.at(-1) ?? 0;
  const tuples = indices.shape.slice(0, -1);
  const rest = { shape: out.shape.slice(width), strides: out.strides.slice(width) };
  const loops = tupleLoops(
    tuples,
    width,
    rest,
    tuples.map(() => 0),
    updates,
  );
  emitScatter(context, [out, indices, updates], loops, namedAxes(out, 0, width), 1, [
    reduction,
    result(node as Node).type.dtype,
  ]);
}

function emitScatter(
  context: LowerContext,
  args: readonly [View, View, View],
  loops: readonly Loop[],
  named: ReturnType<typeof namedAxes>,
  indexStep: number,
  [reduction, output]: readonly [ScatterReduction, DType],
): void {
  context.call(
    {
      family: 'scatter',
      params: {
        loops: inWords(mergeLoops(loops)),
        named,
        indexStep,
        word: wordIn(args[0]),
        output,
        expr: COMBINED[reduction],
      },
    },
    args,
  );
}
