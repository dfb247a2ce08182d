/**
 * Before      y = Add(Mul(x, s), t), s and t [C, 1, …]
 * After       y = BatchNormalization(x, s, t, 0, 1) without epsilon
 * Conditions  x f32 with channels on its second axis; s and t constant, a number per channel; nobody else reads the product
 * Formula     y = s·(x − 0) / √(1 + 0) + t: the same arithmetic, and one read and one write of the whole tensor in place of two
 */
import { Builder } from '#ir/builder.ts';
import { type Graph, type Node, result, type Value } from '#ir/graph.ts';
import { derive, otherReader, supersede } from '../edit.ts';
import { definePass } from '../pass.ts';
import { any, applyRules, constant, defineRule, no, op } from '../pattern.ts';
import { noEpilogues } from '../properties.ts';
import { type PerChannel, perChannel } from './linear.ts';

const CHANNEL_AXIS = 1;

const data = any();
const factor = constant();
const scaled = op('Mul', data, factor);
const term = constant();
const shifted = op('Add', scaled, term);

/** The numbers of a constant, where it has one for each channel of `x`. */
const numbersOf = (value: Value, x: Value): PerChannel | undefined =>
  value.type.shape.some((size) => size > 1) ? perChannel(value, x.type.shape, CHANNEL_AXIS) : undefined;

const rule = defineRule({
  name: 'joinScaleAndShift',
  pattern: shifted,
  check(match, graph) {
    const [mul, add] = [match.node(scaled) as Node, match.node(shifted) as Node];
    const x = match.value(data);
    if (x.type.dtype !== 'f32' || x.type.shape.length < 2) return no(`"${x.name}" has no axis of channels`);
    const scale = numbersOf(match.value(factor), x);
    if (!scale) return no(`"${match.value(factor).name}" is not one f32 number per channel`);
    const shift = numbersOf(match.value(term), x);
    if (!shift) return no(`"${match.value(term).name}" is not one f32 number per channel`);
    const other = otherReader(graph, result(mul), add);
    return other ? no(other) : { x, add, scale, shift };
  },
  rewrite({ x, add, scale, shift }, graph) {
    const channels = x.type.shape[CHANNEL_AXIS] ?? 1;
    const parameters = [
      perChannelConstant(graph, `${add.name}_s`, channels, scale),
      perChannelConstant(graph, `${add.name}_t`, channels, shift),
      perChannelConstant(graph, `${add.name}_mean`, channels, everywhere(0)),
      perChannelConstant(graph, `${add.name}_variance`, channels, everywhere(1)),
    ];
    const joined = new Builder(graph).op(
      'BatchNormalization',
      [x, ...parameters],
      { epsilon: 0 },
      {
        name: add.name,
      },
    );
    supersede(graph, result(add), joined);
  },
});

const everywhere = (number: number): PerChannel => ({ from: [], at: () => () => number });

const perChannelConstant = (graph: Graph, name: string, channels: number, numbers: PerChannel): Value =>
  graph.addConstant(
    name,
    derive([channels], numbers.from, (...all) => numbers.at(all)),
  );

export const joinScaleAndShift = definePass({
  name: 'joinScaleAndShift',
  summary: 'Joins a multiplication and an addition per channel that no layer could take',
  requires: [noEpilogues],
  ensures: [noEpilogues],
  run: (graph, context) => applyRules(graph, [rule], context),
});
