import { bytesOf, type DType, elementCount, type Layout, rowMajorStrides, type Shape } from '#ir/types.ts';

/**
 * A piece of memory whose address the plan decides: scratch and activations in the arena, packed constants, or floats in
 * half precision in an arena of their own, whose offsets count them as if they were whole.
 */
export interface Storage {
  readonly id: number;
  readonly kind: 'arena' | 'constant' | 'halves';
  readonly bytes: number;
}

/** A tensor in memory: element (i0, i1, …) lies at offset + Σ i·stride, in bytes. */
export interface View {
  readonly storage: Storage;
  readonly offset: number;
  readonly dtype: DType;
  readonly shape: Shape;
  readonly strides: readonly number[];
}

/** Dense byte strides of `shape` in a layout. */
export function layoutStrides(shape: Shape, dtype: DType, layout: Layout): number[] {
  const size = bytesOf(dtype);
  if (layout === 'rowMajor' || shape.length < 3) return rowMajorStrides(shape).map((s) => s * size);
  const [n = 1, c = 1, ...spatial] = shape;
  const [batch = 0, ...rest] = rowMajorStrides([n, ...spatial, c]);
  return [batch, rest[rest.length - 1] ?? 1, ...rest.slice(0, -1)].map((s) => s * size);
}

/** Do two stride lists address the same bytes of a shape? Axes of size 1 do not matter. */
export const sameStrides = (shape: Shape, a: readonly number[], b: readonly number[]): boolean =>
  shape.every((size, axis) => size === 1 || a[axis] === b[axis]);

/** Is the view dense in row-major order, so that any reshape of it is free? */
export const isRowMajor = (view: View): boolean =>
  sameStrides(view.shape, view.strides, layoutStrides(view.shape, view.dtype, 'rowMajor'));

export const isInLayout = (view: View, layout: Layout): boolean =>
  sameStrides(view.shape, view.strides, layoutStrides(view.shape, view.dtype, layout));

/** Do the channels of a pixel lie side by side, and the pixels in order, perhaps with other channels between? */
export function hasDensePixels(view: View): boolean {
  const [batch = 1, channels = 1, ...spatial] = view.shape;
  const size = bytesOf(view.dtype);
  const apart = (view.strides[view.shape.length - 1] ?? 0) / size;
  if (spatial.length === 0 || !Number.isInteger(apart) || apart < channels) return false;
  const whole = layoutStrides([batch, apart, ...spatial], view.dtype, 'channelsLast');
  return (channels === 1 || view.strides[1] === size) && sameStrides(view.shape, view.strides, whole);
}

/** The same bytes under another shape; the view must be dense in row-major order. */
export function reshapeView(view: View, shape: Shape): View {
  if (elementCount(shape) !== elementCount(view.shape) || !isRowMajor(view)) {
    throw new RangeError(`cannot view [${view.shape.join(',')}] as [${shape.join(',')}] without a copy`);
  }
  return { ...view, shape, strides: layoutStrides(shape, view.dtype, 'rowMajor') };
}

/** Byte strides with which `view` is read at positions of the broadcast shape `to`: 0 on stretched axes. */
export const broadcastViewStrides = (view: View, to: Shape): number[] => {
  const lead = to.length - view.shape.length;
  return to.map((_, axis) =>
    axis < lead || view.shape[axis - lead] === 1 ? 0 : (view.strides[axis - lead] ?? 0),
  );
};

/** The part of a view that starts at `starts` and has shape `shape`, reading every `steps`-th element. */
export function sliceView(
  view: View,
  starts: readonly number[],
  shape: Shape,
  steps?: readonly number[],
): View {
  const offset = starts.reduce((sum, start, axis) => sum + start * (view.strides[axis] ?? 0), view.offset);
  const strides = view.strides.map((stride, axis) => stride * (steps?.[axis] ?? 1));
  return { ...view, offset, shape, strides };
}

/** The axes of a view from the one whose elements lie farthest apart to the one whose lie side by side. */
export const axesByStride = (view: View): number[] =>
  view.shape
    .map((_, axis) => axis)
    .sort((a, b) => Math.abs(view.strides[b] ?? 0) - Math.abs(view.strides[a] ?? 0) || a - b);

/** The axes of a view in another order: axis `a` of the result is axis `perm[a]`. */
export const permuteView = (view: View, perm: readonly number[]): View => ({
  ...view,
  shape: perm.map((axis) => view.shape[axis] ?? 1),
  strides: perm.map((axis) => view.strides[axis] ?? 0),
});

/** One axis seen as several, outermost first; `sizes` multiply to its size. */
export function splitAxis(view: View, axis: number, sizes: readonly number[]): View {
  const stride = view.strides[axis] ?? 0;
  const inner = sizes.map((_, i) => sizes.slice(i + 1).reduce((a, b) => a * b, 1) * stride);
  const replace = <T>(list: readonly T[], by: readonly T[]) => [
    ...list.slice(0, axis),
    ...by,
    ...list.slice(axis + 1),
  ];
  return { ...view, shape: replace(view.shape, sizes), strides: replace(view.strides, inner) };
}
