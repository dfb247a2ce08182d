/**
 * A convolution as one with groups, channels in another order before and after it: rows and columns of the matrix of what
 * each input channel adds to each output are put in the order in which blocks on the diagonal hold most of it
 * (`findBlocks`), and the blocks are kept. Exact where the weights are block-diagonal up to an order of channels.
 */
import { Matrix } from 'ml-matrix';
import { type DenseMatrix, divides, findBlocks, spectralBasis } from '../analysis/block-diagonal.ts';
import type { Family, Method, MixBlock } from './family.ts';
import type { ConvLayer } from './layer.ts';
import { times } from './linear-algebra.ts';
import type { Moments } from './moments.ts';

/** Numbers of groups that are tried. */
const GROUPS = [2, 3, 4, 8, 16, 32];

export const group: Method = {
  name: 'group',
  summary: 'a convolution with groups, its channels in another order',
  refuse: (layer) =>
    groupsOf(layer).length === 0 ? 'its channels do not divide into equal groups' : undefined,
  families: (layer, moments) => {
    const counts = groupsOf(layer);
    const matrix = contributions(layer, moments);
    const basis = spectralBasis(matrix, Math.max(...counts));
    return counts.map((count) => ({
      make: () => {
        const { ofRows, ofColumns } = findBlocks(matrix, count, basis);
        return family(layer, count, ordered(ofColumns), ordered(ofRows));
      },
    }));
  },
};

const groupsOf = ({ cin, cout }: ConvLayer): readonly number[] =>
  GROUPS.filter((count) => divides({ rows: cout, columns: cin }, count));

/** Channels of one group after those of another, in the order of the layer within. */
const ordered = (groups: readonly number[]): readonly number[] =>
  groups.map((_, i) => i).sort((a, b) => (groups[a] ?? 0) - (groups[b] ?? 0) || a - b);

/** How much of each output each input channel makes: the root of its variance, by the weights alone without data. */
function contributions({ cin, cout, taps, weight }: ConvLayer, { covariance }: Moments): DenseMatrix {
  const data = new Float64Array(cout * cin);
  for (let c = 0; c < cin; c++) {
    const own = Matrix.zeros(cout, taps);
    for (let o = 0; o < cout; o++) {
      for (let t = 0; t < taps; t++) own.set(o, t, weight[(o * cin + c) * taps + t] ?? 0);
    }
    const [from, to] = [c * taps, (c + 1) * taps - 1];
    const moved = covariance ? times(own, covariance.subMatrix(from, to, from, to)) : own;
    for (let o = 0; o < cout; o++) {
      let sum = 0;
      for (let t = 0; t < taps; t++) sum += moved.get(o, t) * own.get(o, t);
      data[o * cin + c] = Math.sqrt(Math.max(0, sum));
    }
  }
  return { rows: cout, columns: cin, data };
}

function family(
  layer: ConvLayer,
  count: number,
  inputs: readonly number[],
  outputs: readonly number[],
): Family {
  const { cin, cout, taps, axes } = layer;
  const [reads, makes] = [cin / count, cout / count];
  const blocks = Array.from(
    { length: count },
    (_, g): MixBlock => ({
      outputs: outputs.slice(g * makes, (g + 1) * makes),
      features: inputs
        .slice(g * reads, (g + 1) * reads)
        .flatMap((c) => Array.from({ length: taps }, (_tap, t) => c * taps + t)),
    }),
  );
  return {
    basis: Matrix.eye(cin * taps, cin * taps),
    blocks,
    orders: { inputs, outputs },
    options: [
      {
        rank: `${count} groups`,
        features: reads * taps,
        chain: [{ role: 'grouped', cout, cinPerGroup: reads, group: count, axes }],
      },
    ],
    weights: (_, mix) => [
      Float32Array.from(
        outputs.flatMap((o, i) => blocks[Math.floor(i / makes)]?.features.map((f) => mix.get(o, f)) ?? []),
      ),
    ],
  };
}
