/** Exact products of bytes: operands minus their zero points, multiplied and summed as integers. */
import { loopsOver, mergeLoops } from '#compiler/schedule/loops.ts';
import {
  axesByStride,
  broadcastViewStrides,
  layoutStrides,
  reshapeView,
  splitAxis,
  type View,
} from '#compiler/schedule/view.ts';
import { isOp, type Node, operand, ownInput } from '#ir/graph.ts';
import { convWindow } from '#ir/ops/conv.ts';
import { elementCount, type Shape } from '#ir/types.ts';
import { windowAxes } from '#ir/window.ts';
import type { LowerContext } from '../context.ts';
import { lowerKnownConvInteger, lowerKnownMatMulInteger } from './dot.ts';

/** Input `slot` minus its zero point, as i32; the bytes themselves where it has none. */
function centred(node: Node, context: LowerContext, slot: number, zeroSlot: number, zeroShape?: Shape): View {
  const input = context.anyView(operand(node, slot));
  const zero = ownInput(node, zeroSlot);
  if (!zero) return input;
  const shift = context.view(zero, 'rowMajor');
  const fitted = zeroShape && elementCount(zeroShape) > 1 ? reshapeView(shift, zeroShape) : shift;
  const out = context.scratch(input.shape, 'i32');
  const single = elementCount(fitted.shape) === 1;
  const strides = single ? input.shape.map(() => 0) : broadcastViewStrides(fitted, input.shape);
  const loops = mergeLoops(loopsOver(out.shape, [out.strides, input.strides, strides], axesByStride(out)));
  const params = {
    loops,
    inputs: [input.dtype, shift.dtype],
    output: 'i32' as const,
    domain: 'i64' as const,
    expr: 'sub(x0, x1)',
  };
  context.call({ family: 'scalarMap', params }, [input, shift, out]);
  return out;
}

export function lowerConvInteger(node: Node, context: LowerContext): void {
  if (!isOp(node, 'ConvInteger') || lowerKnownConvInteger(node, context)) return;
  const { group } = node.attrs;
  const weightShape = operand(node, 1).type.shape;
  const axes = windowAxes(convWindow(node.attrs, weightShape));
  const [cout = 1, perGroup = 1, ...kernel] = weightShape;
  const zeroCount = ownInput(node, 3)?.type.shape;
  const perFilter = zeroCount && elementCount(zeroCount) > 1 ? [cout, 1, ...kernel.map(() => 1)] : undefined;
  const weight = centred(node, context, 1, 3, perFilter);
  const x = centred(node, context, 0, 2);
  // a zero in the border stands for the zero point
  const input = context.paddedCopy(
    x,
    axes.map((a) => a.padBegin),
    axes.map((a) => a.padEnd),
    0,
  );
  const out = context.output(node);
  const spatial = axes.map((_, i) => i + 2);
  const channels = cout / group;
  const groupedOut = splitAxis(out, 1, [group, channels]);
  const groupedIn = splitAxis(input, 1, [group, perGroup]);
  const groupedWeight = splitAxis(weight, 0, [group, channels]);
  const at = (list: readonly number[], axis: number) => list[axis] ?? 0;
  context.call(
    {
      family: 'contract',
      params: {
        a: input.dtype,
        b: weight.dtype,
        output: 'i32',
        kept: mergeLoops([
          { count: out.shape[0] ?? 1, steps: [at(input.strides, 0), 0, at(out.strides, 0)] },
          {
            count: group,
            steps: [at(groupedIn.strides, 1), at(groupedWeight.strides, 0), at(groupedOut.strides, 1)],
          },
          { count: channels, steps: [0, at(groupedWeight.strides, 1), at(groupedOut.strides, 2)] },
          ...spatial.map((axis, i) => ({
            count: out.shape[axis] ?? 1,
            steps: [(axes[i]?.stride ?? 1) * at(input.strides, axis), 0, at(out.strides, axis)],
          })),
        ]),
        reduced: mergeLoops([
          ...spatial.map((axis, i) => ({
            count: axes[i]?.kernel ?? 1,
            steps: [(axes[i]?.dilation ?? 1) * at(input.strides, axis), at(weight.strides, axis)],
          })),
          { count: perGroup, steps: [at(groupedIn.strides, 2), at(groupedWeight.strides, 2)] },
        ]),
      },
    },
    [input, weight, out],
  );
}

export function lowerMatMulInteger(node: Node, context: LowerContext): void {
  if (!isOp(node, 'MatMulInteger') || lowerKnownMatMulInteger(node, context)) return;
  const a = asMatrix(rowMajor(context, centred(node, context, 0, 2)), 'row');
  const b = asMatrix(rowMajor(context, centred(node, context, 1, 3)), 'column');
  const out = context.output(node);
  const rows = a.shape[a.shape.length - 2] ?? 1;
  const depth = a.shape[a.shape.length - 1] ?? 1;
  const columns = b.shape[b.shape.length - 1] ?? 1;
  const matrices =
    (operand(node, 0).type.shape.length > 1 ? 1 : 0) + (operand(node, 1).type.shape.length > 1 ? 1 : 0);
  const shape = [...out.shape.slice(0, out.shape.length - matrices), rows, columns];
  const strides = layoutStrides(shape, out.dtype, 'rowMajor');
  const batch = shape.slice(0, -2);
  const batchStrides = (view: View) =>
    broadcastViewStrides(
      { ...view, shape: view.shape.slice(0, -2), strides: view.strides.slice(0, -2) },
      batch,
    );
  const [aBatch, bBatch] = [batchStrides(a), batchStrides(b)];
  const last = (view: View, back: number) => view.strides[view.strides.length - back] ?? 0;
  context.call(
    {
      family: 'contract',
      params: {
        a: a.dtype,
        b: b.dtype,
        output: 'i32',
        kept: mergeLoops([
          ...batch.map((count, axis) => ({
            count,
            steps: [aBatch[axis] ?? 0, bBatch[axis] ?? 0, strides[axis] ?? 0],
          })),
          { count: rows, steps: [last(a, 2), 0, strides[strides.length - 2] ?? 0] },
          { count: columns, steps: [0, last(b, 1), strides[strides.length - 1] ?? 0] },
        ]),
        reduced: [{ count: depth, steps: [last(a, 1), last(b, 2)] }],
      },
    },
    [a, b, out],
  );
}

function rowMajor(context: LowerContext, view: View): View {
  const strides = layoutStrides(view.shape, view.dtype, 'rowMajor');
  if (view.strides.every((s, axis) => s === strides[axis])) return view;
  const copy = context.scratch(view.shape, view.dtype);
  context.copy(view, copy);
  return copy;
}

/** A vector operand is one row on the left and one column on the right. */
function asMatrix(view: View, as: 'row' | 'column'): View {
  if (view.shape.length !== 1) return view;
  const [size = 1] = view.shape;
  const [step = 0] = view.strides;
  return as === 'row'
    ? { ...view, shape: [1, size], strides: [0, step] }
    : { ...view, shape: [size, 1], strides: [step, 0] };
}
