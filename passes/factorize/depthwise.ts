/**
 * A convolution as one depthwise convolution of multiplier T and one pointwise convolution (Network Decoupling, Guo et al.,
 * BMVC 2018): per input channel, the T kernels that explain most of what the channel adds to the outputs. Exact at
 * T = min(k², Cout); T·(1/Cout + 1/k²) of the MACs.
 */
import { Matrix } from 'ml-matrix';
import { depthwiseLast } from './depthwise-last.ts';
import type { Family, Method, RankOption } from './family.ts';
import { type ConvLayer, pointAxes } from './layer.ts';
import { type Moments, weightMatrix } from './moments.ts';
import { projectedBasis } from './projection.ts';

export const depthwise: Method = {
  name: 'depthwise',
  summary: 'a depthwise convolution of multiplier T, then a pointwise one, or the other way round',
  refuse: ({ taps, cin }) =>
    taps === 1 ? 'its kernel has one element' : cin === 1 ? 'it has one input channel' : undefined,
  families: (layer, moments) => [
    { make: () => family(layer, moments) },
    { make: () => depthwiseLast(layer, moments) },
  ],
};

function family(layer: ConvLayer, moments: Moments): Family {
  const { cin, cout, taps, axes } = layer;
  const most = Math.min(taps, cout);
  const weights = weightMatrix(layer);
  // features of one rank are together, so that a smaller T has the first of them
  const basis = Matrix.zeros(most * cin, cin * taps);
  for (let c = 0; c < cin; c++) {
    const [from, to] = [c * taps, (c + 1) * taps - 1];
    const own = weights.subMatrix(0, cout - 1, from, to);
    const kernels = projectedBasis(own, moments.covariance?.subMatrix(from, to, from, to));
    for (let t = 0; t < most; t++) {
      for (let k = 0; k < taps; k++) basis.set(t * cin + c, from + k, kernels.get(t, k));
    }
  }
  const options = Array.from({ length: most }, (_, i): RankOption => {
    const t = i + 1;
    return {
      rank: `T = ${t}`,
      features: t * cin,
      chain: [
        { role: 'depthwise', cout: t * cin, cinPerGroup: 1, group: cin, axes },
        { role: 'pointwise', cout, cinPerGroup: t * cin, group: 1, axes: pointAxes(layer) },
      ],
    };
  });
  return {
    basis,
    options,
    weights({ features }, mix) {
      const t = features / cin;
      // a grouped convolution has the outputs of a channel together
      const kernels = new Float32Array(features * taps);
      const points = new Float32Array(cout * features);
      for (let c = 0; c < cin; c++) {
        for (let i = 0; i < t; i++) {
          const [feature, channel] = [i * cin + c, c * t + i];
          for (let k = 0; k < taps; k++) kernels[channel * taps + k] = basis.get(feature, c * taps + k);
          for (let o = 0; o < cout; o++) points[o * features + channel] = mix.get(o, feature);
        }
      }
      return [kernels, points];
    },
  };
}
