/**
 * Before      y = Add(Conv(x, W, b), r), or any elementwise op of a layer's result and other tensors
 * After       y = Conv(x, W, b) -> add(x0, x1) with (r)
 * Conditions  nobody else reads the result of the Conv; r is f32 and broadcasts to it without enlarging it; r does not
 *             depend on the Conv, which follows from the first; of two layers that qualify the later in order takes it
 */
import type { Node } from '#ir/graph.ts';
import { definePass } from '../pass.ts';
import { applyRules, defineRule, No, nodeThat } from '../pattern.ts';
import { noDeadNodes } from '../properties.ts';
import { anchorsOf, type Fusion, fuse, isElementwise, otherOperands, planFusion } from './epilogue.ts';

const combination = nodeThat(isElementwise);

const rule = defineRule<Fusion>({
  name: 'fuseResidual',
  pattern: combination,
  check(match, graph) {
    const node: Node = match.node(combination);
    const anchors = anchorsOf(node, graph, (a) => !isElementwise(a) && otherOperands(node, a).length > 0);
    const plans = anchors.map((anchor) => planFusion(graph, node, anchor));
    return plans.find((plan) => !(plan instanceof No)) ?? plans[0];
  },
  rewrite: fuse,
});

export const fuseResidual = definePass({
  name: 'fuseResidual',
  summary: 'Moves sums and products with other tensors into the epilogue of a layer that they read',
  requires: [noDeadNodes],
  ensures: [noDeadNodes],
  run: (graph, context) => applyRules(graph, [rule], context),
});
