import { isOp, type Node, operand } from '#ir/graph.ts';
import { product } from '#ir/types.ts';
import {
  biasAdds,
  type CountRule,
  countByOp,
  definePreset,
  forOps,
  inputElements,
  outputElements,
  windowOf,
} from './preset.ts';

const products: CountRule = (node, macs) => 2 * macs + biasAdds(node);

/**
 * 2·output·taps·(input channels / groups) / stride², as a whole number: the truth where the output is the input times
 * the stride.
 */
function transposed(node: Node): number {
  if (!isOp(node, 'ConvTranspose')) return 0;
  const weight = operand(node as Node, 1).type.shape;
  const filters = ((weight[0] ?? 0) / node.attrs.group) * product(weight.slice(2));
  const products = (2 * outputElements(node as Node) * filters) / product(node.attrs.strides);
  return Math.floor(products) + biasAdds(node as Node);
}

const pool = (node: Node): number => windowOf(node) * outputElements(node);

/** A sum takes one operation less than it has terms; a mean divides too. */
const reduction = (node: Node): number => inputElements(node) - outputElements(node);

export const tfProfiler = definePreset({
  name: 'tf-profiler',
  unit: 'FLOP',
  says: '2 per MAC, 1 per bias, elementwise operation and position under a pool, 5 per element of a softmax; no fused batch norm, no activation',
  source: 'tf.profiler: flops_registry.py and nn_ops.py of TensorFlow',
  count: countByOp({
    ...forOps(['Conv', 'Gemm', 'MatMul', 'Einsum'], products),
    ConvTranspose: transposed,
    ...forOps(['Add', 'Sub', 'Mul', 'Div', 'Max', 'Min', 'Pow', 'Neg', 'Log', 'Reciprocal'], outputElements),
    ...forOps(['Equal', 'Greater', 'GreaterOrEqual', 'Less', 'LessOrEqual'], outputElements),
    ...forOps(['MaxPool', 'AveragePool'], pool),
    ...forOps(['GlobalAveragePool', 'ReduceMean'], inputElements),
    ...forOps(['ReduceSum', 'ArgMax', 'ArgMin'], reduction),
    Softmax: (node) => 5 * inputElements(node),
  }),
});
