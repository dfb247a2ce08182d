/** The few directions of an input that matter most to what a matrix makes of it. */
import type { Matrix } from 'ml-matrix';
import { covarianceRoot, eigen, leftSingular, times } from './linear-algebra.ts';

/**
 * Rows v₁, v₂, … of which the first r make the best rank-r stand-in for y = W·x, where x has the covariance C (the
 * identity unless given): W·C^½ = U·S·Vᵀ, and vᵢ = uᵢᵀ·W, of length 1. Nothing is inverted: directions in which x does not
 * vary have the weights that they had.
 */
export function projectedBasis(w: Matrix, covariance?: Matrix): Matrix {
  const normal = times(w.transpose(), w);
  const root = covariance && covarianceRoot(covariance);
  const { vectors } = eigen(root ? times(times(root.transpose(), normal), root) : normal);
  const rows = root ? times(times(vectors.transpose(), root.transpose()), normal) : vectors.transpose();
  return unitRows(rows);
}

/** As `projectedBasis`, by whichever side of the matrix is the shorter. @param root the triangle of the covariance */
export function shorterBasis(w: Matrix, root: Matrix | undefined): Matrix {
  const { vectors } = leftSingular(root ? times(w, root) : w);
  return unitRows(times(vectors.transpose(), w));
}

export function unitRows(m: Matrix): Matrix {
  for (let i = 0; i < m.rows; i++) {
    const norm = Math.hypot(...m.getRow(i));
    if (norm > 0) m.mulRow(i, 1 / norm);
  }
  return m;
}
