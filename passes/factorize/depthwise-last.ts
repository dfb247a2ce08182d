/**
 * The reverse order of Network Decoupling (Guo et al., BMVC 2018): one pointwise convolution to T channels per output, then
 * one convolution with a group per output. Per output, the T mixes of input channels that matter most to it. Exact at
 * T = min(k², Cin); T·(1/Cin + 1/k²) of the MACs, the pointwise part at the resolution of the input.
 */
import { Matrix } from 'ml-matrix';
import type { Family, MixBlock, RankOption } from './family.ts';
import { type ConvLayer, pointAxes } from './layer.ts';
import { covarianceRoot } from './linear-algebra.ts';
import { channelCovariance, type Moments } from './moments.ts';
import { shorterBasis } from './projection.ts';

/** Elements of features × patch. */
const MOST_ELEMENTS = 3e7;

/** Undefined where one mix per output is too much to be looked at. */
export function depthwiseLast(layer: ConvLayer, moments: Moments): Family | undefined {
  const { cin, cout, taps, axes, weight } = layer;
  const most = Math.min(taps, cin, Math.floor(MOST_ELEMENTS / (cout * taps * cin * taps)));
  if (most < 1) return undefined;
  const covariance = channelCovariance(layer, moments);
  const root = covariance && covarianceRoot(covariance);
  // features of an output: those of its first channel at every tap, then those of its second
  const basis = Matrix.zeros(cout * most * taps, cin * taps);
  const points = Matrix.zeros(cout * most, cin);
  const blocks: MixBlock[] = [];
  for (let o = 0; o < cout; o++) {
    const own = Matrix.zeros(taps, cin);
    for (let c = 0; c < cin; c++) {
      for (let k = 0; k < taps; k++) own.set(k, c, weight[(o * cin + c) * taps + k] ?? 0);
    }
    const mixes = shorterBasis(own, root);
    for (let t = 0; t < Math.min(most, mixes.rows); t++) {
      for (let c = 0; c < cin; c++) {
        points.set(o * most + t, c, mixes.get(t, c));
        for (let k = 0; k < taps; k++) {
          basis.set((o * most + t) * taps + k, c * taps + k, mixes.get(t, c));
        }
      }
    }
    const features = Array.from({ length: most * taps }, (_, f) => o * most * taps + f);
    blocks.push({ outputs: [o], features });
  }
  const options = Array.from({ length: most }, (_, i): RankOption => {
    const t = i + 1;
    return {
      rank: `T = ${t}, pointwise first`,
      features: t * taps,
      chain: [
        { role: 'pointwise', cout: t * cout, cinPerGroup: cin, group: 1, axes: pointAxes(layer) },
        { role: 'depthwise', cout, cinPerGroup: t, group: cout, axes },
      ],
    };
  });
  return {
    basis,
    blocks,
    options,
    weights({ features }, mix) {
      const t = features / taps;
      const first = new Float32Array(cout * t * cin);
      const second = new Float32Array(cout * features);
      for (let o = 0; o < cout; o++) {
        for (let i = 0; i < t; i++) {
          for (let c = 0; c < cin; c++) first[(o * t + i) * cin + c] = points.get(o * most + i, c);
        }
        for (let f = 0; f < features; f++) second[o * features + f] = mix.get(o, o * most * taps + f);
      }
      return [first, second];
    },
  };
}
