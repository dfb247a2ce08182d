/**
 * The kinds of layers and their options, once: checks, types and the published JSON Schema come from here. A number may
 * be written as an expression of parameters (`"$width * 4"`); such text is allowed in what people write, and gone in
 * what layers are built from.
 */
import { z } from 'zod';
import { once } from '../../once.ts';

const MOST_CHANNELS = 2 ** 20;
export const MOST_SIZE = 2 ** 24;
/** What an f32 holds. */
const MOST_REAL = 2 ** 128 - 2 ** 104;
const number = z.number().min(-MOST_REAL).max(MOST_REAL).meta({ id: 'number', description: 'a number' });
const words = <const W extends string>(...list: readonly [W, ...W[]]) => z.enum(list);

export const EXPRESSION = z
  .string()
  .regex(/\$/)
  .meta({ description: 'an expression of parameters: "$width * 4"' });

/** Values as written, with expressions, or as layers see them, without. */
function vocabulary(written: boolean) {
  /** `T`, or while it is only written an expression; hints show the examples. */
  const or = <T>(
    type: z.ZodType<T>,
    expected: string,
    examples: readonly T[],
    more: readonly z.ZodType[] = [],
  ): z.ZodType<T> => {
    const all = [type, ...more, ...(written ? [EXPRESSION] : [])];
    return z.union(all).meta({ description: expected, examples }) as unknown as z.ZodType<T>;
  };
  const whole = (min: number, max: number, example: number) =>
    or<number>(z.int().min(min).max(max), `a whole number from ${min} to ${max}`, [example]);
  const element = (min: number, max: number) => {
    const type = z.int().min(min).max(max);
    return (written ? z.union([type, EXPRESSION]) : z.union([type])).meta({
      description: `a whole number from ${min} to ${max}`,
    });
  };
  /** One number for all spatial axes, or one for each. */
  const perAxis = (min: number, max: number, example: number) =>
    or<number | number[]>(
      z.int().min(min).max(max),
      `a whole number from ${min} to ${max}, or a list with one per spatial axis`,
      [example],
      [z.array(element(min, max)).min(1).max(3)],
    );
  const real = (example: number, type: z.ZodType<number> = number, expected = 'a number') =>
    or<number>(type, expected, [example]);
  const rate = real(0.5, z.number().min(0).lt(1), 'a number of at least 0 and less than 1');
  const flag = or<boolean>(z.boolean(), 'true or false', [true]);
  const word = <const W extends string>(...list: readonly [W, ...W[]]) =>
    or<W>(words(...list), list.map((w) => `"${w}"`).join(', '), [list[0]]);

  const channels = whole(1, MOST_CHANNELS, 64);
  const size = z
    .int()
    .min(0)
    .max(MOST_SIZE)
    .meta({ description: `a whole number from 0 to ${MOST_SIZE}` });
  const side = z
    .union([element(0, MOST_SIZE), z.tuple([size, size])])
    .meta({ description: 'a whole number, or [begin, end]', examples: [1, [0, 1]] });
  const padding = or<PaddingValue>(
    words('same', 'valid', 'causal') as z.ZodType<PaddingValue>,
    '"same", "valid", "causal", a whole number, or a list with a number or [begin, end] per spatial axis',
    ['same', 1],
    [size, z.array(side).min(1).max(3)],
  );
  const paddingList = or<PaddingList>(
    size as z.ZodType<PaddingList>,
    'a whole number, or a list with a number or [begin, end] per spatial axis',
    [1],
    [z.array(side).min(1).max(3)],
  );
  const values: z.ZodType<Values> = or<Values>(
    number,
    'a number, or numbers in (nested) lists',
    [[1, 2, 1]],
    [NESTED],
  );
  const init = or<InitName>(words(...INITS), INITS.map((w) => `"${w}"`).join(', '), ['heNormal']);
  const bias = or<boolean | Values>(
    z.boolean(),
    'true, false, or its numbers',
    [true, [0.5, -0.5]],
    [number, NESTED],
  );
  const activation = or<ActivationName>(words(...ACTIVATIONS), 'the name of an activation', ['relu']);
  const norm = or<NormName>(words(...NORMS), NORMS.map((w) => `"${w}"`).join(', '), ['batch']);
  const normOptions = {
    kind: norm.optional(),
    epsilon: real(1e-5, z.number().min(0).max(MOST_REAL), 'a number of at least 0').optional(),
    groups: whole(1, MOST_CHANNELS, 8).optional(),
  };
  const normOption = or<NormName | NormOptions>(
    words(...NORMS) as z.ZodType<NormName | NormOptions>,
    `${NORMS.map((w) => `"${w}"`).join(', ')}, or an object with kind, epsilon and groups`,
    ['batch', { kind: 'group', groups: 8 }],
    [z.strictObject(normOptions)],
  );
  /** What may follow any layer with weights, in this order. */
  const after = { norm: normOption.optional(), activation: activation.optional() };
  const inner = z
    .strictObject(after)
    .meta({
      description: 'an object with norm and activation',
      examples: [{ norm: 'batch', activation: 'relu' }],
    })
    .optional();
  const weighted = { bias: bias.optional(), weight: values.optional(), init: init.optional() };
  const parts = z
    .record(z.string(), values)
    .meta({ description: 'the numbers of each part, by its name', examples: [{ vertical: [1, 2, 1] }] })
    .optional();
  const stride = perAxis(1, MOST_SIZE, 2).optional();
  const kernel = perAxis(1, 4096, 3).optional();
  const dilation = perAxis(1, MOST_SIZE, 2).optional();
  const groups = whole(1, MOST_CHANNELS, 2);
  const placed = { stride, dilation, padding: padding.optional() };
  const window = { kernel, ...placed };
  const pool = {
    kernel: perAxis(1, MOST_SIZE, 2),
    stride,
    padding: padding.optional(),
    ceil: flag.optional(),
  };
  const flip = flag.optional();

  return {
    conv: kind('Convolution of rank 1 to 3; a cross-correlation unless flip is true.', {
      options: { channels, ...window, groups: groups.optional(), flip, ...weighted, ...after },
      short: ['channels', channels],
    }),
    pointwise: kind('1×1 convolution.', {
      options: { channels, stride, ...weighted, ...after },
      short: ['channels', channels],
    }),
    pointwiseGrouped: kind('1×1 convolution in groups, with a channel shuffle after it if asked.', {
      options: { channels, groups, stride, shuffle: flag.optional(), ...weighted, ...after },
    }),
    depthwise: kind('One filter per input channel, or as many as the multiplier says.', {
      options: { ...window, multiplier: whole(1, 4096, 2).optional(), flip, ...weighted, ...after },
      short: ['kernel', perAxis(1, 4096, 3)],
    }),
    depthwiseSeparable: kind('Depthwise, then pointwise.', {
      options: {
        channels,
        ...window,
        multiplier: whole(1, 4096, 2).optional(),
        inner,
        bias: flag.optional(),
        weights: parts,
        init: init.optional(),
        ...after,
      },
      short: ['channels', channels],
    }),
    spatiallySeparable: kind('One convolution per spatial axis: k×1, then 1×k.', {
      options: {
        channels,
        middle: channels.optional(),
        groups: groups.optional(),
        ...window,
        inner,
        bias: flag.optional(),
        weights: parts,
        init: init.optional(),
        ...after,
      },
      short: ['channels', channels],
    }),
    flattened: kind('Across channels (1×1), then along each spatial axis, one filter per channel.', {
      options: {
        channels,
        ...window,
        bias: flag.optional(),
        weights: parts,
        init: init.optional(),
        ...after,
      },
      short: ['channels', channels],
    }),
    grouped: kind('Convolution in groups, with a channel shuffle after it if asked.', {
      options: { channels, groups, ...window, shuffle: flag.optional(), flip, ...weighted, ...after },
    }),
    dilated: kind('Convolution with holes.', {
      options: {
        channels,
        kernel,
        stride,
        dilation: perAxis(1, MOST_SIZE, 2),
        padding: padding.optional(),
        groups: groups.optional(),
        ...weighted,
        ...after,
      },
    }),
    transposed: kind('Transposed convolution; kernel 2 and stride 2 unless said.', {
      options: {
        channels,
        ...window,
        groups: groups.optional(),
        outputPadding: perAxis(0, MOST_SIZE, 1).optional(),
        flip,
        ...weighted,
        ...after,
      },
      short: ['channels', channels],
    }),
    channelShuffle: kind('Interleaves the channels of the groups.', {
      options: { groups },
      short: ['groups', groups],
    }),
    interpolate: kind('Resizes the spatial axes by a factor, or to a size.', {
      options: {
        scale: or<number | number[]>(
          z.number().positive(),
          'a factor, or a list with one per spatial axis',
          [2],
          [z.array(z.number().positive()).min(1).max(3)],
        ).optional(),
        size: perAxis(1, MOST_SIZE, 32).optional(),
        mode: word('nearest', 'linear', 'cubic').optional(),
        alignCorners: flag.optional(),
      },
      needsOne: true,
      short: ['scale', or<number>(z.number().positive(), 'a factor', [2])],
    }),
    depthToSpace: kind('Moves channels to space (pixel shuffle); order CRD unless said.', {
      options: { block: whole(1, 1024, 2), order: word('CRD', 'DCR').optional() },
      short: ['block', whole(1, 1024, 2)],
    }),
    maxPool: kind('Largest value under a window; stride is the kernel and padding valid unless said.', {
      options: { ...pool, dilation },
      short: ['kernel', perAxis(1, MOST_SIZE, 2)],
    }),
    averagePool: kind('Mean under a window; stride is the kernel and padding valid unless said.', {
      options: { ...pool, includePadding: flag.optional() },
      short: ['kernel', perAxis(1, MOST_SIZE, 2)],
    }),
    globalPool: kind('Mean or maximum over all spatial axes, which stay as size 1.', {
      options: { mode: word('average', 'max').optional() },
      short: ['mode', word('average', 'max')],
    }),
    pad: kind('Pads the spatial axes.', {
      options: {
        padding: paddingList,
        mode: word('constant', 'reflect', 'edge').optional(),
        value: real(0).optional(),
      },
      short: ['padding', paddingList],
    }),
    norm: kind('Normalisation; batch unless said.', {
      options: normOptions,
      short: ['kind', norm],
    }),
    activation: kind('An activation, by its name.', {
      options: { name: activation, alpha: real(0.1).optional() },
      short: ['name', activation],
    }),
    softmax: kind('Softmax over the channels.', { options: {} }),
    split: kind('Splits the channels; the parts are NAME.0, NAME.1 …, and the first one goes on.', {
      options: {
        parts: whole(1, 1024, 2).optional(),
        sizes: or<number[]>(
          z.array(element(1, MOST_CHANNELS)).min(1).max(1024) as z.ZodType<number[]>,
          'a list of sizes',
          [[16, 16]],
        ).optional(),
      },
      needsOne: true,
      short: ['parts', whole(1, 1024, 2)],
    }),
    squeezeExcite: kind('Scales each channel by what a small network makes of the means of all.', {
      options: {
        reduction: real(16).optional(),
        channels: channels.optional(),
        activation: activation.optional(),
        gate: activation.optional(),
      },
      short: ['reduction', real(16)],
    }),
    flatten: kind('All axes after the batch become one.', { options: {} }),
    dense: kind('Fully connected layer.', {
      options: { units: channels, ...weighted, activation: activation.optional() },
      short: ['units', channels],
    }),
    dropout: kind('Does nothing at inference.', {
      options: { rate: rate.optional() },
      short: ['rate', rate],
    }),
  };
}

export type Values = number | readonly Values[];
export type PaddingList = number | (number | [number, number])[];
export type PaddingValue = 'same' | 'valid' | 'causal' | PaddingList;

const NESTED: z.ZodType<Values> = z
  .lazy(() => z.array(z.union([number, NESTED])))
  .meta({
    id: 'numbers',
    description: 'numbers in (nested) lists, row-major',
  }) as unknown as z.ZodType<Values>;

const INITS = ['heNormal', 'heUniform', 'xavierNormal', 'xavierUniform', 'zeros', 'ones'] as const;
export type InitName = (typeof INITS)[number];
export const NORMS = ['batch', 'layer', 'group', 'instance'] as const;
export type NormName = (typeof NORMS)[number];
export interface NormOptions {
  readonly kind?: NormName | undefined;
  readonly epsilon?: number | undefined;
  readonly groups?: number | undefined;
}
export const ACTIVATIONS = [
  'relu',
  'relu6',
  'leakyRelu',
  'sigmoid',
  'hardSigmoid',
  'hardSwish',
  'silu',
  'gelu',
  'mish',
  'elu',
  'softplus',
  'tanh',
  'softmax',
] as const;
export type ActivationName = (typeof ACTIVATIONS)[number];
/** Activations with an alpha. */
export const SLOPED: readonly ActivationName[] = ['leakyRelu', 'elu'];

interface Kind<S extends z.ZodRawShape> {
  readonly about: string;
  readonly options: z.ZodObject<S, z.core.$strict>;
  /** The option that a value which is no object stands for. */
  readonly short: readonly [option: string, type: z.ZodType] | undefined;
  /** May the kind stand alone, as text: does it need no option? */
  readonly bare: boolean;
}

function kind<S extends z.ZodRawShape>(
  about: string,
  {
    options,
    short,
    needsOne = false,
  }: {
    options: S;
    short?: readonly [keyof S & string, z.ZodType];
    /** Of its options one is needed, though none in particular. */
    needsOne?: boolean;
  },
): Kind<S> {
  const schema = z.strictObject(options);
  return { about, options: schema, short, bare: !needsOne && schema.safeParse({}).success };
}

type Kinds = ReturnType<typeof vocabulary>;
export type KindName = keyof Kinds;
export type OptionsOf<K extends KindName> = z.infer<Kinds[K]['options']>;

// made when they are first asked for: they take longer than most that is done with a network in another format
/** What people write. */
export const writtenKinds = once(() => vocabulary(true));
/** What layers are built from. */
export const kinds = once(() => vocabulary(false));
export const kindNames = once(() => Object.keys(kinds()) as readonly KindName[]);
export const isKind = (name: string): name is KindName => Object.hasOwn(kinds(), name);
