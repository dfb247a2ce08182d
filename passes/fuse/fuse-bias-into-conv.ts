/**
 * Before      y = Add(Conv(x, W, b), t), y = Sub(Conv(x, W, b), t); y = Conv(Add(x, t), W, b), y = Conv(Sub(x, t), W, b)
 * After       y = Conv(x, W, b′); the same for ConvTranspose (after), Gemm, and MatMul of rank 2, which becomes a Gemm
 * Conditions  weights constant; t constant, one number or one per channel, and not enlarging; nobody else reads the
 *             value between; before a Conv only if the Conv has no padding, which would have to be −t
 * Formula     after: b′[o] = b[o] ± t[o]; before: b′[o] = b[o] ± Σ W[o, i]·t[i]
 */
import { type Node, result, type Value } from '#ir/graph.ts';
import { otherReader } from '../edit.ts';
import { definePass } from '../pass.ts';
import { any, applyRules, constant, defineRule, No, no, op } from '../pattern.ts';
import { noEpilogues } from '../properties.ts';
import { applyAfter, applyBefore, LINEAR_OPS, linearLayer, perChannel } from './linear.ts';

const negative = (x: number) => -x;
/** The numbers, against the other operand: they must not enlarge it. */
const shifting = (node: Node, value: Value, other: Value, axis: number) =>
  perChannel(value, other.type.shape, axis, node.op === 'Sub' ? negative : undefined);

const beforeShift = op(LINEAR_OPS);
const termAfter = constant();
const shiftAfter = op(['Add', 'Sub'], beforeShift, termAfter);

const after = defineRule({
  name: 'fuseBiasIntoConv',
  pattern: shiftAfter,
  check(match, graph) {
    const add = match.node(shiftAfter) as Node;
    const node = match.node(beforeShift);
    const layer = linearLayer(node);
    if (layer instanceof No) return layer;
    if (!layer.takesBias) return no(`"${node.name}" has no place for a bias`);
    const term = shifting(add, match.value(termAfter), result(node as Node), layer.outputAxis);
    if (!term) return no(`"${match.value(termAfter).name}" is not one f32 number per channel`);
    const other = otherReader(graph, result(node as Node), add);
    return other ? no(other) : { layer, term, old: result(add) };
  },
  rewrite: ({ layer, term, old }, graph) => applyAfter(graph, layer, { shift: term }, old),
});

const shifted = any();
const termBefore = constant();
const shiftBefore = op(['Add', 'Sub'], shifted, termBefore);
const afterShift = op(LINEAR_OPS, shiftBefore);

const before = defineRule({
  name: 'fuseBiasIntoConv',
  pattern: afterShift,
  check(match, graph) {
    const add = match.node(shiftBefore) as Node;
    const node = match.node(afterShift);
    const layer = linearLayer(node);
    if (layer instanceof No) return layer;
    const x = match.value(shifted);
    const term = shifting(add, match.value(termBefore), x, layer.inputAxis);
    if (!term) return no(`"${match.value(termBefore).name}" is not one f32 number per channel`);
    if (!layer.uniform) return no(`"${node.name}" sees padding, which the addition would have to shift too`);
    if (!layer.takesBias) return no(`"${node.name}" has no place for a bias`);
    const other = otherReader(graph, result(add), node as Node);
    return other ? no(other) : { layer, term, x };
  },
  rewrite: ({ layer, term, x }, graph) => applyBefore(graph, layer, x, { shift: term }),
});

export const fuseBiasIntoConv = definePass({
  name: 'fuseBiasIntoConv',
  summary: 'Folds addition of constants into the bias of the layer before or after it',
  requires: [noEpilogues],
  ensures: [noEpilogues],
  run: (graph, context) => applyRules(graph, [after, before], context),
});
