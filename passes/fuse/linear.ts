/**
 * Layers that are linear in their data, with constant weights: Conv, ConvTranspose, Gemm and MatMul under one view, so
 * that what is said once about scaling and shifting their channels holds for all.
 */
import {
  constantOf,
  type Graph,
  isOp,
  type Node,
  type OpAttrs,
  operand,
  result,
  type Value,
} from '#ir/graph.ts';
import type { Constant, TensorData } from '#ir/tensor.ts';
import { elementCount, product, type Shape } from '#ir/types.ts';
import { derive, removeDead, reweigh, supersede } from '../edit.ts';
import { type No, no } from '../pattern.ts';

export const LINEAR_OPS = ['Conv', 'ConvTranspose', 'Gemm', 'MatMul'] as const;
export type LinearNode = Node<(typeof LINEAR_OPS)[number]>;

export interface LinearLayer {
  readonly node: LinearNode;
  readonly weight: Constant;
  /** One element per output channel, or one for all. */
  readonly bias: Constant | undefined;
  /** What the bias is multiplied with. */
  readonly biasFactor: number;
  readonly outputs: number;
  readonly inputs: number;
  /** The axis of the channels in the input and in the result. */
  readonly inputAxis: number;
  readonly outputAxis: number;
  /** Do all output positions see every tap of the kernel, so that a constant input gives a constant output? */
  readonly uniform: boolean;
  /** Is there a place for a bias? */
  readonly takesBias: boolean;
  /** Channels of element `index` of the weight. */
  outputOf(index: number): number;
  inputOf(index: number): number;
}

/** The layer view of a node, or why there is none. */
export function linearLayer(node: LinearNode): LinearLayer | No {
  const weight = constantOf(node.operands[1]);
  if (weight?.type.dtype !== 'f32') return no(`the weights of "${node.name}" are not constant`);
  const bias = node.operands[2];
  if (bias && !constantOf(bias)) return no(`the bias of "${node.name}" is not constant`);
  const common = { node, weight, bias: constantOf(bias), biasFactor: 1, inputAxis: 1, outputAxis: 1 };
  const { shape } = weight.type;
  if (isOp(node as Node, 'Conv')) {
    const { group, pads } = node.attrs as OpAttrs<'Conv'>;
    const [outputs = 1, perGroup = 1] = shape;
    const filter = product(shape.slice(1));
    const taps = product(shape.slice(2));
    const outputOf = (index: number) => Math.floor(index / filter);
    return {
      ...common,
      outputs,
      inputs: perGroup * group,
      uniform: pads.every((p) => p === 0),
      takesBias: true,
      outputOf,
      inputOf: (index) =>
        Math.floor(outputOf(index) / (outputs / group)) * perGroup + (Math.floor(index / taps) % perGroup),
    };
  }
  if (isOp(node as Node, 'ConvTranspose')) {
    const { group } = node.attrs as OpAttrs<'ConvTranspose'>;
    const [inputs = 1, perGroup = 1] = shape;
    const filter = product(shape.slice(1));
    const taps = product(shape.slice(2));
    const inputOf = (index: number) => Math.floor(index / filter);
    return {
      ...common,
      inputs,
      outputs: perGroup * group,
      uniform: false,
      takesBias: true,
      inputOf,
      outputOf: (index) =>
        Math.floor(inputOf(index) / (inputs / group)) * perGroup + (Math.floor(index / taps) % perGroup),
    };
  }
  return productLayer(node, common);
}

function productLayer(
  node: LinearNode,
  common: Pick<LinearLayer, 'node' | 'weight' | 'bias' | 'biasFactor' | 'inputAxis' | 'outputAxis'>,
): LinearLayer | No {
  const gemm = isOp(node as Node, 'Gemm') ? (node.attrs as OpAttrs<'Gemm'>) : undefined;
  const { shape } = common.weight.type;
  const x = operand(node as Node, 0).type.shape;
  if (shape.length !== 2 || x.length < 2) return no(`the weights of "${node.name}" are not one matrix`);
  if (gemm?.transA) return no(`the data of "${node.name}" is transposed`);
  const columns = shape[1] ?? 1;
  const [inputs = 1, outputs = 1] = gemm?.transB ? [shape[1], shape[0]] : shape;
  const axis = x.length - 1;
  if (common.bias && !perColumn(common.bias.type.shape, outputs)) {
    return no(`the bias of "${node.name}" differs between rows`);
  }
  const row = (index: number) => Math.floor(index / columns);
  const column = (index: number) => index % columns;
  return {
    ...common,
    biasFactor: gemm?.beta ?? 1,
    inputs,
    outputs,
    inputAxis: axis,
    outputAxis: axis,
    uniform: true,
    takesBias: x.length === 2,
    outputOf: gemm?.transB ? row : column,
    inputOf: gemm?.transB ? column : row,
  };
}

const perColumn = (shape: Shape, columns: number): boolean => {
  const count = elementCount(shape);
  return count === 1 || (count === columns && shape.at(-1) === columns);
};

/** One number per channel, computed from constants: their values may be missing, the rule holds all the same. */
export interface PerChannel {
  readonly from: readonly Constant[];
  at(data: readonly TensorData[]): (channel: number) => number;
}

const element = (data: TensorData | undefined, channel: number): number =>
  Number(data?.[data.length === 1 ? 0 : channel] ?? 0);

/**
 * A constant as one number per channel of `axis`, where it broadcasts against `shape` along no other axis and does not
 * enlarge it. `map` is applied to each number.
 */
export function perChannel(
  value: Value | undefined,
  shape: Shape,
  axis: number,
  map: (x: number) => number = (x) => x,
): PerChannel | undefined {
  const constant = constantOf(value);
  if (constant?.type.dtype !== 'f32') return undefined;
  const own = constant.type.shape;
  const lead = shape.length - own.length;
  if (lead < 0) return undefined;
  const fits = own.every((size, i) => size === 1 || (i + lead === axis && size === shape[axis]));
  return fits
    ? {
        from: [constant],
        at:
          ([data]) =>
          (channel) =>
            map(element(data, channel)),
      }
    : undefined;
}

/** Scale and shift of a batch normalisation: s = scale / √(variance + ε), t = bias − mean·s; or why not. */
export function batchNormAffine(
  bn: Node<'BatchNormalization'>,
): { scale: PerChannel; shift: PerChannel; zeroShift: boolean } | No {
  const constants = [1, 2, 3, 4].map((slot) => constantOf(bn.operands[slot]));
  const [gamma, beta, mean, variance] = constants;
  if (!gamma || !beta || !mean || !variance) return no(`the parameters of "${bn.name}" are not constant`);
  const { epsilon } = bn.attrs;
  const slope = (g: TensorData | undefined, v: TensorData | undefined, c: number) =>
    element(g, c) / Math.sqrt(element(v, c) + epsilon);
  const scale: PerChannel = {
    from: [gamma, variance],
    at:
      ([g, v]) =>
      (c) =>
        slope(g, v, c),
  };
  const shift: PerChannel = {
    from: [gamma, variance, beta, mean],
    at:
      ([g, v, b, m]) =>
      (c) =>
        element(b, c) - element(m, c) * slope(g, v, c),
  };
  return { scale, shift, zeroShift: isZero(shift, gamma.type.shape[0] ?? 1) };
}

/** Are all of the numbers known, and 0? */
export function isZero(numbers: PerChannel, channels: number): boolean {
  const data = numbers.from.flatMap((c) => (c.data ? [c.data] : []));
  if (data.length < numbers.from.length) return false;
  const at = numbers.at(data);
  for (let c = 0; c < channels; c++) if (at(c) !== 0) return false;
  return true;
}

export interface Affine {
  readonly scale?: PerChannel | undefined;
  readonly shift?: PerChannel | undefined;
}

/** Each number once, as there are many elements of a weight for one of its channels. */
const table = (at: (channel: number) => number, channels: number): Float64Array =>
  Float64Array.from({ length: channels }, (_, channel) => at(channel));
const one = () => 1;
const zero = () => 0;
/** The first `count` of a list, and the others. */
const cut = <T>(list: readonly T[], count: number): [T[], T[]] => [list.slice(0, count), list.slice(count)];

/**
 * Makes `layer` compute s·y + t for its result y, in place of `old`:
 * W′[o, …] = W[o, …]·s[o], b′[o] = b[o]·s[o] + t[o], in double, rounded once.
 */
export function applyAfter(graph: Graph, layer: LinearLayer, { scale, shift }: Affine, old: Value): void {
  const { weight, bias, outputs } = layer;
  const s = scale?.from ?? [];
  const t = shift?.from ?? [];
  const newWeight = scale
    ? derive(weight.type.shape, [weight, ...s], (w, ...data) => {
        const factor = table(scale.at(data), outputs);
        return (i) => Number(w?.[i]) * (factor[layer.outputOf(i)] ?? 1);
      })
    : weight;
  const newBias =
    bias || shift
      ? derive([outputs], [...(bias ? [bias] : []), ...s, ...t], (...data) => {
          const [b, rest] = cut(data, bias ? 1 : 0);
          const [sData, tData] = cut(rest, s.length);
          const factor = scale?.at(sData) ?? one;
          const offset = shift?.at(tData) ?? zero;
          return (o) => (bias ? element(b[0], o) * layer.biasFactor * factor(o) : 0) + offset(o);
        })
      : undefined;
  rebuildLayer(graph, layer, operand(layer.node as Node, 0), newWeight, newBias, old);
}

/**
 * Makes `layer` read `x` where it read s·x + t:
 * W′[o, i, …] = W[o, i, …]·s[i], b′[o] = b[o] + Σ W[o, i, …]·t[i].
 */
export function applyBefore(graph: Graph, layer: LinearLayer, x: Value, { scale, shift }: Affine): void {
  const { weight, bias, outputs } = layer;
  const s = scale?.from ?? [];
  const newWeight = scale
    ? derive(weight.type.shape, [weight, ...s], (w, ...data) => {
        const factor = table(scale.at(data), layer.inputs);
        return (i) => Number(w?.[i]) * (factor[layer.inputOf(i)] ?? 1);
      })
    : weight;
  const newBias = shift
    ? derive([outputs], [weight, ...(bias ? [bias] : []), ...shift.from], (w, ...data) => {
        const [b, tData] = cut(data, bias ? 1 : 0);
        const offset = table(shift.at(tData), layer.inputs);
        const alpha = isOp(layer.node as Node, 'Gemm') ? (layer.node.attrs as OpAttrs<'Gemm'>).alpha : 1;
        const sums = new Float64Array(outputs);
        for (let i = 0; i < (w?.length ?? 0); i++) {
          const o = layer.outputOf(i);
          sums[o] = (sums[o] ?? 0) + alpha * Number(w?.[i]) * (offset[layer.inputOf(i)] ?? 0);
        }
        return (o) => (bias ? element(b[0], o) * layer.biasFactor : 0) + (sums[o] ?? 0);
      })
    : bias;
  rebuildLayer(graph, layer, x, newWeight, newBias, result(layer.node as Node));
}

function rebuildLayer(
  graph: Graph,
  layer: LinearLayer,
  x: Value,
  weight: Constant,
  bias: Constant | undefined,
  old: Value,
): void {
  const node = layer.node as Node;
  const [, w] = node.operands;
  if (isOp(node, 'MatMul') && bias) {
    const named = (constant: Constant, name: string) => graph.addConstant(name, constant);
    const kept = w && constantOf(w) === weight ? w : named(weight, w?.name ?? `${node.name}_weight`);
    const gemm = graph.addNode('Gemm', [x, kept, named(bias, `${node.name}_bias`)], {}, { name: node.name });
    supersede(graph, old, result(gemm as Node));
    removeDead(graph, node);
    return;
  }
  // a new bias has the old factor in it
  const attrs = isOp(node, 'Gemm') && bias !== layer.bias ? { beta: 1 } : {};
  reweigh(graph, node, { x, weight, bias, attrs, standsFor: old });
}
