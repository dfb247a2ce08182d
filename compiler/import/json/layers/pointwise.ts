/** Normalisation, activations, and what is made of them. */
import type { Value } from '#ir/graph.ts';
import { formatShape } from '#ir/types.ts';
import { divisorsOf } from '../hints.ts';
import { type ActivationName, type OptionsOf, SLOPED } from '../kinds.ts';
import type { Flow, Layer } from '../layer.ts';

/**
 * Batch norm is a node with its statistics, as in training; its keys are PyTorch's. Group norm has 32 groups unless said,
 * and layer norm is over all channels and positions, with a scale per channel.
 */
export function normalise(
  layer: Layer,
  x: Value,
  { kind = 'batch', epsilon = 1e-5, groups }: OptionsOf<'norm'>,
  part: string,
  key: string,
  /** The option of the layer that says it; none where it is the layer. */
  option = '',
): Flow {
  const channels = x.type.shape[1] ?? 0;
  const named = (name: string) => (key === '' ? name : `${key}.${name}`);
  const make = (name: string, init: 'ones' | 'zeros') =>
    layer.weight(named(name), [channels], { init, fan: [1, 1] });
  const said = option === '' ? 'groups' : `${option}.groups`;
  if (groups !== undefined && kind !== 'group')
    return layer.wrong(said, `it goes with "group", not "${kind}"`, `take it away, or write "kind": "group"`);
  const scale = make('weight', 'ones');
  const shift = make('bias', 'zeros');
  if (!scale || !shift) return undefined;
  if (kind === 'batch') {
    const mean = make('running_mean', 'zeros');
    const variance = make('running_var', 'ones');
    return (
      mean && variance && layer.op('BatchNormalization', [x, scale, shift, mean, variance], { epsilon }, part)
    );
  }
  if (kind === 'layer' && x.type.shape.length === 2)
    return layer.op('LayerNormalization', [x, scale, shift], { axis: 1, epsilon }, part);
  if (layer.rank(x) === undefined) return undefined;
  if (kind === 'instance') return layer.op('InstanceNormalization', [x, scale, shift], { epsilon }, part);
  const count = kind === 'layer' ? 1 : (groups ?? 32);
  if (channels % count !== 0)
    return layer.wrong(
      said,
      `${count} ${groups === undefined ? 'groups, the default, do' : 'does'} not divide ${channels} channels`,
      `${divisorsOf([channels])} would: { "kind": "group", "groups": ${largestDivisor(channels, count)} }`,
    );
  return layer.op('GroupNormalization', [x, scale, shift], { groups: count, epsilon }, part);
}

const largestDivisor = (channels: number, most: number): number => {
  for (let d = Math.min(most, channels); d > 1; d--) if (channels % d === 0) return d;
  return 1;
};

type Activate = (layer: Layer, x: Value, alpha: number | undefined, part: string) => Flow;

const ACTIVATE: { readonly [A in ActivationName]: Activate } = {
  relu: (layer, x, _, part) => layer.op('Relu', [x], {}, part),
  relu6: (layer, x, _, part) => layer.op('Clip', [x], { min: 0, max: 6 }, part),
  leakyRelu: (layer, x, alpha = 0.01, part) => layer.op('LeakyRelu', [x], { alpha }, part),
  sigmoid: (layer, x, _, part) => layer.op('Sigmoid', [x], {}, part),
  hardSigmoid: (layer, x, _, part) => layer.op('HardSigmoid', [x], { alpha: 1 / 6, beta: 0.5 }, part),
  hardSwish: (layer, x, _, part) => layer.op('HardSwish', [x], {}, part),
  silu: (layer, x, _, part) => layer.op('Swish', [x], {}, part),
  gelu: (layer, x, _, part) => layer.op('Gelu', [x], {}, part),
  mish: (layer, x, _, part) => layer.op('Mish', [x], {}, part),
  elu: (layer, x, alpha = 1, part) => layer.op('Elu', [x], { alpha }, part),
  softplus: (layer, x, _, part) => layer.op('Softplus', [x], {}, part),
  tanh: (layer, x, _, part) => layer.op('Tanh', [x], {}, part),
  softmax: (layer, x, _, part) => layer.op('Softmax', [x], { axis: 1 }, part),
};

export const activate = (
  layer: Layer,
  x: Value,
  name: ActivationName,
  { alpha }: { readonly alpha?: number | undefined },
  part: string,
): Flow => ACTIVATE[name](layer, x, alpha, part);

function activation(layer: Layer, x: Value, o: OptionsOf<'activation'>): Flow {
  if (o.alpha !== undefined && !SLOPED.includes(o.name))
    return layer.wrong(
      'alpha',
      `it goes with ${SLOPED.join(' and ')}, not "${o.name}"`,
      `take it away, or write "name": "${SLOPED[0]}"`,
    );
  return activate(layer, x, o.name, o, '');
}

/** Hu et al. 2018. */
function squeezeExcite(layer: Layer, x: Value, o: OptionsOf<'squeezeExcite'>): Flow {
  const channels = x.type.shape[1] ?? 1;
  const rank = layer.rank(x);
  if (rank === undefined) return undefined;
  if (o.channels !== undefined && o.reduction !== undefined)
    return layer.wrong('reduction', 'it has channels too', 'take one of them away');
  const reduction = o.reduction ?? 16;
  const reduced = o.channels ?? Math.floor(channels / reduction);
  if (!(reduced >= 1 && Number.isFinite(reduced)))
    return layer.wrong(
      'reduction',
      reduction > 0
        ? `a reduction of ${reduction} leaves none of ${channels} channels`
        : `${reduction} is no reduction`,
      `for example { "squeezeExcite": ${Math.max(1, Math.min(4, channels))} }; at most ${channels}`,
    );
  const ones = new Array<number>(rank).fill(1);
  const attrs = { strides: ones, dilations: ones, pads: new Array<number>(2 * rank).fill(0), group: 1 };
  const pointwise = (from: Flow, cout: number, part: string): Flow => {
    const cin = from?.type.shape[1] ?? 1;
    const weight = layer.weight(`${part}.weight`, [cout, cin, ...ones], { fan: [cin, cout] });
    const bias = layer.weight(`${part}.bias`, [cout], { init: 'zeros', fan: [1, 1] });
    return from && weight && bias && layer.op('Conv', [from, weight, bias], attrs, part);
  };
  const squeezed = pointwise(layer.op('GlobalAveragePool', [x], {}, 'pool'), reduced, 'squeeze');
  const activated = squeezed && activate(layer, squeezed, o.activation ?? 'relu', {}, 'activation');
  const excited = pointwise(activated, channels, 'excite');
  const gate = excited && activate(layer, excited, o.gate ?? 'sigmoid', {}, 'gate');
  return gate && layer.op('Mul', [x, gate], {}, 'scale');
}

function dense(layer: Layer, x: Value, o: OptionsOf<'dense'>): Flow {
  const { shape } = x.type;
  if (shape.length !== 2)
    return layer.wrong(
      '',
      `its input is ${formatShape(shape)}, which has spatial axes`,
      'put "flatten" before it',
    );
  if (!layer.mayHaveInit(o.init, o.weight !== undefined)) return undefined;
  const inputs = shape[1] ?? 1;
  const weight = layer.weight('weight', [o.units, inputs], {
    init: o.init,
    values: o.weight,
    option: 'weight',
    fan: [inputs, o.units],
  });
  const bias = layer.bias('bias', o.bias, o.units, false);
  if (!weight || !bias) return undefined;
  const operands = bias === 'none' ? [x, weight] : [x, weight, bias];
  const y = layer.op('Gemm', operands, { transB: true }, o.activation ? 'dense' : '');
  return y && o.activation ? activate(layer, y, o.activation, {}, o.activation) : y;
}

export const POINTWISE = {
  norm: (layer: Layer, x: Value, o: OptionsOf<'norm'>) => normalise(layer, x, o, '', ''),
  activation,
  softmax: (layer: Layer, x: Value, _: OptionsOf<'softmax'>) => layer.op('Softmax', [x], { axis: 1 }),
  squeezeExcite,
  dense,
  dropout: (_layer: Layer, x: Value, _: OptionsOf<'dropout'>): Flow => x,
} as const;
