/**
 * Before      y = BatchNormalization(Conv(x, W, b))
 * After       y = Conv(x, W′, b′); the same for ConvTranspose and Gemm, with groups or without
 * Conditions  weights and parameters constant (their values may be missing); nobody else reads the result of the Conv
 * Formula     s = scale / √(variance + ε); W′[o] = W[o]·s[o]; b′[o] = (b[o] − mean[o])·s[o] + bias[o]; in double
 */
import { type Node, result } from '#ir/graph.ts';
import { otherReader } from '../edit.ts';
import { definePass } from '../pass.ts';
import { applyRules, defineRule, No, no, op } from '../pattern.ts';
import { noEpilogues } from '../properties.ts';
import { applyAfter, batchNormAffine, linearLayer } from './linear.ts';

const before = op(['Conv', 'ConvTranspose', 'Gemm']);
const bn = op('BatchNormalization', before);

const rule = defineRule({
  name: 'fuseBatchNormIntoConv',
  pattern: bn,
  check(match, graph) {
    const norm = match.node(bn);
    const node = match.node(before);
    const other = otherReader(graph, result(node as Node), norm as Node);
    if (other) return no(other);
    const layer = linearLayer(node);
    if (layer instanceof No) return layer;
    const affine = batchNormAffine(norm);
    return affine instanceof No ? affine : { layer, affine, old: result(norm as Node) };
  },
  rewrite: ({ layer, affine, old }, graph) => applyAfter(graph, layer, affine, old),
});

export const fuseBatchNormIntoConv = definePass({
  name: 'fuseBatchNormIntoConv',
  summary: 'Folds batch normalisation into the weights and bias of the layer before it',
  requires: [noEpilogues],
  ensures: [noEpilogues],
  run: (graph, context) => applyRules(graph, [rule], context),
});
