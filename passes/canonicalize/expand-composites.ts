/**
 * Before      y = LayerNormalization(x, scale, bias), or any op that has a decomposition
 * After       its decomposition: ReduceMean, Sub, Mul, …; the node that gives y keeps the name
 * Conditions  the op is decomposed in this form; what is left of composites needs a lowering of its own
 * Formula     the op's `decompose`
 */
import { Builder } from '#ir/builder.ts';
import { type Graph, type Node, opDef, ownInputs, producer, tensorOf, type Value } from '#ir/graph.ts';
import { redirect, removeDead, supersede } from '../edit.ts';
import { definePass } from '../pass.ts';
import { applyRules, no, type Rule } from '../pattern.ts';

function decomposed(node: Node, graph: Graph): Value[] | undefined {
  const inputs = ownInputs(node);
  return opDef(node.op).decompose?.({
    b: new Builder(graph, node),
    attrs: node.attrs as never,
    inputs,
    constant: (i) => tensorOf(inputs[i]),
    outputs: node.outputs.map((v) => v.type),
  });
}

const rule: Rule = {
  name: 'expandComposites',
  tryAt(root, graph) {
    if (!opDef(root.op).decompose) return false;
    const { name } = root;
    const values = decomposed(root, graph);
    if (!values) return no(`${root.op} has no decomposition in this form`);
    const last = producer(values[0]);
    root.outputs.forEach((old, i) => {
      const by = values[i];
      if (!by || !graph.isUsed(old)) return;
      // an operand that is handed on keeps its own name
      if (by.id > old.id) supersede(graph, old, by);
      else redirect(graph, old, by);
    });
    for (const value of values) removeDead(graph, producer(value));
    if (last && last.id > root.id) (last as { name: string }).name = name;
    return true;
  },
};

export const expandComposites = definePass({
  name: 'expandComposites',
  summary: 'Writes ops that are made of others as those',
  requires: [],
  ensures: [],
  run: (graph, context) => applyRules(graph, [rule], context),
});
