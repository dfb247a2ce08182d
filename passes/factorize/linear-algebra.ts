/** Factorisations of matrices that the methods share, over `ml-matrix`. */
import { EigenvalueDecomposition, Matrix } from 'ml-matrix';

/** Part of the mean of a diagonal that is added to it, so that what is dependent can be solved. */
const RIDGE = 1e-13;

/**
 * The lower triangle L with L·Lᵀ = A + λ·I, λ a small part of A's mean diagonal. Its leading blocks are those of A's
 * leading blocks, which makes one decomposition do for all nested sets of features. A feature of which rounding leaves
 * less than that, as sums in f32 do, is as good as not there: its row of L⁻¹·B is next to nothing.
 */
export const cholesky = (a: Matrix, ridge = RIDGE): Matrix => triangle(a, ridge, 1);

/** Of data, beside which less is chance: the part of a variance that is added to it. */
export const DATA_RIDGE = 1e-7;

/** The same of a measured covariance, for products: directions in which nothing varies are zero. */
export const covarianceRoot = (a: Matrix): Matrix => triangle(a, DATA_RIDGE, 0);

/** Pivots below this part of λ are rounding. */
const LEAST_PIVOT = 0.1;

/** @param lost the pivot of what rounding has left nothing of, as part of the mean diagonal */
function triangle(a: Matrix, ridge: number, lost: number): Matrix {
  const n = a.rows;
  let trace = 0;
  for (let i = 0; i < n; i++) trace += a.get(i, i);
  const mean = Math.max(trace / Math.max(1, n), 1e-17);
  const shift = ridge * mean;
  const l = Array.from({ length: n }, () => new Float64Array(n));
  const isLost = new Uint8Array(n);
  for (let i = 0; i < n; i++) {
    const li = l[i] as Float64Array;
    for (let j = 0; j <= i; j++) {
      const lj = l[j] as Float64Array;
      let sum = a.get(i, j) + (i === j ? shift : 0);
      for (let k = 0; k < j; k++) sum -= (li[k] as number) * (lj[k] as number);
      if (i !== j) li[j] = isLost[j] === 1 ? 0 : sum / (lj[j] as number);
      else if (sum > LEAST_PIVOT * shift) li[j] = Math.sqrt(sum);
      else {
        isLost[j] = 1;
        li[j] = Math.sqrt(lost * mean);
      }
    }
  }
  return Matrix.checkMatrix(l);
}

/** L⁻¹·B, by substitution from the top. */
export function solveLower(l: Matrix, b: Matrix): Matrix {
  const x = b.clone();
  const [rows, factors] = [rowsOf(x), rowsOf(l)];
  rows.forEach((row, i) => {
    const factor = factors[i] as Float64Array;
    for (let k = 0; k < i; k++) addScaled(row, -(factor[k] as number), rows[k] as Float64Array);
    x.mulRow(i, 1 / (factor[i] as number));
  });
  return x;
}

/** L⁻ᵀ·B, by substitution from the bottom. */
export function solveUpper(l: Matrix, b: Matrix): Matrix {
  const x = b.clone();
  const [rows, factors] = [rowsOf(x), rowsOf(l)];
  for (let i = l.rows - 1; i >= 0; i--) {
    const [row, factor] = [rows[i] as Float64Array, factors[i] as Float64Array];
    x.mulRow(i, 1 / (factor[i] as number));
    for (let k = 0; k < i; k++) addScaled(rows[k] as Float64Array, -(factor[k] as number), row);
  }
  return x;
}

/** A·B; zeros of A, or of B where it has more of them, cost nothing: bases of features are mostly zero. */
export function times(a: Matrix, b: Matrix): Matrix {
  if (nonzeros(b) / (b.rows * b.columns) < nonzeros(a) / (a.rows * a.columns)) {
    return times(b.transpose(), a.transpose()).transpose();
  }
  const result = Matrix.zeros(a.rows, b.columns);
  const [left, right, sums] = [rowsOf(a), rowsOf(b), rowsOf(result)];
  left.forEach((row, i) => {
    const sum = sums[i] as Float64Array;
    for (let k = 0; k < row.length; k++) addScaled(sum, row[k] as number, right[k] as Float64Array);
  });
  return result;
}

function addScaled(to: Float64Array, factor: number, from: Float64Array): void {
  if (factor === 0) return;
  for (let j = 0; j < to.length; j++) to[j] = (to[j] as number) + factor * (from[j] as number);
}

const nonzeros = (m: Matrix): number =>
  rowsOf(m).reduce((sum, row) => row.reduce((n, x) => (x === 0 ? n : n + 1), sum), 0);

/** The rows of a matrix as the library keeps them, which its types do not say; element by element is 20 times slower. */
export const rowsOf = (m: Matrix): Float64Array[] => (m as unknown as { readonly data: Float64Array[] }).data;

export interface Spectrum {
  /** Descending, never negative. */
  readonly values: readonly number[];
  /** One column per value. */
  readonly vectors: Matrix;
}

/** Of a symmetric matrix. */
export function eigen(a: Matrix): Spectrum {
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(a, { assumeSymmetric: true });
  const order = realEigenvalues
    .map((_, i) => i)
    .sort((i, j) => (realEigenvalues[j] ?? 0) - (realEigenvalues[i] ?? 0));
  return {
    values: order.map((i) => Math.max(0, realEigenvalues[i] ?? 0)),
    vectors: eigenvectorMatrix.subMatrixColumn(order),
  };
}

/** Left singular vectors of a matrix as columns, with the squares of its singular values, descending. */
export function leftSingular(m: Matrix): Spectrum {
  if (m.rows <= m.columns) return eigen(times(m, m.transpose()));
  const { values, vectors } = eigen(times(m.transpose(), m));
  const rank = values.findLastIndex((v) => v > 1e-14 * (values[0] ?? 0)) + 1;
  const left = times(m, vectors.subMatrix(0, vectors.rows - 1, 0, Math.max(0, rank - 1)));
  for (let j = 0; j < rank; j++) left.mulColumn(j, 1 / Math.sqrt(values[j] ?? 1));
  return { values: values.slice(0, rank), vectors: left };
}
