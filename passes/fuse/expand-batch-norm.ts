/**
 * Before      y = BatchNormalization(x)
 * After       y = Add(Mul(x, s), t), s and t [C, 1, …]: what no layer could take becomes two elementwise ops
 * Conditions  none; where the parameters are not constant, s and t are computed by nodes
 * Formula     s = scale / √(variance + ε), t = bias − mean·s; in double where they are constant
 */
import { Builder } from '#ir/builder.ts';
import { type Graph, type Node, operand, result, type Value } from '#ir/graph.ts';
import { derive, supersede } from '../edit.ts';
import { definePass } from '../pass.ts';
import { applyRules, defineRule, No, op } from '../pattern.ts';
import { noEpilogues, without } from '../properties.ts';
import { batchNormAffine, type PerChannel } from './linear.ts';

const bn = op('BatchNormalization');

const rule = defineRule({
  name: 'expandBatchNorm',
  pattern: bn,
  check: (match) => ({ node: match.node(bn) }),
  rewrite({ node }, graph) {
    const b = new Builder(graph);
    const x = operand(node as Node, 0);
    const { scale, shift } = parameters(node, graph);
    const scaled = b.op('Mul', [x, scale], {}, { name: `${node.name}_scale` });
    const shifted = b.op('Add', [scaled, shift], {}, { name: node.name });
    supersede(graph, result(node as Node), shifted);
  },
});

function parameters(node: Node<'BatchNormalization'>, graph: Graph): { scale: Value; shift: Value } {
  const { shape } = operand(node as Node, 0).type;
  const broadcast = [shape[1] ?? 1, ...shape.slice(2).map(() => 1)];
  const affine = batchNormAffine(node);
  if (!(affine instanceof No)) {
    const constant = (numbers: PerChannel, name: string) =>
      graph.addConstant(
        `${node.name}_${name}`,
        derive(broadcast, numbers.from, (...data) => numbers.at(data)),
      );
    return { scale: constant(affine.scale, 's'), shift: constant(affine.shift, 't') };
  }
  const b = new Builder(graph);
  const [gamma, beta, mean, variance] = [1, 2, 3, 4].map((slot) =>
    b.op('Reshape', [operand(node as Node, slot)], { shape: broadcast }),
  );
  const deviation = b.op('Sqrt', [b.op('Add', [variance, b.scalar(node.attrs.epsilon, 'epsilon')], {})], {});
  const scale = b.op('Div', [gamma, deviation], {});
  return { scale, shift: b.op('Sub', [beta, b.op('Mul', [mean, scale], {})], {}) };
}

export const expandBatchNorm = definePass({
  name: 'expandBatchNorm',
  summary: 'Writes batch normalisation that no layer could take as a multiplication and an addition',
  requires: [noEpilogues],
  ensures: [noEpilogues, without('BatchNormalization')],
  run: (graph, context) => applyRules(graph, [rule], context),
});
