/** Pictures as inputs, and the options that say how they become tensors. */
import { readFile } from 'node:fs/promises';
import { fail } from '#ir/diagnostics.ts';
import type { Tensor } from '#ir/tensor.ts';
import { formatType, type TensorType } from '#ir/types.ts';
import { decodeImage } from '../files/image.ts';
import { parseJsonText } from '../files/json-text.ts';
import { systemReason } from '../files/read-file.ts';
import {
  expectedOf,
  type PictureOptions,
  type PreprocessOptions,
  parsePreprocess,
  pictureTarget,
} from '../preprocess/options.ts';
import { type Picture, pictureTensor } from '../preprocess/picture.ts';
import type { GivenInput } from './tensors.ts';

/** The options as they are typed. */
export interface PictureTexts {
  readonly preprocess?: string;
  readonly mean?: string;
  readonly std?: string;
  readonly scale?: string;
  readonly pad?: string;
  readonly layout?: 'nchw' | 'nhwc';
  readonly channels?: 'rgb' | 'bgr' | 'gray' | 'rgba';
  readonly resize?: 'stretch' | 'cover' | 'contain';
}

export const PICTURE_OPTIONS = [
  'preprocess',
  'mean',
  'std',
  'scale',
  'pad',
  'layout',
  'channels',
  'resize',
] as const satisfies readonly (keyof PictureTexts)[];

/** What --preprocess says, be it JSON, the path of a file with it, or a name. @throws CompileError */
export async function preprocessOption(text: string): Promise<PreprocessOptions> {
  if (!text.trimStart().startsWith('{') && !/\.json$/i.test(text))
    return parsePreprocess(text, '--preprocess');
  const inline = text.trimStart().startsWith('{');
  const json = inline
    ? text
    : await readFile(text, 'utf8').catch((error: unknown) =>
        fail('file-unreadable', text, systemReason(error)),
      );
  const subject = inline ? '--preprocess' : text;
  if (inline && !text.includes('"') && /^\s*\{\s*\w/.test(text)) {
    const hint = `put single quotes around it, so that a shell keeps the others: --preprocess '{"mean":0.5}'`;
    fail('usage-invalid', subject, 'the keys have no double quotes', hint);
  }
  const form = 'write for example { "mean": 0.5, "std": 0.5 }';
  return parsePreprocess(parseJsonText(json, { code: 'usage-invalid', subject, form }), subject);
}

/** The single options count more than --preprocess. @throws CompileError */
export async function pictureOptions(texts: PictureTexts): Promise<PictureOptions> {
  const { preprocess, mean, std, scale, pad, layout, channels, resize } = texts;
  const own: PictureOptions = {
    ...(mean === undefined ? {} : { mean: checked('mean', mean, numbers) }),
    ...(std === undefined ? {} : { std: checked('std', std, numbers) }),
    ...(scale === undefined ? {} : { scale: checked('scale', scale, fraction) }),
    ...(pad === undefined ? {} : { pad: checked('pad', pad, fraction) }),
    ...(layout && { layout }),
    ...(channels && { channels }),
    ...(resize && { resize }),
  };
  const all = preprocess === undefined ? own : { ...(await preprocessOption(preprocess)), ...own };
  if (pad !== undefined && all.resize !== 'contain') {
    const message = 'only a picture that is contained has something around it';
    fail('usage-invalid', '--pad', message, 'give --resize contain too, or leave this out');
  }
  return all;
}

const EXAMPLES = { mean: '0.485,0.456,0.406', std: '0.229,0.224,0.225', scale: '1/255', pad: '114' };
type Numeric = keyof typeof EXAMPLES;

/** The value of an option, which is what --preprocess takes for it too. @throws CompileError `usage-invalid` */
function checked<T>(option: Numeric, text: string, read: (text: string, option: Numeric) => T): T {
  const value = read(text, option);
  const expected = expectedOf(option, value);
  return expected === undefined ? value : wrong(option, text, `${expected} is expected`);
}

const wrong = (option: Numeric, text: string, message: string): never =>
  fail('usage-invalid', `--${option} ${text}`, message, `for example --${option} ${EXAMPLES[option]}`);

function numbers(text: string, option: Numeric): number | readonly number[] {
  const list = text.split(',').map((part) => fraction(part, option));
  return list.length === 1 ? (list[0] ?? 0) : list;
}

/** `0.5` or `1/255`. */
function fraction(text: string, option: Numeric): number {
  const [above = '', below = '1', ...more] = text.split('/').map((part) => part.trim());
  const value = Number(above) / Number(below);
  if (above !== '' && below !== '' && more.length === 0 && Number.isFinite(value)) return value;
  return wrong(option, text, 'a number is expected, as 0.5 or 1/255');
}

export const isImageFile = (file: string): boolean => /\.(png|jpe?g)$/i.test(file);

/** @throws CompileError `input-invalid` for what is no picture */
export async function pictureInput(
  name: string,
  file: string,
  bytes: Uint8Array,
  options: PictureOptions,
): Promise<GivenInput> {
  const picture = await decodeImage(bytes, file);
  return {
    name,
    shape: undefined,
    found: `a picture of ${picture.width}×${picture.height} pixels`,
    // it is resized to whatever is asked for
    fits: () => true,
    toFit: () => undefined,
    as: (type) => tensorOfPicture(name, picture, type, options),
  };
}

function tensorOfPicture(name: string, picture: Picture, type: TensorType, options: PictureOptions): Tensor {
  const bytes = type.dtype === 'u8';
  if (!bytes && type.dtype !== 'f32') {
    fail('input-invalid', name, `the model asks for ${formatType(type)}, which no picture can be`);
  }
  if (bytes && [options.mean, options.std, options.scale].some((x) => x !== undefined)) {
    const message = 'the model takes bytes, and normalises them itself';
    fail('usage-invalid', '--mean, --std, --scale', message, 'leave these options out');
  }
  const target = pictureTarget(name, type, {
    ...options,
    ...(bytes ? { scale: 1 } : {}),
    ...(bytes && !options.layout && [1, 3, 4].includes(type.shape[3] ?? 0)
      ? { layout: 'nhwc' as const }
      : {}),
  });
  if (target.batch !== 1) {
    const message = `one picture was given; the model asks for ${target.batch} (${formatType(type)})`;
    fail('input-invalid', name, message, 'give them all as .npy, or the shape of one with --shape');
  }
  const tensor = pictureTensor(picture, target);
  if (!bytes) return tensor;
  const data = Uint8Array.from(tensor.data as Float32Array, (x) => Math.max(0, Math.min(255, Math.round(x))));
  return { type, data };
}
