/**
 * What is known of a layer's inputs and outputs: the moments that least squares needs. A patch is what one output
 * position sees, [cin, …kernel] in order, zero where there is padding; everything is about deviations from the mean.
 */
import { Matrix } from 'ml-matrix';
import type { ConvLayer } from './layer.ts';
import { cholesky, DATA_RIDGE, rowsOf, times } from './linear-algebra.ts';

export interface Moments {
  /** Were these measured on data? Else patches count as independent numbers of variance 1. */
  readonly measured: boolean;
  /** Covariance of patches, patch × patch; undefined for the identity. */
  readonly covariance: Matrix | undefined;
  /** Covariance of the wanted outputs with patches, cout × patch. */
  readonly cross: Matrix;
  /** Variance of the wanted outputs, summed over channels. */
  readonly energy: number;
  readonly patchMean: Float64Array;
  readonly outputMean: Float64Array;
}

export const weightMatrix = ({ weight, cout, cin, taps }: ConvLayer): Matrix =>
  Matrix.from1DArray(cout, cin * taps, weight as unknown as number[]);

/** Without data: the error of a factorisation is that of the weights. */
export function weightMoments(layer: ConvLayer): Moments {
  const cross = weightMatrix(layer);
  return {
    measured: false,
    covariance: undefined,
    cross,
    energy: squares(cross),
    patchMean: new Float64Array(layer.cin * layer.taps),
    outputMean: Float64Array.from(layer.bias ?? new Float32Array(layer.cout)),
  };
}

/** Covariance of features that are linear in patches: B·C·Bᵀ. */
function gram({ covariance }: Moments, basis: Matrix): Matrix {
  if (!covariance) return times(basis, basis.transpose());
  // symmetric, so that the basis, which is mostly zero, stands on the left twice
  return times(basis, times(basis, covariance).transpose());
}

/** The triangle of a covariance of features. */
export const triangleOf = (moments: Moments, basis: Matrix): Matrix =>
  moments.measured ? cholesky(gram(moments, basis), DATA_RIDGE) : cholesky(gram(moments, basis));

/** Covariance of the outputs with features: cout × features. */
export const crossWith = ({ cross }: Moments, basis: Matrix): Matrix => times(cross, basis.transpose());

export function squares(m: Matrix): number {
  return rowsOf(m).reduce((sum, row) => row.reduce((s, x) => s + x * x, sum), 0);
}

/** Between the channels of a patch, averaged over its taps. */
export function channelCovariance({ cin, taps }: ConvLayer, { covariance }: Moments): Matrix | undefined {
  if (!covariance) return undefined;
  const result = Matrix.zeros(cin, cin);
  for (let c = 0; c < cin; c++) {
    for (let d = 0; d < cin; d++) {
      let sum = 0;
      for (let k = 0; k < taps; k++) sum += covariance.get(c * taps + k, d * taps + k);
      result.set(c, d, sum / taps);
    }
  }
  return result;
}
