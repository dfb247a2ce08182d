/**
 * Before      y = Add(Mul(x, s), t)
 * After       y = BatchNormalization(x), of scale s, bias t, mean 0 and variance 1: read and written once, not twice
 * Conditions  s and t constant, one number or one per channel, one of them per channel; x has channels and a spatial axis;
 *             nobody else reads the product
 * Formula     s = scale / √(1 + 0), t = bias − 0·s: the numbers stay as they are
 */
import { Builder } from '#ir/builder.ts';
import { result } from '#ir/graph.ts';
import { f32 } from '#ir/tensor.ts';
import { elementCount } from '#ir/types.ts';
import { derive, otherReader, supersede } from '../edit.ts';
import { definePass } from '../pass.ts';
import { any, applyRules, constant, defineRule, no, op } from '../pattern.ts';
import { noEpilogues } from '../properties.ts';
import { perChannel } from './linear.ts';

const x = any();
const factor = constant();
const scaled = op('Mul', x, factor);
const term = constant();
const shifted = op('Add', scaled, term);

const rule = defineRule({
  name: 'contractBatchNorm',
  pattern: shifted,
  check(match, graph) {
    const [mul, add] = [match.node(scaled), match.node(shifted)];
    const input = match.value(x);
    const { shape, dtype } = input.type;
    const [s, t] = [match.value(factor), match.value(term)];
    if (shape.length < 3 || dtype !== 'f32') return undefined;
    if (elementCount(s.type.shape) === 1 && elementCount(t.type.shape) === 1) return undefined;
    const [scale, shift] = [perChannel(s, shape, 1), perChannel(t, shape, 1)];
    if (!scale || !shift) return undefined;
    const other = otherReader(graph, result(mul), add);
    return other ? no(other) : { mul, add, input, scale, shift, channels: shape[1] ?? 1 };
  },
  rewrite({ add, input, scale, shift, channels }, graph) {
    const b = new Builder(graph);
    const named = (what: string) => `${add.name}_${what}`;
    const parameter = (what: string, { from, at }: typeof scale) =>
      graph.addConstant(
        named(what),
        derive([channels], from, (...data) => at(data)),
      );
    const filled = (what: string, value: number) =>
      b.constant(named(what), f32([channels], new Float32Array(channels).fill(value)));
    const operands = [
      parameter('scale', scale),
      parameter('bias', shift),
      filled('mean', 0),
      filled('var', 1),
    ];
    const attrs = { epsilon: 0 };
    const y = b.op('BatchNormalization', [input, ...operands], attrs, { name: add.name });
    supersede(graph, result(add), y);
  },
});

export const contractBatchNorm = definePass({
  name: 'contractBatchNorm',
  summary: 'Writes a multiplication and an addition per channel as one batch normalisation',
  requires: [noEpilogues],
  ensures: [noEpilogues],
  run: (graph, context) => applyRules(graph, [rule], context),
});
