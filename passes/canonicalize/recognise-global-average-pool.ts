/**
 * Before      ReduceMean(x, spatial axes), with the axes kept or dropped; AveragePool whose one window is all of x
 * After       GlobalAveragePool(x), followed by a Reshape where the axes are dropped
 * Conditions  x [N, C, …] f32 with all of its spatial axes reduced; of rank 4 at least, as the mean over the last axis of
 *             [N, T, C] is a step of a layer normalisation; a pooling window without padding
 */
import { type Node, operand, result, type Value } from '#ir/graph.ts';
import { sameShape } from '#ir/types.ts';
import { supersede } from '../edit.ts';
import { definePass } from '../pass.ts';
import { any, applyRules, defineRule, op } from '../pattern.ts';
import { noEpilogues } from '../properties.ts';

const reduced = any();
const reduce = op('ReduceMean', reduced);

const fromMean = defineRule({
  name: 'recogniseGlobalAveragePool',
  pattern: reduce,
  check(match) {
    const x = match.value(reduced);
    const node = match.node(reduce);
    const rank = x.type.shape.length;
    const axes = [...node.attrs.axes].sort((a, b) => a - b);
    const spatial = rank > 3 && axes.length === rank - 2 && axes.every((axis, i) => axis === i + 2);
    return spatial && x.type.dtype === 'f32' ? { x, node: node as Node } : undefined;
  },
  rewrite({ x, node }, graph) {
    const pool: Value = result(graph.addNode('GlobalAveragePool', [x], {}, { name: node.name }) as Node);
    const { shape } = result(node).type;
    const y = sameShape(shape, pool.type.shape)
      ? pool
      : result(graph.addNode('Reshape', [pool], { shape }, { name: `${node.name}_flat` }) as Node);
    supersede(graph, result(node), y);
  },
});

const average = op('AveragePool');

const fromPool = defineRule({
  name: 'recogniseGlobalAveragePool',
  pattern: average,
  check(match) {
    const node = match.node(average);
    const x = operand(node as Node, 0);
    const spatial = x.type.shape.slice(2);
    const { kernel, dilations, pads } = node.attrs;
    const whole =
      sameShape(kernel, spatial) &&
      kernel.every((k, axis) => k === 1 || dilations[axis] === 1) &&
      pads.every((p) => p === 0) &&
      result(node as Node)
        .type.shape.slice(2)
        .every((size) => size === 1);
    return whole && x.type.dtype === 'f32' ? { x, node: node as Node } : undefined;
  },
  rewrite({ x, node }, graph) {
    const pool = graph.addNode('GlobalAveragePool', [x], {}, { name: node.name });
    supersede(graph, result(node), result(pool as Node));
  },
});

export const recogniseGlobalAveragePool = definePass({
  name: 'recogniseGlobalAveragePool',
  summary: 'Recognises a mean over the whole image, however it is spelled',
  requires: [noEpilogues],
  ensures: [noEpilogues],
  run: (graph, context) => applyRules(graph, [fromMean, fromPool], context),
});
