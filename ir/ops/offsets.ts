/** Copies of whole tensors by index tables: what every movement op's reference comes down to. */
import { OpError } from '../op.ts';
import { allocate, type TensorData, toBigInt } from '../tensor.ts';
import {
  type DType,
  elementCount,
  formatShape,
  isWide,
  product,
  rowMajorStrides,
  type Shape,
} from '../types.ts';

/** For each position of one output axis, what it adds to the source index; negative where the element is a hole. */
export type AxisOffsets = Int32Array;

/** Offsets of an axis of `size` positions that reads `start`, `start + step`, … of a source axis of stride `stride`. */
export const stridedOffsets = (size: number, stride: number, start = 0, step = 1): AxisOffsets =>
  Int32Array.from({ length: size }, (_, i) => (start + i * step) * stride);

/** One table for several axes: the offset of every position over them, row-major. */
export const flattenOffsets = (tables: readonly AxisOffsets[]): AxisOffsets =>
  tables.reduceRight((low, high) => combine(high, low), Int32Array.of(0));

/** Flat offsets of every position over the chosen axes, row-major. */
export function offsetsOver(shape: Shape, chosen: (axis: number) => boolean): Int32Array {
  const strides = rowMajorStrides(shape);
  return flattenOffsets(
    shape.flatMap((size, axis) => (chosen(axis) ? [stridedOffsets(size, strides[axis] ?? 1)] : [])),
  );
}

/**
 * Gathers a row-major tensor whose element (i, j, …) is source[tables[0][i] + tables[1][j] + …]; where any table has a
 * hole, the element is `fill`.
 */
export function copyByOffsets(
  source: TensorData,
  dtype: DType,
  tables: readonly AxisOffsets[],
  fill = 0,
): TensorData {
  const target = allocate(dtype, product(tables.map((t) => t.length))) as Float32Array;
  if (target.length === 0) return target;
  if (fill !== 0) target.fill((isWide(dtype) ? toBigInt(fill) : fill) as number);
  const { outer, inner } = foldInner(tables);
  copyRows(source as Float32Array, target, outer, inner);
  return target;
}

/** Rows of about this many elements are copied by one table, so that short inner axes cost no call each. */
const ROW = 1 << 12;

function foldInner(tables: readonly AxisOffsets[]): { outer: AxisOffsets[]; inner: AxisOffsets } {
  const outer = [...tables];
  let inner: AxisOffsets = Int32Array.of(0);
  for (let last = outer.at(-1); last && last.length * inner.length <= ROW; last = outer.at(-1)) {
    inner = combine(last, inner);
    outer.pop();
  }
  return inner.length === 1 ? { outer: outer.slice(0, -1), inner: outer.at(-1) ?? inner } : { outer, inner };
}

function combine(high: AxisOffsets, low: AxisOffsets): AxisOffsets {
  const both = new Int32Array(high.length * low.length);
  let at = 0;
  for (const h of high) for (const l of low) both[at++] = h < 0 || l < 0 ? -1 : h + l;
  return both;
}

function copyRows(
  source: Float32Array,
  target: Float32Array,
  outer: readonly AxisOffsets[],
  inner: AxisOffsets,
): void {
  const width = inner.length;
  const first = inner[0] as number;
  const contiguous = first >= 0 && inner.every((offset, i) => offset === first + i);
  let at = 0;
  const row = (base: number): void => {
    if (contiguous) {
      target.set(source.subarray(base + first, base + first + width), at);
    } else {
      for (let i = 0; i < width; i++) {
        const offset = inner[i] as number;
        if (offset >= 0) target[at + i] = source[base + offset] as number;
      }
    }
    at += width;
  };
  const descend = (axis: number, base: number): void => {
    const table = outer[axis];
    if (!table) {
      row(base);
      return;
    }
    for (const offset of table) {
      if (offset >= 0) descend(axis + 1, base + offset);
      else at += width * product(outer.slice(axis + 1).map((t) => t.length));
    }
  };
  descend(0, 0);
}

/** More elements than a typed array is asked to hold; shapes of models stay far below. */
const MAX_ELEMENTS = 2 ** 31 - 1;

/** The shape, once it is known to be one. @throws OpError for negative, fractional or absurdly large sizes. */
export function checkedShape(shape: Shape): Shape {
  if (shape.some((size) => !Number.isSafeInteger(size) || size < 0)) {
    throw new OpError(`[${shape.join(',')}] is not a shape`);
  }
  if (elementCount(shape) > MAX_ELEMENTS) throw new OpError(`a result of ${formatShape(shape)} is too large`);
  return shape;
}

/** @throws OpError unless `axis` is an axis of a tensor of rank `rank`. */
export function checkAxis(axis: number, rank: number): void {
  if (axis < 0 || axis >= rank) throw new OpError(`axis ${axis} is outside a tensor of rank ${rank}`);
}

/** @throws OpError unless the axes are distinct axes of a tensor of rank `rank`. */
export function checkAxes(axes: readonly number[], rank: number): void {
  for (const axis of axes) checkAxis(axis, rank);
  if (new Set(axes).size !== axes.length) throw new OpError(`axes [${axes.join(',')}] repeat`);
}

/** @throws OpError unless the attribute has `length` entries. */
export function checkLength(name: string, list: readonly number[], length: number): void {
  if (list.length !== length) throw new OpError(`${name} has ${list.length} entries, not ${length}`);
}
