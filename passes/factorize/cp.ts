/**
 * A convolution as a pointwise one to R channels, one depthwise one along each axis, and a pointwise one back: the
 * canonical polyadic decomposition of its weights (Lebedev et al., ICLR 2015), by alternating least squares. A best fit
 * need not exist: terms can grow without end while they cancel (Phan et al., ECCV 2020); the ridge of each step bounds
 * them, and a fit whose terms outweigh the weights is not offered.
 */
import { Matrix } from 'ml-matrix';
import { product } from '#ir/types.ts';
import { type Family, type Method, ranksUpTo } from './family.ts';
import { type ConvLayer, POINT_AXIS, pointAxes } from './layer.ts';
import { cholesky, solveLower, solveUpper, times } from './linear-algebra.ts';

const RANKS = 5;
const SWEEPS = 40;
/** Steps of a sweep are so many multiplications; beyond, the fit takes too long. */
const MOST_WORK = 2e8;
/** Terms together may have this many times the norm of the weights. */
const MOST_CANCELLING = 4;

export const cp: Method = {
  name: 'cp',
  summary: 'pointwise to R channels, depthwise along each axis, pointwise back',
  refuse: ({ taps, cin, cout, weight }) =>
    taps === 1
      ? 'its kernel has one element'
      : cin < 2 || cout < 2
        ? 'it has one channel on a side'
        : weight.length * Math.min(cin, cout) > MOST_WORK
          ? 'its weights are too many for alternating least squares'
          : undefined,
  families: (layer) =>
    ranksUpTo(Math.max(layer.cin, layer.cout), RANKS).map((rank) => () => family(layer, rank)),
};

function family(layer: ConvLayer, rank: number): Family | undefined {
  const { cin, cout, kernel, axes, taps } = layer;
  const long = kernel.flatMap((k, axis) => (k > 1 ? [axis] : []));
  const sizes = [cout, cin, ...long.map((axis) => kernel[axis] ?? 1)];
  const factors = alternatingLeastSquares(layer.weight, sizes, rank);
  const [, channels, ...lines] = factors ?? [];
  if (!channels) return undefined;
  const places = tapPlaces(sizes.slice(2));
  const basis = Matrix.zeros(rank, cin * taps);
  for (let r = 0; r < rank; r++) {
    for (let c = 0; c < cin; c++) {
      places.forEach((place, tap) => {
        const along = place.reduce((w, at, i) => w * (lines[i]?.get(at, r) ?? 1), 1);
        basis.set(r, c * taps + tap, channels.get(c, r) * along);
      });
    }
  }
  return {
    basis,
    options: [
      {
        rank: `R = ${rank}`,
        features: rank,
        chain: [
          { role: 'reduce', cout: rank, cinPerGroup: cin, group: 1, axes: pointAxes(layer) },
          ...long.map((along) => ({
            role: kernel.map((k, a) => (a === along ? k : 1)).join('x'),
            cout: rank,
            cinPerGroup: 1,
            group: rank,
            axes: axes.map((axis, a) =>
              a === along || (!long.includes(a) && along === long[0]) ? axis : POINT_AXIS,
            ),
          })),
          { role: 'expand', cout, cinPerGroup: rank, group: 1, axes: pointAxes(layer) },
        ],
      },
    ],
    weights: (_, mix) => [
      Float32Array.from(channels.transpose().to1DArray()),
      ...lines.map((line) => Float32Array.from(line.transpose().to1DArray())),
      Float32Array.from(mix.to1DArray()),
    ],
  };
}

/** The place along each axis of every tap, in order. */
function tapPlaces(kernel: readonly number[]): readonly (readonly number[])[] {
  return Array.from({ length: product(kernel) }, (_, tap) => {
    let rest = tap;
    return kernel
      .toReversed()
      .map((k) => {
        const at = rest % k;
        rest = Math.floor(rest / k);
        return at;
      })
      .reverse();
  });
}

/** One matrix per mode, size × rank, columns but those of the first of length 1; undefined for what degenerates. */
function alternatingLeastSquares(
  tensor: Float32Array,
  sizes: readonly number[],
  rank: number,
): readonly Matrix[] | undefined {
  const random = uniform(rank);
  const factors = sizes.map((size) => unitColumns(fill(size, rank, random)));
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    for (let mode = sizes.length - 1; mode >= 0; mode--) {
      let normal: Matrix | undefined;
      factors.forEach((f, m) => {
        if (m === mode) return;
        const g = times(f.transpose(), f);
        normal = normal ? normal.mul(g) : g;
      });
      if (!normal) return undefined;
      const l = cholesky(normal, 1e-6);
      const target = timesOthers(tensor, sizes, factors, mode, rank);
      const next = solveUpper(l, solveLower(l, target.transpose())).transpose();
      factors[mode] = mode === 0 ? next : unitColumns(next);
    }
  }
  const norm = Math.hypot(
    ...Array.from({ length: rank }, (_, r) => Math.hypot(...(factors[0]?.getColumn(r) ?? []))),
  );
  return norm > MOST_CANCELLING * Math.sqrt(tensor.reduce((s, w) => s + w * w, 0)) ? undefined : factors;
}

/** The unfolding of a tensor along one mode times the Khatri–Rao product of the other modes' factors. */
function timesOthers(
  tensor: Float32Array,
  sizes: readonly number[],
  factors: readonly Matrix[],
  mode: number,
  rank: number,
): Matrix {
  const result = Matrix.zeros(sizes[mode] ?? 1, rank);
  const place = sizes.map(() => 0);
  const term = new Float64Array(rank);
  for (const value of tensor) {
    term.fill(value);
    for (let m = 0; m < sizes.length; m++) {
      if (m === mode) continue;
      const factor = factors[m];
      for (let r = 0; r < rank; r++) term[r] = (term[r] ?? 0) * (factor?.get(place[m] ?? 0, r) ?? 0);
    }
    const row = place[mode] ?? 0;
    for (let r = 0; r < rank; r++) result.set(row, r, result.get(row, r) + (term[r] ?? 0));
    for (let m = sizes.length - 1; m >= 0; m--) {
      place[m] = (place[m] ?? 0) + 1;
      if ((place[m] ?? 0) < (sizes[m] ?? 1)) break;
      place[m] = 0;
    }
  }
  return result;
}

const fill = (rows: number, columns: number, next: () => number): Matrix =>
  Matrix.from1DArray(rows, columns, Array.from({ length: rows * columns }, next));

function unitColumns(m: Matrix): Matrix {
  for (let j = 0; j < m.columns; j++) {
    const norm = Math.hypot(...m.getColumn(j));
    if (norm > 0) m.mulColumn(j, 1 / norm);
  }
  return m;
}

/** Numbers between −1 and 1 that are the same each time (mulberry32). */
function uniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 31 - 1;
  };
}
