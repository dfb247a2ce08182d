/** The filters of a Winograd convolution, transformed while compiling, and how exact the result is. */
import type { PackedConstant } from '#compiler/schedule/program.ts';
import { randomIntegers } from '#runtime/abi.ts';
import { filterTransform, panelWidths, transformFilters } from '#runtime/stored-weights.ts';
import { packed } from '../../pack.ts';
import { type Matrix, type TileSize, type WinogradTransform, winogradTransform } from './transforms.ts';

/** Filters 3×3, [groups · output channels, input channels of a group, 3, 3]. */
export interface Filters {
  readonly data: Float32Array;
  readonly groups: number;
  readonly inputChannels: number;
  /** Output channels of a group. */
  readonly channels: number;
}

const TAPS = 9;

/** Transformed filters, as `transformFilters` orders them in panels of `width` output channels. */
export function packFilters(
  { data, groups, inputChannels, channels }: Filters,
  m: TileSize,
  width: number,
): PackedConstant & { readonly elementBytes: number } {
  const { size, filter } = winogradTransform(m);
  const shape = { groups, inputChannels, channels, width, matrix: filter.flat() };
  const elementFloats = inputChannels * panelWidths(channels, width).reduce((n, w) => n + w, 0);
  return {
    ...packed(groups * size * size * elementFloats, (target) => transformFilters(data, shape, target)),
    compact: { kind: 'winograd', filters: data, shape },
    elementBytes: elementFloats * 4,
  };
}

/** Output channels that the error is measured on, and tiles for each kind of input. */
const SAMPLED_CHANNELS = 32;
const SAMPLED_TILES = 2;

/** What inputs look like: after a normalisation, and after a ReLU. */
const INPUTS = [
  (uniform: () => number) => 2 * uniform() - 1,
  // half-normal, by Box and Muller
  (uniform: () => number) =>
    Math.abs(Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform())),
] as const;

/** Some tiles of one kind of input, and what is known of their outputs. */
interface Sample {
  readonly tiles: readonly SampleTile[];
  error: number;
  largest: number;
}

interface SampleTile {
  /** One input channel after the other. */
  readonly pixels: Float32Array;
  readonly transformed: Float32Array;
  readonly sums: Float32Array;
  readonly exact: Float64Array;
}

/**
 * The largest error of F(m×m, 3×3) in f32 with these filters, relative to the largest output: measured on sampled tiles of
 * random inputs, uniform in [−1, 1) and half-normal, against direct convolution in double.
 */
export function winogradError(filters: Filters, m: TileSize): number {
  const { data, groups, inputChannels, channels } = filters;
  const transform = winogradTransform(m);
  const elements = transform.size ** 2;
  const random = randomIntegers(inputChannels * 31 + channels);
  const uniform = () => random() / 2 ** 32;
  const samples = INPUTS.map((input): Sample => {
    const tiles = Array.from({ length: SAMPLED_TILES }, () =>
      sampleTile(transform, inputChannels, () => input(uniform)),
    );
    return { tiles, error: 0, largest: 0 };
  });
  const filter = filterTransform(transform.filter.flat());
  const u = new Float64Array(elements);
  const total = groups * channels;
  for (let o = 0; o < total; o += Math.max(1, Math.floor(total / SAMPLED_CHANNELS))) {
    for (const { sums, exact } of samples.flatMap(({ tiles }) => tiles)) {
      sums.fill(0);
      exact.fill(0);
    }
    for (let i = 0; i < inputChannels; i++) {
      const from = (o * inputChannels + i) * TAPS;
      filter(data, from, u);
      for (const { tiles } of samples)
        for (const tile of tiles) addChannel(tile, i, u, data, from, transform);
    }
    for (const sample of samples) for (const tile of sample.tiles) compareTile(sample, tile, transform);
  }
  return Math.max(...samples.map(({ error, largest }) => (largest === 0 ? 0 : error / largest)));
}

function sampleTile(
  { outputs, size, input }: WinogradTransform,
  inputChannels: number,
  value: () => number,
): SampleTile {
  const elements = size * size;
  const pixels = new Float32Array(inputChannels * elements);
  for (let i = 0; i < pixels.length; i++) pixels[i] = value();
  const transformed = new Float32Array(pixels.length);
  const sandwich = singleSandwich(input);
  for (let i = 0; i < pixels.length; i += elements) sandwich(pixels, transformed, i);
  return {
    pixels,
    transformed,
    sums: new Float32Array(elements),
    exact: new Float64Array(outputs * outputs),
  };
}

/** What one input channel adds to a tile of an output channel, both ways. */
function addChannel(
  { pixels, transformed, sums, exact }: SampleTile,
  channel: number,
  u: Float64Array,
  taps: Float32Array,
  from: number,
  { outputs, size }: WinogradTransform,
): void {
  const start = channel * sums.length;
  for (let e = 0; e < sums.length; e++) {
    const product = Math.fround(Math.fround(u[e] as number) * (transformed[start + e] as number));
    sums[e] = (sums[e] as number) + product;
  }
  addDirect(exact, pixels, start, taps, from, outputs, size);
}

function compareTile(sample: Sample, { sums, exact }: SampleTile, { output }: WinogradTransform): void {
  const got = new Float32Array(exact.length);
  singleSandwich(output)(sums, got, 0);
  exact.forEach((y, k) => {
    sample.error = Math.max(sample.error, Math.abs(y - (got[k] as number)));
    sample.largest = Math.max(sample.largest, Math.abs(y));
  });
}

function addDirect(
  sums: Float64Array,
  pixels: Float32Array,
  start: number,
  taps: Float32Array,
  from: number,
  outputs: number,
  size: number,
): void {
  for (let y = 0; y < outputs; y++) {
    for (let x = 0; x < outputs; x++) {
      let sum = 0;
      for (let k = from, at = start + y * size + x; k < from + TAPS; k += 3, at += size) {
        sum +=
          (taps[k] as number) * (pixels[at] as number) +
          (taps[k + 1] as number) * (pixels[at + 1] as number) +
          (taps[k + 2] as number) * (pixels[at + 2] as number);
      }
      sums[y * outputs + x] = (sums[y * outputs + x] as number) + sum;
    }
  }
}

/** Computes M X Mᵀ with every step rounded to f32, of X at `at` to the same place in the result. */
function singleSandwich(matrix: Matrix): (x: Float32Array, result: Float32Array, at: number) => void {
  const rows = matrix.length;
  const inner = matrix[0]?.length ?? 0;
  const factors = Float64Array.from(matrix.flat());
  const half = new Float32Array(rows * inner);
  // row `i` of M times elements of `x` that lie a step apart
  const line = (i: number, x: Float32Array, from: number, step: number): number => {
    let sum = 0;
    for (let k = 0; k < inner; k++) {
      const c = factors[i * inner + k] as number;
      if (c !== 0) sum = Math.fround(sum + Math.fround(c * (x[from + k * step] as number)));
    }
    return sum;
  };
  return (x, result, at) => {
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < inner; j++) half[i * inner + j] = line(i, x, at + j, inner);
    }
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < rows; j++) result[at + i * rows + j] = line(j, half, i * inner, 1);
    }
  };
}
