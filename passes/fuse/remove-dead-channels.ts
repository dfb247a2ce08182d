/**
 * Before      y = L₂(… L₁(x, W₁, b₁) …, W₂, b₂), some filters of W₁ all zero, or some channels that W₂ only multiplies by 0
 * After       y = L₂(… L₁(x, W₁′, b₁′) …, W₂′, b₂′), both without these channels, and what stands between too
 * Conditions  L₁ and L₂ are layers without groups, with constant weights that are there; between are pooling, depthwise
 *             convolutions, batch normalisation and elementwise ops with constants, and nobody else reads what they give. A
 *             channel of zeros is the constant b₁[c], and what the steps make of that; it may go if it ends as 0, or if L₂
 *             sees no padding and has a place for a bias. A depthwise filter of zeros makes a constant too. One channel stays
 * Formula     b₂′[o] = b₂[o] + Σ W₂[o, c]·constant[c]; in double, rounded once
 */
import { isOp, type Node, type OpAttrs, result, tensorOf } from '#ir/graph.ts';
import type { Constant } from '#ir/tensor.ts';
import { derive } from '../edit.ts';
import { definePass } from '../pass.ts';
import { applyRules, defineRule, No, no, op } from '../pattern.ts';
import { noEpilogues } from '../properties.ts';
import { constantsAlong, type Known, onlyZeros } from './channel-constants.ts';
import {
  type ChannelPath,
  type MixedAxes,
  mixedAxes,
  mixerAfter,
  pathAfter,
  pickAlong,
  pickInputs,
  pickOutputs,
  widen,
} from './channel-path.ts';
import { LINEAR_OPS, type LinearLayer, type LinearNode, linearLayer } from './linear.ts';

interface Plan {
  readonly first: MixedAxes & { readonly node: Node };
  readonly second: MixedAxes & { readonly node: Node };
  readonly path: ChannelPath;
  readonly kept: readonly number[];
  /** The bias of the second layer with what the removed channels added. */
  readonly bias: Constant | undefined;
}

const mixer = op(LINEAR_OPS);

const rule = defineRule<Plan>({
  name: 'removeDeadChannels',
  pattern: mixer,
  check(match, graph) {
    const node = match.node(mixer) as Node;
    const axes = mixedAxes(node);
    if (axes instanceof No || !tensorOf(node.operands[1])) return undefined;
    const path = pathAfter(graph, result(node));
    const known = constantsAlong(node as LinearNode, path.steps);
    const second = mixerAfter(graph, path);
    if (!known) return undefined;
    if (second instanceof No) return known.some((c) => c.value !== undefined) ? second : undefined;
    return planOf({ ...axes, node }, second, path, known);
  },
  rewrite: ({ first, second, path, kept, bias }, graph) => {
    const start = pickOutputs(graph, first.node, first, kept);
    const end = pickAlong(graph, path.steps, start, kept);
    pickInputs(graph, second.node, end, second, widen(kept, path.width), bias);
  },
});

function planOf(
  first: Plan['first'],
  second: Plan['second'],
  path: ChannelPath,
  known: readonly Known[],
): Plan | No | undefined {
  const layer = linearLayer(second.node as LinearNode);
  if (layer instanceof No || !tensorOf(second.node.operands[1])) return undefined;
  const { width } = path;
  const unread = unreadInputs(layer, known.length, width);
  const takes = layer.uniform && second.node.op !== 'MatMul' && layer.biasFactor !== 0;
  const problem = (k: Known): string | undefined => {
    if (k.value === undefined) return k.problem ?? 'used';
    if (k.value === 0 || takes) return undefined;
    return layer.uniform
      ? `"${second.node.name}" has no place for a bias`
      : `"${second.node.name}" sees padding beside a channel that is ${k.value}`;
  };
  const problems = known.map((k, c) => (unread[c] ? undefined : problem(k)));
  const kept = known.flatMap((_, c) => (problems[c] === undefined ? [] : [c]));
  // a layer has one channel at least
  if (kept.length === 0) kept.push(0);
  if (kept.length === known.length) {
    const reason = problems.find((p) => p !== undefined && p !== 'used');
    return reason === undefined ? undefined : no(reason);
  }
  const removed = known.map((k, c) => (kept.includes(c) || unread[c] ? 0 : (k.value ?? 0)));
  const bias = removed.some((value) => value !== 0) ? shiftedBias(layer, removed, width) : undefined;
  return { first, second, path, kept, bias };
}

/** Which channels a layer multiplies with nothing but 0. */
const unreadInputs = (layer: LinearLayer, channels: number, width: number): readonly boolean[] =>
  onlyZeros(layer.weight, channels, (i) => Math.floor(layer.inputOf(i) / width));

/** A bias that adds what channels of the numbers `removed` did; the layer's own factors stay. */
function shiftedBias(layer: LinearLayer, removed: readonly number[], width: number): Constant {
  const { weight, bias, outputs } = layer;
  const { alpha = 1 } = isOp(layer.node as Node, 'Gemm') ? (layer.node.attrs as OpAttrs<'Gemm'>) : {};
  return derive([outputs], [weight, ...(bias ? [bias] : [])], (w, b) => {
    const sums = new Float64Array(outputs);
    for (let i = 0; i < (w?.length ?? 0); i++) {
      const o = layer.outputOf(i);
      sums[o] = (sums[o] ?? 0) + Number(w?.[i]) * (removed[Math.floor(layer.inputOf(i) / width)] ?? 0);
    }
    const own = (o: number) => (b ? Number(b[b.length === 1 ? 0 : o]) : 0);
    return (o) => own(o) + ((sums[o] ?? 0) * alpha) / layer.biasFactor;
  });
}

export const removeDeadChannels = definePass({
  name: 'removeDeadChannels',
  summary: 'Removes channels that are constant, or that the next layer multiplies by 0',
  requires: [noEpilogues],
  ensures: [noEpilogues],
  run: (graph, context) => applyRules(graph, [rule], context),
});
