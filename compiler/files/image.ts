/** PNG and JPEG files. Their decoders are loaded when there is something to decode. */
import { fail } from '#ir/diagnostics.ts';
import type { Picture } from '../preprocess/picture.ts';

/** More pixels are refused: they would take gigabytes. */
const MOST_PIXELS = 100_000_000;
const JPEG_MEGABYTES = 2048;

/**
 * Decodes by content, not by name. Gray becomes three equal channels, a palette its colours; a picture without alpha is
 * opaque; 16 bits keep their fractions. Orientation that a camera noted beside the pixels is not applied.
 * @throws CompileError `input-invalid`; `subject` names the file
 */
export async function decodeImage(bytes: Uint8Array, subject: string): Promise<Picture> {
  const [first, second] = bytes;
  if (first === 0x89 && second === 0x50) return decodePng(bytes, subject);
  if (first === 0xff && second === 0xd8) return decodeJpeg(bytes, subject);
  return fail('input-invalid', subject, 'this is neither a PNG nor a JPEG file', 'convert it to PNG');
}

async function decodePng(bytes: Uint8Array, subject: string): Promise<Picture> {
  const { decode, convertIndexedToRgb } = await import('fast-png');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length > 24) checkSize(view.getUint32(16), view.getUint32(20), subject);
  const image = attempt(subject, 'PNG', () => decode(bytes, { checkCrc: true }));
  const { width, height, depth, palette } = image;
  const channels = palette ? (palette[0]?.length ?? 3) : image.channels;
  const samples = palette
    ? attempt(subject, 'PNG', () => convertIndexedToRgb(image))
    : depth < 8
      ? unpackBits(image.data, width, height, depth)
      : image.data;
  const most = palette ? 255 : 2 ** depth - 1;
  return expand({ width, height, channels, samples, factor: 255 / most });
}

async function decodeJpeg(bytes: Uint8Array, subject: string): Promise<Picture> {
  const { decode } = (await import('jpeg-js')).default;
  const limits = { maxResolutionInMP: MOST_PIXELS / 1e6, maxMemoryUsageInMB: JPEG_MEGABYTES };
  const { width, height, data } = attempt(subject, 'JPEG', () =>
    decode(bytes, { useTArray: true, formatAsRGBA: true, tolerantDecoding: false, ...limits }),
  );
  return { width, height, data };
}

function checkSize(width: number, height: number, subject: string): void {
  if (width * height <= MOST_PIXELS) return;
  fail(
    'input-invalid',
    subject,
    `the picture has ${width}×${height} pixels; at most ${MOST_PIXELS} are read`,
  );
}

/** Whatever a decoder throws, the file is at fault. */
function attempt<T>(subject: string, format: string, decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return fail(
      'input-invalid',
      subject,
      `this ${format} file is damaged: ${reason}`,
      'save or download it again',
    );
  }
}

/** Gray of 1, 2 or 4 bits: rows begin at whole bytes. */
function unpackBits(data: ArrayLike<number>, width: number, height: number, depth: number): Uint8Array {
  const out = new Uint8Array(width * height);
  const perByte = 8 / depth;
  const rowBytes = Math.ceil(width / perByte);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const byte = data[y * rowBytes + Math.floor(x / perByte)] ?? 0;
      out[y * width + x] = (byte >> (8 - depth * ((x % perByte) + 1))) & ((1 << depth) - 1);
    }
  }
  return out;
}

interface Samples {
  readonly width: number;
  readonly height: number;
  /** 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha. */
  readonly channels: number;
  readonly samples: ArrayLike<number>;
  /** From a sample to 0 … 255. */
  readonly factor: number;
}

function expand({ width, height, channels, samples, factor }: Samples): Picture {
  const pixels = width * height;
  const whole = factor === Math.round(factor);
  const data = whole ? new Uint8Array(4 * pixels) : new Float32Array(4 * pixels);
  const color = channels >= 3 ? [0, 1, 2] : [0, 0, 0];
  const alpha = channels % 2 === 0 ? channels - 1 : undefined;
  for (let i = 0; i < pixels; i++) {
    const from = i * channels;
    for (let c = 0; c < 3; c++) data[4 * i + c] = (samples[from + (color[c] ?? 0)] ?? 0) * factor;
    data[4 * i + 3] = alpha === undefined ? 255 : (samples[from + alpha] ?? 0) * factor;
  }
  return { width, height, data };
}
