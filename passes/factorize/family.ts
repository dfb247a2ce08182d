/**
 * What methods of factorisation have in common: a chain of convolutions whose last one mixes features that are linear in
 * the patch. The mix is found by least squares, on moments of data or of the weights alone.
 */
import { Matrix } from 'ml-matrix';
import { type ConvLayer, chainCost, type FactorCost, type FactorShape, ownShape } from './layer.ts';
import { rowsOf, solveLower, solveUpper, times } from './linear-algebra.ts';
import { crossWith, type Moments, squares, triangleOf } from './moments.ts';

export const FACTORIZATIONS = ['depthwise', 'spatial', 'tucker', 'cp'] as const;
export type FactorizationName = (typeof FACTORIZATIONS)[number];

/** One rank of a family. */
export interface RankOption {
  /** For people: `T = 2`. */
  readonly rank: string;
  /** How many features are mixed: the first ones of the basis. */
  readonly features: number;
  readonly chain: readonly FactorShape[];
}

/** Chains of one form whose features are nested: those of a smaller rank are the first of a larger one. */
export interface Family {
  /** Features × patch. */
  readonly basis: Matrix;
  /** In the order of their features. */
  readonly options: readonly RankOption[];
  /** The weights of a chain, in its order, from the mix, which is cout × features. */
  weights(option: RankOption, mix: Matrix): readonly Float32Array[];
}

export interface Method {
  readonly name: FactorizationName;
  /** One line, for people. */
  readonly summary: string;
  /** Why a layer has no such form; undefined where it has. */
  refuse(layer: ConvLayer): string | undefined;
  /** Each is made when it is called; undefined for a fit that failed. */
  families(layer: ConvLayer, moments: Moments): readonly (() => Family | undefined)[];
}

/** A form that a layer can take. */
export interface Candidate {
  readonly method: FactorizationName;
  /** Which of the method's families, and of its options. */
  readonly place: readonly [family: number, option: number];
  readonly family: Family;
  readonly option: RankOption;
  readonly cost: FactorCost;
  /** Mean square of what the outputs are off by, as part of their variance. */
  readonly error: number;
}

/** Every form of a method that costs less than the layer, with its cost and error. */
export const candidates = (method: Method, layer: ConvLayer, moments: Moments): readonly Candidate[] =>
  method.families(layer, moments).flatMap((make, index) => {
    const family = make();
    return family ? ranksOf(method.name, layer, family, index, moments) : [];
  });

function ranksOf(
  method: FactorizationName,
  layer: ConvLayer,
  family: Family,
  index: number,
  moments: Moments,
): readonly Candidate[] {
  const own = chainCost(layer, [ownShape(layer)]);
  const cheaper = family.options.flatMap((option, i) => {
    const cost = chainCost(layer, option.chain);
    return cost.macs < own.macs && cost.parameters < own.parameters ? [{ option, cost, i }] : [];
  });
  const most = Math.max(0, ...cheaper.map(({ option }) => option.features));
  if (most === 0) return [];
  const explained = explainedBy(head(family.basis, most), moments);
  return cheaper.map(({ option, cost, i }) => ({
    method,
    place: [index, i],
    family,
    option,
    cost,
    error: moments.energy === 0 ? 0 : Math.max(0, 1 - (explained[option.features] ?? 0) / moments.energy),
  }));
}

/** The part of the outputs' energy that the first n features explain, at n: one decomposition for all of them. */
function explainedBy(basis: Matrix, moments: Moments): Float64Array {
  const l = triangleOf(moments, basis);
  const whitened = solveLower(l, crossWith(moments, basis).transpose());
  const sums = new Float64Array(basis.rows + 1);
  rowsOf(whitened).forEach((row, i) => {
    sums[i + 1] = row.reduce((sum, x) => sum + x * x, sums[i] ?? 0);
  });
  return sums;
}

/** A chain with its weights, of which the last convolution has the bias. */
export interface Fitted {
  readonly chain: readonly FactorShape[];
  readonly weights: readonly Float32Array[];
  readonly bias: Float32Array;
  /** As `Candidate.error`, on the moments of the fit. */
  readonly error: number;
}

/** The best mix for the wanted outputs, and the bias that keeps their mean. */
export function fitForm({ family, option }: Pick<Candidate, 'family' | 'option'>, moments: Moments): Fitted {
  const basis = head(family.basis, option.features);
  const l = triangleOf(moments, basis);
  const cross = crossWith(moments, basis);
  const whitened = solveLower(l, cross.transpose());
  const mix = solveUpper(l, whitened).transpose();
  const features = times(basis, Matrix.columnVector(Array.from(moments.patchMean)));
  const mean = times(mix, features);
  return {
    chain: option.chain,
    weights: family.weights(option, mix),
    bias: Float32Array.from(moments.outputMean, (y, o) => y - mean.get(o, 0)),
    error: moments.energy === 0 ? 0 : Math.max(0, 1 - squares(whitened) / moments.energy),
  };
}

const head = (m: Matrix, rows: number): Matrix => m.subMatrix(0, rows - 1, 0, m.columns - 1);

/** So many numbers from 1 to `most`, evenly apart, `most` among them. */
export function ranksUpTo(most: number, count: number): readonly number[] {
  const wanted = Array.from({ length: count }, (_, i) => Math.max(1, Math.round(((i + 1) * most) / count)));
  return [...new Set(wanted)];
}
