/** Channels that are one number everywhere, followed along a path that keeps channels apart. */
import { compileExpr } from '#ir/expr.ts';
import { isOp, type Node, type OpAttrs, opDef, operand, result, tensorOf } from '#ir/graph.ts';
import type { Constant } from '#ir/tensor.ts';
import { windowAxes } from '#ir/window.ts';
import { No } from '../pattern.ts';
import type { ChannelStep } from './channel-path.ts';
import { hasEmptyWindow } from './fold-pad.ts';
import { batchNormAffine, type LinearNode, linearLayer, perChannel } from './linear.ts';

/** What is known of a channel: the number that all of it is, or why it is none any more. */
export interface Known {
  readonly value?: number;
  readonly problem?: string;
}

/**
 * The channels at the end of a path from `node`, of whose filters some are all zero.
 * @returns undefined where the layer has no one bias per channel.
 */
export function constantsAlong(
  node: LinearNode,
  steps: readonly ChannelStep[],
): readonly Known[] | undefined {
  const layer = linearLayer(node);
  if (layer instanceof No) return undefined;
  const { bias, biasFactor, outputs } = layer;
  const own = bias?.data;
  const zero = onlyZeros(layer.weight, outputs, layer.outputOf);
  const made = zero.map((is, c): Known => {
    if (!is || (bias && !own)) return {};
    return { value: Math.fround((own ? Number(own[own.length === 1 ? 0 : c]) : 0) * biasFactor) };
  });
  return steps.reduce<readonly Known[]>((known, step) => {
    const after = stepRule(step);
    return known.map((k, c) => rounded(after(k, c)));
  }, made);
}

/** A number as it is stored; one that is not finite is not followed. */
function rounded(known: Known): Known {
  if (known.value === undefined) return known;
  const value = Math.fround(known.value);
  return Number.isFinite(value) ? { value } : { problem: `a channel is ${value}` };
}

/** Which channels have no weight but 0; none where the weights are not there. */
export function onlyZeros(
  { data }: Constant,
  channels: number,
  channelOf: (index: number) => number,
): readonly boolean[] {
  const zero = new Array<boolean>(channels).fill(data !== null);
  if (!data) return zero;
  let left = channels;
  const see = (i: number): void => {
    if (data[i] === 0) return;
    const channel = channelOf(i);
    if (zero[channel]) left--;
    zero[channel] = false;
  };
  // one weight that is not 0 is enough: weights here and there settle most layers, whatever the order of their channels
  const some = Math.min(data.length, channels * LOOKS_PER_CHANNEL);
  for (let k = 0, i = 0; k < some && left > 0; k++) {
    see(i);
    i += Math.ceil(data.length * GOLDEN);
    if (i >= data.length) i -= data.length;
  }
  for (let i = 0; i < data.length && left > 0; i++) see(i);
  return zero;
}

/** Of random channels that often, hardly one of thousands is never met. */
const LOOKS_PER_CHANNEL = 12;
/** Multiples of it, less their whole parts, lie evenly between 0 and 1. */
const GOLDEN = (Math.sqrt(5) - 1) / 2;

type StepRule = (known: Known, channel: number) => Known;

/** What a step makes of a channel. */
function stepRule({ node, width }: ChannelStep): StepRule {
  if (opDef(node.op).traits.view || isOp(node, 'GlobalAveragePool')) return (known) => known;
  if (isOp(node, 'Conv')) return depthwise(node);
  if (isOp(node, 'BatchNormalization')) return normalisation(node);
  return isOp(node, 'MaxPool') || isOp(node, 'AveragePool')
    ? pooling(node as Node)
    : elementwise(node, width[0]);
}

const unlessUnknown =
  (rule: (value: number, channel: number) => Known): StepRule =>
  (known, channel) =>
    known.value === undefined ? known : rule(known.value, channel);

function depthwise(node: Node<'Conv'>): StepRule {
  const [weight, bias] = [1, 2].map((slot) => tensorOf(node.operands[slot]));
  const missing = `the weights of "${node.name}" are not there`;
  if (!weight || (node.operands[2] && !bias)) return unlessUnknown(() => ({ problem: missing }));
  const [channels = 1] = weight.type.shape;
  const taps = weight.data.length / channels;
  const shift = (c: number) => Number(bias?.data[c] ?? 0);
  const padded = node.attrs.pads.some((p) => p !== 0);
  const zero = onlyZeros(weight, channels, (i) => Math.floor(i / taps));
  return ({ value, ...known }, c) => {
    if (value === 0 || zero[c]) return { value: shift(c) };
    if (value === undefined) return known;
    if (padded) return { problem: `"${node.name}" sees padding beside a channel that is ${value}` };
    let sum = 0;
    for (let tap = 0; tap < taps; tap++) sum += Number(weight.data[c * taps + tap]);
    return { value: shift(c) + value * sum };
  };
}

function normalisation(node: Node<'BatchNormalization'>): StepRule {
  const affine = batchNormAffine(node);
  const data = affine instanceof No ? [] : affine.shift.from.flatMap((c) => (c.data ? [c.data] : []));
  const missing = `the parameters of "${node.name}" are not there`;
  if (affine instanceof No || data.length < affine.shift.from.length) {
    return unlessUnknown(() => ({ problem: missing }));
  }
  const scale = affine.scale.at(data);
  const shift = affine.shift.at(data);
  return unlessUnknown((value, c) => ({ value: value * scale(c) + shift(c) }));
}

function pooling(node: Node): StepRule {
  const attrs = node.attrs as OpAttrs<'AveragePool'>;
  const [x, y] = [operand(node, 0).type.shape, result(node).type.shape];
  if (hasEmptyWindow(windowAxes(attrs), x, y)) {
    return unlessUnknown(() => ({ problem: `a window of "${node.name}" holds no element` }));
  }
  const counts = isOp(node, 'AveragePool') && attrs.countIncludePad;
  const beyond = counts && (attrs.ceil || attrs.pads.some((p) => p > 0));
  const problem = `"${node.name}" counts its padding`;
  return unlessUnknown((value) => (beyond && value !== 0 ? { problem } : { value }));
}

function elementwise(node: Node, width: number): StepRule {
  const { shape } = result(node).type;
  const expression = opDef(node.op).expression?.(node.attrs as never, node.arity);
  const own = node.operands.map((v) => v && tensorOf(v) && perChannel(v, shape, 1));
  const data = node.operands.map((v) => tensorOf(v)?.data);
  const even = node.operands.every((v, i) => {
    const constant = v?.source.kind === 'constant';
    return !constant || (own[i] && (width === 1 || data[i]?.length === 1));
  });
  const problem = `"${node.name}" does not do the same to all of a channel`;
  if (!expression || !even) return unlessUnknown(() => ({ problem }));
  const compiled = compileExpr(expression);
  const numbers = own.map((number, i) => {
    const known = data[i];
    return number && known ? number.at([known]) : undefined;
  });
  return unlessUnknown((value, c) => ({ value: compiled(numbers.map((at) => (at ? at(c) : value))) }));
}
