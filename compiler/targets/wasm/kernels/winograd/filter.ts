/** The filters of a Winograd convolution, transformed while compiling, and how exact the result is. */
import { randomIntegers } from '#runtime/abi.ts';
import {
  type Matrix,
  sandwich,
  type TileSize,
  type WinogradTransform,
  winogradTransform,
} from './transforms.ts';

/** Filters 3×3, [groups · output channels, input channels of a group, 3, 3]. */
export interface Filters {
  readonly data: Float32Array;
  readonly groups: number;
  readonly inputChannels: number;
  /** Output channels of a group. */
  readonly channels: number;
}

const TAPS = 9;

/** G g Gᵀ of every filter: [groups, elements of a tile, input channels, output channels], in double rounded once. */
export function transformFilters(
  { data, groups, inputChannels, channels }: Filters,
  m: TileSize,
): Float32Array {
  const { size, filter } = winogradTransform(m);
  const elements = size * size;
  const plane = inputChannels * channels;
  const result = new Float32Array(groups * elements * plane);
  const flat = filter.flat();
  const half = new Float64Array(size * 3);
  for (let g = 0; g < groups; g++) {
    for (let i = 0; i < inputChannels; i++) {
      for (let o = 0; o < channels; o++) {
        const from = ((g * channels + o) * inputChannels + i) * TAPS;
        for (let a = 0; a < size; a++) {
          const [p, q, r] = [flat[a * 3] as number, flat[a * 3 + 1] as number, flat[a * 3 + 2] as number];
          for (let k = 0; k < 3; k++) {
            half[a * 3 + k] =
              p * (data[from + k] as number) +
              q * (data[from + 3 + k] as number) +
              r * (data[from + 6 + k] as number);
          }
        }
        let to = g * elements * plane + i * channels + o;
        for (let a = 0; a < size; a++) {
          for (let b = 0; b < size; b++) {
            result[to] =
              (half[a * 3] as number) * (flat[b * 3] as number) +
              (half[a * 3 + 1] as number) * (flat[b * 3 + 1] as number) +
              (half[a * 3 + 2] as number) * (flat[b * 3 + 2] as number);
            to += plane;
          }
        }
      }
    }
  }
  return result;
}

/** Output channels and tiles that the error is measured on, for each kind of input. */
const SAMPLED_CHANNELS = 32;
const SAMPLED_TILES = 2;

/** What inputs look like: after a normalisation, and after a ReLU. */
const INPUTS = [
  (uniform: () => number) => 2 * uniform() - 1,
  // half-normal, by Box and Muller
  (uniform: () => number) =>
    Math.abs(Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform())),
] as const;

/**
 * The largest error of F(m×m, 3×3) in f32 with these filters, relative to the largest output: measured on sampled tiles of
 * random inputs, uniform in [−1, 1) and half-normal, against direct convolution in double.
 */
export function winogradError(filters: Filters, m: TileSize): number {
  const transform = winogradTransform(m);
  const random = randomIntegers(filters.inputChannels * 31 + filters.channels);
  const uniform = () => random() / 2 ** 32;
  return Math.max(
    ...INPUTS.map((input) => {
      let [error, largest] = [0, 0];
      for (let tile = 0; tile < SAMPLED_TILES; tile++) {
        const found = tileError(filters, transform, () => Math.fround(input(uniform)));
        error = Math.max(error, found.error);
        largest = Math.max(largest, found.largest);
      }
      return largest === 0 ? 0 : error / largest;
    }),
  );
}

function tileError(
  { data, groups, inputChannels, channels }: Filters,
  { outputs, size, input, filter, output }: WinogradTransform,
  value: () => number,
): { readonly error: number; readonly largest: number } {
  const elements = size * size;
  const total = groups * channels;
  const step = Math.max(1, Math.floor(total / SAMPLED_CHANNELS));
  const pixels = Float32Array.from({ length: inputChannels * elements }, value);
  const transformed = Array.from({ length: inputChannels }, (_, i) =>
    singleSandwich(input, pixels.subarray(i * elements, (i + 1) * elements)),
  );
  let [error, largest] = [0, 0];
  for (let o = 0; o < total; o += step) {
    const sums = new Float32Array(elements);
    const exact = new Float64Array(outputs * outputs);
    for (let i = 0; i < inputChannels; i++) {
      const from = (o * inputChannels + i) * TAPS;
      const taps = data.subarray(from, from + TAPS);
      const u = sandwich(filter, taps);
      const v = transformed[i] as Float32Array;
      for (let e = 0; e < elements; e++) {
        const product = Math.fround(Math.fround(u[e] as number) * (v[e] as number));
        sums[e] = (sums[e] as number) + product;
      }
      addDirect(exact, pixels.subarray(i * elements, (i + 1) * elements), taps, outputs, size);
    }
    const got = singleSandwich(output, sums);
    exact.forEach((y, k) => {
      error = Math.max(error, Math.abs(y - (got[k] as number)));
      largest = Math.max(largest, Math.abs(y));
    });
  }
  return { error, largest };
}

function addDirect(
  sums: Float64Array,
  pixels: Float32Array,
  taps: Float32Array,
  outputs: number,
  size: number,
): void {
  for (let y = 0; y < outputs; y++) {
    for (let x = 0; x < outputs; x++) {
      let sum = 0;
      for (let k = 0; k < TAPS; k++) {
        sum += (taps[k] as number) * (pixels[(y + Math.floor(k / 3)) * size + x + (k % 3)] as number);
      }
      sums[y * outputs + x] = (sums[y * outputs + x] as number) + sum;
    }
  }
}

/** M X Mᵀ with every step rounded to f32. */
function singleSandwich(matrix: Matrix, x: Float32Array): Float32Array {
  const inner = matrix[0]?.length ?? 0;
  const rows = matrix.length;
  const half = new Float32Array(rows * inner);
  const line = (row: readonly number[], at: (k: number) => number): number =>
    row.reduce((sum, c, k) => (c === 0 ? sum : Math.fround(sum + Math.fround(c * at(k)))), 0);
  matrix.forEach((row, i) => {
    for (let j = 0; j < inner; j++) half[i * inner + j] = line(row, (k) => x[k * inner + j] as number);
  });
  const result = new Float32Array(rows * rows);
  for (let i = 0; i < rows; i++) {
    matrix.forEach((row, j) => {
      result[i * rows + j] = line(row, (k) => half[i * inner + k] as number);
    });
  }
  return result;
}
