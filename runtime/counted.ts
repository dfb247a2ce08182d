/** Outputs whose size depends on data: room for all that there can be, of which some positions of one axis count. */
import { sizeOf, type TensorArray } from './abi.ts';

export interface ShapedOutput {
  readonly data: TensorArray;
  readonly shape: readonly number[];
}

/** A copy of the first `count` positions of an axis. */
export function counted(
  { data: from, shape: room }: ShapedOutput,
  axis: number,
  count: number,
): ShapedOutput {
  const length = room[axis] ?? 0;
  const size = Math.min(length, count);
  const shape = room.map((s, i) => (i === axis ? size : s));
  const inner = sizeOf(room.slice(axis + 1));
  const rows = sizeOf(room.slice(0, axis));
  const data = from.slice(0, rows * size * inner);
  for (let row = 1; row < rows; row++) {
    const start = row * length * inner;
    data.set(from.subarray(start, start + size * inner) as never, row * size * inner);
  }
  return { data, shape };
}
