/** Elements as a device has them: one word of 32 bits for each. */
import { ARRAYS, type ElementType, sizeOf, type TensorArray } from './abi.ts';
import type { DeviceTensor } from './model-types.ts';

/** An input or output, dense and row-major. */
export interface GpuTensor {
  readonly name: string;
  readonly dtype: ElementType;
  readonly shape: readonly number[];
}

/** Elements that a device is given. */
export type GpuWords = Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>;

/** The word that holds an element. */
export const wordOf = (dtype: ElementType): DeviceTensor<unknown>['word'] =>
  dtype === 'f32' ? 'f32' : dtype === 'u32' || dtype === 'u64' ? 'u32' : 'i32';

export const wordBytes = ({ shape }: Pick<GpuTensor, 'shape'>): number => 4 * sizeOf(shape);

/** In memory of their own. @param what the tensor is. @throws Error for integers that need more */
export function wordsOf(what: string, { name, dtype }: GpuTensor, data: TensorArray): GpuWords {
  if (data instanceof Float32Array) return new Float32Array(data);
  const unsigned = wordOf(dtype) === 'u32';
  const words = new Int32Array(data.length);
  for (let i = 0; i < data.length; i++) {
    const number = Number(data[i]);
    words[i] = number;
    const kept = words[i] as number;
    if (number !== (unsigned ? kept >>> 0 : kept))
      throw new Error(
        `${what} ${JSON.stringify(name)}: ${String(data[i])} does not fit the 32 bits of a GPU`,
      );
  }
  return words;
}

/** In an array of their own. */
export function elementsOf({ dtype }: GpuTensor, words: Int32Array<ArrayBuffer>): TensorArray {
  if (dtype === 'f32') return new Float32Array(words.buffer, words.byteOffset, words.length).slice();
  if (dtype === 'i64') return BigInt64Array.from(words, BigInt);
  if (dtype === 'u64') return BigUint64Array.from(words, (word) => BigInt(word >>> 0));
  return new ARRAYS[dtype](words);
}
