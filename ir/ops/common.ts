/** Small pieces that several ops share. */
import type { AxisField, Border } from '../op.ts';
import { type Shape, sameShape } from '../types.ts';
import { IDENTITY_MAP, type PositionMap } from '../window.ts';

/** Field of an op over [N, C, …]: batch kept, all input channels seen, and the given map on each spatial axis. */
export const windowField = (spatial: readonly PositionMap[]): AxisField[] => [
  axisField(0),
  { kind: 'whole' },
  ...spatial.map((map, i) => axisField(i + 2, map)),
];

export const axisField = (axis: number, map: PositionMap = IDENTITY_MAP, border?: Border): AxisField => ({
  kind: 'axis',
  axis,
  map,
  ...(border ? { border } : {}),
});

/** Field of an op whose output element depends on the input element at the same (broadcast) position. */
export const broadcastField = (from: Shape, to: Shape): AxisField[] =>
  to.map((size, axis) => {
    const own = axis - (to.length - from.length);
    if (own < 0) return { kind: 'none' };
    return from[own] === size ? axisField(own) : { kind: 'whole' };
  });

/** Field of an op that mixes every position of its input. */
export const wholeField = (to: Shape): AxisField[] => to.map(() => ({ kind: 'whole' }));

/**
 * Field of a reshape: an axis keeps its positions where the elements before and after it are the same on both sides;
 * all else counts as mixed.
 */
export function reshapeField(from: Shape, to: Shape): AxisField[] {
  if (sameShape(from, to)) return to.map((_, axis) => axisField(axis));
  const outer = (shape: Shape, axis: number) => shape.slice(0, axis).reduce((a, b) => a * b, 1);
  return to.map((size, axis) => {
    if (size === 1) return { kind: 'none' };
    const match = from.findIndex((s, i) => s === size && outer(from, i) === outer(to, axis));
    return match < 0 ? { kind: 'whole' } : axisField(match);
  });
}

/** Position in a row-major array of `shape` of a flat index, as coordinates. */
export function unravel(index: number, shape: Shape): number[] {
  const at = new Array<number>(shape.length);
  let rest = index;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const size = shape[axis] ?? 1;
    at[axis] = rest % size;
    rest = Math.floor(rest / size);
  }
  return at;
}

/** A negative axis counts from the end. */
export const normaliseAxis = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);
