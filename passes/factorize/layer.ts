/** A convolution as the methods of factorisation see it, and what chains of convolutions in its place cost. */
import { isOp, type Node, operand, result, tensorOf, type Value } from '#ir/graph.ts';
import { convWindow } from '#ir/ops/conv.ts';
import { elementCount, product } from '#ir/types.ts';
import { outputSize, type WindowAxis, windowAxes } from '#ir/window.ts';
import { type No, no } from '../pattern.ts';

export interface ConvLayer {
  readonly node: Node;
  readonly x: Value;
  readonly y: Value;
  /** [cout, cin, …kernel] */
  readonly weight: Float32Array;
  readonly bias: Float32Array | undefined;
  readonly cout: number;
  readonly cin: number;
  readonly kernel: readonly number[];
  /** Elements of the kernel. */
  readonly taps: number;
  readonly axes: readonly WindowAxis[];
  readonly batch: number;
  /** Spatial sizes of the input. */
  readonly sizes: readonly number[];
}

/** The layer of a node, or why it has none; undefined for what is no convolution. */
export function convLayer(node: Node): ConvLayer | No | undefined {
  if (!isOp(node, 'Conv')) return undefined;
  const { attrs } = node;
  const [x, y] = [operand(node as Node, 0), result(node as Node)];
  const weight = tensorOf(operand(node as Node, 1));
  const biasValue = node.operands[2];
  const bias = biasValue && tensorOf(biasValue);
  if (attrs.group > 1) return no(`it has ${attrs.group} groups already`);
  if (!weight || (biasValue && !bias)) return no('its weights are not constant, or not there');
  if (!(weight.data instanceof Float32Array) || (bias && !(bias.data instanceof Float32Array)))
    return no('its weights are not f32');
  const [cout = 1, cin = 1, ...kernel] = weight.type.shape;
  const [batch = 1, , ...sizes] = x.type.shape;
  return {
    node: node as Node,
    x,
    y,
    weight: weight.data,
    bias: bias?.data as Float32Array | undefined,
    cout,
    cin,
    kernel,
    taps: product(kernel),
    axes: windowAxes(convWindow(attrs, weight.type.shape)),
    batch,
    sizes,
  };
}

/** One convolution of a chain. */
export interface FactorShape {
  /** What the new node is called after the one that it is part of. */
  readonly role: string;
  readonly cout: number;
  readonly cinPerGroup: number;
  readonly group: number;
  readonly axes: readonly WindowAxis[];
}

export interface FactorCost {
  readonly macs: number;
  readonly parameters: number;
  /** Elements of activations read and written. */
  readonly moved: number;
}

/** MACs, weights (a bias in the last) and activations of a chain in place of the layer. */
export function chainCost({ batch, sizes, cin }: ConvLayer, chain: readonly FactorShape[]): FactorCost {
  let [macs, parameters, moved] = [0, 0, 0];
  let at = sizes;
  let channels = cin;
  for (const { cout, cinPerGroup, axes } of chain) {
    const next = axes.map((axis, i) => outputSize(axis, at[i] ?? 1));
    const weights = cout * cinPerGroup * product(axes.map((a) => a.kernel));
    macs += batch * product(next) * weights;
    moved += batch * (elementCount(at) * channels + elementCount(next) * cout);
    parameters += weights;
    [at, channels] = [next, cout];
  }
  return { macs, parameters: parameters + channels, moved };
}

export const ownShape = ({ cout, cin, axes }: ConvLayer): FactorShape => ({
  role: '',
  cout,
  cinPerGroup: cin,
  group: 1,
  axes,
});

/** An axis along which nothing is looked at but the position itself. */
export const POINT_AXIS: WindowAxis = { kernel: 1, stride: 1, dilation: 1, padBegin: 0, padEnd: 0 };
export const pointAxes = ({ axes }: ConvLayer): readonly WindowAxis[] => axes.map(() => POINT_AXIS);
