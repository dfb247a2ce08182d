/**
 * What methods of factorisation have in common: a chain of convolutions whose last one mixes features that are linear in
 * the patch. The mix is found by least squares, on moments of data or of the weights alone.
 */
import { Matrix } from 'ml-matrix';
import { product } from '#ir/types.ts';
import { outputSize } from '#ir/window.ts';
import { type ConvLayer, chainCost, type FactorCost, type FactorShape, ownShape } from './layer.ts';
import { rowsOf, solveLower, solveUpper, times } from './linear-algebra.ts';
import { crossWith, type Moments, squares, triangleOf } from './moments.ts';

export const FACTORIZATIONS = ['depthwise', 'spatial', 'tucker', 'cp', 'group'] as const;
export type FactorizationName = (typeof FACTORIZATIONS)[number];

/** One rank of a family. */
export interface RankOption {
  /** For people: `T = 2`. */
  readonly rank: string;
  /** How many features are mixed: the first ones of the basis, or of each block. */
  readonly features: number;
  readonly chain: readonly FactorShape[];
}

/** Outputs that mix features of their own, as the groups of a last convolution make them. */
export interface MixBlock {
  readonly outputs: readonly number[];
  /** Rows of the basis; those of a smaller rank are the first. */
  readonly features: readonly number[];
}

/** Channels in another order: the place in the old order of each in the new. */
export interface ChannelOrders {
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
}

/** Chains of one form whose features are nested: those of a smaller rank are the first of a larger one. */
export interface Family {
  /** Features × patch. */
  readonly basis: Matrix;
  /** Every output mixes every feature unless given. */
  readonly blocks?: readonly MixBlock[];
  /** The orders in which the chain reads and makes channels; those of the layer unless given. */
  readonly orders?: ChannelOrders;
  /** Do the features come from weights alone, so that they stay what they are on other data? */
  readonly ofWeights?: boolean;
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
  families(layer: ConvLayer, moments: Moments): readonly FamilyPlan[];
  /** The one of the rank that the weights give evidence for, where the method has such a thing; undefined for rank 0. */
  evident?(layer: ConvLayer, moments: Moments): FamilyPlan | undefined;
}

/** `search`: of each method many ranks are tried. `evidence`: the one that the weights speak for. */
export type RankChoice = 'search' | 'evidence';

export const familiesOf = (
  method: Method,
  layer: ConvLayer,
  moments: Moments,
  ranks: RankChoice = 'search',
): readonly FamilyPlan[] => {
  if (ranks === 'search') return method.families(layer, moments);
  const evident = method.evident?.(layer, moments);
  return evident ? [evident] : [];
};

/** A family that is not made yet, which may take long. */
export interface FamilyPlan {
  /** Its cheapest chain, where that is known before. */
  readonly cheapest?: readonly FactorShape[];
  /** Undefined for a fit that failed. */
  make(): Family | undefined;
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
export const candidates = (
  method: Method,
  layer: ConvLayer,
  moments: Moments,
  ranks: RankChoice = 'search',
): readonly Candidate[] =>
  familiesOf(method, layer, moments, ranks).flatMap(({ cheapest, make }, index) => {
    const family = !cheapest || isCheaper(chainCost(layer, cheapest), layer) ? make() : undefined;
    return family ? ranksOf(method.name, layer, family, index, moments) : [];
  });

function ranksOf(
  method: FactorizationName,
  layer: ConvLayer,
  family: Family,
  index: number,
  moments: Moments,
): readonly Candidate[] {
  const cheaper = family.options.flatMap((option, i) => {
    const cost = formCost(layer, family, option);
    return isCheaper(cost, layer) ? [{ option, cost, i }] : [];
  });
  const most = Math.max(0, ...cheaper.map(({ option }) => option.features));
  if (most === 0) return [];
  const explained = explainedBy(family, most, moments);
  return cheaper.map(({ option, cost, i }) => ({
    method,
    place: [index, i],
    family,
    option,
    cost,
    error: moments.energy === 0 ? 0 : Math.max(0, 1 - (explained[option.features] ?? 0) / moments.energy),
  }));
}

function isCheaper({ macs, parameters }: FactorCost, layer: ConvLayer): boolean {
  const own = chainCost(layer, [ownShape(layer)]);
  return macs < own.macs && parameters < own.parameters;
}

/** What a chain costs, and the reordering of channels around it where that stays. */
function formCost(layer: ConvLayer, { orders }: Family, { chain }: RankOption): FactorCost {
  const cost = chainCost(layer, chain);
  if (!orders) return cost;
  const { sizes, axes, batch, cin, cout } = layer;
  const positions = axes.reduce((n, axis, a) => n * outputSize(axis, sizes[a] ?? 1), 1);
  const reordered =
    (inOrder(orders.inputs) ? 0 : cin * product(sizes)) + (inOrder(orders.outputs) ? 0 : cout * positions);
  return { ...cost, moved: cost.moved + 2 * batch * reordered };
}

export const inOrder = (order: readonly number[]): boolean => order.every((from, i) => from === i);

/** The part of the outputs' energy that the first n features explain, at n: one decomposition for all of them. */
function explainedBy({ basis, blocks }: Family, most: number, moments: Moments): Float64Array {
  const sums = new Float64Array(most + 1);
  const add = (rows: Matrix, cross: Matrix): void => {
    let sum = 0;
    rowsOf(solveLower(triangleOf(moments, rows), cross.transpose())).forEach((row, i) => {
      sum += row.reduce((s, x) => s + x * x, 0);
      sums[i + 1] = (sums[i + 1] ?? 0) + sum;
    });
  };
  if (!blocks) {
    const rows = head(basis, most);
    add(rows, crossWith(moments, rows));
    return sums;
  }
  for (const { outputs, features } of blocks) {
    const rows = rowsAt(basis, features.slice(0, most));
    add(rows, crossWith({ ...moments, cross: rowsAt(moments.cross, outputs) }, rows));
  }
  return sums;
}

/** A chain with its weights, of which the last convolution has the bias. */
export interface Fitted {
  readonly chain: readonly FactorShape[];
  readonly weights: readonly Float32Array[];
  readonly bias: Float32Array;
  /** As `Candidate.error`, on the moments of the fit. */
  readonly error: number;
  readonly orders?: ChannelOrders;
}

/** The best mix for the wanted outputs, and the bias that keeps their mean. */
export function fitForm({ family, option }: Pick<Candidate, 'family' | 'option'>, moments: Moments): Fitted {
  const { basis, blocks, orders } = family;
  const { mix, explained } = blocks
    ? mixOfBlocks(basis, blocks, option.features, moments)
    : mixOf(head(basis, option.features), moments.cross, moments);
  const features = times(head(basis, mix.columns), Matrix.columnVector(Array.from(moments.patchMean)));
  const mean = times(mix, features);
  return {
    chain: option.chain,
    weights: family.weights(option, mix),
    bias: Float32Array.from(moments.outputMean, (y, o) => y - mean.get(o, 0)),
    error: moments.energy === 0 ? 0 : Math.max(0, 1 - explained / moments.energy),
    ...(orders ? { orders } : {}),
  };
}

interface Mix {
  /** Outputs × features. */
  readonly mix: Matrix;
  readonly explained: number;
}

function mixOf(basis: Matrix, cross: Matrix, moments: Moments): Mix {
  const l = triangleOf(moments, basis);
  const whitened = solveLower(l, crossWith({ ...moments, cross }, basis).transpose());
  return { mix: solveUpper(l, whitened).transpose(), explained: squares(whitened) };
}

function mixOfBlocks(basis: Matrix, blocks: readonly MixBlock[], most: number, moments: Moments): Mix {
  const mix = Matrix.zeros(moments.cross.rows, basis.rows);
  let explained = 0;
  for (const { outputs, features } of blocks) {
    const taken = features.slice(0, most);
    const own = mixOf(rowsAt(basis, taken), rowsAt(moments.cross, outputs), moments);
    explained += own.explained;
    outputs.forEach((o, i) => {
      taken.forEach((f, j) => {
        mix.set(o, f, own.mix.get(i, j));
      });
    });
  }
  return { mix, explained };
}

const rowsAt = (m: Matrix, rows: readonly number[]): Matrix => m.subMatrixRow([...rows]);
const head = (m: Matrix, rows: number): Matrix => m.subMatrix(0, rows - 1, 0, m.columns - 1);

/** So many numbers from 1 to `most`, evenly apart, `most` among them. */
export function ranksUpTo(most: number, count: number): readonly number[] {
  const wanted = Array.from({ length: count }, (_, i) => Math.max(1, Math.round(((i + 1) * most) / count)));
  return [...new Set(wanted)];
}
