/**
 * Before      y = Mul(Conv(x, W, b), s) or Div(Conv(x, W, b), s); y = Conv(Mul(x, s), W, b) or Conv(Div(x, s), W, b)
 * After       y = Conv(x, W′, b′); the same for ConvTranspose, Gemm and MatMul
 * Conditions  weights constant; s constant, one number or one per channel, and not enlarging; nobody else reads the
 *             value between; a scale commutes with zero padding, so the Conv may be padded
 * Formula     after: W′[o] = W[o]·s[o], b′[o] = b[o]·s[o]; before: W′[o, i] = W[o, i]·s[i]
 */
import { type Node, result, type Value } from '#ir/graph.ts';
import { otherReader } from '../edit.ts';
import { definePass } from '../pass.ts';
import { any, applyRules, constant, defineRule, No, no, op } from '../pattern.ts';
import { noEpilogues } from '../properties.ts';
import { applyAfter, applyBefore, LINEAR_OPS, linearLayer, perChannel } from './linear.ts';

const reciprocal = (x: number) => 1 / x;
/** The numbers, against the other operand: they must not enlarge it. */
const scaling = (node: Node, value: Value, other: Value, axis: number) =>
  perChannel(value, other.type.shape, axis, node.op === 'Div' ? reciprocal : undefined);

const beforeScale = op(LINEAR_OPS);
const factorAfter = constant();
const scaleAfter = op(['Mul', 'Div'], beforeScale, factorAfter);

const after = defineRule({
  name: 'fuseScaleIntoConv',
  pattern: scaleAfter,
  check(match, graph) {
    const scale = match.node(scaleAfter) as Node;
    const node = match.node(beforeScale);
    const layer = linearLayer(node);
    if (layer instanceof No) return layer;
    const factor = scaling(scale, match.value(factorAfter), result(node as Node), layer.outputAxis);
    if (!factor) return no(`"${match.value(factorAfter).name}" is not one f32 number per channel`);
    const other = otherReader(graph, result(node as Node), scale);
    return other ? no(other) : { layer, factor, old: result(scale) };
  },
  rewrite: ({ layer, factor, old }, graph) => applyAfter(graph, layer, { scale: factor }, old),
});

const scaled = any();
const factorBefore = constant();
const scaleBefore = op(['Mul', 'Div'], scaled, factorBefore);
const afterScale = op(LINEAR_OPS, scaleBefore);

const before = defineRule({
  name: 'fuseScaleIntoConv',
  pattern: afterScale,
  check(match, graph) {
    const scale = match.node(scaleBefore) as Node;
    const node = match.node(afterScale);
    const layer = linearLayer(node);
    if (layer instanceof No) return layer;
    const x = match.value(scaled);
    const factor = scaling(scale, match.value(factorBefore), x, layer.inputAxis);
    if (!factor) return no(`"${match.value(factorBefore).name}" is not one f32 number per channel`);
    const other = otherReader(graph, result(scale), node as Node);
    return other ? no(other) : { layer, factor, x };
  },
  rewrite: ({ layer, factor, x }, graph) => applyBefore(graph, layer, x, { scale: factor }),
});

export const fuseScaleIntoConv = definePass({
  name: 'fuseScaleIntoConv',
  summary: 'Folds multiplication by constants into the weights of the layer before or after it',
  requires: [noEpilogues],
  ensures: [noEpilogues],
  run: (graph, context) => applyRules(graph, [after, before], context),
});
