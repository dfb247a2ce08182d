/**
 * Before      y = Conv(BatchNormalization(x), W, b)
 * After       y = Conv(x, W′, b′); the same for Gemm, and for ConvTranspose where the normalisation does not shift
 * Conditions  weights and parameters constant; nobody else reads the normalised value; the normalisation shifts by 0, or
 *             the Conv has no padding: padding is 0 after the shift, and would become what shifts to 0 before it
 * Formula     s = scale / √(variance + ε), t = bias − mean·s; W′[o, i] = W[o, i]·s[i]; b′[o] = b[o] + Σ W[o, i]·t[i]
 */
import { type Node, operand, result } from '#ir/graph.ts';
import { otherReader } from '../edit.ts';
import { definePass } from '../pass.ts';
import { applyRules, defineRule, No, no, op } from '../pattern.ts';
import { noEpilogues } from '../properties.ts';
import { applyBefore, batchNormAffine, linearLayer } from './linear.ts';

const bn = op('BatchNormalization');
const after = op(['Conv', 'ConvTranspose', 'Gemm', 'MatMul'], bn);

const rule = defineRule({
  name: 'fuseBatchNormBeforeConv',
  pattern: after,
  check(match, graph) {
    const norm = match.node(bn);
    const node = match.node(after);
    const other = otherReader(graph, result(norm as Node), node as Node);
    if (other) return no(other);
    const layer = linearLayer(node);
    if (layer instanceof No) return layer;
    if (layer.inputAxis !== 1) return no(`"${node.name}" has its channels on another axis`);
    const affine = batchNormAffine(norm);
    if (affine instanceof No) return affine;
    const { scale, shift, zeroShift } = affine;
    const x = operand(norm as Node, 0);
    if (zeroShift) return { layer, x, affine: { scale } };
    if (!layer.uniform) return no(`"${node.name}" sees padding, and the normalisation shifts`);
    return layer.takesBias
      ? { layer, x, affine: { scale, shift } }
      : no(`"${node.name}" has no place for a bias`);
  },
  rewrite: ({ layer, x, affine }, graph) => applyBefore(graph, layer, x, affine),
});

export const fuseBatchNormBeforeConv = definePass({
  name: 'fuseBatchNormBeforeConv',
  summary: 'Folds batch normalisation into the weights and bias of the layer after it',
  requires: [noEpilogues],
  ensures: [noEpilogues],
  run: (graph, context) => applyRules(graph, [rule], context),
});
