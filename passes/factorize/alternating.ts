/**
 * The canonical polyadic decomposition of a tensor by alternating least squares: a sum of products of one vector per
 * axis (Kolda and Bader, "Tensor decompositions and applications", SIAM Review 2009, 3.4).
 */
import { Matrix } from 'ml-matrix';
import { product } from '#ir/types.ts';
import { cholesky, rowsOf, solveLower, solveUpper, times } from './linear-algebra.ts';

const SWEEPS = 20;
/** A sweep that explains no more than so much of what is left ends the fit. */
const LEAST_PROGRESS = 1e-3;
/** Part of the mean square of terms by which each step is damped, so that they cannot grow without end. */
const RIDGE = 1e-6;
/** Terms together may have this many times the norm of the tensor. */
const MOST_CANCELLING = 4;

/**
 * One matrix per axis, size × rank, columns but those of the first of length 1. Undefined for what degenerates: a best fit
 * need not exist, and terms then grow while they cancel (de Silva and Lim 2008; Phan et al., ECCV 2020).
 * @param tensor of the given sizes, two or more, row-major
 */
export function canonicalFactors(
  tensor: Float32Array,
  sizes: readonly number[],
  rank: number,
): readonly Matrix[] | undefined {
  const [rows = 1, columns = 1, ...lines] = sizes;
  const random = uniform(rank);
  const factors = sizes.map((size) => unitColumns(filled(size, rank, random)));
  const energy = tensor.reduce((sum, w) => sum + w * w, 0);
  let left = Number.POSITIVE_INFINITY;
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    let explained = 0;
    for (let mode = sizes.length - 1; mode >= 0; mode--) {
      const normal = normalOf(factors, mode);
      const l = cholesky(normal, RIDGE);
      const target = againstOthers(tensor, rows, columns, lines, factors, mode);
      const next = solveUpper(l, solveLower(l, target.transpose())).transpose();
      factors[mode] = mode === 0 ? next : unitColumns(next);
      if (mode === 0) explained = inner(next, target);
    }
    const now = energy - explained;
    if (left - now < LEAST_PROGRESS * now) break;
    left = now;
  }
  const [first] = factors;
  const terms = first ? Math.sqrt(inner(first, first)) : 0;
  return terms > MOST_CANCELLING * Math.sqrt(energy) ? undefined : factors;
}

/** The products, element by element, of the Gram matrices of all factors but one. */
function normalOf(factors: readonly Matrix[], mode: number): Matrix {
  return factors
    .filter((_, m) => m !== mode)
    .map((f) => times(f.transpose(), f))
    .reduce((a, b) => a.mul(b));
}

/**
 * The unfolding of the tensor along one axis times the Khatri–Rao product of the factors of the others. The small axes
 * behind the first two are taken together, which leaves products of matrices.
 */
function againstOthers(
  tensor: Float32Array,
  rows: number,
  columns: number,
  lines: readonly number[],
  factors: readonly Matrix[],
  mode: number,
): Matrix {
  const taps = product(lines);
  const [a = [], c = [], ...f] = factors.map(rowsOf);
  const rank = factors[0]?.columns ?? 0;
  const places = tapPlaces(lines);
  const result = Matrix.zeros(factors[mode]?.rows ?? 1, rank);
  const sums = rowsOf(result);
  const along = (skip: number): readonly Float64Array[] =>
    places.map((place) =>
      Float64Array.from({ length: rank }, (_, r) =>
        place.reduce((w, at, i) => (i === skip ? w : w * (f[i]?.[at]?.[r] ?? 1)), 1),
      ),
    );
  const [kernels, term] = [along(mode - 2), new Float64Array(rank)];
  const byTap = mode < 2 ? [] : places.map(() => new Float64Array(rank));
  for (let o = 0; o < rows; o++) {
    for (let i = 0; i < columns; i++) {
      const from = (o * columns + i) * taps;
      term.fill(0);
      if (mode < 2) {
        for (let t = 0; t < taps; t++) addScaled(term, tensor[from + t] ?? 0, kernels[t] as Float64Array);
        addProduct(sums[mode === 0 ? o : i], term, (mode === 0 ? c[i] : a[o]) as Float64Array);
      } else {
        addProduct(term, a[o] as Float64Array, c[i] as Float64Array);
        for (let t = 0; t < taps; t++) addScaled(byTap[t] as Float64Array, tensor[from + t] ?? 0, term);
      }
    }
  }
  byTap.forEach((sum, t) => {
    addProduct(sums[places[t]?.[mode - 2] ?? 0], sum, kernels[t] as Float64Array);
  });
  return result;
}

function addScaled(to: Float64Array, factor: number, from: Float64Array): void {
  for (let r = 0; r < to.length; r++) to[r] = (to[r] as number) + factor * (from[r] as number);
}

function addProduct(to: Float64Array | undefined, a: Float64Array, b: Float64Array): void {
  if (!to) return;
  for (let r = 0; r < to.length; r++) to[r] = (to[r] as number) + (a[r] as number) * (b[r] as number);
}

function inner(a: Matrix, b: Matrix): number {
  const other = rowsOf(b);
  return rowsOf(a).reduce((sum, row, i) => row.reduce((s, x, j) => s + x * (other[i]?.[j] ?? 0), sum), 0);
}

/** The place along each axis of every tap, in order. */
export function tapPlaces(kernel: readonly number[]): readonly (readonly number[])[] {
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

const filled = (rows: number, columns: number, next: () => number): Matrix =>
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
