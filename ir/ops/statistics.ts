/** What ops have in common that centre and scale groups of elements by statistics of the data itself. */
import type { Value } from '../graph.ts';
import {
  type AxisField,
  type Cost,
  type DecomposeContext,
  type EvalContext,
  type InputSpec,
  inputType,
  OpError,
  type OpTraits,
  outputType,
} from '../op.ts';
import { read, type TensorData } from '../tensor.ts';
import {
  broadcastShapes,
  broadcastStrides,
  elementCount,
  formatShape,
  formatType,
  type Shape,
  sameShape,
  type TensorType,
} from '../types.ts';
import { axisField } from './common.ts';
import { flattenOffsets, offsetsOver, stridedOffsets } from './offsets.ts';

/** What a group's elements become: (x − centre)·factor. */
interface Statistics {
  readonly centre: number;
  readonly factor: number;
}

type Measure = (data: Float32Array, base: number, offsets: Int32Array) => Statistics;

export const mean = (
  data: Float32Array,
  base: number,
  offsets: Int32Array,
  f: (x: number) => number,
): number => {
  let sum = 0;
  for (const offset of offsets) sum += f(data[base + offset] as number);
  return sum / offsets.length;
};

/** Mean and population variance, the latter of the centred elements: E[x²] − E[x]² would cancel. */
export const centred =
  (factor: (variance: number) => number): Measure =>
  (data, base, offsets) => {
    const centre = mean(data, base, offsets, (x) => x);
    const variance = mean(data, base, offsets, (x) => (x - centre) ** 2);
    return { centre, factor: factor(variance) };
  };

export const inverseRoot = (epsilon: number) => (variance: number) => 1 / Math.sqrt(variance + epsilon);

/** Every group of `shape` over `axes` normalised, in doubles. */
export function normalise(
  data: Float32Array,
  shape: Shape,
  axes: readonly number[],
  measure: Measure,
): Float64Array {
  const result = new Float64Array(data.length);
  const folded = offsetsOver(shape, (axis) => axes.includes(axis));
  for (const base of offsetsOver(shape, (axis) => !axes.includes(axis))) {
    const { centre, factor } = measure(data, base, folded);
    for (const offset of folded) result[base + offset] = ((data[base + offset] as number) - centre) * factor;
  }
  return result;
}

/** values·scale + bias, scale and bias (inputs 1 and 2) broadcast from `shapes`. */
export function affine(
  context: EvalContext<unknown>,
  values: Float64Array,
  shapes: readonly Shape[],
): TensorData[] {
  const { shape } = outputType(context);
  const operand = (i: number, none: number) => {
    const data = context.data[i];
    if (!data) return () => none;
    const strides = broadcastStrides(shapes[i - 1] ?? [], shape);
    const offsets = flattenOffsets(shape.map((size, axis) => stridedOffsets(size, strides[axis] ?? 0)));
    return (index: number) => read(data, offsets[index] ?? 0);
  };
  const [scale, bias] = [operand(1, 1), operand(2, 0)];
  return [Float32Array.from(values, (v, i) => v * scale(i) + bias(i))];
}

export const X: InputSpec = { name: 'x', role: 'data' };
export const SCALE: InputSpec = { name: 'scale', role: 'weight' };
export const BIAS: InputSpec = { name: 'bias', role: 'weight' };
export const STRIDED: OpTraits = { layout: 'strided' };

export function floats(inputs: readonly (TensorType | undefined)[]): TensorType {
  for (const type of inputs) {
    if (type && type.dtype !== 'f32') throw new OpError(`an input is ${formatType(type)}, not f32`);
  }
  return inputType({ inputs }, 0);
}

export const perElement =
  (operations: number) =>
  ({ outputs }: { readonly outputs: readonly TensorType[] }): Cost => ({
    macs: 0,
    otherOps: operations * elementCount(outputType({ outputs }).shape),
  });

/** Groups over `axes` are seen whole. */
export const groupField = (shape: Shape, axes: readonly number[]): AxisField[] =>
  shape.map((_, axis): AxisField => (axes.includes(axis) ? { kind: 'whole' } : axisField(axis)));

export const axesFrom = (axis: number, rank: number): number[] =>
  Array.from({ length: rank - axis }, (_, i) => axis + i);

/** @throws OpError unless scale and bias broadcast to x. */
export function checkAffine(inputs: readonly (TensorType | undefined)[]): void {
  const { shape } = inputType({ inputs }, 0);
  for (const [i, name] of ['scale', 'bias'].entries()) {
    const own = inputs[i + 1]?.shape;
    const both = own && broadcastShapes(own, shape);
    if (own && !(both && sameShape(both, shape)))
      throw new OpError(`${name} is ${formatShape(own)} and does not broadcast to ${formatShape(shape)}`);
  }
}

/** x − mean over `axes`, and the mean of its squares, which is the variance. */
export function centre({ b }: Pick<DecomposeContext<unknown>, 'b'>, x: Value, axes: readonly number[]) {
  const difference = b.op('Sub', [x, b.op('ReduceMean', [x], { axes })], {});
  const variance = b.op('ReduceMean', [b.op('Mul', [difference, difference], {})], { axes });
  return { difference, variance };
}

/** x / √(square + ε). */
export function overRoot(
  { b }: Pick<DecomposeContext<unknown>, 'b'>,
  x: Value,
  square: Value,
  epsilon: number,
): Value {
  const root = b.op('Sqrt', [b.op('Add', [square, b.scalar(epsilon, 'epsilon')], {})], {});
  return b.op('Div', [x, root], {});
}

/** x·scale + bias, with inputs 1 and 2 where they are there, under the given shape. */
export function scaled(context: DecomposeContext<unknown>, x: Value, shape?: Shape): Value {
  const { b, inputs } = context;
  const operand = (v: Value) => (shape ? b.op('Reshape', [v], { shape }) : v);
  const product = inputs[1] ? b.op('Mul', [x, operand(inputs[1])], {}) : x;
  return inputs[2] ? b.op('Add', [product, operand(inputs[2])], {}) : product;
}
