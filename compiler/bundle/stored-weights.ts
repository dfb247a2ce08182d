/** `weights.bin` in fewer bytes than the weights have in memory; what is stored gives exactly what was packed. */
import { InternalError } from '#ir/diagnostics.ts';
import { filterRows, halfToFloat, type Panel, type StoredPart } from '#runtime/stored-weights.ts';
import type { ConstantPart } from '../schedule/program.ts';
import type { WeightFormat } from '../weights/formats.ts';
import { floatToHalf } from '../weights/half.ts';

export interface StoredWeights {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly parts: readonly StoredPart[];
}

/** @param weights as they are in memory, packed */
export function storeWeights(
  parts: readonly ConstantPart[],
  weights: Uint8Array,
  format: Exclude<WeightFormat, 'f32'>,
): StoredWeights {
  const chunks: Uint8Array[] = [];
  const stored: StoredPart[] = [];
  for (const { offset: to, bytes, compact } of parts) {
    const floats = new Float32Array(weights.buffer, weights.byteOffset + to, Math.floor(bytes / 4));
    if (compact?.kind === 'winograd') {
      const { filters, shape } = compact;
      const kind = fitting(filters, [filterRows(shape)], format, channelValues);
      chunks.push(...encode(filters, kind, [filterRows(shape)], channelValues));
      stored.push({ kind: 'winograd', of: kind, to, ...shape });
      continue;
    }
    const panels = compact?.panels ?? [];
    const kind = compact ? fitting(floats, panels, format, columnValues) : 'f32';
    const last = stored[stored.length - 1];
    if (kind === 'i8') stored.push({ kind, to, panels });
    else if (last?.kind === kind && last.to + 4 * last.floats === to) {
      stored[stored.length - 1] = { ...last, floats: last.floats + floats.length };
    } else stored.push({ kind, to, floats: floats.length });
    chunks.push(...encode(floats, kind, panels, columnValues));
  }
  return { bytes: joined(chunks), parts: stored };
}

type Kind = 'f32' | 'f16' | 'i8';

/** The values of one channel of a panel that begins at `from`, and where each lies. */
type ChannelOf = (panel: Panel, from: number, channel: number, each: (at: number) => void) => void;

const columnValues: ChannelOf = ({ rows, width }, from, channel, each) => {
  for (let row = 0; row < rows; row++) each(from + row * width + channel);
};
const channelValues: ChannelOf = ({ rows }, from, channel, each) => {
  for (let row = 0; row < rows; row++) each(from + channel * rows + row);
};

/** The smallest way to store values that a format allows and that loses nothing. */
function fitting(
  values: Float32Array,
  panels: readonly Panel[],
  format: Exclude<WeightFormat, 'f32'>,
  channelOf: ChannelOf,
): Kind {
  if (format === 'i8' && panels.length > 0 && scalesOf(values, panels, channelOf)) return 'i8';
  if (format !== 'raw' && values.every((x) => halfToFloat(floatToHalf(x)) === x)) return 'f16';
  return 'f32';
}

/** The scale of each channel, panel by panel; undefined where values are no multiples of it from −127 to 127. */
function scalesOf(
  values: Float32Array,
  panels: readonly Panel[],
  channelOf: ChannelOf,
): Float32Array | undefined {
  const scales: number[] = [];
  let from = 0;
  for (const panel of panels) {
    for (let channel = 0; channel < panel.width; channel++) {
      let largest = 0;
      channelOf(panel, from, channel, (at) => {
        largest = Math.max(largest, Math.abs(values[at] as number));
      });
      const scale = Math.fround(largest / 127);
      let fits = true;
      channelOf(panel, from, channel, (at) => {
        const x = values[at] as number;
        fits &&= scale === 0 ? x === 0 : Math.fround(Math.round(x / scale) * scale) === x;
      });
      if (!fits) return undefined;
      scales.push(scale);
    }
    from += panel.rows * panel.width;
  }
  return Float32Array.from(scales);
}

function encode(
  values: Float32Array,
  kind: Kind,
  panels: readonly Panel[],
  channelOf: ChannelOf,
): Uint8Array[] {
  switch (kind) {
    case 'f32':
      return [new Uint8Array(values.buffer, values.byteOffset, values.byteLength)];
    case 'f16':
      return [new Uint8Array(Uint16Array.from(values, floatToHalf).buffer)];
    case 'i8': {
      const scales = scalesOf(values, panels, channelOf);
      if (!scales) throw new InternalError('weights that do not fit are stored as integers');
      const chunks: Uint8Array[] = [];
      let from = 0;
      let first = 0;
      for (const panel of panels) {
        const own = scales.slice(first, first + panel.width);
        const q = new Int8Array(panel.rows * panel.width);
        own.forEach((scale, channel) => {
          channelOf(panel, from, channel, (at) => {
            q[at - from] = scale === 0 ? 0 : Math.round((values[at] as number) / scale);
          });
        });
        chunks.push(new Uint8Array(own.buffer), new Uint8Array(q.buffer));
        from += q.length;
        first += panel.width;
      }
      return chunks;
    }
  }
}

/** Each chunk begins at a multiple of 4. */
function joined(chunks: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const padded = (bytes: number) => Math.ceil(bytes / 4) * 4;
  const whole = new Uint8Array(chunks.reduce((n, chunk) => n + padded(chunk.length), 0));
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += padded(chunk.length);
  }
  return whole;
}
