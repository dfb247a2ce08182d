/**
 * Before      y = f(Conv(x, W, b)), f an elementwise op of one tensor (numbers besides it are allowed)
 * After       y = Conv(x, W, b) -> f(x0); for every op that takes an epilogue
 * Conditions  nobody else reads the result of the Conv; f32; f may read the result in several places, as
 *             x·sigmoid(x) does, once its parts are one node
 */
import type { Node } from '#ir/graph.ts';
import { definePass } from '../pass.ts';
import { applyRules, defineRule, nodeThat } from '../pattern.ts';
import { noDeadNodes } from '../properties.ts';
import { anchorsOf, type Fusion, fuse, isElementwise, otherOperands, planFusion } from './epilogue.ts';

const activation = nodeThat(isElementwise);

const rule = defineRule<Fusion>({
  name: 'fuseActivation',
  pattern: activation,
  check(match, graph) {
    const node: Node = match.node(activation);
    const [anchor] = anchorsOf(node, graph, (a) => !isElementwise(a) && otherOperands(node, a).length === 0);
    return anchor && planFusion(graph, node, anchor);
  },
  rewrite: fuse,
});

export const fuseActivation = definePass({
  name: 'fuseActivation',
  summary: 'Moves activations into the epilogue of the layer before them',
  requires: [noDeadNodes],
  ensures: [noDeadNodes],
  run: (graph, context) => applyRules(graph, [rule], context),
});
