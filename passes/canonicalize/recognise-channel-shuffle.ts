/**
 * Before      Reshape(Transpose(Reshape(x))) with x [N, C, …] seen as [N, g, C/g, …] and g exchanged with C/g
 * After       ChannelShuffle(x, g)
 * Conditions  the result has the shape of x; axes of size 1 may stand anywhere, and the spatial axes may be merged or
 *             kept in any way; nobody else reads the steps between
 */
import { type Node, operand, result, type Value } from '#ir/graph.ts';
import { product, type Shape, sameShape } from '#ir/types.ts';
import { otherReader, supersede } from '../edit.ts';
import { definePass } from '../pass.ts';
import { applyRules, defineRule, no, op } from '../pattern.ts';
import { isView } from './merge-views.ts';

const first = isView();
const turn = op('Transpose', first);
const last = isView(turn);

const rule = defineRule({
  name: 'recogniseChannelShuffle',
  pattern: last,
  check(match, graph) {
    const [view, transpose, back] = [match.node(first), match.node(turn) as Node, match.node(last)];
    const x: Value = operand(view, 0);
    const y = result(back);
    const groups = sameShape(x.type.shape, y.type.shape)
      ? shuffleGroups(x.type.shape, result(view).type.shape, match.node(turn).attrs.perm)
      : undefined;
    if (groups === undefined) return undefined;
    const other = otherReader(graph, result(view), transpose) ?? otherReader(graph, result(transpose), back);
    return other ? no(other) : { x, y, groups, name: transpose.name };
  },
  rewrite({ x, y, groups, name }, graph) {
    const shuffle = graph.addNode('ChannelShuffle', [x], { groups }, { name });
    supersede(graph, y, result(shuffle as Node));
  },
});

/** The number of groups, if permuting `view` by `perm` exchanges two factors of the channels of `shape` and no more. */
export function shuffleGroups(shape: Shape, view: Shape, perm: readonly number[]): number | undefined {
  const order = perm.filter((axis) => view[axis] !== 1);
  const kept = [...order].sort((a, b) => a - b);
  const start = order.findIndex((axis, i) => axis !== kept[i]);
  const first = kept[start];
  if (first === undefined) return undefined;
  // [before, a…, b…, after] becomes [before, b…, a…, after]
  const turned = order.indexOf(first) - start;
  const a: number[] = [];
  for (let i = start + turned; order[i] === kept[start + a.length]; i++) a.push(order[i] ?? 0);
  const expected = [
    ...kept.slice(0, start),
    ...kept.slice(start + a.length, start + a.length + turned),
    ...kept.slice(start, start + a.length),
    ...kept.slice(start + a.length + turned),
  ];
  if (order.some((axis, i) => axis !== expected[i])) return undefined;
  const size = (axes: readonly number[]) => product(axes.map((axis) => view[axis] ?? 1));
  const groups = size(a);
  const others = size(order.slice(start, start + turned));
  const before = size(kept.slice(0, start));
  const [n = 1, c = 1] = shape;
  return before === n && groups * others === c ? groups : undefined;
}

export const recogniseChannelShuffle = definePass({
  name: 'recogniseChannelShuffle',
  summary: 'Recognises a channel shuffle spelled as Reshape, Transpose and Reshape',
  requires: [],
  ensures: [],
  run: (graph, context) => applyRules(graph, [rule], context),
});
