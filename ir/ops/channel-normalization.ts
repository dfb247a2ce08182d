/** Normalisation of an image's channels by their own statistics. */
import { attr } from '../attrs.ts';
import type { Value } from '../graph.ts';
import {
  type AxisField,
  type DecomposeContext,
  defineOp,
  type EvalContext,
  inputData,
  inputType,
  inputValue,
  OpError,
  outputType,
} from '../op.ts';
import type { TensorData } from '../tensor.ts';
import { elementCount, type Shape, type TensorType } from '../types.ts';
import { axisField } from './common.ts';
import {
  affine,
  axesFrom,
  BIAS,
  centre,
  centred,
  floats,
  inverseRoot,
  normalise,
  overRoot,
  perElement,
  SCALE,
  STRIDED,
  scaled,
  X,
} from './statistics.ts';

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

export const CHANNEL_NORMALIZATIONS = { InstanceNormalization, GroupNormalization } as const;
