/**
 * Before      y = Conv(Pad(x, p), W, b); y = ConvTranspose(Pad(x, p), W, b)
 * After       y = Conv(x, W, b), padded by p more; y = ConvTranspose(x, W, b), cropped by stride·p less
 * Conditions  constant 0, spatial axes only, nothing cut off; a ConvTranspose must crop that much
 * Formula     Conv: pads′ = pads + p; ConvTranspose: pads′ = pads − stride·p ≥ 0
 */
import { type Node, type OpAttrs, operand, ownInputs } from '#ir/graph.ts';
import { rebuild } from '../edit.ts';
import { definePass } from '../pass.ts';
import { applyRules, defineRule, No, no, op } from '../pattern.ts';
import { noEpilogues } from '../properties.ts';
import { addPads, spatialZeros } from './fold-pad.ts';

const pad = op('Pad');
const conv = op(['Conv', 'ConvTranspose'], pad);

const rule = defineRule({
  name: 'foldPadIntoConv',
  pattern: conv,
  check(match) {
    const node = match.node(conv) as Node;
    const more = spatialZeros(match.node(pad));
    if (more instanceof No) return more;
    const { pads, strides } = node.attrs as OpAttrs<'Conv'>;
    const sum =
      node.op === 'Conv' ? addPads(pads, more) : addPads(pads, more, (axis) => -(strides[axis] ?? 1));
    if (sum.some((p) => p < 0)) return no(`"${node.name}" does not crop what the padding adds`);
    return { node, pads: sum, x: operand(match.node(pad) as Node, 0) };
  },
  rewrite({ node, pads, x }, graph) {
    rebuild(graph, node, { inputs: ownInputs(node).with(0, x), attrs: { pads } as Partial<Node['attrs']> });
  },
});

export const foldPadIntoConv = definePass({
  name: 'foldPadIntoConv',
  summary: 'Folds padding with zeros into the convolution after it',
  requires: [noEpilogues],
  ensures: [noEpilogues],
  run: (graph, context) => applyRules(graph, [rule], context),
});
