/**
 * Before      GlobalAveragePool(Conv(x, W, b)); Flatten(Conv(GlobalAveragePool(x), W, b)), or another view of that as rows
 * After       Conv(GlobalAveragePool(x), W, b); the second stays: a Gemm of the same numbers saves nothing
 * Conditions  every kernel size 1, stride 1, no padding, so that the Conv does the same at each position; nobody else reads
 *             its result
 * Formula     mean(W·x + b) = W·mean(x) + b: the MACs of one position in place of all
 */
import { classifyConv } from '#ir/conv-kind.ts';
import { type Node, result } from '#ir/graph.ts';
import { isView } from '../canonicalize/merge-views.ts';
import { otherReader, rebuild } from '../edit.ts';
import { definePass } from '../pass.ts';
import { applyRules, defineRule, no, op } from '../pattern.ts';
import { noEpilogues } from '../properties.ts';

const conv = op('Conv');
const pool = op('GlobalAveragePool', conv);

const swap = defineRule({
  name: 'globalPoolBeforePointwise',
  pattern: pool,
  check(match, graph) {
    const [layer, mean] = [match.node(conv), match.node(pool) as Node];
    const { strides, pads } = layer.attrs;
    if (
      result(layer as Node)
        .type.shape.slice(2)
        .every((size) => size === 1)
    )
      return undefined;
    if (!classifyConv(layer as Node)?.pointwise) return no(`"${layer.name}" sees more than one position`);
    if (strides.some((s) => s > 1))
      return no(`"${layer.name}" leaves out positions, which the mean would not`);
    if (pads.some((p) => p !== 0)) return no(`"${layer.name}" gives its bias alone where it sees padding`);
    const other = otherReader(graph, result(layer as Node), mean);
    return other ? no(other) : { layer, mean };
  },
  rewrite({ layer, mean }, graph) {
    const [x, ...weights] = layer.operands;
    const pooled = graph.addNode('GlobalAveragePool', [x], {}, { name: mean.name });
    rebuild(graph, layer, { inputs: [result(pooled as Node), ...weights], standsFor: result(mean) });
  },
});

const averaged = op('GlobalAveragePool');
const pointwise = op('Conv', averaged);
const rows = isView(pointwise);

const gemm = defineRule({
  name: 'globalPoolBeforePointwise',
  pattern: rows,
  check(match) {
    const layer = match.node(pointwise) as Node;
    return result(match.node(rows)).type.shape.length === 2
      ? no(`"${layer.name}" is of one position: as a Gemm it takes the same MACs, bytes and kernel calls`)
      : undefined;
  },
  rewrite() {},
});

export const globalPoolBeforePointwise = definePass({
  name: 'globalPoolBeforePointwise',
  summary: 'Takes the mean over an image before a pointwise convolution in place of after it',
  requires: [noEpilogues],
  ensures: [noEpilogues],
  run: (graph, context) => applyRules(graph, [swap, gemm], context),
});
