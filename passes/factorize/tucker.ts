/**
 * A convolution as a pointwise one to r₁ channels, one of the same kernel from r₁ to r₂, and a pointwise one back
 * (Tucker-2; Kim et al., ICLR 2016). The channels kept are those that matter most to the outputs; the core is the
 * reduced-rank regression of the outputs on them (Izenman 1975), which is the Tucker decomposition where there is no data.
 * Exact at (Cin, Cout). A kernel of one element has no core: two pointwise ones with R channels between (Denton et al.,
 * NIPS 2014), exact at R = min(Cin, Cout).
 */
import { Matrix } from 'ml-matrix';
import { evidentRank } from './evidence.ts';
import { type Family, type FamilyPlan, type Method, type RankOption, ranksUpTo } from './family.ts';
import { type ConvLayer, type FactorShape, pointAxes } from './layer.ts';
import { covarianceRoot, eigen, leftSingular, solveLower, solveUpper, times } from './linear-algebra.ts';
import { channelCovariance, crossWith, type Moments, triangleOf, weightMatrix } from './moments.ts';
import { projectedBasis, shorterBasis } from './projection.ts';

/** Numbers of channels that are tried, between none and all, on either side. */
const RANKS = 12;

export const tucker: Method = {
  name: 'tucker',
  summary:
    'a pointwise convolution to r₁ channels, a k×k one to r₂, a pointwise one back; of a pointwise one, two',
  refuse: ({ cin, cout }) => (cin < 2 || cout < 2 ? 'it has one channel on a side' : undefined),
  families(layer, moments) {
    if (layer.taps === 1) return [{ make: () => pair(layer, moments) }];
    const channels = projectedBasis(channelUnfolding(layer), channelCovariance(layer, moments));
    return ranksUpTo(layer.cin, RANKS).map((r1) => ({
      cheapest: chainOf(layer, r1, 1),
      make: () => family(layer, moments, channels, r1),
    }));
  },
  evident,
};

/** Kim et al. choose the ranks so: of the unfoldings along the input and the output channels. */
function evident(layer: ConvLayer, moments: Moments): FamilyPlan | undefined {
  const rank = (m: Matrix) => evidentRank(leftSingular(m).values, m.rows, m.columns);
  const r2 = rank(weightMatrix(layer));
  if (r2 === 0) return undefined;
  if (layer.taps === 1) return { make: () => pair(layer, moments, [r2]) };
  const unfolded = channelUnfolding(layer);
  const r1 = rank(unfolded);
  if (r1 === 0) return undefined;
  return {
    cheapest: chainOf(layer, r1, r2),
    make: () => family(layer, moments, projectedBasis(unfolded, channelCovariance(layer, moments)), r1, [r2]),
  };
}

/** Ranks of a pair that are tried. */
const PAIR_RANKS = 32;

/** @param ranks that are tried; of all that are possible some unless given */
function pair(layer: ConvLayer, moments: Moments, ranks?: readonly number[]): Family {
  const { cin, cout, axes } = layer;
  const most = Math.min(cin, cout);
  const weights = weightMatrix(layer);
  const basis =
    cin <= cout
      ? projectedBasis(weights, moments.covariance)
      : shorterBasis(weights, moments.covariance && covarianceRoot(moments.covariance));
  return {
    basis,
    options: (ranks ?? ranksUpTo(Math.min(most, basis.rows), PAIR_RANKS)).map(
      (rank): RankOption => ({
        rank: `R = ${rank}`,
        features: rank,
        chain: [
          { role: 'reduce', cout: rank, cinPerGroup: cin, group: 1, axes },
          { role: 'expand', cout, cinPerGroup: rank, group: 1, axes: pointAxes(layer) },
        ],
      }),
    ),
    weights: ({ features: rank }, mix) => [
      Float32Array.from(basis.subMatrix(0, rank - 1, 0, cin - 1).to1DArray()),
      Float32Array.from(mix.to1DArray()),
    ],
  };
}

function chainOf(layer: ConvLayer, r1: number, r2: number): readonly FactorShape[] {
  const [{ cin, cout, axes }, point] = [layer, pointAxes(layer)];
  return [
    { role: 'reduce', cout: r1, cinPerGroup: cin, group: 1, axes: point },
    { role: 'core', cout: r2, cinPerGroup: r1, group: 1, axes },
    { role: 'expand', cout, cinPerGroup: r2, group: 1, axes: point },
  ];
}

function family(
  layer: ConvLayer,
  moments: Moments,
  channels: Matrix,
  r1: number,
  ranks: readonly number[] = ranksUpTo(layer.cout, RANKS),
): Family {
  const { cin, taps } = layer;
  const spread = Matrix.zeros(r1 * taps, cin * taps);
  for (let r = 0; r < r1; r++) {
    for (let c = 0; c < cin; c++) {
      for (let k = 0; k < taps; k++) spread.set(r * taps + k, c * taps + k, channels.get(r, c));
    }
  }
  const l = triangleOf(moments, spread);
  const whitened = solveLower(l, crossWith(moments, spread).transpose());
  const regression = solveUpper(l, whitened).transpose();
  // outputs as far as the channels kept explain them
  const { vectors } = eigen(times(whitened.transpose(), whitened));
  const core = times(vectors.transpose(), regression);
  const options = ranks.map(
    (r2): RankOption => ({
      rank: `r = ${r1}, ${r2}`,
      features: r2,
      chain: chainOf(layer, r1, r2),
    }),
  );
  return {
    basis: times(core, spread),
    options,
    weights: ({ features: r2 }, mix) => [
      Float32Array.from(channels.subMatrix(0, r1 - 1, 0, cin - 1).to1DArray()),
      Float32Array.from(core.subMatrix(0, r2 - 1, 0, r1 * taps - 1).to1DArray()),
      Float32Array.from(mix.to1DArray()),
    ],
  };
}

/** (output, tap) × input channel. */
function channelUnfolding({ cin, cout, taps, weight }: ConvLayer): Matrix {
  const unfolded = Matrix.zeros(cout * taps, cin);
  for (let o = 0; o < cout; o++) {
    for (let c = 0; c < cin; c++) {
      for (let k = 0; k < taps; k++) unfolded.set(o * taps + k, c, weight[(o * cin + c) * taps + k] ?? 0);
    }
  }
  return unfolded;
}
