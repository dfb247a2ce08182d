/**
 * Before      Conv(… P(Conv(x)) …), P a ChannelShuffle, or a Gather of each channel once; P⁻¹(… P(x) …)
 * After       the same without P: its order is in the output channels of the layer before it, or in the input channels of
 *             the layer after it, and in the weights, scales and shifts of what stands between; without both
 * Conditions  the layer is a Conv or ConvTranspose without groups, a Gemm, or a MatMul, with constant weights; between are
 *             pooling, depthwise convolutions, batch normalisation and elementwise ops with constants; nobody else reads
 *             what changes its order. A grouped layer has its channels at their places: there the order stays
 * Formula     y[c] = x[order[c]]: W′[c] = W[order[c]] before, W′[:, order[c]] = W[:, c] after
 */
import { type Graph, isOp, type Node, operand, result, tensorOf } from '#ir/graph.ts';
import { numbers } from '#ir/tensor.ts';
import { redirect } from '../edit.ts';
import { definePass } from '../pass.ts';
import { applyRules, defineRule, No, no, op } from '../pattern.ts';
import { noEpilogues } from '../properties.ts';
import {
  mixerAfter,
  mixerBefore,
  pathAfter,
  pathBefore,
  pickAlong,
  pickInputs,
  pickOutputs,
  widen,
} from './channel-path.ts';

interface Plan {
  readonly apply: (graph: Graph) => void;
}

const permutation = op(['ChannelShuffle', 'Gather']);

const rule = defineRule<Plan>({
  name: 'foldChannelPermutations',
  pattern: permutation,
  check(match, graph) {
    const node: Node = match.node(permutation);
    const order = orderOf(node);
    if (!order) return undefined;
    const cancelled = cancellation(node, order, graph);
    if (cancelled) return cancelled;
    const before = intoLayerBefore(node, order, graph);
    if (!(before instanceof No)) return before;
    const after = intoLayerAfter(node, order, graph);
    return after instanceof No ? no(`before it, ${before.reason}; after it, ${after.reason}`) : after;
  },
  rewrite: ({ apply }, graph) => apply(graph),
});

/** Which channel of its operand each channel of the result is, where it is each once. */
function orderOf(node: Node): readonly number[] | undefined {
  const x = operand(node, 0);
  const [, channels = 1] = x.type.shape;
  if (isOp(node, 'ChannelShuffle')) {
    const { groups } = node.attrs;
    return Array.from(
      { length: channels },
      (_, c) => (c % groups) * (channels / groups) + Math.floor(c / groups),
    );
  }
  const index = tensorOf(node.operands[1]);
  if (!isOp(node, 'Gather') || node.attrs.axis !== 1 || index?.type.shape.length !== 1) return undefined;
  const order = numbers(index).map((c) => (c < 0 ? c + channels : c));
  return order.length === channels && new Set(order).size === channels && x.type.dtype === 'f32'
    ? order
    : undefined;
}

const inverse = (order: readonly number[]): number[] => {
  const inverted = new Array<number>(order.length).fill(0);
  for (const [c, from] of order.entries()) inverted[from] = c;
  return inverted;
};

/** The permutation after it that undoes it, with what is between. */
function cancellation(node: Node, order: readonly number[], graph: Graph): Plan | undefined {
  const { steps, end, width } = pathAfter(graph, result(node));
  const reader = end.uses.length === 1 && !graph.isOutput(end) ? end.uses[0]?.node : undefined;
  const second = reader && width === 1 && operand(reader, 0) === end ? orderOf(reader) : undefined;
  if (!reader || !second?.every((from, c) => order[from] === c)) return undefined;
  return {
    apply() {
      const y = pickAlong(graph, steps, operand(node, 0), inverse(order));
      redirect(graph, result(reader), y);
    },
  };
}

function intoLayerBefore(node: Node, order: readonly number[], graph: Graph): Plan | No {
  const { start, steps } = pathBefore(graph, operand(node, 0));
  const layer = mixerBefore(graph, start);
  if (layer instanceof No) return layer;
  return {
    apply() {
      const y = pickAlong(graph, steps, pickOutputs(graph, layer.node, layer, order), order);
      redirect(graph, result(node), y);
    },
  };
}

function intoLayerAfter(node: Node, order: readonly number[], graph: Graph): Plan | No {
  const path = pathAfter(graph, result(node));
  const layer = mixerAfter(graph, path);
  if (layer instanceof No) return layer;
  return {
    apply() {
      const index = inverse(order);
      const y = pickAlong(graph, path.steps, operand(node, 0), index);
      pickInputs(graph, layer.node, y, layer, widen(index, path.width));
    },
  };
}

export const foldChannelPermutations = definePass({
  name: 'foldChannelPermutations',
  summary: 'Folds the order that a channel shuffle makes into the weights of the layer before or after it',
  requires: [noEpilogues],
  ensures: [noEpilogues],
  run: (graph, context) => applyRules(graph, [rule], context),
});
