/**
 * Ways along which each channel stays by itself, between two layers that mix all channels: what is done to the channels
 * at one end, to reorder them or leave some out, is done along the way and at the other end.
 */
import {
  constantOf,
  type Graph,
  isOp,
  type Node,
  type OpName,
  opDef,
  operand,
  producer,
  result,
  type Value,
} from '#ir/graph.ts';
import type { Constant } from '#ir/tensor.ts';
import { product, type Shape, sameShape } from '#ir/types.ts';
import { dataOperands, isElementwise } from '../analysis/paths.ts';
import { derive, inheritName, otherReader, rebuild, reweigh, soleUser } from '../edit.ts';
import { type No, no } from '../pattern.ts';

/** A node that does to each channel something of its own. */
export interface ChannelStep {
  readonly node: Node;
  /** Positions along axis 1 that a channel has before and after: many, once space is flattened into it. */
  readonly width: readonly [before: number, after: number];
}

export interface ChannelPath {
  readonly steps: readonly ChannelStep[];
  /** The value at the end, and how many positions of its axis 1 a channel has. */
  readonly end: Value;
  readonly width: number;
}

/** On from a value for as long as one node reads it and keeps its channels apart. */
export function pathAfter(graph: Graph, start: Value): ChannelPath {
  const steps: ChannelStep[] = [];
  let [end, width] = [start, 1];
  for (;;) {
    const node = soleUser(graph, end);
    const after = node && widthAfter(node, end, width);
    if (!node || after === undefined) return { steps, end, width };
    steps.push({ node, width: [width, after] });
    [end, width] = [result(node), after];
  }
}

/** Back from a value for as long as its producer keeps channels apart and nobody else reads what that takes. */
export function pathBefore(
  graph: Graph,
  end: Value,
): { readonly start: Value; readonly steps: ChannelStep[] } {
  const steps: ChannelStep[] = [];
  let start = end;
  for (;;) {
    const node = producer(start);
    const [x, other] = node ? [...new Set(dataOperands(node))] : [];
    const kept = node && x && !other && soleUser(graph, x) === node && widthAfter(node, x, 1) === 1;
    if (!kept) return { start, steps };
    steps.unshift({ node, width: [1, 1] });
    start = x;
  }
}

const POOLS: readonly OpName[] = ['MaxPool', 'AveragePool', 'GlobalAveragePool'];

/** The width of a channel after a node, if that keeps the channels of `x` apart. */
function widthAfter(node: Node, x: Value, width: number): number | undefined {
  const [y, more] = node.outputs;
  if (!y || more || node.epilogue || y.type.dtype !== 'f32' || x.type.shape.length < 2) return undefined;
  const others = node.operands.filter((v) => v !== x);
  if (others.some((v) => v && constantOf(v)?.type.dtype !== 'f32')) return undefined;
  const [n, positions = 1] = x.type.shape;
  if (opDef(node.op).traits.view) {
    const after = (y.type.shape[1] ?? 0) / (positions / width);
    return y.type.shape[0] === n && Number.isInteger(after) && after > 0 ? after : undefined;
  }
  if (isOp(node, 'Conv')) {
    const depthwise = width === 1 && node.attrs.group === positions && y.type.shape[1] === positions;
    return depthwise && node.operands[0] === x && !node.operands.slice(1).includes(x) ? 1 : undefined;
  }
  const same = isElementwise(node) && sameShape(x.type.shape, y.type.shape);
  return same || isOp(node, 'BatchNormalization') || POOLS.includes(node.op) ? width : undefined;
}

/** The axes of the weight of a layer that mixes all channels. */
export interface MixedAxes {
  readonly inputs: number;
  readonly outputs: number;
}

/** Which axis of the weight of a layer stands for input channels and which for output channels, or why none does. */
export function mixedAxes(node: Node): MixedAxes | No {
  const weight = constantOf(node.operands[1]);
  const constantBias = !node.operands[2] || constantOf(node.operands[2]);
  const linear = ['Conv', 'ConvTranspose', 'Gemm', 'MatMul'].includes(node.op);
  if (!linear || node.epilogue) return no(`"${node.name}" is no layer with weights`);
  if (weight?.type.dtype !== 'f32' || !constantBias)
    return no(`the weights of "${node.name}" are not constant`);
  if (isOp(node, 'Conv') || isOp(node, 'ConvTranspose')) {
    if (node.attrs.group > 1) return no(`"${node.name}" has groups, and its channels their places in them`);
    return isOp(node, 'Conv') ? { inputs: 1, outputs: 0 } : { inputs: 0, outputs: 1 };
  }
  const rows = operand(node, 0).type.shape.length === 2 && weight.type.shape.length === 2;
  if (!rows || (isOp(node, 'Gemm') && node.attrs.transA)) return no(`"${node.name}" is no product of rows`);
  return isOp(node, 'Gemm') && node.attrs.transB ? { inputs: 1, outputs: 0 } : { inputs: 0, outputs: 1 };
}

/** The layer that mixes the channels at the end of a path, or why there is none. */
export function mixerAfter(graph: Graph, { end }: ChannelPath): (MixedAxes & { node: Node }) | No {
  const node = soleUser(graph, end);
  const first = end.uses[0]?.node;
  if (!node)
    return no((first && otherReader(graph, end, first)) ?? `"${end.name}" is an output of the graph`);
  const axes = mixedAxes(node);
  if (!('inputs' in axes)) return axes;
  if (node.operands[0] !== end || end.uses.length > 1)
    return no(`"${node.name}" has weights from "${end.name}"`);
  return { ...axes, node };
}

/** The layer that made the channels at the start of a path, or why there is none. */
export function mixerBefore(graph: Graph, start: Value): (MixedAxes & { node: Node }) | No {
  const node = producer(start);
  if (!node) return no(`"${start.name}" is no result of a layer`);
  const reader = start.uses[0]?.node;
  const other = reader && otherReader(graph, start, reader);
  if (other) return no(other);
  const axes = mixedAxes(node);
  return 'inputs' in axes ? { ...axes, node } : axes;
}

/** Makes a layer's outputs those at `index`, in that order. */
export function pickOutputs(
  graph: Graph,
  node: Node,
  { outputs }: MixedAxes,
  index: readonly number[],
): Value {
  const [weight, bias] = weightsOf(node);
  const last = bias ? bias.type.shape.length - 1 : 0;
  const each = bias && bias.type.shape[last] === weight.type.shape[outputs];
  return result(
    reweigh(graph, node, {
      x: operand(node, 0),
      weight: pick(weight, outputs, index),
      bias: each ? pick(bias, last, index) : bias,
    }),
  );
}

/** Makes a layer read the channels at `index` of what it read, each `width` positions wide, from `x`. */
export function pickInputs(
  graph: Graph,
  node: Node,
  x: Value,
  { inputs }: MixedAxes,
  index: readonly number[],
  bias?: Constant,
): void {
  const [weight, own] = weightsOf(node);
  reweigh(graph, node, { x, weight: pick(weight, inputs, index), bias: bias ?? own });
}

function weightsOf(node: Node): [Constant, Constant | undefined] {
  const weight = constantOf(operand(node, 1));
  if (!weight) throw new TypeError(`"${node.name}" has no constant weights`);
  return [weight, constantOf(node.operands[2])];
}

/** Positions of channels that are `width` wide. */
export const widen = (index: readonly number[], width: number): readonly number[] =>
  width === 1 ? index : index.flatMap((c) => Array.from({ length: width }, (_, i) => c * width + i));

/** Makes the nodes of a path work on the channels at `index` of what they worked on, from `x`. */
export function pickAlong(
  graph: Graph,
  steps: readonly ChannelStep[],
  x: Value,
  index: readonly number[],
): Value {
  return steps.reduce((value, step) => pickStep(graph, step, value, index), x);
}

function pickStep(graph: Graph, { node, width }: ChannelStep, x: Value, index: readonly number[]): Value {
  if (isOp(node, 'Reshape')) {
    const [n = 1, , ...rest] = node.attrs.shape;
    return result(
      rebuild(graph, node, { inputs: [x], attrs: { shape: [n, index.length * width[1], ...rest] } }) as Node,
    );
  }
  const old = [...node.operands];
  const positions = widen(index, width[0]);
  const { shape } = result(node).type;
  const inputs = old.map((value) => {
    const constant = constantOf(value);
    if (!value || !constant) return x;
    const axis = isElementwise(node) ? constant.type.shape.length - shape.length + 1 : 0;
    const along = axis >= 0 && constant.type.shape[axis] === shape[1] && shape[1] !== 1;
    return along ? graph.addConstant(value.name, pick(constant, axis, positions)) : value;
  });
  const attrs = isOp(node, 'Conv') ? { group: index.length } : {};
  const made = rebuild(graph, node, { inputs, attrs });
  inputs.forEach((value, i) => {
    const before = old[i];
    if (value && before && value !== before && constantOf(value)) inheritName(graph, value, before);
  });
  return result(made);
}

/** The slices at `index` of a constant, side by side along `axis`. */
export function pick(constant: Constant, axis: number, index: readonly number[]): Constant {
  const { shape } = constant.type;
  const picked: Shape = shape.map((size, i) => (i === axis ? index.length : size));
  const inner = product(shape.slice(axis + 1));
  const size = shape[axis] ?? 1;
  return derive(picked, [constant], (data) => (i) => {
    const slice = Math.floor(i / inner);
    const outer = Math.floor(slice / index.length);
    const from = index[slice % index.length] ?? 0;
    return Number(data?.[(outer * size + from) * inner + (i % inner)]);
  });
}
