/** Inputs and outputs in the memory of a module. */
import { ARRAYS, type ManifestTensor, sizeOf, type TensorArray } from './abi.ts';
import { counted, type ShapedOutput } from './counted.ts';
import type { WasmInstance } from './wasm.ts';

type Memory = Pick<WasmInstance, 'memory'>;

export const view = ({ memory }: Memory, { dtype, shape, address }: ManifestTensor): TensorArray =>
  new ARRAYS[dtype](memory.buffer, address, sizeOf(shape));

/** How many positions count of an axis whose size depends on data. */
export const countOf = ({ memory }: Memory, { count }: ManifestTensor): number | undefined =>
  count && Number(new BigInt64Array(memory.buffer, count.address, 1)[0]);

/** A copy of an output; where its size depends on data, of the positions that count. */
export function outputOf(instance: Memory, tensor: ManifestTensor): ShapedOutput {
  const data = view(instance, tensor);
  const count = countOf(instance, tensor);
  return tensor.count && count !== undefined
    ? counted({ data, shape: tensor.shape }, tensor.count.axis, count)
    : { data: data.slice(), shape: [...tensor.shape] };
}
