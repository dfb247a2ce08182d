/** Element types of the IR. f16 and f64 of a model file are converted to f32 at the border. */
export const DTYPES = ['f32', 'i8', 'u8', 'i16', 'u16', 'i32', 'u32', 'i64', 'u64', 'bool'] as const;
export type DType = (typeof DTYPES)[number];

/** Sizes of the axes, outermost first; a scalar has the empty shape. Always concrete. */
export type Shape = readonly number[];

export interface TensorType {
  readonly dtype: DType;
  readonly shape: Shape;
}

export const tensorType = (dtype: DType, shape: Shape): TensorType => ({ dtype, shape });

const BYTES: Record<DType, number> = {
  f32: 4,
  i8: 1,
  u8: 1,
  i16: 2,
  u16: 2,
  i32: 4,
  u32: 4,
  i64: 8,
  u64: 8,
  bool: 1,
};

/** Bytes of one element. */
export const bytesOf = (dtype: DType): number => BYTES[dtype];

export const isDType = (text: string): text is DType => (DTYPES as readonly string[]).includes(text);
export const isInteger = (dtype: DType): boolean => dtype !== 'f32' && dtype !== 'bool';
/** Types whose values are BigInt in their typed arrays. */
export const isWide = (dtype: DType): boolean => dtype === 'i64' || dtype === 'u64';

export const product = (sizes: Iterable<number>): number => {
  let p = 1;
  for (const s of sizes) p *= s;
  return p;
};

/** Number of elements of a shape; 1 for a scalar. */
export const elementCount = (shape: Shape): number => product(shape);
export const byteSize = (type: TensorType): number => elementCount(type.shape) * bytesOf(type.dtype);

export const sameShape = (a: Shape, b: Shape): boolean =>
  a.length === b.length && a.every((size, i) => size === b[i]);
export const sameType = (a: TensorType, b: TensorType): boolean =>
  a.dtype === b.dtype && sameShape(a.shape, b.shape);

/** Row-major strides in elements. */
export function rowMajorStrides(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let step = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = step;
    step *= shape[axis] ?? 1;
  }
  return strides;
}

/** Multidirectional broadcasting as in ONNX and NumPy; undefined where the shapes do not broadcast. */
export function broadcastShapes(...shapes: readonly Shape[]): Shape | undefined {
  const rank = Math.max(0, ...shapes.map((s) => s.length));
  const result = new Array<number>(rank).fill(1);
  for (const shape of shapes) {
    for (let i = 0; i < shape.length; i++) {
      const axis = rank - shape.length + i;
      const size = shape[i] ?? 1;
      if (size === 1 || size === result[axis]) continue;
      if (result[axis] !== 1) return undefined;
      result[axis] = size;
    }
  }
  return result;
}

/** Strides that read an operand of shape `from` at positions of the broadcast shape `to`: 0 on stretched axes. */
export function broadcastStrides(from: Shape, to: Shape): number[] {
  const own = rowMajorStrides(from);
  const lead = to.length - from.length;
  return to.map((_, axis) => (axis < lead || from[axis - lead] === 1 ? 0 : (own[axis - lead] ?? 0)));
}

/** `f32[1,3,224,224]`; a scalar is `f32[]`. */
export const formatType = (type: TensorType): string => `${type.dtype}[${type.shape.join(',')}]`;
/** `1×3×224×224`, for people. */
export const formatShape = (shape: Shape): string => (shape.length === 0 ? 'scalar' : shape.join('×'));

/** Compile-time proof that a union is exhausted. */
export function assertExhaustive(value: never): never {
  throw new Error(`not reachable: ${String(value)}`);
}

/** How a value lies in memory: as its shape says, or with axis 1 (channels) innermost. Not part of its meaning. */
export type Layout = 'rowMajor' | 'channelsLast';
