import { isOp, type Node, operand } from '#ir/graph.ts';
import { TORCH_PRODUCTS } from './macs.ts';
import {
  byMacs,
  countByOp,
  definePreset,
  forOps,
  hasAffine,
  inputElements,
  isAdaptive,
  outputElements,
} from './preset.ts';

const norm = (node: Node): number => (hasAffine(node) ? 5 : 4) * inputElements(node);

/** It has a rule for images alone, and none for cubic interpolation. */
function upsample(node: Node): number {
  if (!isOp(node, 'Resize') || operand(node as Node, 0).type.shape.length !== 4) return 0;
  return { nearest: 1, linear: 4, cubic: 0 }[node.attrs.mode] * outputElements(node as Node);
}

export const fvcore = definePreset({
  name: 'fvcore',
  unit: 'MAC',
  says: 'products by MACs; normalisation, adaptive pooling, interpolation and grid sampling per element; no bias, no activation',
  source: 'fvcore, fvcore/nn/flop_count.py and jit_handles.py',
  count: countByOp({
    ...forOps(TORCH_PRODUCTS, byMacs),
    BatchNormalization: (node) => (hasAffine(node) ? 2 : 1) * inputElements(node),
    LayerNormalization: norm,
    GroupNormalization: norm,
    InstanceNormalization: norm,
    GlobalAveragePool: inputElements,
    AveragePool: (node) => (isAdaptive(node) ? inputElements(node) : 0),
    Resize: upsample,
    GridSample: (node) => 4 * outputElements(node),
  }),
});
