/** Normalisation, activations, and what is made of them. */
import type { Value } from '#ir/graph.ts';
import { formatShape } from '#ir/types.ts';
import type { Flow, Layer } from '../layer.ts';
import type { ActivationName, OptionsOf } from '../schema.ts';

/** Batch norm as a node with its statistics, as in training; keys are PyTorch's. */
export function normalise(
  layer: Layer,
  x: Value,
  { epsilon = 1e-5 }: OptionsOf<'norm'>,
  part: string,
  key: string,
): Flow {
  const channels = x.type.shape[1] ?? 0;
  const named = (name: string) => (key === '' ? name : `${key}.${name}`);
  const make = (name: string, init: 'ones' | 'zeros') =>
    layer.weight(named(name), [channels], { init, fan: [1, 1] });
  const inputs = [
    make('weight', 'ones'),
    make('bias', 'zeros'),
    make('running_mean', 'zeros'),
    make('running_var', 'ones'),
  ].flatMap((v) => (v ? [v] : []));
  return inputs.length === 4 ? layer.op('BatchNormalization', [x, ...inputs], { epsilon }, part) : undefined;
}

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

/** Hu et al. 2018. */
function squeezeExcite(layer: Layer, x: Value, o: OptionsOf<'squeezeExcite'>): Flow {
  const channels = x.type.shape[1] ?? 1;
  const rank = layer.rank(x);
  if (rank === undefined) return undefined;
  const reduced = o.channels ?? Math.floor(channels / (o.reduction ?? 16));
  if (!(reduced >= 1))
    return layer.wrong('reduction', `${o.reduction ?? 16} leaves none of ${channels} channels`);
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
  activation: (layer: Layer, x: Value, o: OptionsOf<'activation'>) => activate(layer, x, o.name, o, ''),
  softmax: (layer: Layer, x: Value, _: OptionsOf<'softmax'>) => layer.op('Softmax', [x], { axis: 1 }),
  squeezeExcite,
  dense,
  dropout: (_layer: Layer, x: Value, _: OptionsOf<'dropout'>): Flow => x,
} as const;
