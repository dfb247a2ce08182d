/** How weights are stored in fewer bytes than they have in memory, and how they get there. */

/** Parts of the memory in order, each stored right behind the one before, from a multiple of 4 on. */
export type StoredPart = {
  /** Where it belongs, from the beginning of the weights, in bytes. */
  readonly to: number;
} & (
  | { readonly kind: 'f32' | 'f16'; readonly floats: number }
  | { readonly kind: 'i8'; readonly panels: readonly Panel[] }
  | ({ readonly kind: 'winograd'; readonly of: 'f32' | 'f16' | 'i8' } & FilterShape)
);

/** Rows of `width` floats; stored as i8 it has a scale per column in front. */
export interface Panel {
  readonly rows: number;
  readonly width: number;
}

/** Filters 3×3, [groups · channels, input channels, 3, 3], and the order in which products read them transformed. */
export interface FilterShape {
  readonly groups: number;
  readonly inputChannels: number;
  /** Output channels of a group. */
  readonly channels: number;
  /** Output channels of a panel. */
  readonly width: number;
  /** G, of (m + 2) × 3 elements, row by row. */
  readonly matrix: readonly number[];
}

const TAPS = 9;

/** Widths of the panels of `width` columns: whole vectors of four. */
export function panelWidths(columns: number, width: number): number[] {
  const widths: number[] = [];
  for (let start = 0; start < columns; start += width)
    widths.push(Math.ceil(Math.min(width, columns - start) / 4) * 4);
  return widths;
}

/**
 * G g Gᵀ of every filter, in double rounded once: [groups, elements of a tile, panels of output channels, input channels,
 * output channels of the panel padded to whole vectors].
 */
export function transformFilters(
  data: Float32Array,
  { groups, inputChannels, channels, width, matrix }: FilterShape,
  target: Float32Array,
): void {
  const elements = (matrix.length / 3) ** 2;
  const widths = panelWidths(channels, width);
  const elementFloats = inputChannels * widths.reduce((n, w) => n + w, 0);
  const transformed = new Float64Array(elements);
  const transform = filterTransform(matrix);
  // a few input channels of a panel are collected for each element: their places are far from each other
  // off powers of two, which would share the lines of a cache
  const step = CHUNK * Math.max(...widths) + 16;
  const rows = new Float32Array(elements * step);
  for (let g = 0; g < groups; g++) {
    let to = g * elements * elementFloats;
    widths.forEach((padded, panel) => {
      const used = Math.min(width, channels - panel * width);
      for (let i = 0; i < inputChannels; i += CHUNK) {
        const count = Math.min(CHUNK, inputChannels - i);
        rows.fill(0);
        for (let n = 0; n < used; n++) {
          const o = g * channels + panel * width + n;
          for (let k = 0; k < count; k++) {
            transform(data, (o * inputChannels + i + k) * TAPS, transformed);
            spread(transformed, rows, k * padded + n, step);
          }
        }
        for (let e = 0; e < elements; e++) {
          const from = e * step;
          target.set(rows.subarray(from, from + count * padded), to + e * elementFloats);
        }
        to += count * padded;
      }
    });
  }
}

function spread(values: Float64Array, target: Float32Array, from: number, step: number): void {
  for (let e = 0, at = from; e < values.length; e++, at += step) target[at] = values[e] as number;
}

/** Input channels that are transformed before any is stored. */
const CHUNK = 16;

/**
 * Computes G g Gᵀ of the nine taps at `from`. The points of G are 0, one or two pairs ±p, and infinity: its first row has
 * one element, the rows of a pair differ in the sign of their second, and the last takes the last tap.
 */
export function filterTransform(
  matrix: readonly number[],
): (data: Float32Array, from: number, result: Float64Array) => void {
  const size = matrix.length / 3;
  const [first = 0] = matrix;
  const [a1 = 0, b1 = 0, c1 = 0] = matrix.slice(3);
  const [a2 = 0, b2 = 0, c2 = 0] = matrix.slice(9);
  const two = size === 6;
  const half = new Float64Array(size * 3);
  // one line of three taps, to places that lie `step` apart
  const line = (x: number, y: number, z: number, to: Float64Array, at: number, step: number): void => {
    const even = a1 * x + c1 * z;
    const odd = b1 * y;
    to[at] = first * x;
    to[at + step] = even + odd;
    to[at + 2 * step] = even - odd;
    if (two) {
      const evenOther = a2 * x + c2 * z;
      const oddOther = b2 * y;
      to[at + 3 * step] = evenOther + oddOther;
      to[at + 4 * step] = evenOther - oddOther;
    }
    to[at + (size - 1) * step] = z;
  };
  return (data, from, result) => {
    for (let k = 0; k < 3; k++) {
      line(data[from + k] as number, data[from + k + 3] as number, data[from + k + 6] as number, half, k, 3);
    }
    for (let a = 0; a < size; a++) {
      line(half[a * 3] as number, half[a * 3 + 1] as number, half[a * 3 + 2] as number, result, a * size, 1);
    }
  };
}

/** The panel that filters are stored as: a column is an output channel's. */
export const filterRows = ({ groups, inputChannels, channels }: FilterShape): Panel => ({
  rows: inputChannels * TAPS,
  width: groups * channels,
});

/** Writes the weights where they belong in `target`, the part of the memory that is theirs and is zero. */
export function expandWeights(
  stored: Uint8Array<ArrayBuffer>,
  parts: readonly StoredPart[],
  target: Uint8Array,
): void {
  const reader = new Reader(stored);
  for (const part of parts) {
    const floats = (count: number) => new Float32Array(target.buffer, target.byteOffset + part.to, count);
    switch (part.kind) {
      case 'f32':
      case 'f16':
        reader.floats(part.kind, floats(part.floats));
        break;
      case 'i8': {
        const all = floats(part.panels.reduce((n, { rows, width }) => n + rows * width, 0));
        let at = 0;
        for (const panel of part.panels) {
          reader.panel(panel, all.subarray(at));
          at += panel.rows * panel.width;
        }
        break;
      }
      case 'winograd': {
        const { rows, width } = filterRows(part);
        const filters = new Float32Array(rows * width);
        if (part.of === 'i8') reader.channels(width, rows, filters);
        else reader.floats(part.of, filters);
        const padded = panelWidths(part.channels, part.width).reduce((n, w) => n + w, 0);
        const elements = (part.matrix.length / 3) ** 2;
        transformFilters(filters, part, floats(part.groups * elements * part.inputChannels * padded));
        break;
      }
    }
  }
}

class Reader {
  readonly #bytes: Uint8Array<ArrayBuffer>;
  #at = 0;

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.#bytes = bytes;
  }

  floats(kind: 'f32' | 'f16', target: Float32Array): void {
    if (kind === 'f32') {
      target.set(this.#f32(target.length));
      return;
    }
    const halves = new Uint16Array(this.#bytes.buffer, this.#take(target.length * 2), target.length);
    const values = Float32Array.from({ length: 1 << 16 }, (_, bits) => halfToFloat(bits));
    for (let i = 0; i < target.length; i++) target[i] = values[halves[i] as number] as number;
  }

  /** A scale per column, then rows of integers. */
  panel({ rows, width }: Panel, target: Float32Array): void {
    const scales = this.#f32(width);
    const q = this.#i8(rows * width);
    for (let i = 0; i < q.length; i++) target[i] = (q[i] as number) * (scales[i % width] as number);
  }

  /** A scale per channel, then the integers of one channel after the other. */
  channels(channels: number, each: number, target: Float32Array): void {
    const scales = this.#f32(channels);
    const q = this.#i8(channels * each);
    for (let i = 0; i < q.length; i++)
      target[i] = (q[i] as number) * (scales[Math.floor(i / each)] as number);
  }

  #f32(count: number): Float32Array {
    return new Float32Array(this.#bytes.buffer, this.#take(count * 4), count);
  }

  #i8(count: number): Int8Array {
    return new Int8Array(this.#bytes.buffer, this.#take(count), count);
  }

  /** Where the next so many bytes begin; the ones after them begin at a multiple of 4. */
  #take(bytes: number): number {
    const at = this.#bytes.byteOffset + this.#at;
    this.#at += Math.ceil(bytes / 4) * 4;
    return at;
  }
}

/** The value of the 16 bits of a half-precision float. */
export function halfToFloat(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
