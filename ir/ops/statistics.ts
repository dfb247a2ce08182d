/** Normalisation by statistics of the data itself: a group of elements is centred and scaled to a norm of one. */
import { attr } from '../attrs.ts';
import type { Value } from '../graph.ts';
import {
  type AxisField,
  type Cost,
  type DecomposeContext,
  defineOp,
  type EvalContext,
  type InputSpec,
  inputData,
  inputType,
  inputValue,
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
import { axisField, broadcastField, unravel } from './common.ts';
import { checkAxes, checkAxis, offsetsOver } from './offsets.ts';

/** What a group's elements become: (x − centre)·factor. */
interface Statistics {
  readonly centre: number;
  readonly factor: number;
}

type Measure = (data: Float32Array, base: number, offsets: Int32Array) => Statistics;

const mean = (data: Float32Array, base: number, offsets: Int32Array, f: (x: number) => number): number => {
  let sum = 0;
  for (const offset of offsets) sum += f(data[base + offset] as number);
  return sum / offsets.length;
};

/** Mean and population variance, the latter of the centred elements: E[x²] − E[x]² would cancel. */
const centred =
  (factor: (variance: number) => number): Measure =>
  (data, base, offsets) => {
    const centre = mean(data, base, offsets, (x) => x);
    const variance = mean(data, base, offsets, (x) => (x - centre) ** 2);
    return { centre, factor: factor(variance) };
  };

const inverseRoot = (epsilon: number) => (variance: number) => 1 / Math.sqrt(variance + epsilon);

/** Every group of `shape` over `axes` normalised, in doubles. */
function normalise(
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
function affine(context: EvalContext<unknown>, values: Float64Array, shapes: readonly Shape[]): TensorData[] {
  const { shape } = outputType(context);
  const operand = (i: number, none: number) => {
    const data = context.data[i];
    if (!data) return () => none;
    const strides = broadcastStrides(shapes[i - 1] ?? [], shape);
    return (index: number) =>
      read(
        data,
        unravel(index, shape).reduce((sum, p, axis) => sum + p * (strides[axis] ?? 0), 0),
      );
  };
  const [scale, bias] = [operand(1, 1), operand(2, 0)];
  return [Float32Array.from(values, (v, i) => v * scale(i) + bias(i))];
}

const X: InputSpec = { name: 'x', role: 'data' };
const SCALE: InputSpec = { name: 'scale', role: 'weight' };
const BIAS: InputSpec = { name: 'bias', role: 'weight' };
const STRIDED: OpTraits = { layout: 'strided' };

function floats(inputs: readonly (TensorType | undefined)[]): TensorType {
  for (const type of inputs) {
    if (type && type.dtype !== 'f32') throw new OpError(`an input is ${formatType(type)}, not f32`);
  }
  return inputType({ inputs }, 0);
}

const perElement =
  (operations: number) =>
  ({ outputs }: { readonly outputs: readonly TensorType[] }): Cost => ({
    macs: 0,
    otherOps: operations * elementCount(outputType({ outputs }).shape),
  });

/** Groups over `axes` are seen whole. */
const groupField = (shape: Shape, axes: readonly number[]): AxisField[] =>
  shape.map((_, axis): AxisField => (axes.includes(axis) ? { kind: 'whole' } : axisField(axis)));

const axesFrom = (axis: number, rank: number): number[] =>
  Array.from({ length: rank - axis }, (_, i) => axis + i);

/** @throws OpError unless scale and bias broadcast to x. */
function checkAffine(inputs: readonly (TensorType | undefined)[]): void {
  const { shape } = inputType({ inputs }, 0);
  for (const [i, name] of ['scale', 'bias'].entries()) {
    const own = inputs[i + 1]?.shape;
    const both = own && broadcastShapes(own, shape);
    if (own && !(both && sameShape(both, shape)))
      throw new OpError(`${name} is ${formatShape(own)} and does not broadcast to ${formatShape(shape)}`);
  }
}

/** x − mean over `axes`, and the mean of its squares, which is the variance. */
function centre({ b }: Pick<DecomposeContext<unknown>, 'b'>, x: Value, axes: readonly number[]) {
  const difference = b.op('Sub', [x, b.op('ReduceMean', [x], { axes })], {});
  const variance = b.op('ReduceMean', [b.op('Mul', [difference, difference], {})], { axes });
  return { difference, variance };
}

/** x / √(square + ε). */
function overRoot(
  { b }: Pick<DecomposeContext<unknown>, 'b'>,
  x: Value,
  square: Value,
  epsilon: number,
): Value {
  const root = b.op('Sqrt', [b.op('Add', [square, b.scalar(epsilon, 'epsilon')], {})], {});
  return b.op('Div', [x, root], {});
}

/** x·scale + bias, with inputs 1 and 2 where they are there, under the given shape. */
function scaled(context: DecomposeContext<unknown>, x: Value, shape?: Shape): Value {
  const { b, inputs } = context;
  const operand = (v: Value) => (shape ? b.op('Reshape', [v], { shape }) : v);
  const product = inputs[1] ? b.op('Mul', [x, operand(inputs[1])], {}) : x;
  return inputs[2] ? b.op('Add', [product, operand(inputs[2])], {}) : product;
}

const AXIS_ATTRS = { axis: attr.int(), epsilon: attr.float(1e-5) };
interface AxisAttrs {
  readonly axis: number;
  readonly epsilon: number;
}

/**
 * (x − mean) / √(variance + epsilon)·scale + bias, statistics over the axes from `axis` on (Ba et al. 2016). Scale and
 * bias broadcast to x. Mean and 1/√(variance + ε), which ONNX lists as outputs, are ops of their own.
 */
export const LayerNormalization = defineOp({
  name: 'LayerNormalization',
  attrs: AXIS_ATTRS,
  inputs: [X, SCALE, { ...BIAS, optional: true }],
  traits: STRIDED,
  infer({ attrs, inputs }) {
    const x = floats(inputs);
    checkAxis(attrs.axis, x.shape.length);
    checkAffine(inputs);
    return [x];
  },
  cost: perElement(7),
  field: ({ attrs, inputs, outputs }, _output, input) =>
    statisticsField(inputs, outputs, input, (rank) => axesFrom(attrs.axis, rank)),
  reference: {
    kind: 'whole',
    evaluate(context) {
      const { axis, epsilon } = context.attrs;
      const { shape } = inputType(context, 0);
      const values = normalise(
        inputData(context, 0) as Float32Array,
        shape,
        axesFrom(axis, shape.length),
        centred(inverseRoot(epsilon)),
      );
      return affine(context, values, [inputType(context, 1).shape, context.inputs[2]?.shape ?? []]);
    },
  },
  decompose: decomposeLayerNormalization,
});

function decomposeLayerNormalization(context: DecomposeContext<AxisAttrs>): Value[] {
  const x = inputValue(context, 0);
  const { axis, epsilon } = context.attrs;
  const { difference, variance } = centre(context, x, axesFrom(axis, x.type.shape.length));
  return [scaled(context, overRoot(context, difference, variance, epsilon))];
}

/** Field of data input 0 through statistics over axes; scale and bias broadcast. */
function statisticsField(
  inputs: readonly (TensorType | undefined)[],
  outputs: readonly TensorType[],
  input: number,
  axes: (rank: number) => readonly number[],
): AxisField[] {
  const { shape } = outputType({ outputs });
  return input === 0
    ? groupField(shape, axes(shape.length))
    : broadcastField(inputType({ inputs }, input).shape, shape);
}

/** x / √(mean(x²) + epsilon)·scale, the mean over the axes from `axis` on (Zhang & Sennrich 2019). */
export const RMSNormalization = defineOp({
  name: 'RMSNormalization',
  attrs: AXIS_ATTRS,
  inputs: [X, SCALE],
  traits: STRIDED,
  infer({ attrs, inputs }) {
    const x = floats(inputs);
    checkAxis(attrs.axis, x.shape.length);
    checkAffine(inputs);
    return [x];
  },
  cost: perElement(4),
  field: ({ attrs, inputs, outputs }, _output, input) =>
    statisticsField(inputs, outputs, input, (rank) => axesFrom(attrs.axis, rank)),
  reference: {
    kind: 'whole',
    evaluate(context) {
      const { axis, epsilon } = context.attrs;
      const { shape } = inputType(context, 0);
      const values = normalise(
        inputData(context, 0) as Float32Array,
        shape,
        axesFrom(axis, shape.length),
        (data, base, offsets) => ({
          centre: 0,
          factor: inverseRoot(epsilon)(mean(data, base, offsets, (x) => x * x)),
        }),
      );
      return affine(context, values, [inputType(context, 1).shape]);
    },
  },
  decompose: decomposeRmsNormalization,
});

function decomposeRmsNormalization(context: DecomposeContext<AxisAttrs>): Value[] {
  const { b } = context;
  const x = inputValue(context, 0);
  const { axis, epsilon } = context.attrs;
  const axes = axesFrom(axis, x.type.shape.length);
  const square = b.op('ReduceMean', [b.op('Mul', [x, x], {})], { axes });
  return [scaled(context, overRoot(context, x, square, epsilon))];
}

/** (x − mean) / (√variance + 1e-9), statistics over `axes`. */
export const MeanVarianceNormalization = defineOp({
  name: 'MeanVarianceNormalization',
  attrs: { axes: attr.ints() },
  inputs: [X],
  traits: STRIDED,
  infer({ attrs, inputs }) {
    const x = floats(inputs);
    checkAxes(attrs.axes, x.shape.length);
    return [x];
  },
  cost: perElement(5),
  field: ({ attrs, inputs }) => groupField(inputType({ inputs }, 0).shape, attrs.axes),
  reference: {
    kind: 'whole',
    evaluate(context) {
      const values = normalise(
        inputData(context, 0) as Float32Array,
        inputType(context, 0).shape,
        context.attrs.axes,
        centred((variance) => 1 / (Math.sqrt(variance) + MVN_EPSILON)),
      );
      return [Float32Array.from(values)];
    },
  },
  decompose: decomposeMeanVarianceNormalization,
});

const MVN_EPSILON = 1e-9;

function decomposeMeanVarianceNormalization(
  context: DecomposeContext<{ readonly axes: readonly number[] }>,
): Value[] {
  const { b, attrs } = context;
  const { difference, variance } = centre(context, inputValue(context, 0), attrs.axes);
  const deviation = b.op('Add', [b.op('Sqrt', [variance], {}), b.scalar(MVN_EPSILON, 'epsilon')], {});
  return [b.op('Div', [difference, deviation], {})];
}

/** x over its 1- or 2-norm along `axis`; 0 where the norm is 0. */
export const LpNormalization = defineOp({
  name: 'LpNormalization',
  attrs: { axis: attr.int(), p: attr.int(2) },
  inputs: [X],
  traits: STRIDED,
  infer({ attrs, inputs }) {
    const x = floats(inputs);
    checkAxis(attrs.axis, x.shape.length);
    if (attrs.p !== 1 && attrs.p !== 2)
      throw new OpError(`the ${attrs.p}-norm is not supported; 1 and 2 are`);
    return [x];
  },
  cost: perElement(3),
  field: ({ attrs, inputs }) => groupField(inputType({ inputs }, 0).shape, [attrs.axis]),
  reference: {
    kind: 'whole',
    evaluate(context) {
      const { axis, p } = context.attrs;
      const values = normalise(
        inputData(context, 0) as Float32Array,
        inputType(context, 0).shape,
        [axis],
        (data, base, offsets) => {
          const sum = offsets.length * mean(data, base, offsets, (x) => (p === 1 ? Math.abs(x) : x * x));
          return { centre: 0, factor: sum === 0 ? 1 : 1 / (p === 1 ? sum : Math.sqrt(sum)) };
        },
      );
      return [Float32Array.from(values)];
    },
  },
  decompose: decomposeLpNormalization,
});

function decomposeLpNormalization(
  context: DecomposeContext<{ readonly axis: number; readonly p: number }>,
): Value[] {
  const { b, attrs } = context;
  const x = inputValue(context, 0);
  const norm = b.op(attrs.p === 1 ? 'ReduceL1' : 'ReduceL2', [x], { axes: [attrs.axis] });
  const isZero = b.op('Equal', [norm, b.scalar(0)], {});
  return [b.op('Div', [x, b.op('Where', [isZero, b.scalar(1), norm], {})], {})];
}

function checkChannels(inputs: readonly (TensorType | undefined)[]): TensorType {
  const x = floats(inputs);
  if (x.shape.length < 3) throw new OpError(`input has rank ${x.shape.length} and no spatial axis`);
  for (const [i, name] of ['scale', 'bias'].entries()) {
    const count = elementCount(inputType({ inputs }, i + 1).shape);
    if (count !== x.shape[1]) throw new OpError(`${name} has ${count} elements for ${x.shape[1]} channels`);
  }
  return x;
}

/** One value per channel, as it broadcasts to [N, C, …]. */
const perChannel = (shape: Shape): number[] => [shape[1] ?? 1, ...shape.slice(2).map(() => 1)];

/** Channels of x and spatial axes in `groups` groups: [N, groups, all else]. */
const grouped = ([n = 1, ...rest]: Shape, groups: number): number[] => [
  n,
  groups,
  groups === 0 ? 0 : elementCount(rest) / groups,
];

function channelNormalise(context: EvalContext<unknown>, groups: number, epsilon: number): TensorData[] {
  const { shape } = inputType(context, 0);
  const data = inputData(context, 0) as Float32Array;
  const values = normalise(data, grouped(shape, groups), [2], centred(inverseRoot(epsilon)));
  return affine(context, values, [perChannel(shape), perChannel(shape)]);
}

/** Scale and bias belong to channels. */
const channelField = (input: number, shape: Shape, channels: AxisField): AxisField[] =>
  shape.map((_, axis): AxisField => {
    if (input > 0) return axis === 1 ? axisField(0) : { kind: 'none' };
    if (axis === 0) return axisField(0);
    return axis === 1 ? channels : { kind: 'whole' };
  });

/**
 * (x − mean) / √(variance + epsilon)·scale + bias, statistics per sample and channel (Ulyanov et al. 2016).
 * x [N, C, …], scale and bias [C].
 */
export const InstanceNormalization = defineOp({
  name: 'InstanceNormalization',
  attrs: { epsilon: attr.float(1e-5) },
  inputs: [X, SCALE, BIAS],
  traits: STRIDED,
  infer: ({ inputs }) => [checkChannels(inputs)],
  cost: perElement(7),
  field: ({ outputs }, _output, input) => channelField(input, outputType({ outputs }).shape, axisField(1)),
  reference: {
    kind: 'whole',
    evaluate: (context) =>
      channelNormalise(context, inputType(context, 0).shape[1] ?? 1, context.attrs.epsilon),
  },
  decompose: decomposeInstanceNormalization,
});

function decomposeInstanceNormalization(context: DecomposeContext<{ readonly epsilon: number }>): Value[] {
  const x = inputValue(context, 0);
  const { shape } = x.type;
  const { difference, variance } = centre(context, x, axesFrom(2, shape.length));
  const normal = overRoot(context, difference, variance, context.attrs.epsilon);
  return [scaled(context, normal, perChannel(shape))];
}

/**
 * (x − mean) / √(variance + epsilon)·scale + bias, statistics per sample and group of neighbouring channels (Wu & He
 * 2018). x [N, C, …], scale and bias [C].
 */
export const GroupNormalization = defineOp({
  name: 'GroupNormalization',
  attrs: { groups: attr.int(), epsilon: attr.float(1e-5) },
  inputs: [X, SCALE, BIAS],
  traits: STRIDED,
  infer({ attrs: { groups }, inputs }) {
    const x = checkChannels(inputs);
    const channels = x.shape[1] ?? 0;
    if (groups < 1 || channels % groups !== 0)
      throw new OpError(`${channels} channels do not fall into ${groups} groups`);
    return [x];
  },
  cost: perElement(7),
  field: ({ outputs }, _output, input) =>
    channelField(input, outputType({ outputs }).shape, { kind: 'whole' }),
  reference: {
    kind: 'whole',
    evaluate: (context) => channelNormalise(context, context.attrs.groups, context.attrs.epsilon),
  },
  decompose: decomposeGroupNormalization,
});

function decomposeGroupNormalization(
  context: DecomposeContext<{ readonly groups: number; readonly epsilon: number }>,
): Value[] {
  const { b, attrs } = context;
  const x = inputValue(context, 0);
  const { shape } = x.type;
  const view = b.op('Reshape', [x], { shape: grouped(shape, attrs.groups) });
  const { difference, variance } = centre(context, view, [2]);
  const normal = overRoot(context, difference, variance, attrs.epsilon);
  return [scaled(context, b.op('Reshape', [normal], { shape }), perChannel(shape))];
}

export const STATISTICS = {
  LayerNormalization,
  RMSNormalization,
  MeanVarianceNormalization,
  LpNormalization,
  InstanceNormalization,
  GroupNormalization,
} as const;
