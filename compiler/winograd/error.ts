/** How exact a Winograd convolution is with the filters of a layer. */
import { randomIntegers } from '#runtime/abi.ts';
import { filterTransform } from '#runtime/stored-weights.ts';
import { type Matrix, type TileSize, type WinogradTransform, winogradTransform } from './transforms.ts';

/** The largest error of a layer for which it is taken, relative to the layer's largest output. */
export const WINOGRAD_ERROR = 1e-5;

/** Filters 3×3, [groups · output channels, input channels of a group, 3, 3]. */
export interface Filters {
  readonly data: Float32Array;
  readonly groups: number;
  readonly inputChannels: number;
  /** Output channels of a group. */
  readonly channels: number;
}

const TAPS = 9;

/** Whether the error with these filters is within the limit. */
export const isExactEnough = (filters: Filters, outputs: TileSize, limit = WINOGRAD_ERROR): boolean =>
  errorOf(filters, outputs) <= limit;

/** Of weights that were measured: the same layer is lowered more than once. */
const ERRORS = new WeakMap<Float32Array, Map<TileSize, number>>();

function errorOf(filters: Filters, outputs: TileSize): number {
  const known = ERRORS.get(filters.data) ?? new Map<TileSize, number>();
  ERRORS.set(filters.data, known);
  const error = known.get(outputs) ?? winogradError(filters, outputs);
  known.set(outputs, error);
  return error;
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

/** Sampled tiles of every kind of input, transformed, and sums of their products with the filters of an output channel. */
interface Samples {
  /** [input channels, tiles, elements], every step in f32. */
  readonly single: Float32Array;
  /** The same in double. */
  readonly double: Float64Array;
  /** [tiles, elements] */
  readonly sums: Float32Array;
  readonly exactSums: Float64Array;
}

/**
 * The largest error of F(m×m, 3×3) in f32 with these filters, relative to the largest output: measured on sampled tiles of
 * random inputs, uniform in [−1, 1) and half-normal, against the same in double. That is the direct convolution to some
 * 10⁻¹⁴, for a quarter of the products.
 */
export function winogradError(filters: Filters, m: TileSize): number {
  const { data, groups, inputChannels, channels } = filters;
  const transform = winogradTransform(m);
  const elements = transform.size ** 2;
  const samples = samplesOf(transform, inputChannels);
  const filter = filterTransform(transform.filter.flat());
  const u = new Float64Array(elements);
  const rounded = new Float32Array(elements);
  const errors = INPUTS.map(() => ({ error: 0, largest: 0 }));
  const compare = comparison(transform);
  const total = groups * channels;
  for (let o = 0; o < total; o += Math.max(1, Math.floor(total / SAMPLED_CHANNELS))) {
    samples.sums.fill(0);
    samples.exactSums.fill(0);
    for (let i = 0; i < inputChannels; i++) {
      filter(data, (o * inputChannels + i) * TAPS, u);
      rounded.set(u);
      addChannel(samples, i, u, rounded);
    }
    errors.forEach((sample, kind) => {
      for (let tile = 0; tile < SAMPLED_TILES; tile++) {
        const { error, largest } = compare(samples, (kind * SAMPLED_TILES + tile) * elements);
        sample.error = Math.max(sample.error, error);
        sample.largest = Math.max(sample.largest, largest);
      }
    });
  }
  return Math.max(...errors.map(({ error, largest }) => (largest === 0 ? 0 : error / largest)));
}

/** The last that were made: layers of as many channels follow each other. */
let recent: { readonly key: string; readonly samples: Samples } | undefined;

function samplesOf(transform: WinogradTransform, inputChannels: number): Samples {
  const key = `${transform.size} ${inputChannels}`;
  if (recent?.key !== key) recent = { key, samples: sampleTiles(transform, inputChannels) };
  return recent.samples;
}

function sampleTiles({ size, input }: WinogradTransform, inputChannels: number): Samples {
  const elements = size * size;
  const floats = INPUTS.length * SAMPLED_TILES * elements;
  const pixels = new Float32Array(inputChannels * floats);
  const random = randomIntegers(inputChannels);
  const uniform = () => random() / 2 ** 32;
  INPUTS.forEach((value, kind) => {
    for (let tile = 0; tile < SAMPLED_TILES; tile++) {
      const first = (kind * SAMPLED_TILES + tile) * elements;
      for (let i = 0, at = first; i < inputChannels; i++, at += floats) {
        for (let e = 0; e < elements; e++) pixels[at + e] = value(uniform);
      }
    }
  });
  const single = new Float32Array(pixels.length);
  const double = new Float64Array(pixels.length);
  const singleSandwich = sandwich(input, Math.fround);
  const doubleSandwich = sandwich(input, (x) => x);
  for (let at = 0; at < pixels.length; at += elements) {
    singleSandwich(pixels, at, single, at);
    doubleSandwich(pixels, at, double, at);
  }
  return { single, double, sums: new Float32Array(floats), exactSums: new Float64Array(floats) };
}

/** What one input channel adds to the tiles of an output channel, with the transformed filter in double and rounded. */
function addChannel(
  { single, double, sums, exactSums }: Samples,
  channel: number,
  u: Float64Array,
  rounded: Float32Array,
): void {
  let at = channel * sums.length;
  for (let to = 0; to < sums.length; ) {
    for (let e = 0; e < u.length; e++, to++, at++) {
      const product = Math.fround((rounded[e] as number) * (single[at] as number));
      sums[to] = (sums[to] as number) + product;
      exactSums[to] = (exactSums[to] as number) + (u[e] as number) * (double[at] as number);
    }
  }
}

/** How outputs of the tile at `from` differ, and the largest of them. */
function comparison({
  outputs,
  output,
}: WinogradTransform): (samples: Samples, from: number) => { error: number; largest: number } {
  const single = sandwich(output, Math.fround);
  const double = sandwich(output, (x) => x);
  const got = new Float32Array(outputs * outputs);
  const exact = new Float64Array(outputs * outputs);
  return ({ sums, exactSums }, from) => {
    single(sums, from, got, 0);
    double(exactSums, from, exact, 0);
    let error = 0;
    let largest = 0;
    exact.forEach((y, k) => {
      error = Math.max(error, Math.abs(y - (got[k] as number)));
      largest = Math.max(largest, Math.abs(y));
    });
    return { error, largest };
  };
}

type Numbers = Float32Array | Float64Array;

/** Computes M X Mᵀ, with every step rounded as told, of X at `from` to `to` in the result. */
function sandwich(
  matrix: Matrix,
  round: (x: number) => number,
): (x: Numbers, from: number, result: Numbers, to: number) => void {
  const rows = matrix.length;
  const inner = matrix[0]?.length ?? 0;
  const factors = Float64Array.from(matrix.flat());
  const half = new Float64Array(rows * inner);
  // row `i` of M times elements of `x` that lie a step apart
  const line = (i: number, x: Numbers, from: number, step: number): number => {
    let sum = 0;
    for (let k = 0; k < inner; k++) {
      const c = factors[i * inner + k] as number;
      if (c !== 0) sum = round(sum + round(c * (x[from + k * step] as number)));
    }
    return sum;
  };
  return (x, from, result, to) => {
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < inner; j++) half[i * inner + j] = line(i, x, from + j, inner);
    }
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < rows; j++) result[to + i * rows + j] = line(j, half, i * inner, 1);
    }
  };
}
