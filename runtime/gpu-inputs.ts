/** Inputs that are on the device, or that it reads itself. */
import type { ManifestTensor } from './abi.ts';
import type { PictureSource } from './gpu-pictures.ts';
import { wordBytes, wordOf } from './gpu-words.ts';
import { layoutOf } from './inputs.ts';

export type DeviceSource =
  | { readonly kind: 'buffer'; readonly source: GPUBuffer; readonly offset: number }
  | PictureSource;

const KINDS: Readonly<Record<string, DeviceSource['kind']>> = {
  GPUBuffer: 'buffer',
  GPUTexture: 'texture',
  GPUExternalTexture: 'external',
  ImageBitmap: 'image',
  HTMLCanvasElement: 'image',
  OffscreenCanvas: 'image',
  HTMLImageElement: 'image',
  VideoFrame: 'video',
  HTMLVideoElement: 'video',
};

const WORD_BYTES = 4;

/** What a given input is on a device; undefined for data. */
export function sourceOf(given: unknown): DeviceSource | undefined {
  const { source, offset } = partsOf(given);
  const kind = KINDS[nameOf(source)];
  return kind === undefined ? undefined : ({ kind, source, offset } as DeviceSource);
}

interface Parts {
  readonly source: unknown;
  readonly offset: number;
  readonly shape?: readonly number[] | undefined;
  readonly word?: string | undefined;
}

/** A buffer may come with a place and a shape, as what `runOnDevice` gives does. What may have many elements is not enumerated. */
function partsOf(given: unknown): Parts {
  const alone = { source: given, offset: 0 };
  if (typeof given !== 'object' || given === null || ArrayBuffer.isView(given) || Array.isArray(given))
    return alone;
  const { buffer, offset = 0, shape, word } = given as Partial<Parts> & { readonly buffer?: unknown };
  return nameOf(buffer) === 'GPUBuffer' ? { source: buffer, offset, shape, word } : alone;
}

/** Objects of another realm have no class in common with this one's. */
const nameOf = (given: unknown): string =>
  typeof given === 'object' && given !== null
    ? ((given as { readonly [Symbol.toStringTag]?: string })[Symbol.toStringTag] ??
      given.constructor?.name ??
      '')
    : '';

/** What is wrong with an input on a device, '' where nothing is; undefined for data. */
export function deviceProblem(tensor: ManifestTensor, given: unknown): string | undefined {
  const source = sourceOf(given);
  if (!source) return undefined;
  if (source.kind === 'buffer') return bufferProblem(tensor, given, source.source);
  const name = nameOf(source.source);
  if (!tensor.picture) return `got ${name}; a network that was compiled with --preprocess takes pictures`;
  const [batch, height, width] = tensor.shape;
  if (batch !== 1) return `got ${name}, which is one picture`;
  const size = sizeOfPicture(source);
  if (size && (size[0] !== width || size[1] !== height)) {
    return (
      `got ${name} of ${size.join(' × ')} pixels (width × height), not ${width} × ${height}: ` +
      'resize it (createImageBitmap does), or compile with that size as source'
    );
  }
  return source.kind === 'texture' ? textureProblem(source.source) : '';
}

function bufferProblem({ shape, dtype }: ManifestTensor, given: unknown, buffer: GPUBuffer): string {
  const { offset, shape: own, word = wordOf(dtype) } = partsOf(given);
  const bytes = wordBytes({ shape });
  if (own && own.join() !== shape.join()) return `got a GPUBuffer of ${layoutOf(own)}`;
  if (word !== wordOf(dtype)) return `got a GPUBuffer of ${word}, and ${dtype} is ${wordOf(dtype)} there`;
  if (!Number.isInteger(offset) || offset < 0 || offset % WORD_BYTES !== 0)
    return `got a GPUBuffer with the offset ${offset}, which is no multiple of ${WORD_BYTES}`;
  if (given === buffer ? buffer.size !== bytes : buffer.size < offset + bytes) {
    const from = offset > 0 ? ` from ${offset} on` : '';
    return `got a GPUBuffer of ${buffer.size} bytes; a word for each element takes ${bytes}${from}`;
  }
  if ((buffer.usage & GPUBufferUsage.COPY_SRC) === 0) return 'got a GPUBuffer without the usage COPY_SRC';
  return buffer.mapState === 'unmapped' ? '' : 'got a GPUBuffer that is mapped';
}

/** Width and height; undefined for what does not tell. */
function sizeOfPicture({ kind, source }: PictureSource): readonly [number, number] | undefined {
  if (kind === 'external') return undefined;
  const sizes = source as unknown as Readonly<Record<string, number | undefined>>;
  const of = (axis: 'Width' | 'Height', plain: 'width' | 'height') =>
    sizes[`video${axis}`] ?? sizes[`natural${axis}`] ?? sizes[`display${axis}`] ?? sizes[plain] ?? 0;
  return [of('Width', 'width'), of('Height', 'height')];
}

function textureProblem({ format, usage, dimension, sampleCount }: GPUTexture): string {
  if ((usage & GPUTextureUsage.TEXTURE_BINDING) === 0) return 'got a GPUTexture without TEXTURE_BINDING';
  if (dimension !== '2d' || sampleCount !== 1)
    return 'got a GPUTexture that is not 2d, or has several samples';
  // what is read of others is not what was written
  return /(unorm|float)$/.test(format) && !/^depth/.test(format)
    ? ''
    : `got a GPUTexture of ${format}; its values have to be from 0 to 1, as of rgba8unorm`;
}
