/** What to do to an array of another shape or type, in NumPy's words. */
import { type DType, elementCount, type Shape, sameShape, type TensorType } from '#ir/types.ts';

/** `array.transpose(0, 3, 1, 2)`, where that makes `given` the `wanted`; undefined where only another array does. */
export function arrayConversion(given: TensorType, wanted: TensorType): string | undefined {
  const shape = reordering(given.shape, wanted.shape);
  if (shape === undefined) return undefined;
  const type = given.dtype === wanted.dtype ? '' : `.astype("${NUMPY_TYPES[wanted.dtype]}")`;
  return `array${shape}${type}`;
}

/** What to write where an array is not what is wanted. */
export function arrayHint(given: TensorType, wanted: TensorType): string {
  const conversion = arrayConversion(given, wanted);
  const sizes = wanted.shape.join(', ');
  if (conversion !== undefined) {
    if (sameShape(given.shape, wanted.shape)) return `convert it, as by ${conversion}`;
    return conversion.includes('.transpose(')
      ? `put its axes in this order, as by ${conversion}`
      : `give it this shape, as by ${conversion}`;
  }
  const save = `save an array of shape (${sizes})`;
  // one axis has no order of its own, but its numbers have one
  return given.shape.length === 1 && elementCount(given.shape) === elementCount(wanted.shape)
    ? `${save}; array.reshape(${sizes}) is one if the numbers are in its order already`
    : save;
}

/** What NumPy calls the element types. */
export const NUMPY_TYPES: Readonly<Record<DType, string>> = {
  f32: 'float32',
  i8: 'int8',
  u8: 'uint8',
  i16: 'int16',
  u16: 'uint16',
  i32: 'int32',
  u32: 'uint32',
  i64: 'int64',
  u64: 'uint64',
  bool: 'bool',
};

/** Other shapes in which this one may have been meant, the likeliest first: with or without a batch, in another order. */
export function likelyShapes(given: Shape): readonly Shape[] {
  const alike = [given, [1, ...given], ...(given[0] === 1 ? [given.slice(1)] : [])];
  const all = alike.flatMap((shape) => [
    shape,
    ...layoutOrders(shape.length).map((order) => order.map((axis) => shape[axis] ?? 1)),
  ]);
  return all.filter((shape, i) => all.findIndex((other) => sameShape(other, shape)) === i).slice(1);
}

/** The methods that bring the data of `given` into the shape `wanted` as one means it: '' where it has that shape. */
function reordering(given: Shape, wanted: Shape): string | undefined {
  if (sameShape(given, wanted)) return '';
  const long = (shape: Shape) => shape.filter((size) => size !== 1);
  // the data stays as it is where only axes of size 1 come or go
  if (sameShape(long(given), long(wanted))) return `.reshape(${wanted.join(', ')})`;
  const aligned = alignedTo(given, wanted.length);
  const order = aligned && orderOf(aligned, wanted);
  if (!aligned || !order) return undefined;
  const first = sameShape(aligned, given) ? '' : `.reshape(${aligned.join(', ')})`;
  return `${first}.transpose(${order.join(', ')})`;
}

/** The shape with so many axes, by axes of size 1 in front. */
function alignedTo(shape: Shape, rank: number): Shape | undefined {
  const more = rank - shape.length;
  if (more >= 0) return [...new Array<number>(more).fill(1), ...shape];
  return shape.slice(0, -more).every((size) => size === 1) ? shape.slice(-more) : undefined;
}

/** The axes of `given` in the order in which they are `wanted`. */
function orderOf(given: Shape, wanted: Shape): readonly number[] | undefined {
  const layout = layoutOrders(given.length).find((order) =>
    order.every((axis, i) => given[axis] === wanted[i]),
  );
  if (layout) return layout;
  const left = new Set(given.keys());
  const order = wanted.map((size) => {
    const axis = [...left].find((i) => given[i] === size);
    if (axis !== undefined) left.delete(axis);
    return axis;
  });
  return order.every((axis) => axis !== undefined) ? order : undefined;
}

/** Channels from last to first after the batch, and back. */
function layoutOrders(rank: number): readonly (readonly number[])[] {
  if (rank < 3) return [];
  const space = Array.from({ length: rank - 2 }, (_, i) => i + 1);
  return [
    [0, rank - 1, ...space],
    [0, ...space.map((axis) => axis + 1), 1],
  ];
}
