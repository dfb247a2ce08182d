/** What a budget can limit, of a layer and of a whole network. */
import { Builder } from '#ir/builder.ts';
import { fail } from '#ir/diagnostics.ts';
import type { Graph } from '#ir/graph.ts';
import { f32 } from '#ir/tensor.ts';
import { product } from '#ir/types.ts';
import { graphCost } from '#passes/analysis/cost.ts';
import { replaceByChain } from '#passes/factorize/apply.ts';
import type { Candidate } from '#passes/factorize/family.ts';
import { type ConvLayer, convLayer, type FactorCost, type FactorShape } from '#passes/factorize/layer.ts';
import { No } from '#passes/pattern.ts';
import { randomIntegers } from '#runtime/abi.ts';
import { type RooflineDevice, rooflineOf } from '../audit/roofline.ts';
import { type BudgetQuantity, QUANTITIES } from './quantity-names.ts';

export { type BudgetQuantity, QUANTITIES };

export interface LayerCost {
  readonly macs: number;
  readonly parameters: number;
  /** Activations and weights, read and written. */
  readonly bytes: number;
  /** Predicted microseconds; null without a device. */
  readonly us: number | null;
}

/** @throws CompileError `usage-invalid` for a time without a device */
export function quantityOf(cost: LayerCost, quantity: BudgetQuantity): number {
  switch (quantity) {
    case 'macs':
      return cost.macs;
    case 'params':
      return cost.parameters;
    case 'bytes':
      return cost.bytes;
    case 'time':
      return (
        cost.us ??
        fail(
          'usage-invalid',
          'time',
          'it depends on a device',
          'give --device, or limit macs, params or bytes',
        )
      );
  }
}

/** Of the whole network, exactly; time is that of its compiled kernels. */
export function networkCost(graph: Graph, device: RooflineDevice | undefined): LayerCost {
  const { totals } = graphCost(graph);
  return {
    macs: totals.macs,
    parameters: totals.parameters,
    bytes: totals.bytesRead + totals.bytesWritten,
    us: device ? wholeUs(graph, device) : null,
  };
}

/** @throws CompileError `target-unsupported` where some layers have no kernel on the device, and no time */
function wholeUs(graph: Graph, device: RooflineDevice): number {
  const { totalUs, elsewhere: [layer] = [] } = rooflineOf(graph, device);
  if (layer === undefined) return totalUs;
  const message = 'it has no kernel on a GPU, so that the time of the whole is not known';
  return fail('target-unsupported', layer, message, 'give a profile of WebAssembly, or another quantity');
}

const BYTES = 4;

/** Of a layer in a form; or as it is, where there is none. */
export function costOfForm(
  layer: ConvLayer,
  { macs, parameters, moved }: FactorCost,
  form: Pick<Candidate, 'family' | 'option'> | undefined,
  device: RooflineDevice | undefined,
): LayerCost {
  return {
    macs,
    parameters,
    bytes: BYTES * (moved + parameters),
    us: device ? predictedUs(layer, form, device) : null,
  };
}

/** Of a network that is this layer alone. Weights are noise: the passes of compile take those of zeros away. */
function predictedUs(
  layer: ConvLayer,
  form: Pick<Candidate, 'family' | 'option'> | undefined,
  device: RooflineDevice,
): number {
  const { batch, cin, cout, sizes, kernel, axes } = layer;
  const b = new Builder('layer');
  const y = b.conv(
    b.input('x', [batch, cin, ...sizes]),
    b.constant('w', f32([cout, cin, ...kernel], layer.weight)),
    {
      strides: axes.map((a) => a.stride),
      dilations: axes.map((a) => a.dilation),
      pads: [...axes.map((a) => a.padBegin), ...axes.map((a) => a.padEnd)],
      bias: b.constant('b', f32([cout], noise(cout))),
    },
  );
  b.output('y', y);
  const [node] = b.graph.nodes;
  const own = form && node && convLayer(node);
  if (own && !(own instanceof No)) {
    const { option, family } = form;
    replaceByChain(b.graph, own, {
      chain: option.chain,
      weights: option.chain.map((shape) => noise(weightCount(shape))),
      bias: noise(cout),
      error: 0,
      ...(family.orders ? { orders: family.orders } : {}),
    });
  }
  return rooflineOf(b.graph, device).totalUs;
}

const weightCount = ({ cout, cinPerGroup, axes }: FactorShape): number =>
  cout * cinPerGroup * product(axes.map((a) => a.kernel));

function noise(length: number): Float32Array {
  const random = randomIntegers(length);
  return Float32Array.from({ length }, () => (random() >>> 8) / 2 ** 23 - 1);
}
