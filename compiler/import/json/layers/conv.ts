/** Convolutions of every kind, as `Conv` and `ConvTranspose`. */
import type { Value } from '#ir/graph.ts';
import type { Tensor } from '#ir/tensor.ts';
import { product } from '#ir/types.ts';
import { extent, transposedOutputSize, type Window, windowAxes } from '#ir/window.ts';
import { divisorsOf, multiplesAround, nearOrAll } from '../hints.ts';
import type { ActivationName, InitName, NormName, NormOptions, OptionsOf, Values } from '../kinds.ts';
import type { Flow, Layer, WindowOptions } from '../layer.ts';
import { activate, normalise } from './pointwise.ts';

interface After {
  readonly norm?: NormName | NormOptions | undefined;
  readonly activation?: ActivationName | undefined;
}

interface ConvPart extends WindowOptions {
  readonly channels: number;
  readonly groups?: number | undefined;
  readonly bias?: boolean | Values | undefined;
  readonly weight?: Values | undefined;
  readonly init?: InitName | undefined;
  readonly flip?: boolean | undefined;
}

/** How a part of a layer is called, in its node and in its weights. */
interface PartName {
  readonly node: string;
  readonly key: string;
  /** Does a norm follow? Then there is no bias unless asked for. */
  readonly hasNorm: boolean;
  /** The option that holds its values. */
  readonly option: string;
}

const keyed = (key: string, name: string): string => (key === '' ? name : `${key}.${name}`);

/** A convolution without what follows it. */
function convPart(layer: Layer, x: Value, part: ConvPart, name: PartName): Flow {
  const cin = x.type.shape[1] ?? 0;
  const { channels } = part;
  const groups = divisor(layer, part.groups ?? 1, cin, channels);
  const window = layer.window(x, part, { kernel: 3, padding: 'same' });
  if (!window || !layer.fits(x, window)) return undefined;
  const perGroup = cin / groups;
  const taps = product(window.kernel);
  const weight = layer.weight(keyed(name.key, 'weight'), [channels, perGroup, ...window.kernel], {
    init: part.init,
    values: part.weight,
    option: name.option,
    fan: [perGroup * taps, (channels / groups) * taps],
  });
  const bias = layer.bias(keyed(name.key, 'bias'), part.bias, channels, name.hasNorm);
  if (!weight || !bias) return undefined;
  if (part.flip) flip(weight, taps);
  const inputs = bias === 'none' ? [x, weight] : [x, weight, bias];
  return layer.op('Conv', inputs, { ...attributes(window), group: groups }, name.node);
}

const attributes = ({ strides, dilations, pads }: Window) => ({ strides, dilations, pads });

/** The groups where they divide both channel counts; else 1, so that what follows is looked at too. */
function divisor(layer: Layer, groups: number, cin: number, cout: number): number {
  const wrong = (count: number, what: 'input' | 'output') => {
    const other = what === 'output' ? `; so would ${multiplesAround(groups, cout)} channels` : '';
    layer.wrong(
      'groups',
      `${groups} does not divide ${count} ${what} channels`,
      `${divisorsOf([cin, cout])} would${other}`,
    );
  };
  if (cin % groups !== 0) wrong(cin, 'input');
  else if (cout % groups !== 0) wrong(cout, 'output');
  else return groups;
  return 1;
}

/** A true convolution reads its weights backwards along the spatial axes: the last taps of a row-major array. */
function flip(weight: Value, taps: number): void {
  const { source } = weight;
  if (source.kind !== 'constant' || 'missing' in source.constant) return;
  const stored: Tensor = source.constant;
  let turned: Float32Array | undefined;
  const constant: Tensor = {
    type: stored.type,
    get data() {
      turned ??= Float32Array.from(stored.data as Float32Array, (_, i) => {
        const first = i - (i % taps);
        return stored.data[first + taps - 1 - (i % taps)] as number;
      });
      return turned;
    },
  };
  (weight as { source: Value['source'] }).source = { kind: 'constant', constant };
}

/** A layer that is one convolution, then perhaps a shuffle, a norm and an activation. */
function single(layer: Layer, x: Value, part: ConvPart, options: After, shuffle = 1): Flow {
  const alone = !options.norm && !options.activation && shuffle === 1;
  const name = { node: alone ? '' : 'conv', key: '', hasNorm: options.norm !== undefined, option: 'weight' };
  if (!layer.mayHaveInit(part.init, part.weight !== undefined)) return undefined;
  const y = convPart(layer, x, part, name);
  // groups that do not divide are reported by now
  const shuffles = shuffle > 1 && part.channels % shuffle === 0;
  const shuffled = y && shuffles ? layer.op('ChannelShuffle', [y], { groups: shuffle }, 'shuffle') : y;
  return after(layer, shuffled, options, '');
}

/** The norm and the activation that may follow; `part` is what they follow within the layer. */
function after(layer: Layer, x: Flow, { norm, activation }: After, part: string): Flow {
  const named = (name: string) => (part === '' ? name : `${part}-${name}`);
  const normed =
    x && norm
      ? normalise(
          layer,
          x,
          typeof norm === 'string' ? { kind: norm } : norm,
          named('norm'),
          keyed(part, 'norm'),
          part === '' ? 'norm' : 'inner.norm',
        )
      : x;
  return normed && activation ? activate(layer, normed, activation, {}, named(activation)) : normed;
}

/** The values that the option `weights` gives for a part; names of no part are reported. */
function valuesOf(
  layer: Layer,
  given: Readonly<Record<string, Values>> | undefined,
  parts: readonly string[],
) {
  for (const key of Object.keys(given ?? {})) {
    if (!parts.includes(key))
      layer.wrong(`weights.${key}`, 'there is no such part', nearOrAll(key, parts, ''));
  }
  return (part: string): Pick<ConvPart, 'weight'> => ({
    weight: given && Object.hasOwn(given, part) ? given[part] : undefined,
  });
}

interface Step {
  readonly part: string;
  readonly conv: ConvPart;
  readonly after: After;
}

/** A composite: convolutions one after the other. */
function chain(layer: Layer, x: Value, steps: readonly Step[]): Flow {
  const [first] = steps;
  const allGiven = steps.every(({ conv }) => conv.weight !== undefined);
  if (!layer.mayHaveInit(first?.conv.init, allGiven)) return undefined;
  let value: Flow = x;
  steps.forEach(({ part, conv, after: what }, i) => {
    if (!value) return;
    const last = i === steps.length - 1;
    const name = { node: part, key: part, hasNorm: what.norm !== undefined, option: `weights.${part}` };
    value = after(layer, convPart(layer, value, conv, name), what, last ? '' : part);
  });
  return value;
}

function depthwiseSeparable(layer: Layer, x: Value, o: OptionsOf<'depthwiseSeparable'>): Flow {
  const { channels, multiplier = 1, inner = {}, bias, init, norm, activation, ...window } = o;
  const values = valuesOf(layer, o.weights, ['depthwise', 'pointwise']);
  const cin = x.type.shape[1] ?? 1;
  const last = { norm, activation };
  // without a norm between, the bias of the first is linear in the second, which has one
  const innerBias = inner.activation === undefined && inner.norm === undefined ? false : bias;
  return chain(layer, x, [
    {
      part: 'depthwise',
      conv: {
        ...window,
        channels: cin * multiplier,
        groups: cin,
        bias: innerBias,
        init,
        ...values('depthwise'),
      },
      after: inner,
    },
    { part: 'pointwise', conv: { channels, kernel: 1, bias, init, ...values('pointwise') }, after: last },
  ]);
}

/** The names of the factors of a kernel, by the axis that each runs along. */
const FACTORS: Readonly<Record<number, readonly string[]>> = {
  1: ['along'],
  2: ['vertical', 'horizontal'],
  3: ['deep', 'vertical', 'horizontal'],
};

/** One window per spatial axis, with the others' entries 1. */
function factors(layer: Layer, x: Value, options: WindowOptions) {
  const rank = layer.rank(x);
  const kernel = rank && layer.perAxis('kernel', options.kernel, 3, rank);
  const stride = rank && layer.perAxis('stride', options.stride, 1, rank);
  const dilation = rank && layer.perAxis('dilation', options.dilation, 1, rank);
  const { padding } = options;
  const fits = typeof padding !== 'object' || (rank && layer.padList('padding', padding, rank));
  if (!rank || !kernel || !stride || !dilation || !fits) return undefined;
  return (FACTORS[rank] ?? []).map((part, axis) => {
    const only = (list: readonly number[]) => list.map((v, i) => (i === axis ? v : 1));
    const pads = typeof padding === 'object' || typeof padding === 'number' ? padding : undefined;
    const own = pads === undefined ? padding : kernel.map((_, i) => (i !== axis ? 0 : entryOf(pads, i)));
    return { part, kernel: only(kernel), stride: only(stride), dilation: only(dilation), padding: own };
  });
}

const entryOf = (pads: number | readonly (number | [number, number])[], axis: number) =>
  typeof pads === 'number' ? pads : (pads[axis] ?? 0);

function spatiallySeparable(layer: Layer, x: Value, o: OptionsOf<'spatiallySeparable'>): Flow {
  const windows = factors(layer, x, o);
  if (!windows) return undefined;
  const values = valuesOf(
    layer,
    o.weights,
    windows.map((w) => w.part),
  );
  const inner = o.inner ?? {};
  return chain(
    layer,
    x,
    windows.map(({ part, ...window }, i) => {
      const last = i === windows.length - 1;
      const linear = !last && inner.norm === undefined && inner.activation === undefined;
      const channels = last ? o.channels : (o.middle ?? o.channels);
      const conv = { ...window, channels, groups: o.groups, bias: linear ? false : o.bias, init: o.init };
      return {
        part,
        conv: { ...conv, ...values(part) },
        after: last ? { norm: o.norm, activation: o.activation } : inner,
      };
    }),
  );
}

/** Jin et al. 2014: across channels, then along each axis on its own, with no 1×1 after. */
function flattened(layer: Layer, x: Value, o: OptionsOf<'flattened'>): Flow {
  const windows = factors(layer, x, o);
  if (!windows) return undefined;
  const { channels, init, bias } = o;
  const values = valuesOf(layer, o.weights, ['lateral', ...windows.map((w) => w.part)]);
  return chain(layer, x, [
    { part: 'lateral', conv: { channels, kernel: 1, bias: false, init, ...values('lateral') }, after: {} },
    ...windows.map(({ part, ...window }, i) => {
      const last = i === windows.length - 1;
      const conv = { ...window, channels, groups: channels, bias: last ? bias : false, init };
      return {
        part,
        conv: { ...conv, ...values(part) },
        after: last ? { norm: o.norm, activation: o.activation } : {},
      };
    }),
  ]);
}

/** Size after padding 'same' is input × stride; the window is cut evenly, the odd one at the end. */
function transposed(layer: Layer, x: Value, o: OptionsOf<'transposed'>): Flow {
  const window = layer.window(x, { ...o, padding: 'valid' }, { kernel: 2, stride: 2, padding: 'valid' });
  const rank = x.type.shape.length - 2;
  const outputPadding = [...(layer.perAxis('outputPadding', o.outputPadding, 0, rank) ?? [])];
  if (!window || outputPadding.length === 0) return undefined;
  const padding = o.padding ?? 'same';
  let pads = typeof padding === 'string' ? [...window.pads] : layer.padList('padding', padding, rank);
  if (padding === 'causal')
    return layer.wrong(
      'padding',
      'a transposed convolution has no causal padding',
      'write "same", or [[0, 3]] to cut three from the end',
    );
  if (!pads) return undefined;
  const axes = windowAxes(window);
  const wide = axes.findIndex(({ stride }, i) => (outputPadding[i] ?? 0) >= stride);
  const most = (axes[wide]?.stride ?? 1) - 1;
  if (wide >= 0)
    return layer.wrong(
      'outputPadding',
      `${outputPadding[wide]} is not smaller than the stride of ${most + 1}`,
      most === 0
        ? 'with a stride of 1 it is 0; "pad" after it makes the result larger'
        : `${most} is the largest; "pad" after it adds more`,
    );
  if (padding === 'same') {
    const begins: number[] = [];
    const ends: number[] = [];
    axes.forEach((axis, i) => {
      const cut = extent(axis) - axis.stride + (outputPadding[i] ?? 0);
      begins.push(Math.floor(Math.max(0, cut) / 2));
      ends.push(Math.max(0, cut) - Math.floor(Math.max(0, cut) / 2));
      outputPadding[i] = (outputPadding[i] ?? 0) + Math.max(0, -cut);
    });
    pads = [...begins, ...ends];
  }
  const padded = windowAxes({ ...window, pads });
  const full = padded.map((a, i) =>
    transposedOutputSize({ ...a, padBegin: 0, padEnd: 0 }, x.type.shape[i + 2] ?? 1, outputPadding[i] ?? 0),
  );
  if (padded.some(({ padBegin, padEnd }, i) => padBegin + padEnd >= (full[i] ?? 1)))
    return layer.wrong(
      'padding',
      `it cuts ${padded.map((a) => a.padBegin + a.padEnd).join('×')} from a result of ${full.join('×')}`,
      'write "same", or smaller numbers: padding is what a transposed convolution cuts away',
    );
  const cin = x.type.shape[1] ?? 0;
  if (!layer.mayHaveInit(o.init, o.weight !== undefined)) return undefined;
  const groups = divisor(layer, o.groups ?? 1, cin, o.channels);
  const perGroup = o.channels / groups;
  const taps = product(window.kernel);
  const weight = layer.weight('weight', [cin, perGroup, ...window.kernel], {
    init: o.init,
    values: o.weight,
    option: 'weight',
    fan: [((cin / groups) * taps) / product(window.strides), perGroup * taps],
  });
  const bias = layer.bias('bias', o.bias, o.channels, o.norm !== undefined);
  if (!weight || !bias) return undefined;
  if (o.flip) flip(weight, taps);
  const alone = !o.norm && !o.activation;
  const attrs = { strides: window.strides, dilations: window.dilations, pads, group: groups, outputPadding };
  const inputs = bias === 'none' ? [x, weight] : [x, weight, bias];
  return after(layer, layer.op('ConvTranspose', inputs, attrs, alone ? '' : 'conv'), o, '');
}

function depthwise(layer: Layer, x: Value, o: OptionsOf<'depthwise'>): Flow {
  const { multiplier = 1, ...rest } = o;
  const cin = x.type.shape[1] ?? 1;
  return single(layer, x, { ...rest, channels: cin * multiplier, groups: cin }, o);
}

export const CONVOLUTIONS = {
  conv: (layer: Layer, x: Value, o: OptionsOf<'conv'>) => single(layer, x, o, o),
  pointwise: (layer: Layer, x: Value, o: OptionsOf<'pointwise'>) =>
    single(layer, x, { ...o, kernel: 1, padding: 'valid' }, o),
  pointwiseGrouped: (layer: Layer, x: Value, o: OptionsOf<'pointwiseGrouped'>) =>
    single(layer, x, { ...o, kernel: 1, padding: 'valid' }, o, o.shuffle ? o.groups : 1),
  depthwise,
  depthwiseSeparable,
  spatiallySeparable,
  flattened,
  grouped: (layer: Layer, x: Value, o: OptionsOf<'grouped'>) =>
    single(layer, x, o, o, o.shuffle ? o.groups : 1),
  dilated: (layer: Layer, x: Value, o: OptionsOf<'dilated'>) => single(layer, x, o, o),
  transposed,
} as const;
