/**
 * A convolution as one along some axes and one along the others, with R channels between (Jaderberg et al., BMVC 2014,
 * scheme 2): k×1 then 1×k, or 1×k then k×1; in three dimensions time and space. The singular value decomposition of
 * W[(c, i), (o, j)], i the taps of the first and j those of the second. Exact at R = min(Cin·|i|, Cout·|j|).
 */
import { Matrix } from 'ml-matrix';
import { product } from '#ir/types.ts';
import { type Family, type Method, type RankOption, ranksUpTo } from './family.ts';
import { type ConvLayer, POINT_AXIS } from './layer.ts';
import { covarianceRoot } from './linear-algebra.ts';
import type { Moments } from './moments.ts';
import { projectedBasis, shorterBasis } from './projection.ts';

/** Ranks that are tried, up to the exact one. */
const RANKS = 48;

export const spatial: Method = {
  name: 'spatial',
  summary: 'a k×1 convolution to R channels, then a 1×k one',
  refuse: ({ kernel }) =>
    kernel.filter((k) => k > 1).length < 2 ? 'its kernel is longer than 1 along one axis at most' : undefined,
  families: (layer, moments) => {
    const long = layer.kernel.flatMap((k, axis) => (k > 1 ? [axis] : []));
    const [first = 0, ...rest] = long;
    return [[first], rest].map((axes) => ({ make: () => family(layer, moments, axes) }));
  },
};

/** @param along the axes of the first convolution */
function family(layer: ConvLayer, moments: Moments, along: readonly number[]): Family {
  const { cin, cout, kernel, taps, axes, weight } = layer;
  const split = splitTaps(kernel, along);
  const [inner, outer] = [
    product(kernel.filter((_, a) => along.includes(a))),
    taps / product(kernel.filter((_, a) => along.includes(a))),
  ];
  const unfolded = Matrix.zeros(cout * outer, cin * inner);
  for (let o = 0; o < cout; o++) {
    for (let c = 0; c < cin; c++) {
      split.forEach(([i, j], tap) => {
        unfolded.set(o * outer + j, c * inner + i, weight[(o * cin + c) * taps + tap] ?? 0);
      });
    }
  }
  const most = Math.min(cin * inner, cout * outer);
  const filters = firstFilters(unfolded, lineCovariance(layer, moments, split, inner, outer));
  const basis = Matrix.zeros(most * outer, cin * taps);
  for (let r = 0; r < most; r++) {
    for (let c = 0; c < cin; c++) {
      split.forEach(([i, j], tap) => {
        basis.set(r * outer + j, c * taps + tap, filters.get(r, c * inner + i));
      });
    }
  }
  const part = (first: boolean) => axes.map((axis, a) => (along.includes(a) === first ? axis : POINT_AXIS));
  const name = (first: boolean) => kernel.map((k, a) => (along.includes(a) === first ? k : 1)).join('x');
  const options = ranksUpTo(most, RANKS).map(
    (r): RankOption => ({
      rank: `R = ${r}, ${name(true).replaceAll('x', '×')} first`,
      features: r * outer,
      chain: [
        { role: name(true), cout: r, cinPerGroup: cin, group: 1, axes: part(true) },
        { role: name(false), cout, cinPerGroup: r, group: 1, axes: part(false) },
      ],
    }),
  );
  return {
    basis,
    options,
    weights({ features }, mix) {
      const first = filters.subMatrix(0, features / outer - 1, 0, cin * inner - 1);
      return [Float32Array.from(first.to1DArray()), Float32Array.from(mix.to1DArray())];
    },
  };
}

/** For each tap of the kernel, its place among the taps along some axes, and among those along the others. */
function splitTaps(
  kernel: readonly number[],
  along: readonly number[],
): readonly (readonly [number, number])[] {
  return Array.from({ length: product(kernel) }, (_, tap) => {
    let rest = tap;
    const place = [...kernel].reverse().map((k) => {
      const at = rest % k;
      rest = Math.floor(rest / k);
      return at;
    });
    place.reverse();
    const among = (first: boolean) =>
      place.reduce((sum, at, a) => (along.includes(a) === first ? sum * (kernel[a] ?? 1) + at : sum), 0);
    return [among(true), among(false)] as const;
  });
}

/** Of what the first convolution sees, averaged over where it stands in a patch. */
function lineCovariance(
  { cin, taps }: ConvLayer,
  { covariance }: Moments,
  split: readonly (readonly [number, number])[],
  inner: number,
  outer: number,
): Matrix | undefined {
  if (!covariance) return undefined;
  const result = Matrix.zeros(cin * inner, cin * inner);
  for (let c = 0; c < cin; c++) {
    for (let d = 0; d < cin; d++) {
      split.forEach(([i, j], s) => {
        split.forEach(([i2, j2], t) => {
          if (j !== j2) return;
          const [row, column] = [c * inner + i, d * inner + i2];
          result.set(
            row,
            column,
            result.get(row, column) + covariance.get(c * taps + s, d * taps + t) / outer,
          );
        });
      });
    }
  }
  return result;
}

function firstFilters(w: Matrix, covariance: Matrix | undefined): Matrix {
  return w.columns <= w.rows
    ? projectedBasis(w, covariance)
    : shorterBasis(w, covariance && covarianceRoot(covariance));
}
