import { type DType, elementCount, isWide, type Shape, type TensorType } from './types.ts';

export type TensorData =
  | Float32Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;

/** A dense row-major array with its type; `data.length` is the element count of `type.shape`. */
export interface Tensor {
  readonly type: TensorType;
  readonly data: TensorData;
  /** Where the data still lies in a file: elements `start` to `end`, without the others being read. They may lie in `scratch`. */
  readonly part?: ((start: number, end: number, scratch?: Uint8Array) => TensorData) | undefined;
}

/** Elements `start` to `end`, not to be written to, and valid until `scratch` is used anew; no more is read than has to be. */
export const elementsOf = (tensor: Tensor, start: number, end: number, scratch?: Uint8Array): TensorData =>
  tensor.part?.(start, end, scratch) ?? tensor.data.subarray(start, end);

/** A tensor whose values may be absent (a model without its weights): then `missing` says why. */
export type Constant = Tensor | { readonly type: TensorType; readonly data: null; readonly missing: string };

const ARRAYS = {
  f32: Float32Array,
  i8: Int8Array,
  u8: Uint8Array,
  i16: Int16Array,
  u16: Uint16Array,
  i32: Int32Array,
  u32: Uint32Array,
  i64: BigInt64Array,
  u64: BigUint64Array,
  bool: Uint8Array,
} as const satisfies Record<DType, unknown>;

/** A zeroed array of `count` elements. */
export const allocate = (dtype: DType, count: number): TensorData => new ARRAYS[dtype](count);

/** A view of `bytes` as `dtype`; copies only where the alignment demands it. */
export function viewBytes(dtype: DType, bytes: Uint8Array): TensorData {
  const type = ARRAYS[dtype];
  const size = type.BYTES_PER_ELEMENT;
  const aligned = bytes.byteOffset % size === 0 ? bytes : bytes.slice();
  return new type(aligned.buffer as ArrayBuffer, aligned.byteOffset, Math.floor(bytes.byteLength / size));
}

/** The raw little-endian bytes of an array, without a copy. */
export const bytesOfData = (data: TensorData): Uint8Array =>
  new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

export function tensor(dtype: DType, shape: Shape, values: ArrayLike<number | bigint> | TensorData): Tensor {
  const count = elementCount(shape);
  if (values.length !== count) throw new RangeError(`${values.length} values for shape [${shape.join(',')}]`);
  if (values instanceof ARRAYS[dtype]) return { type: { dtype, shape }, data: values };
  const data = allocate(dtype, count);
  for (let i = 0; i < count; i++) write(data, i, values[i] ?? 0);
  return { type: { dtype, shape }, data };
}

export const f32 = (shape: Shape, values: ArrayLike<number>): Tensor => tensor('f32', shape, values);
export const i64 = (values: readonly (number | bigint)[], shape: Shape = [values.length]): Tensor =>
  tensor('i64', shape, values);

/** Element `index` as a double; 64-bit integers beyond 2^53 lose precision, by nature of a double. */
export const read = (data: TensorData, index: number): number => Number(data[index]);

/** Stores a number or bigint with the array's own wrap-around. */
export function write(data: TensorData, index: number, value: number | bigint): void {
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) data[index] = toBigInt(value);
  else data[index] = Number(value);
}

/** Truncates toward zero; NaN and infinities become 0, as no integer stands for them. */
export function toBigInt(value: number | bigint): bigint {
  if (typeof value === 'bigint') return value;
  return Number.isFinite(value) ? BigInt(Math.trunc(value)) : 0n;
}

/** The values as doubles; for shapes, axes, scales and other small tensors. */
export const numbers = (t: Tensor): number[] => Array.from(t.data as ArrayLike<number | bigint>, Number);

/** Copies element `from` of `source` to element `to` of `target`; both arrays must be of one dtype. */
export function copyElement(target: TensorData, to: number, source: TensorData, from: number): void {
  (target as Float32Array)[to] = (source as Float32Array)[from] ?? 0;
}

/** Converts with ONNX Cast's meaning: to bool by `≠ 0`, float to integer by truncation, integers by wrap-around. */
export function convert(data: TensorData, from: DType, to: DType): TensorData {
  if (from === to) return data;
  const result = allocate(to, data.length);
  for (let i = 0; i < data.length; i++) {
    const value = data[i] ?? 0;
    if (to === 'bool') write(result, i, Number(value) !== 0 ? 1 : 0);
    else if (isWide(to)) write(result, i, value);
    else if (typeof value === 'bigint' && to !== 'f32') write(result, i, BigInt.asIntN(32, value));
    else if (to === 'f32') write(result, i, Number(value));
    else write(result, i, Math.trunc(Number(value)));
  }
  return result;
}
