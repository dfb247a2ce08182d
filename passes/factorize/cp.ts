/**
 * A convolution as a pointwise one to R channels, one depthwise one along each axis, and a pointwise one back: the
 * canonical polyadic decomposition of its weights (Lebedev et al., ICLR 2015). And without the last: each filter a product
 * of one vector per axis (flattened; Jin et al., 2014), which is the same decomposition of every filter by itself, of rank 1.
 */
import { Matrix } from 'ml-matrix';
import type { WindowAxis } from '#ir/window.ts';
import { canonicalFactors, tapPlaces } from './alternating.ts';
import { type Family, type Method, type MixBlock, ranksUpTo } from './family.ts';
import { type ConvLayer, type FactorShape, POINT_AXIS, pointAxes } from './layer.ts';

const RANKS = 8;
/** Products of one sweep; beyond, the fit takes too long. */
const MOST_WORK = 2e9;

export const cp: Method = {
  name: 'cp',
  summary: 'pointwise to R channels, depthwise along each axis, pointwise back, or without the last',
  refuse: ({ taps, cin, cout, weight }) =>
    taps === 1
      ? 'its kernel has one element'
      : cin < 2 || cout < 2
        ? 'it has one channel on a side'
        : weight.length * Math.max(cin, cout) > MOST_WORK
          ? 'its weights are too many for alternating least squares'
          : undefined,
  families: (layer) => [
    ...ranksUpTo(Math.max(layer.cin, layer.cout), RANKS).map((rank) => ({
      cheapest: chainOf(layer, rank),
      make: () => sumOfProducts(layer, rank),
    })),
    ...(longAxes(layer).length > 1 ? [{ make: () => flattened(layer) }] : []),
  ],
};

const longAxes = ({ kernel }: ConvLayer): readonly number[] =>
  kernel.flatMap((k, axis) => (k > 1 ? [axis] : []));

function chainOf(layer: ConvLayer, rank: number): readonly FactorShape[] {
  const { cin, cout } = layer;
  return [
    { role: 'reduce', cout: rank, cinPerGroup: cin, group: 1, axes: pointAxes(layer) },
    ...lineShapes(layer, rank),
    { role: 'expand', cout, cinPerGroup: rank, group: 1, axes: pointAxes(layer) },
  ];
}

function sumOfProducts(layer: ConvLayer, rank: number): Family | undefined {
  const { cin, cout, kernel, taps } = layer;
  const lengths = longAxes(layer).map((axis) => kernel[axis] ?? 1);
  const factors = canonicalFactors(layer.weight, [cout, cin, ...lengths], rank);
  const [, channels, ...lines] = factors ?? [];
  if (!channels) return undefined;
  const places = tapPlaces(lengths);
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
    ofWeights: true,
    options: [
      {
        rank: `R = ${rank}`,
        features: rank,
        chain: chainOf(layer, rank),
      },
    ],
    weights: (_, mix) => [
      Float32Array.from(channels.transpose().to1DArray()),
      ...lines.map((line) => Float32Array.from(line.transpose().to1DArray())),
      Float32Array.from(mix.to1DArray()),
    ],
  };
}

/** Each output mixes what its own vectors but the last give at the taps of the last axis. */
function flattened(layer: ConvLayer): Family | undefined {
  const { cin, cout, kernel, taps, weight } = layer;
  const lengths = longAxes(layer).map((axis) => kernel[axis] ?? 1);
  const filters = Array.from({ length: cout }, (_, o) =>
    canonicalFactors(weight.subarray(o * cin * taps, (o + 1) * cin * taps), [1, cin, ...lengths], 1),
  );
  const last = lengths.length - 1;
  const length = lengths[last] ?? 1;
  const places = tapPlaces(lengths);
  const basis = Matrix.zeros(cout * length, cin * taps);
  const blocks: MixBlock[] = [];
  for (const [o, factors] of filters.entries()) {
    const [, channels, ...lines] = factors ?? [];
    if (!channels) return undefined;
    for (let c = 0; c < cin; c++) {
      places.forEach((place, tap) => {
        const before = place.slice(0, last).reduce((w, at, i) => w * (lines[i]?.get(at, 0) ?? 1), 1);
        basis.set(o * length + (place[last] ?? 0), c * taps + tap, channels.get(c, 0) * before);
      });
    }
    blocks.push({ outputs: [o], features: Array.from({ length }, (_, k) => o * length + k) });
  }
  const vectors = (mode: number) =>
    Float32Array.from(filters.flatMap((factors) => factors?.[mode]?.getColumn(0) ?? []));
  return {
    basis,
    blocks,
    ofWeights: true,
    options: [
      {
        rank: 'flattened',
        features: length,
        chain: [
          { role: 'lateral', cout, cinPerGroup: cin, group: 1, axes: pointAxes(layer) },
          ...lineShapes(layer, cout),
        ],
      },
    ],
    weights: (_, mix) => [
      vectors(1),
      ...lengths.slice(0, -1).map((_length, i) => vectors(2 + i)),
      Float32Array.from({ length: cout * length }, (_, i) => mix.get(Math.floor(i / length), i)),
    ],
  };
}

/** A depthwise convolution along each axis that is longer than 1; the first takes along the strides of the others. */
function lineShapes(layer: ConvLayer, channels: number): readonly FactorShape[] {
  const { kernel, axes } = layer;
  const long = longAxes(layer);
  const axisOf = (axis: WindowAxis, a: number, along: number): WindowAxis =>
    a === along || (!long.includes(a) && along === long[0]) ? axis : POINT_AXIS;
  return long.map((along) => ({
    role: kernel.map((k, a) => (a === along ? k : 1)).join('x'),
    cout: channels,
    cinPerGroup: 1,
    group: channels,
    axes: axes.map((axis, a) => axisOf(axis, a, along)),
  }));
}
