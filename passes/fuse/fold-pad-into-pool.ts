/**
 * Before      y = AveragePool(Pad(x, p)); y = MaxPool(Pad(x, p))
 * After       the same pool on x, padded by p more
 * Conditions  constant 0, spatial axes only, nothing cut off; sizes are not rounded up; the sum is less than the window.
 *             AveragePool: its padding counts as zeros, or it has none and can be made to count it.
 *             MaxPool: padding never wins there, so x must be provably ≥ 0 and every window hold an element of x
 */
import { type Node, type OpAttrs, operand, result } from '#ir/graph.ts';
import { extent, windowAxes } from '#ir/window.ts';
import { rebuild } from '../edit.ts';
import { definePass } from '../pass.ts';
import { applyRules, defineRule, No, no, op } from '../pattern.ts';
import { noEpilogues } from '../properties.ts';
import { boundsOf } from './bounds.ts';
import { addPads, hasEmptyWindow, spatialZeros } from './fold-pad.ts';

const pad = op('Pad');
const pool = op(['AveragePool', 'MaxPool'], pad);

const rule = defineRule({
  name: 'foldPadIntoPool',
  pattern: pool,
  check(match) {
    const node = match.node(pool) as Node;
    const attrs = node.attrs as OpAttrs<'AveragePool'>;
    const more = spatialZeros(match.node(pad));
    if (more instanceof No) return more;
    if (attrs.ceil) return no(`"${node.name}" rounds its size up, which padding changes`);
    const pads = addPads(attrs.pads, more);
    const axes = windowAxes({ ...attrs, pads });
    if (axes.some((a) => a.padBegin >= extent(a) || a.padEnd >= extent(a))) {
      return no(`"${node.name}" has a window that is not larger than the padding would be`);
    }
    const x = operand(match.node(pad) as Node, 0);
    if (node.op === 'AveragePool') {
      if (!attrs.countIncludePad && attrs.pads.some((p) => p > 0)) {
        return no(
          `"${node.name}" does not count its own padding, but does count that of "${match.node(pad).name}"`,
        );
      }
      return { node, x, attrs: { pads, countIncludePad: true } };
    }
    if (!(boundsOf(x).low >= 0)) return no(`"${x.name}" may be negative, and then the zeros around it win`);
    const empty = hasEmptyWindow(axes, x.type.shape, result(node).type.shape);
    return empty ? no(`a window of "${node.name}" would hold no element`) : { node, x, attrs: { pads } };
  },
  rewrite({ node, x, attrs }, graph) {
    rebuild(graph, node, { inputs: [x], attrs: attrs as Partial<Node['attrs']> });
  },
});

export const foldPadIntoPool = definePass({
  name: 'foldPadIntoPool',
  summary: 'Folds padding with zeros into the pooling after it',
  requires: [noEpilogues],
  ensures: [noEpilogues],
  run: (graph, context) => applyRules(graph, [rule], context),
});
