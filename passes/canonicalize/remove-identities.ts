/**
 * Before      y = f(x), f without effect: a view to the same shape, Transpose in order, Pad by 0, Slice of all, Cast to
 *             the same type, pooling of one element, Clip to ±∞, x·1, x/1, x+0, x−0, x¹ …
 * After       x
 * Conditions  y has the type of x, so that no broadcast hides in f; adding 0 counts as without effect, though it turns
 *             −0 into 0
 */
import { arg, constant, type Expr, substitute } from '#ir/expr.ts';
import { type Node, type OpAttrs, type OpName, opDef, tensorOf, type Value } from '#ir/graph.ts';
import { simplify } from '#ir/simplify.ts';
import { sameType } from '#ir/types.ts';
import { redirect } from '../edit.ts';
import { definePass } from '../pass.ts';
import { applyRules, defineRule, nodeThat } from '../pattern.ts';
import { noEpilogues } from '../properties.ts';

const all = (list: readonly number[], value: number): boolean => list.every((x) => x === value);

/** For ops that may be without effect when their result has the type of their only operand: when they are. */
const NO_EFFECT: { readonly [K in OpName]?: (attrs: OpAttrs<K>, x: Value) => boolean } = {
  Transpose: ({ perm }, x) => {
    const moved = perm.filter((axis) => x.type.shape[axis] !== 1);
    return moved.every((axis, i) => i === 0 || axis > (moved[i - 1] ?? 0));
  },
  Pad: ({ pads }) => all(pads, 0),
  Slice: ({ sizes, steps }) => steps.every((step, axis) => step > 0 || sizes[axis] === 1),
  Cast: () => true,
  Expand: () => true,
  Tile: () => true,
  Concat: () => true,
  Split: () => true,
  Resize: ({ scales }) => all(scales, 1),
  ChannelShuffle: ({ groups }, x) => groups === 1 || groups === x.type.shape[1],
  DepthToSpace: ({ blocksize }) => blocksize === 1,
  MaxPool: ({ kernel, pads }) => all(kernel, 1) && all(pads, 0),
  AveragePool: ({ kernel, pads }) => all(kernel, 1) && all(pads, 0),
  GlobalAveragePool: () => true,
};

/** The operand that a node merely repeats. */
function repeated(node: Node): Value | undefined {
  const [y] = node.outputs;
  const def = opDef(node.op);
  if (!y || node.outputs.length > 1) return undefined;
  const same = (x: Value | undefined) => (x && sameType(x.type, y.type) ? x : undefined);
  if (def.expression) return same(passedThrough(node, def.expression(node.attrs as never, node.arity)));
  const x = node.operands.length === 1 ? same(node.operands[0]) : undefined;
  if (!x || def.traits.view) return x;
  const test = NO_EFFECT[node.op] as ((attrs: unknown, x: Value) => boolean) | undefined;
  return test?.(node.attrs, x) ? x : undefined;
}

/** The operand that an expression comes down to once the constants among the others are put in. */
function passedThrough(node: Node, expression: Expr): Value | undefined {
  const simple = simplify(
    substitute(expression, (i) => {
      const value = uniform(node.operands[i]);
      return value === undefined ? arg(i) : constant(value);
    }),
    'unsigned',
  );
  return simple.kind === 'arg' ? node.operands[simple.index] : undefined;
}

/** The number that every element of a constant is, where there is one. */
function uniform(value: Value | undefined): number | undefined {
  const data = tensorOf(value)?.data;
  const first = data?.[0];
  if (!data || first === undefined) return undefined;
  for (let i = 1; i < data.length; i++) if (data[i] !== first) return undefined;
  return Number(first);
}

const node = nodeThat((n) => repeated(n) !== undefined);

const rule = defineRule({
  name: 'removeIdentities',
  pattern: node,
  check(match) {
    const found: Node = match.node(node);
    const x = repeated(found);
    const [y] = found.outputs;
    return x && y ? { x, y } : undefined;
  },
  rewrite: ({ x, y }, graph) => redirect(graph, y, x),
});

export const removeIdentities = definePass({
  name: 'removeIdentities',
  summary: 'Removes ops that give their operand back as it is',
  requires: [noEpilogues],
  ensures: [noEpilogues],
  run: (graph, context) => applyRules(graph, [rule], context),
});
