/** Tensors of indices: the positions that they name, and whether they name any. */
import { type InferContext, inputType, OpError } from '../op.ts';
import type { TensorData } from '../tensor.ts';
import type { TensorType } from '../types.ts';

/**
 * A position from an index that may count from the end; −1 where it is outside. Indices that are constants are checked
 * when types are inferred, others by `checkData`. Of those outside, a read reads position 0 and a write is dropped, on the
 * reference as in kernels.
 */
export function position(index: number, size: number): number {
  const at = index < 0 ? index + size : index;
  return at >= 0 && at < size ? at : -1;
}

/** @throws OpError unless the input holds whole numbers that can be indices */
export function indexType(context: Pick<InferContext<unknown>, 'inputs'>, input: number): TensorType {
  const type = inputType(context, input);
  if (type.dtype !== 'i64' && type.dtype !== 'i32')
    throw new OpError(`indices are ${type.dtype}, not i64 or i32`);
  return type;
}

/** @throws OpError where an index is outside; `sizes` are those of the axes that the columns of the indices run over. */
export function checkIndices(indices: TensorData | undefined, sizes: readonly number[]): void {
  indices?.forEach((index: number | bigint, i: number) => {
    const size = sizes[i % sizes.length] ?? 0;
    if (position(Number(index), size) >= 0) return;
    const hint =
      size === 0
        ? 'an axis of this size has nothing to read: give an input that is not empty'
        : `indices into this axis run from ${-size} to ${size - 1}: correct the input that they come from`;
    throw new OpError(`index ${index} is outside an axis of ${size} positions`, hint);
  });
}
