/** How a picture becomes the input of a network: what is asked for, and what that means for one input. */
import { z } from 'zod';
import { fail } from '#ir/diagnostics.ts';
import { formatType, type TensorType } from '#ir/types.ts';
import { Problems } from '../import/json/problems.ts';
import { didYouMean } from '../suggest.ts';

/** What a picture is given as: bytes from 0 to 255, row by row, the channels of a pixel side by side. */
export const PIXELS = { rgba: 4, rgb: 3, gray: 1 } as const;
export type Pixels = keyof typeof PIXELS;

/** What a network reads; `gray` is 0.299 R + 0.587 G + 0.114 B. */
export const CHANNELS = ['rgb', 'bgr', 'gray', 'rgba'] as const;
export type Channels = (typeof CHANNELS)[number];

export const RESIZES = ['stretch', 'cover', 'contain'] as const;
export type ResizeMode = (typeof RESIZES)[number];

const size = z.int().min(1).max(65_535).describe('a whole number of pixels from 1 to 65535');
const source = z
  .strictObject({ width: size, height: size })
  .describe('a size, as { "width": 320, "height": 240 }');
const perChannel = z
  .union([z.number(), z.array(z.number()).min(1).max(4)])
  .describe('a number, or a list of one for each channel of the network (1 to 4)');
const choice = <const T extends readonly string[]>(words: T) =>
  z.enum(words).describe(words.map((word) => `"${word}"`).join(', '));

const schema = z
  .strictObject({
    input: z.string().describe('the name of an input').optional(),
    pixels: choice(['rgba', 'rgb', 'gray']).optional(),
    source: z
      .union([source, z.array(source).min(1)])
      .describe('a size, as { "width": 320, "height": 240 }, or a list of them')
      .optional(),
    resize: choice(RESIZES).optional(),
    pad: z.number().min(0).max(255).describe('a number from 0 to 255').optional(),
    channels: choice(CHANNELS).optional(),
    layout: choice(['nchw', 'nhwc']).optional(),
    scale: z.number().describe('a number, as 0.00392').optional(),
    mean: perChannel.optional(),
    std: perChannel.optional(),
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
  const parsed = problems.check(schema, value, subject);
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
    fail('usage-invalid', name, `the network asks for ${count} channels (${layout}); ${asked}`);
  }
  const list = (what: 'mean' | 'std', standard: number): readonly number[] => {
    const given = options[what] ?? standard;
    const values = typeof given === 'number' ? new Array<number>(count).fill(given) : given;
    if (values.length !== count) {
      fail('usage-invalid', name, `${what} has ${values.length} numbers; the network has ${count} channels`);
    }
    return values;
  };
  const std = list('std', 1);
  if (std.includes(0)) fail('usage-invalid', name, 'std is divided by, and 0 is in it');
  const { resize = 'stretch', pad = 0, scale = 1 / 255 } = options;
  return { width, height, batch, channels, layout, resize, pad, scale, mean: list('mean', 0), std };
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
      fail('usage-invalid', 'pixels', `the network reads rgba, and the pixels are ${pixels}`);
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
