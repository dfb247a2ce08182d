/** How a picture becomes the input of a network: what is asked for, and what that means for one input. */
import { z } from 'zod';
import { fail } from '#ir/diagnostics.ts';
import { formatType, type TensorType } from '#ir/types.ts';
import { at, Problems } from '../import/json/problems.ts';
import { didYouMean } from '../suggest.ts';

/** What a picture is given as: bytes from 0 to 255, row by row, the channels of a pixel side by side. */
export const PIXELS = { rgba: 4, rgb: 3, gray: 1 } as const;
export type Pixels = keyof typeof PIXELS;

/** What a network reads; `gray` is 0.299 R + 0.587 G + 0.114 B. */
export const CHANNELS = ['rgb', 'bgr', 'gray', 'rgba'] as const;
export type Channels = (typeof CHANNELS)[number];

export const RESIZES = ['stretch', 'cover', 'contain'] as const;
export type ResizeMode = (typeof RESIZES)[number];

/** The largest that f32 holds, in which all is computed. */
const LARGEST = 2 ** 128 - 2 ** 104;
const number = z.number().min(-LARGEST).max(LARGEST);
const inF32 = (x: number): boolean => Math.abs(x) <= LARGEST;
const isZero = (x: number): boolean => Math.fround(x) === 0;
const notZero = number.refine((x) => !isZero(x));

const size = (example: number) =>
  z
    .int()
    .min(1)
    .max(65_535)
    .meta({ description: 'a whole number of pixels from 1 to 65535', examples: [example] });
const SOURCE = { width: 320, height: 240 };
const source = z
  .strictObject({ width: size(SOURCE.width), height: size(SOURCE.height) })
  .meta({ description: 'a size, as { "width": 320, "height": 240 }', examples: [SOURCE] });
const perChannel = (one: z.ZodNumber, what: string, examples: readonly number[]) =>
  z
    .union([
      one,
      z
        .array(one.meta({ examples: [0.5] }))
        .min(1)
        .max(4),
    ])
    .meta({
      description: `${what}, or a list of one for each channel of the network (1 to 4)`,
      examples: [examples, 0.5],
    });
const choice = <const T extends readonly string[]>(words: T) =>
  z.enum(words).describe(words.map((word) => `"${word}"`).join(', '));

const schema = z
  .strictObject({
    input: z.string().describe('the name of an input').optional(),
    pixels: choice(['rgba', 'rgb', 'gray']).optional(),
    source: z
      .union([source, z.array(source).min(1)])
      .meta({
        description: 'a size, as { "width": 320, "height": 240 }, or a list of them',
        examples: [SOURCE, [SOURCE, { width: 640, height: 480 }]],
      })
      .optional(),
    resize: choice(RESIZES).optional(),
    pad: z
      .number()
      .min(0)
      .max(255)
      .meta({ description: 'a number from 0 to 255', examples: [0, 114] })
      .optional(),
    channels: choice(CHANNELS).optional(),
    layout: choice(['nchw', 'nhwc']).optional(),
    scale: notZero
      .meta({ description: 'a number other than 0, as 0.00392', examples: [1 / 255, 1] })
      .optional(),
    mean: perChannel(number, 'a number', [0.485, 0.456, 0.406]).optional(),
    std: perChannel(notZero, 'a number other than 0', [0.229, 0.224, 0.225]).optional(),
  })
  .describe('an object of options, or a name such as "imagenet"');

/** What is wrong with options, in the words that network descriptions have for it. */
class OptionProblems extends Problems {
  override report(
    path: string,
    message: string,
    options: { hint?: string | undefined; used?: string | undefined } = {},
  ): void {
    const hint = options.hint ?? `there is ${Object.keys(schema.shape).join(', ')}`;
    super.report(path, message, { ...options, code: 'usage-invalid', hint });
  }
}

export interface PictureSize {
  readonly width: number;
  readonly height: number;
}

/** Of every channel: (byte · scale − mean) / std. */
export interface PictureOptions {
  /** The order of the network's channels; `rgb` for three and `gray` for one unless said. */
  readonly channels?: Channels | undefined;
  /** Where the network has its channels; taken from its shape unless said. */
  readonly layout?: 'nchw' | 'nhwc' | undefined;
  /**
   * Where sizes differ: `stretch` to the network's; `cover` it and cut the rest off evenly; be inside (`contain`) and
   * have `pad` around. Linear, over all pixels that become one where the picture shrinks. `stretch` unless said.
   */
  readonly resize?: ResizeMode | undefined;
  /** The byte beside a picture that is contained; 0 unless said. */
  readonly pad?: number | undefined;
  /** 1/255 unless said. */
  readonly scale?: number | undefined;
  /** One number, or one per channel in the order of the network's channels; 0 unless said. */
  readonly mean?: number | readonly number[] | undefined;
  /** Likewise; 1 unless said. */
  readonly std?: number | readonly number[] | undefined;
}

export interface PreprocessOptions extends PictureOptions {
  /** The network's input; the only one that can be a picture unless said. */
  readonly input?: string | undefined;
  /** What the bundle is given; `rgba`, as from a canvas, unless said. */
  readonly pixels?: Pixels | undefined;
  /** Size of the picture that the bundle is given; the network's unless said. Of several, each is a specialisation. */
  readonly source?: PictureSize | readonly PictureSize[] | undefined;
}

/** Means and deviations by name, on the scale from 0 to 1. */
export const NORMALISATIONS: Readonly<Record<string, PreprocessOptions>> = {
  imagenet: { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
  unit: {},
  signed: { mean: 0.5, std: 0.5 },
};

/** What an option should be, where this value is nothing that it can be. */
export function expectedOf(option: keyof typeof schema.shape, value: unknown): string | undefined {
  const own = schema.shape[option];
  return own.safeParse(value).success ? undefined : own.unwrap().meta()?.description;
}

/** Of a text that stands where a number belongs: `"1/255"` is 0.00392…. */
function fractionHint(found: unknown, place: string): string | undefined {
  const [, above, below] = /^\s*(-?[\d.]+)\s*\/\s*([\d.]+)\s*$/.exec(String(found)) ?? [];
  const value = Number(above) / Number(below);
  const key = /\.(scale|mean|std|pad)(\[\d\])?$/.exec(place);
  if (typeof found !== 'string' || !key || !Number.isFinite(value)) return undefined;
  return `write it as a number: ${key[2] ? '' : `"${key[1]}": `}${value}`;
}

/** @throws CompileError `usage-invalid` with everything that is wrong, by its path */
export function parsePreprocess(value: unknown, subject = 'preprocess'): PreprocessOptions {
  if (typeof value === 'string') {
    const named = Object.hasOwn(NORMALISATIONS, value) ? NORMALISATIONS[value] : undefined;
    const names = Object.keys(NORMALISATIONS);
    const message = `"${value}" is none of ${names.join(', ')}, and no object`;
    const hint = didYouMean(value, names) ?? 'write for example { "mean": 0.5, "std": 0.5 }';
    return named ?? fail('usage-invalid', subject, message, hint);
  }
  const problems = new OptionProblems();
  const parsed = problems.check(schema, value, subject, {
    hint: (found, place) =>
      place === subject
        ? 'for example { "mean": 0.5, "std": 0.5 } or "imagenet"'
        : fractionHint(found, place),
  });
  if (parsed?.pad && parsed.resize !== 'contain') {
    const message = 'only a picture that is contained has something around it';
    problems.report(at(subject, 'pad'), message, {
      hint: 'write "resize": "contain" too, or leave this out',
    });
  }
  problems.throwAny();
  return parsed ?? {};
}

/** What an input asks of a picture. */
export interface PictureTarget extends PictureSize {
  readonly batch: number;
  readonly channels: Channels;
  readonly layout: 'nchw' | 'nhwc';
  readonly resize: ResizeMode;
  readonly pad: number;
  readonly scale: number;
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

const DEFAULT_CHANNELS: Readonly<Record<number, Channels>> = { 1: 'gray', 3: 'rgb', 4: 'rgba' };

const channelCount = (channels: Channels): number => (channels === 'gray' ? 1 : channels.length);

/** Where the channels of an input are, if it can be a picture. */
export function pictureLayout({ shape }: TensorType): 'nchw' | 'nhwc' | undefined {
  if (shape.length !== 4) return undefined;
  if ((shape[1] ?? 0) in DEFAULT_CHANNELS) return 'nchw';
  return (shape[3] ?? 0) in DEFAULT_CHANNELS ? 'nhwc' : undefined;
}

/** @throws CompileError `input-invalid` where the input is no picture, `usage-invalid` where the options do not fit it */
export function pictureTarget(name: string, type: TensorType, options: PictureOptions): PictureTarget {
  const layout = options.layout ?? pictureLayout(type);
  if (!layout || type.shape.length !== 4) {
    const message = `the network asks for ${formatType(type)}, which is no picture of 1, 3 or 4 channels`;
    fail('input-invalid', name, message);
  }
  const [batch = 1, a = 1, b = 1, c = 1] = type.shape;
  const [count, height, width] = layout === 'nchw' ? [a, b, c] : [c, a, b];
  const channels = options.channels ?? DEFAULT_CHANNELS[count];
  if (!channels || channelCount(channels) !== count) {
    const asked = channels ? `"${channels}" has ${channelCount(channels)}` : 'a picture has 1, 3 or 4';
    const message = `the network asks for ${count} channels (${layout}); ${asked}`;
    fail('usage-invalid', name, message, channelHint(count, layout, type));
  }
  const list = (what: 'mean' | 'std', standard: number): readonly number[] => {
    const given = options[what] ?? standard;
    const values = typeof given === 'number' ? new Array<number>(count).fill(given) : given;
    if (values.length !== count) {
      const many = `${values.length} number${values.length === 1 ? '' : 's'}`;
      const message = `${what} has ${many}; the network has ${count} channel${count === 1 ? '' : 's'}`;
      fail('usage-invalid', name, message, perChannelHint(what, channels));
    }
    return values;
  };
  const [mean, std] = [list('mean', 0), list('std', 1)];
  if (std.some(isZero)) {
    fail('usage-invalid', name, 'std is divided by, and 0 is in it', perChannelHint('std', channels));
  }
  const { resize = 'stretch', pad = 0, scale = 1 / 255 } = options;
  mean.forEach((m, c) => {
    const factor = scale / (std[c] ?? 1);
    const shift = m / (std[c] ?? 1);
    if (inF32(255 * Math.abs(factor) + Math.abs(shift))) return;
    const message = `(byte · ${scale} − ${m}) / ${std[c]} is more than f32 holds`;
    fail('usage-invalid', name, message, 'write for example mean 0.5 and std 0.5, and leave scale out');
  });
  return { width, height, batch, channels, layout, resize, pad, scale, mean, std };
}

/** What to write for `count` channels, which those that were named are not. */
function channelHint(count: number, layout: 'nchw' | 'nhwc', type: TensorType): string {
  const own = pictureLayout(type);
  const words = CHANNELS.filter((word) => channelCount(word) === count);
  if (words.length > 0) return `write ${words.join(' or ')} for channels, or leave it out`;
  return own !== undefined && own !== layout
    ? `write ${own} for layout, or leave it out`
    : 'only inputs of 1, 3 or 4 channels take pictures';
}

function perChannelHint(what: 'mean' | 'std', channels: Channels): string {
  const count = channelCount(channels);
  const example = NORMALISATIONS.imagenet?.[what];
  if (count === 1) return 'write one number, as 0.5';
  const list = count === 3 && Array.isArray(example) ? `, as ${example.join(',')}` : '';
  return `write one number for all channels, as 0.5, or ${count} in the order ${channels}${list}`;
}

/**
 * The network's channels from those of a pixel, with the normalisation in it: row c has the factors of channel c.
 * @throws CompileError `usage-invalid` where the pixels lack what the network reads
 */
export function channelMatrix(
  { channels, scale, mean, std }: PictureTarget,
  pixels: Pixels,
): { readonly factors: readonly (readonly number[])[]; readonly shifts: readonly number[] } {
  const from = (position: number) => Array.from({ length: PIXELS[pixels] }, (_, i) => Number(i === position));
  const selected = (): readonly (readonly number[])[] => {
    if (channels === 'rgba' && pixels !== 'rgba') {
      const message = `the network reads rgba, and the pixels are ${pixels}`;
      fail('usage-invalid', 'pixels', message, 'write "pixels": "rgba", or leave it out');
    }
    if (pixels === 'gray') return Array.from({ length: channelCount(channels) }, () => [1]);
    if (channels === 'gray') return [[0.299, 0.587, 0.114, 0].slice(0, PIXELS[pixels])];
    return Array.from(channels, (letter) => from('rgba'.indexOf(letter)));
  };
  return {
    factors: selected().map((row, c) => row.map((w) => (w * scale) / (std[c] ?? 1))),
    shifts: mean.map((m, c) => -m / (std[c] ?? 1)),
  };
}
