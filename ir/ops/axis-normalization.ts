/** Normalisation of the elements along chosen axes by their own statistics. */
import { attr } from '../attrs.ts';
import type { Value } from '../graph.ts';
import {
  type AxisField,
  type DecomposeContext,
  defineOp,
  inputData,
  inputType,
  inputValue,
  OpError,
  outputType,
} from '../op.ts';
import type { TensorType } from '../types.ts';
import { broadcastField } from './common.ts';
import { checkAxes, checkAxis } from './offsets.ts';
import {
  affine,
  axesFrom,
  BIAS,
  centre,
  centred,
  checkAffine,
  floats,
  groupField,
  inverseRoot,
  mean,
  normalise,
  overRoot,
  perElement,
  SCALE,
  STRIDED,
  scaled,
  X,
} from './statistics.ts';

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

export const AXIS_NORMALIZATIONS = {
  LayerNormalization,
  RMSNormalization,
  MeanVarianceNormalization,
  LpNormalization,
} as const;
