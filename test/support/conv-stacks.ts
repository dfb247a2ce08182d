/**
 * Stacks of convolutions as fast-check arbitraries, so that a counterexample shrinks to the layers and settings at fault.
 * A layer says what it would like; building it fits that to the image at hand, so that every stack is a valid network.
 */
import fc from 'fast-check';
import { Builder } from '#ir/builder.ts';
import type { Graph, OpName, Value } from '#ir/graph.ts';
import type { Tensor } from '#ir/tensor.ts';
import { product, type Shape } from '#ir/types.ts';
import { outputSize, transposedOutputSize, windowAxes } from '#ir/window.ts';
import { Random } from './random.ts';

const GROUPINGS = ['one', 'several', 'depthwise', 'multiplier'] as const;

/** Continuous functions: what rounding does to their argument, it does not to their result by leaps. */
export const STACK_ACTIVATIONS = [
  'Relu',
  'Clip',
  'LeakyRelu',
  'PRelu',
  'HardSwish',
  'HardSigmoid',
  'Sigmoid',
  'Tanh',
  'Elu',
  'Swish',
  'Softplus',
  'Mish',
  'Gelu',
] as const satisfies readonly OpName[];
export type StackActivation = (typeof STACK_ACTIVATIONS)[number];

/** Lists are per axis of three, of which a stack of lower rank takes the first; `pads` has three begins, then three ends. */
interface WindowSpec {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly pads: readonly number[];
}

interface ConvSpec extends WindowSpec {
  readonly op: 'Conv' | 'ConvTranspose';
  readonly outputPadding: readonly number[];
  readonly grouping: (typeof GROUPINGS)[number];
  /** Which divisor of the channels is the number of groups. */
  readonly divisor: number;
  /** Output channels of a group. */
  readonly width: number;
  readonly bias: boolean;
  /** Weights and bias are inputs of the network. */
  readonly given: boolean;
  readonly batchNorm: 'none' | 'before' | 'after';
  readonly activation: StackActivation | 'none';
  /** Adds the layer's input, before or after the activation; the layer keeps its input's shape then. */
  readonly residual: 'none' | 'before' | 'after';
  readonly shuffle: boolean;
}

interface PoolSpec extends WindowSpec {
  readonly op: 'MaxPool' | 'AveragePool' | 'GlobalAveragePool';
  readonly ceil: boolean;
  readonly countIncludePad: boolean;
}

/** `read`: the network gives what this layer computes, besides its result. */
type LayerSpec = (ConvSpec | PoolSpec) & { readonly read: boolean };

export interface StackSpec {
  readonly rank: number;
  readonly batch: number;
  readonly channels: number;
  readonly sizes: readonly number[];
  readonly layers: readonly LayerSpec[];
  /** Of the weights. */
  readonly seed: number;
}

const rarely = (odds: number): fc.Arbitrary<boolean> =>
  fc.oneof({ arbitrary: fc.constant(false), weight: odds }, { arbitrary: fc.constant(true), weight: 1 });
const list = (length: number, min: number, max: number): fc.Arbitrary<number[]> =>
  fc.array(fc.integer({ min, max }), { minLength: length, maxLength: length });
/** Mostly the same number, or a mixture. */
const mostly = (value: number, of: fc.Arbitrary<number[]>, length: number): fc.Arbitrary<number[]> =>
  fc.oneof(fc.constant(new Array<number>(length).fill(value)), of);

const convSpec: fc.Arbitrary<LayerSpec> = fc.record({
  op: fc.constantFrom('Conv', 'Conv', 'Conv', 'ConvTranspose', 'ConvTranspose'),
  kernel: list(3, 1, 5),
  strides: mostly(1, list(3, 1, 3), 3),
  dilations: mostly(1, list(3, 1, 3), 3),
  pads: mostly(0, list(6, 0, 3), 6),
  outputPadding: mostly(0, list(3, 0, 2), 3),
  grouping: fc.constantFrom(...GROUPINGS),
  divisor: fc.nat(3),
  width: fc.integer({ min: 1, max: 8 }),
  bias: fc.boolean(),
  given: rarely(7),
  batchNorm: fc.constantFrom('none', 'none', 'none', 'none', 'after', 'after', 'before'),
  activation: fc.constantFrom('none', 'none', 'none', ...STACK_ACTIVATIONS),
  residual: fc.constantFrom('none', 'none', 'none', 'none', 'before', 'after'),
  shuffle: fc.boolean(),
  read: rarely(6),
});

const poolSpec: fc.Arbitrary<LayerSpec> = fc.record({
  op: fc.constantFrom('MaxPool', 'MaxPool', 'AveragePool', 'AveragePool', 'GlobalAveragePool'),
  kernel: list(3, 1, 3),
  strides: list(3, 1, 2),
  dilations: mostly(1, list(3, 1, 2), 3),
  pads: mostly(0, list(6, 0, 2), 6),
  ceil: fc.boolean(),
  countIncludePad: fc.boolean(),
  read: rarely(6),
});

/** Sizes are per rank about as many positions. */
const LARGEST_SIZE = [0, 24, 9, 6] as const;

/** Two to six layers over one to three spatial axes. */
export const stackArbitrary: fc.Arbitrary<StackSpec> = fc.constantFrom(1, 2, 3).chain((rank) =>
  fc.record({
    rank: fc.constant(rank),
    batch: fc.integer({ min: 1, max: 3 }),
    channels: fc.constantFrom(1, 2, 3, 4, 6, 8, 9, 12, 16),
    sizes: list(3, 1, LARGEST_SIZE[rank] ?? 1),
    layers: fc.array(fc.oneof({ arbitrary: convSpec, weight: 7 }, { arbitrary: poolSpec, weight: 1 }), {
      minLength: 2,
      maxLength: 6,
      size: 'max',
    }),
    seed: fc.nat(),
  }),
);

export interface Stack {
  readonly graph: Graph;
  /** By name. */
  readonly inputs: ReadonlyMap<string, Tensor>;
}

/** The network of a description, and what to run it on. */
export function buildStack({ rank, batch, channels, sizes, layers, seed }: StackSpec): Stack {
  const net = new Net(new Random(seed));
  let x = net.value('image', [batch, channels, ...sizes.slice(0, rank)], -1, 1, true);
  layers.forEach((layer, i) => {
    x = isPool(layer) ? addPool(net.b, x, layer) : addConv(net, x, layer);
    if (layer.read && i < layers.length - 1) net.b.output(`read${i}`, x);
  });
  net.b.output('result', x);
  return { graph: net.b.graph, inputs: net.inputs };
}

class Net {
  readonly b = new Builder('stack');
  readonly inputs = new Map<string, Tensor>();
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  /** A constant, or an input where `given`, of numbers between `low` and `high`. */
  value(name: string, shape: Shape, low: number, high: number, given = false): Value {
    const tensor = this.#random.tensor(shape, low, high);
    if (!given) return this.b.constant(name, tensor);
    const input = this.b.input(`${name}${this.inputs.size}`, shape);
    this.inputs.set(input.name, tensor);
    return input;
  }

  batchNorm(x: Value): Value {
    const channels = [x.type.shape[1] ?? 1];
    const parameters = [
      this.value('scale', channels, -1.5, 1.5),
      this.value('shift', channels, -0.5, 0.5),
      this.value('mean', channels, -0.5, 0.5),
      this.value('variance', channels, 0.5, 2),
    ];
    return this.b.op('BatchNormalization', [x, ...parameters], { epsilon: 1e-3 });
  }
}

const isPool = (layer: LayerSpec): layer is LayerSpec & PoolSpec =>
  layer.op !== 'Conv' && layer.op !== 'ConvTranspose';

/** Tests stay quick. */
const MOST_ELEMENTS = 4000;
const MOST_PRODUCTS = 400_000;
const MOST_CHANNELS = 24;

interface FittedConv extends WindowSpec {
  readonly outputPadding: readonly number[];
  readonly group: number;
  readonly perGroup: number;
  readonly output: readonly number[];
}

function addConv(net: Net, x: Value, layer: ConvSpec): Value {
  const { b } = net;
  const { shape } = x.type;
  const [, cin = 1] = shape;
  const { group, perGroup, kernel, strides, dilations, pads, outputPadding } = fitConv(shape, layer);
  const cout = group * perGroup;
  const transposed = layer.op === 'ConvTranspose';
  // sums of this many products keep the size of their terms
  const terms = ((cin / group) * product(kernel)) / (transposed ? product(strides) : 1);
  const reach = Math.sqrt(3 / Math.max(1, terms));
  const weightShape = transposed ? [cin, perGroup, ...kernel] : [cout, cin / group, ...kernel];
  const inputs = [
    layer.batchNorm === 'before' ? net.batchNorm(x) : x,
    net.value('weight', weightShape, -reach, reach, layer.given),
    ...(layer.bias ? [net.value('bias', [cout], -0.5, 0.5, layer.given)] : []),
  ];
  const attrs = { group, strides, dilations, pads };
  let y = transposed
    ? b.op('ConvTranspose', inputs, { ...attrs, outputPadding })
    : b.op('Conv', inputs, attrs);
  if (layer.batchNorm === 'after') y = net.batchNorm(y);
  if (layer.residual === 'before') y = b.add(y, x);
  if (layer.activation === 'PRelu') {
    y = b.op('PRelu', [y, net.value('slope', [cout, ...kernel.map(() => 1)], -0.5, 0.5)], {});
  } else if (layer.activation !== 'none') {
    y = b.op(layer.activation, [y], ACTIVATION_ATTRS[layer.activation] ?? {});
  }
  if (layer.residual === 'after') y = b.add(x, y);
  return layer.shuffle && group > 1 && perGroup > 1 ? shuffled(b, y, group) : y;
}

const ACTIVATION_ATTRS: Partial<Record<StackActivation, Readonly<Record<string, number>>>> = {
  Clip: { min: -0.5, max: 1 },
  LeakyRelu: { alpha: 0.1 },
  HardSigmoid: { alpha: 0.3, beta: 0.4 },
  Elu: { alpha: 0.7 },
};

/** Channel c·groups + g of the result is channel c of group g. */
function shuffled(b: Builder, x: Value, groups: number): Value {
  const [batch = 1, channels = 1, ...sizes] = x.type.shape;
  const split = b.op('Reshape', [x], { shape: [batch, groups, channels / groups, ...sizes] });
  const turned = b.op('Transpose', [split], { perm: [0, 2, 1, ...sizes.map((_, i) => i + 3)] });
  return b.op('Reshape', [turned], { shape: x.type.shape });
}

/** The layer as wished for, or with less of what makes it large, as much less as it takes. */
function fitConv(shape: readonly number[], layer: ConvSpec): FittedConv {
  const [batch = 1, cin = 1] = shape;
  const ones = [1, 1, 1];
  const zeros = { pads: [0, 0, 0, 0, 0, 0], outputPadding: [0, 0, 0] };
  const dense = { ...layer, strides: layer.op === 'ConvTranspose' ? ones : layer.strides };
  const wishes: readonly ConvSpec[] = [
    layer,
    { ...layer, kernel: layer.kernel.map((k) => Math.min(3, k)) },
    { ...dense, kernel: layer.kernel.map((k) => Math.min(3, k)), dilations: ones },
    { ...dense, kernel: layer.kernel.map((k) => Math.min(2, k)), dilations: ones, ...zeros },
  ];
  for (const wish of wishes) {
    const fitted = fitWindow(shape, wish);
    const { group, perGroup, kernel, output } = fitted;
    const elements = batch * group * perGroup * product(output);
    const reads = wish.op === 'ConvTranspose' ? batch * group * perGroup * product(shape.slice(2)) : elements;
    const products = reads * (cin / group) * product(kernel);
    if (elements <= MOST_ELEMENTS && products <= MOST_PRODUCTS) return fitted;
  }
  return fitWindow(shape, { ...layer, ...zeros, kernel: ones, strides: ones, dilations: ones, width: 1 });
}

function fitWindow(shape: readonly number[], layer: ConvSpec): FittedConv {
  const [, cin = 1, ...sizes] = shape;
  const same = layer.residual !== 'none';
  const transposed = layer.op === 'ConvTranspose';
  const axes = sizes.map((size, i) => {
    let { [i]: kernel = 1 } = layer.kernel;
    let { [i]: dilation = 1 } = layer.dilations;
    let { [i]: begin = 0, [i + 3]: end = 0 } = layer.pads;
    const stride = same ? 1 : (layer.strides[i] ?? 1);
    const outputPadding = same ? 0 : Math.min(layer.outputPadding[i] ?? 0, Math.max(stride, dilation) - 1);
    if (same) {
      const pads = (kernel - 1) * dilation;
      begin = Math.min(pads, begin > 0 ? begin : Math.floor(pads / 2));
      end = pads - begin;
    } else if (transposed) {
      // something is left of the result, and neither crop takes all of it
      const whole = (size - 1) * stride + (kernel - 1) * dilation + 1 + outputPadding;
      begin = Math.min(begin, whole - 1);
      end = Math.min(end, whole - 1 - begin);
    } else {
      const room = size + begin + end;
      kernel = Math.min(kernel, room);
      if (kernel > 1) dilation = Math.min(dilation, Math.floor((room - 1) / (kernel - 1)));
    }
    return { size, kernel, dilation, stride, begin, end, outputPadding };
  });
  const window = {
    kernel: axes.map((a) => a.kernel),
    strides: axes.map((a) => a.stride),
    dilations: axes.map((a) => a.dilation),
    pads: [...axes.map((a) => a.begin), ...axes.map((a) => a.end)],
  };
  const outputPadding = axes.map((a) => a.outputPadding);
  const output = windowAxes(window).map((axis, i) =>
    transposed
      ? transposedOutputSize(axis, sizes[i] ?? 1, outputPadding[i] ?? 0)
      : outputSize(axis, sizes[i] ?? 1),
  );
  return { ...window, outputPadding, output, ...fitChannels(cin, layer) };
}

function fitChannels(cin: number, layer: ConvSpec): { group: number; perGroup: number } {
  const divisors = Array.from({ length: cin }, (_, i) => i + 1).filter((g) => cin % g === 0);
  const between = divisors.slice(1, -1);
  const group =
    layer.grouping === 'one'
      ? 1
      : layer.grouping === 'several'
        ? (between[layer.divisor % Math.max(1, between.length)] ?? 1)
        : cin;
  if (layer.residual !== 'none') return { group, perGroup: cin / group };
  const most = Math.max(1, Math.floor(MOST_CHANNELS / group));
  if (layer.grouping === 'depthwise') return { group, perGroup: 1 };
  if (layer.grouping === 'multiplier') return { group, perGroup: Math.min(most, 2 + (layer.width % 2)) };
  return { group, perGroup: Math.min(most, group === 1 ? 2 * layer.width : layer.width) };
}

function addPool(b: Builder, x: Value, layer: PoolSpec): Value {
  if (layer.op === 'GlobalAveragePool') return b.op(layer.op, [x], {});
  const axes = x.type.shape.slice(2).map((size, i) => {
    const [kernel = 1, begin = 0, end = 0] = [layer.kernel[i], layer.pads[i], layer.pads[i + 3]];
    const stride = layer.strides[i] ?? 1;
    const wide = Math.min(kernel, size);
    // no window lies in padding alone: dilated ones have none
    const dilation = (layer.dilations[i] ?? 1) * (wide - 1) < size ? (layer.dilations[i] ?? 1) : 1;
    const pads = dilation === 1 ? [Math.min(begin, wide - 1), Math.min(end, wide - 1)] : [0, 0];
    return { kernel: wide, stride, dilation, pads };
  });
  const attrs = {
    kernel: axes.map((a) => a.kernel),
    strides: axes.map((a) => a.stride),
    dilations: axes.map((a) => a.dilation),
    pads: [0, 1].flatMap((side) => axes.map((a) => a.pads[side] ?? 0)),
  };
  return layer.op === 'MaxPool'
    ? b.op('MaxPool', [x], { ...attrs, ceil: layer.ceil })
    : b.op('AveragePool', [x], { ...attrs, ceil: layer.ceil, countIncludePad: layer.countIncludePad });
}
