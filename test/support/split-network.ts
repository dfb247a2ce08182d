/** A network of which a layer has no kernel on WebGPU. */
import { Builder } from '#ir/builder.ts';
import type { Graph, Value } from '#ir/graph.ts';
import { Random } from './graphs.ts';

/** More units than a workgroup holds. */
export const UNITS = 1365;

/** A convolution, a recurrent layer that is too large for a GPU, and a product of both; the convolution is an output too. */
export function splitNetwork(): Graph {
  const b = new Builder('split');
  const random = new Random(5);
  const weight = (shape: number[], bound = 0.5) => b.constant('w', random.tensor(shape, -bound, bound));
  const x = b.input('x', [1, 2, 4, 4]);
  const features = b.relu(b.conv(x, weight([4, 2, 3, 3]), { pads: [1, 1, 1, 1], name: 'features' }));
  const steps = b.op('Reshape', [features], { shape: [2, 1, 32] }, { name: 'steps' });
  const operands = [steps, weight([1, UNITS, 32], 0.1), weight([1, UNITS, UNITS], 0.02)];
  const [all] = b.node('RNN', operands, { direction: 'forward', activations: 'tanh(x0)' }).outputs as [Value];
  const flat = b.op('Reshape', [all], { shape: [2, UNITS] });
  const mixed = b.op('MatMul', [flat, weight([UNITS, 3], 0.1)], {});
  const pooled = b.op('Flatten', [b.op('GlobalAveragePool', [features], {})], {});
  b.output('states', all);
  b.output('features', features);
  b.output('mixed', b.op('Add', [mixed, b.op('MatMul', [pooled, weight([4, 3])], {})], {}));
  return b.graph as Graph;
}
