/**
 * Elements in device memory. WGSL has no integers narrower or wider than 32 bits that storage could hold, so every element is
 * one word: floats as they are, integers and truth values as 32-bit integers. Where that is asked for, floats between the
 * inputs and the outputs are halves of words.
 */
import type { Tensor } from '#ir/tensor.ts';
import type { DType } from '#ir/types.ts';
import { floatToHalf } from '../../weights/half.ts';

export const WORD_BYTES = 4;

export type Word = 'f32' | 'i32' | 'u32';

/** What floats between the inputs and the outputs, and constant ones, are kept as. */
export const GPU_PRECISIONS = ['f32', 'f16'] as const;
export type GpuPrecision = (typeof GPU_PRECISIONS)[number];

export const HALF_BYTES = 2;

/** The word that holds an element of a type. */
export const wordOf = (dtype: DType): Word =>
  dtype === 'f32' ? 'f32' : dtype === 'u32' || dtype === 'u64' ? 'u32' : 'i32';

export type WordArray = Float32Array | Int32Array | Uint32Array;

/** The elements of a tensor as words. @throws RangeError for integers that do not fit */
export function wordsOf({ data, type }: Tensor): WordArray {
  if (data instanceof Float32Array) return data;
  const words = wordOf(type.dtype) === 'u32' ? new Uint32Array(data.length) : new Int32Array(data.length);
  for (let i = 0; i < data.length; i++) {
    const number = Number(data[i]);
    words[i] = number;
    if (words[i] !== number) throw new RangeError(`element ${i} is ${String(data[i])}, beyond 32 bits`);
  }
  return words;
}

/** The first integer of a tensor that no word holds. */
export function beyondWords({ data, type }: Tensor): bigint | undefined {
  if (!(data instanceof BigInt64Array || data instanceof BigUint64Array)) return undefined;
  const fits = (x: bigint) =>
    wordOf(type.dtype) === 'u32' ? x === BigInt.asUintN(32, x) : x === BigInt.asIntN(32, x);
  return data.find((x) => !fits(x));
}

/** From here on halves are infinite. */
const BEYOND_HALVES = 65520;

/** The first float of a tensor that is beyond the range of halves. */
export const beyondHalves = ({ data }: Tensor): number | undefined =>
  data instanceof Float32Array
    ? data.find((x) => Number.isFinite(x) && Math.abs(x) >= BEYOND_HALVES)
    : undefined;

/** Floats as halves. */
export function writeHalves(floats: Float32Array, target: Uint16Array): void {
  for (let i = 0; i < floats.length; i++) target[i] = floatToHalf(floats[i] as number);
}
