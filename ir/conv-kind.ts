/** What the field calls the kinds of convolution, told from a node's shapes and attributes: the one classifier. */
import { type Graph, isOp, type Node, operand, producer } from './graph.ts';
import { convWindow } from './ops/conv.ts';
import { extent, type WindowAxis, windowAxes } from './window.ts';

export const CONV_KINDS = [
  'standard',
  'pointwise',
  'depthwise',
  'grouped',
  'pointwise-grouped',
  'separable-half',
  'causal',
  'dilated',
  'transposed',
] as const;
export type ConvKind = (typeof CONV_KINDS)[number];

export interface ConvClass {
  /** The one name of the layer; the properties below say what else holds. */
  readonly kind: ConvKind;
  /** The kernel along each spatial axis. */
  readonly axes: readonly WindowAxis[];
  readonly groups: number;
  /** Output channels per input channel of a depthwise conv, else undefined. */
  readonly multiplier: number | undefined;
  readonly transposed: boolean;
  /** Every kernel size is 1. */
  readonly pointwise: boolean;
  /** One input channel per group, and more than one group. */
  readonly depthwise: boolean;
  readonly dilated: boolean;
  /** k×1 or 1×k (in 3-D also k×1×1 and 1×k×k): half of a spatially separable pair. */
  readonly separableHalf: boolean;
  /** Along time (the only axis, or the first of three) an output sees no later input. */
  readonly causal: boolean;
}

/** The kind of a convolution, whichever op it is; undefined for any other node. */
export function classifyConv(node: Node): ConvClass | undefined {
  if (!isOp(node, 'Conv') && !isOp(node, 'ShuffledConv') && !isOp(node, 'ConvTranspose')) return undefined;
  const transposed = node.op === 'ConvTranspose';
  const weight = operand(node as Node, 1).type.shape;
  const { group } = node.attrs;
  const cin = transposed ? (weight[0] ?? 1) : (weight[1] ?? 1) * group;
  const cout = transposed ? (weight[1] ?? 1) * group : (weight[0] ?? 1);
  const axes = windowAxes(convWindow(node.attrs, weight));
  const wide = axes.filter((a) => a.kernel > 1);
  const pointwise = wide.length === 0;
  const depthwise = group > 1 && group === cin;
  const time = axes.length === 2 ? undefined : axes[0];
  const [before, after] = paddingBefore(node as Node);
  const facts = {
    axes,
    groups: group,
    multiplier: depthwise ? cout / cin : undefined,
    transposed,
    pointwise,
    depthwise,
    dilated: wide.some((a) => a.dilation > 1),
    separableHalf: !pointwise && wide.length < axes.length,
    causal:
      !transposed &&
      time !== undefined &&
      time.kernel > 1 &&
      time.padBegin + before === extent(time) - 1 &&
      time.padEnd + after === 0,
  };
  return { kind: kindOf(facts), ...facts };
}

/** The classes of all convolutions of a graph. */
export const convClasses = (graph: Graph): ReadonlyMap<Node, ConvClass> =>
  new Map(
    graph.nodes.flatMap((node): readonly (readonly [Node, ConvClass])[] => {
      const is = classifyConv(node);
      return is ? [[node, is]] : [];
    }),
  );

/** What a Pad node in front adds along the first spatial axis: exporters write causal padding so. */
function paddingBefore(node: Node): readonly [number, number] {
  const x = operand(node, 0);
  const pad = producer(x);
  if (!isOp(pad, 'Pad')) return [0, 0];
  return [pad.attrs.pads[2] ?? 0, pad.attrs.pads[x.type.shape.length + 2] ?? 0];
}

function kindOf(c: Omit<ConvClass, 'kind'>): ConvKind {
  if (c.transposed) return 'transposed';
  if (c.depthwise) return 'depthwise';
  if (c.pointwise) return c.groups > 1 ? 'pointwise-grouped' : 'pointwise';
  if (c.groups > 1) return 'grouped';
  if (c.separableHalf) return 'separable-half';
  if (c.causal) return 'causal';
  if (c.dilated) return 'dilated';
  return 'standard';
}

/** `3` for equal sizes, else `1×2`. */
const compact = (sizes: readonly number[]): string =>
  sizes.every((s) => s === sizes[0]) ? String(sizes[0] ?? 1) : sizes.join('×');

/** For people: `depthwise 3×3 /2`. */
export function convLabel(c: ConvClass): string {
  const kernel = c.axes.map((a) => a.kernel);
  const strides = c.axes.map((a) => a.stride);
  const words: string[] = [];
  if (c.transposed) words.push('transposed');
  if (c.causal) words.push('causal');
  if (c.dilated) words.push('dilated');
  if (c.depthwise) words.push('depthwise');
  else if (c.groups > 1) words.push('grouped');
  if (c.pointwise) words.push('pointwise');
  if (c.separableHalf && !c.depthwise && !c.transposed) words.push('separable');
  words.push(kernel.length === 1 ? `k${kernel[0]}` : kernel.join('×'));
  if (strides.some((s) => s > 1)) words.push(`/${compact(strides)}`);
  if (c.dilated) words.push(`d${compact(c.axes.map((a) => a.dilation))}`);
  if (c.groups > 1 && !c.depthwise) words.push(`g${c.groups}`);
  if ((c.multiplier ?? 1) !== 1) words.push(`×${c.multiplier}`);
  const plain = !(c.transposed || c.causal || c.dilated || c.groups > 1 || c.pointwise || c.separableHalf);
  return (plain ? ['standard', ...words] : words).join(' ');
}
