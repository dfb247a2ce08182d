/** Exact products of integers as loops over memory: operands minus their zero points, multiplied and summed. */
import { isOp, type Node, operand, ownInput, ownInputs, tensorOf } from '#ir/graph.ts';
import { type ConvAttrs, convWindow } from '#ir/ops/conv.ts';
import { type KnownProduct, knownProduct, QUANTISED, type Slots } from '#ir/ops/integer-product.ts';
import { elementCount, type Shape } from '#ir/types.ts';
import { windowAxes } from '#ir/window.ts';
import type { ViewContext } from './context.ts';
import { type Loop, mergeLoops } from './loops.ts';
import {
  broadcastViewStrides,
  isRowMajor,
  layoutStrides,
  reshapeView,
  splitAxis,
  type View,
} from './view.ts';

/** Σ a·b of two operands. */
export interface Contraction {
  readonly a: View;
  readonly b: View;
  /** Over the result; steps of [a, b, output]. */
  readonly kept: readonly Loop[];
  /** Steps of [a, b]. */
  readonly reduced: readonly Loop[];
}

/** A call that writes x − zero; `strides` are those of the zero points along the axes of x. */
export type Subtract = (x: View, zero: View, strides: readonly number[], out: View) => void;

/** Input `slot` minus its zero point, as i32; the integers themselves where it has none. */
function centred<K>(
  node: Node,
  context: ViewContext<K>,
  [slot, zeroSlot]: readonly [number, number],
  subtract: Subtract,
  zeroShape?: Shape,
): View {
  const input = context.anyView(operand(node, slot));
  const zero = ownInput(node, zeroSlot);
  if (!zero) return input;
  const shift = context.view(zero, 'rowMajor');
  const fitted = zeroShape && elementCount(zeroShape) > 1 ? reshapeView(shift, zeroShape) : shift;
  const out = context.scratch(input.shape, 'i32');
  const single = elementCount(fitted.shape) === 1;
  const strides = single ? input.shape.map(() => 0) : broadcastViewStrides(fitted, input.shape);
  subtract(input, shift, strides, out);
  return out;
}

/** A convolution whose result is `out`. */
export function convContraction<K>(
  node: Node,
  context: ViewContext<K>,
  { attrs, slots, out }: { readonly attrs: ConvAttrs; readonly slots: Slots; readonly out: View },
  subtract: Subtract,
): Contraction {
  const { group } = attrs;
  const weightShape = operand(node, slots.b).type.shape;
  const axes = windowAxes(convWindow(attrs, weightShape));
  const [cout = 1, perGroup = 1, ...kernel] = weightShape;
  const zeroCount = ownInput(node, slots.bZero)?.type.shape;
  const perFilter = zeroCount && elementCount(zeroCount) > 1 ? [cout, 1, ...kernel.map(() => 1)] : undefined;
  const weight = centred(node, context, [slots.b, slots.bZero], subtract, perFilter);
  const x = centred(node, context, [slots.a, slots.aZero], subtract);
  // a zero in the border stands for the zero point
  const input = context.paddedCopy(
    x,
    axes.map((a) => a.padBegin),
    axes.map((a) => a.padEnd),
    0,
  );
  const channels = cout / group;
  const groupedOut = splitAxis(out, 1, [group, channels]);
  const groupedIn = splitAxis(input, 1, [group, perGroup]);
  const groupedWeight = splitAxis(weight, 0, [group, channels]);
  const at = (list: readonly number[], axis: number) => list[axis] ?? 0;
  return {
    a: input,
    b: weight,
    kept: mergeLoops([
      { count: out.shape[0] ?? 1, steps: [at(input.strides, 0), 0, at(out.strides, 0)] },
      {
        count: group,
        steps: [at(groupedIn.strides, 1), at(groupedWeight.strides, 0), at(groupedOut.strides, 1)],
      },
      { count: channels, steps: [0, at(groupedWeight.strides, 1), at(groupedOut.strides, 2)] },
      ...axes.map((axis, i) => ({
        count: out.shape[i + 2] ?? 1,
        steps: [axis.stride * at(input.strides, i + 2), 0, at(out.strides, i + 2)],
      })),
    ]),
    reduced: mergeLoops([
      ...axes.map((axis, i) => ({
        count: axis.kernel,
        steps: [axis.dilation * at(input.strides, i + 2), at(weight.strides, i + 2)],
      })),
      { count: perGroup, steps: [at(groupedIn.strides, 2), at(groupedWeight.strides, 2)] },
    ]),
  };
}

/** A product of matrices whose result is `out`, dense in row-major order. */
export function matMulContraction<K>(
  node: Node,
  context: ViewContext<K>,
  { slots, out }: { readonly slots: Slots; readonly out: View },
  subtract: Subtract,
): Contraction {
  const a = asMatrix(dense(context, centred(node, context, [slots.a, slots.aZero], subtract)), 'row');
  const b = asMatrix(dense(context, centred(node, context, [slots.b, slots.bZero], subtract)), 'column');
  const rows = a.shape[a.shape.length - 2] ?? 1;
  const depth = a.shape[a.shape.length - 1] ?? 1;
  const columns = b.shape[b.shape.length - 1] ?? 1;
  const matrices = [slots.a, slots.b].filter((slot) => operand(node, slot).type.shape.length > 1).length;
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
  return {
    a,
    b,
    kept: mergeLoops([
      ...batch.map((count, axis) => ({
        count,
        steps: [aBatch[axis] ?? 0, bBatch[axis] ?? 0, strides[axis] ?? 0],
      })),
      { count: rows, steps: [last(a, 2), 0, strides[strides.length - 2] ?? 0] },
      { count: columns, steps: [0, last(b, 1), strides[strides.length - 1] ?? 0] },
    ]),
    reduced: [{ count: depth, steps: [last(a, 1), last(b, 2)] }],
  };
}

function dense<K>(context: ViewContext<K>, view: View): View {
  if (isRowMajor(view)) return view;
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

/** Output channels of a product; undefined for one with several matrices. */
export function productChannels(node: Node, { b }: Slots): number | undefined {
  const { shape } = operand(node, b).type;
  if (isOp(node, 'QLinearConv') || isOp(node, 'ConvInteger')) return shape[0] ?? 1;
  return shape.length > 2 ? undefined : shape.length === 1 ? 1 : (shape[1] ?? 1);
}

/** What is known of a quantised product; undefined where it cannot be computed as it stands. */
export function knownProductOf(node: Node): KnownProduct | undefined {
  const channels = productChannels(node, QUANTISED);
  if (channels === undefined) return undefined;
  return knownProduct(
    (slot) => tensorOf(ownInput(node, slot)),
    ownInputs(node).map((v) => v?.type),
    channels,
  );
}
