import { isOp, type Node, operand, ownInput } from '#ir/graph.ts';
import { product } from '#ir/types.ts';
import {
  type CountRule,
  countByOp,
  definePreset,
  hasAffine,
  inputElements,
  isAdaptive,
  outputElements,
} from './preset.ts';

/** Output elements × taps × (input channels / groups): for a transposed convolution that is a mistake of stride². */
function conv(node: Node): number {
  const taps = product(operand(node, 1).type.shape.slice(2));
  const channels = operand(node, 0).type.shape[1] ?? 0;
  const { group } = node.attrs as { readonly group: number };
  return outputElements(node) * Math.floor(channels / group) * taps;
}

const norm = (node: Node): number => (hasAffine(node) ? 4 : 2) * inputElements(node);

const adaptivePool = (node: Node): number => inputElements(node) + outputElements(node);

/** It counts modules, so only a product with stored weights is a linear layer. */
const linear: CountRule = (node, macs) => (ownInput(node, 1)?.source.kind === 'constant' ? macs : 0);

function softmax(node: Node): number {
  if (!isOp(node, 'Softmax')) return 0;
  const { shape } = operand(node as Node, 0).type;
  const features = shape[node.attrs.axis] ?? 1;
  return (product(shape) / features) * (3 * features - 1);
}

/** Per output element: linear, bilinear and trilinear by the number of spatial axes. */
const LINEAR: readonly number[] = [0, 5, 11, 31];
const CUBIC = 259;

function upsample(node: Node): number {
  if (!isOp(node, 'Resize')) return 0;
  const axes = operand(node as Node, 0).type.shape.length - 2;
  const perElement = { nearest: 1, linear: LINEAR[axes] ?? 0, cubic: CUBIC }[node.attrs.mode];
  return perElement * outputElements(node as Node);
}

export const thop = definePreset({
  name: 'thop',
  unit: 'MAC',
  says: 'convolutions (transposed ones by their output, stride² too much), linear layers, normalisation, average pooling, PReLU, softmax and upsampling; no bias',
  source: 'thop 0.1.1, by the source in its repository',
  count: countByOp({
    Conv: conv,
    ConvTranspose: conv,
    Gemm: linear,
    MatMul: linear,
    BatchNormalization: norm,
    LayerNormalization: norm,
    InstanceNormalization: norm,
    AveragePool: (node) => (isAdaptive(node) ? adaptivePool(node) : outputElements(node)),
    GlobalAveragePool: adaptivePool,
    PRelu: inputElements,
    Softmax: softmax,
    Resize: upsample,
  }),
});
