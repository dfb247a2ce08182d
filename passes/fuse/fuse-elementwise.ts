/**
 * Before      y = Mul(x, Sigmoid(x)), or any elementwise op of another's result;
 *             y = Conv(x, W) -> add(x0, x1) with (Relu(r))
 * After       y = Sigmoid(x) -> mul(x1, x0) with (x), one pass over memory for a chain of them;
 *             y = Conv(x, W) -> add(x0, max(x1, 0)) with (r)
 * Conditions  nobody else reads the value between; f32; the result is not larger than it; of two that qualify the later
 *             in order takes it
 */
import type { Node } from '#ir/graph.ts';
import { definePass } from '../pass.ts';
import { applyRules, defineRule, No, nodeThat } from '../pattern.ts';
import { noDeadNodes } from '../properties.ts';
import { anchorsOf, type Fusion, fuse, isElementwise, planFusion, planInline } from './epilogue.ts';

const last = nodeThat(isElementwise);

const rule = defineRule<Fusion>({
  name: 'fuseElementwise',
  pattern: last,
  check(match, graph) {
    const node: Node = match.node(last);
    const plans = anchorsOf(node, graph, isElementwise).map((anchor) => planFusion(graph, node, anchor));
    return plans.find((plan) => !(plan instanceof No)) ?? plans[0];
  },
  rewrite: fuse,
});

const operandOf = nodeThat(isElementwise);

const inline = defineRule<Fusion>({
  name: 'fuseElementwise',
  pattern: operandOf,
  check: (match, graph) => planInline(graph, match.node(operandOf)),
  rewrite: fuse,
});

export const fuseElementwise = definePass({
  name: 'fuseElementwise',
  summary: 'Joins chains of elementwise ops into one node',
  requires: [noDeadNodes],
  ensures: [noDeadNodes],
  run: (graph, context) => applyRules(graph, [rule, inline], context),
});
