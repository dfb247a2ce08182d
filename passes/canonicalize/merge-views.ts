/**
 * Before      Reshape(Reshape(x)), and any other ops that only give another shape; Transpose(Transpose(x)); a Transpose
 *             that moves axes of size 1 only
 * After       one Reshape; one Transpose; a Reshape
 * Conditions  none: where others read the step between, it stays for them, and nothing costs more
 */
import { type Node, opDef, operand, result } from '#ir/graph.ts';
import { supersede } from '../edit.ts';
import { definePass } from '../pass.ts';
import { any, applyRules, defineRule, type NodePattern, nodeThat, op, type Pattern } from '../pattern.ts';
import { noEpilogues } from '../properties.ts';

/** A node that gives its operand another shape and moves nothing. */
export const isView = (...operands: Pattern[]): NodePattern =>
  nodeThat((node) => opDef(node.op).traits.view === true, ...operands);

const inner = isView();
const outer = isView(inner);

const views = defineRule({
  name: 'mergeViews',
  pattern: outer,
  check: (match) => ({ x: operand(match.node(inner), 0), node: match.node(outer) }),
  rewrite({ x, node }, graph) {
    const { shape } = result(node).type;
    const merged = graph.addNode('Reshape', [x], { shape }, { name: node.name });
    supersede(graph, result(node), result(merged as Node));
  },
});

const firstTurn = op('Transpose');
const secondTurn = op('Transpose', firstTurn);

const transposes = defineRule({
  name: 'mergeTransposes',
  pattern: secondTurn,
  check(match) {
    const [first, second] = [match.node(firstTurn), match.node(secondTurn)];
    const perm = second.attrs.perm.map((axis) => first.attrs.perm[axis] ?? 0);
    return { x: operand(first as Node, 0), perm, node: second as Node };
  },
  rewrite({ x, perm, node }, graph) {
    const merged = graph.addNode('Transpose', [x], { perm }, { name: node.name });
    supersede(graph, result(node), result(merged as Node));
  },
});

const turned = any();
const turn = op('Transpose', turned);

const unmoving = defineRule({
  name: 'transposeToReshape',
  pattern: turn,
  check(match) {
    const x = match.value(turned);
    const node = match.node(turn);
    const moved = node.attrs.perm.filter((axis) => x.type.shape[axis] !== 1);
    const still = moved.every((axis, i) => i === 0 || axis > (moved[i - 1] ?? 0));
    return still ? { x, node: node as Node } : undefined;
  },
  rewrite({ x, node }, graph) {
    const { shape } = result(node).type;
    const view = graph.addNode('Reshape', [x], { shape }, { name: node.name });
    supersede(graph, result(node), result(view as Node));
  },
});

export const mergeViews = definePass({
  name: 'mergeViews',
  summary: 'Merges reshapes with reshapes and transposes with transposes',
  requires: [noEpilogues],
  ensures: [noEpilogues],
  run: (graph, context) => applyRules(graph, [views, transposes, unmoving], context),
});
