/**
 * Before      y = QuantizeLinear(f(Conv(DequantizeLinear(x), DequantizeLinear(W), DequantizeLinear(b)))); f is Relu, Clip
 *             or nothing, b may be absent
 * After       y = QLinearConv(x, W, b)
 * Conditions  x, W and y are bytes with known parameters, one scale and zero point for x and for y, one or one per output
 *             channel for W; b counts in units of x's scale times W's; f cuts nothing that y's range does not; nobody
 *             reads what is between. Depthwise layers and 3×3 layers of stride 1 stay: floats, with minimal filtering,
 *             are as fast or faster there
 * Formula     y = saturate(round((Σ (x − zx)·(W − zw) + b)·(sx·sw / sy)) + zy)
 *
 * The sums are exact, where floats round at each step: y can differ by 1 where the quotient is as near to a half as
 * floats are inexact. onnxruntime does the same.
 */
import { Builder } from '#ir/builder.ts';
import {
  constantOf,
  type Graph,
  isOp,
  type Node,
  operand,
  ownInput,
  producer,
  result,
  tensorOf,
  type Value,
} from '#ir/graph.ts';
import { quantizedRange } from '#ir/ops/quantize.ts';
import { type Tensor, tensor } from '#ir/tensor.ts';
import { otherReader, supersede } from '../edit.ts';
import { definePass } from '../pass.ts';
import { applyRules, No, no, type Rule } from '../pattern.ts';
import { noEpilogues } from '../properties.ts';

type Dequantize = Node<'DequantizeLinear'>;

/** What the rule has found; the activation may be absent. */
interface Place {
  readonly quantize: Node<'QuantizeLinear'>;
  readonly activation: Node | undefined;
  readonly conv: Node<'Conv'>;
  readonly x: Dequantize;
  readonly w: Dequantize;
}

const dequantized = (value: Value | undefined): Dequantize | undefined => {
  const node = producer(value);
  return isOp(node, 'DequantizeLinear') ? node : undefined;
};

function placeAt(root: Node): Place | undefined {
  if (!isOp(root, 'QuantizeLinear')) return undefined;
  const before = producer(operand(root as Node, 0));
  const isActivation = isOp(before, 'Relu') || isOp(before, 'Clip');
  const activation = isActivation ? (before as Node) : undefined;
  const conv = activation ? producer(operand(activation, 0)) : before;
  if (!isOp(conv, 'Conv')) return undefined;
  const [x, w] = [0, 1].map((slot) => dequantized(operand(conv as Node, slot)));
  return x && w && constantOf(operand(w as Node, 0)) ? { quantize: root, activation, conv, x, w } : undefined;
}

/** The scales and zero points of a node that quantises or dequantises, where all are known; zero points may be absent. */
function parameters(
  node: Node,
): { readonly scales: ArrayLike<number>; readonly zero: Tensor | undefined } | No {
  const scales = tensorOf(operand(node, 1))?.data;
  const zeroValue = ownInput(node, 2);
  const zero = tensorOf(zeroValue);
  if (!(scales instanceof Float32Array) || (zeroValue && !zero))
    return no(`the scale or zero point of "${node.name}" is not known`);
  return { scales, zero };
}

const isByte = (value: Value): boolean => value.type.dtype === 'u8' || value.type.dtype === 'i8';

const floatsAreFaster = ({ conv }: Place): boolean => {
  const [cout, perGroup, ...kernel] = operand(conv as Node, 1).type.shape;
  const { group, strides, dilations } = conv.attrs;
  const depthwise = group > 1 && group === cout && perGroup === 1;
  const isSmall = kernel.length === 2 && kernel.every((k) => k === 3) && group === 1;
  return depthwise || (isSmall && [...strides, ...dilations].every((s) => s === 1));
};

/** Does saturation at the ends of y's type do what the activation does? */
function isCoveredBy(
  activation: Node,
  scale: number,
  zero: number,
  [low, high]: readonly [number, number],
): boolean {
  const [min, max] = isOp(activation, 'Clip')
    ? [activation.attrs.min, activation.attrs.max]
    : [0, Number.POSITIVE_INFINITY];
  return min / scale + zero <= low && max / scale + zero >= high;
}

interface Plan extends Place {
  readonly inputs: readonly (Value | Tensor)[];
  readonly bias: Value | undefined;
}

function plan(place: Place, graph: Graph): Plan | No {
  const { quantize, activation, conv, x, w } = place;
  const nodes: readonly Node[] = [x as Node, w as Node, quantize as Node];
  const [px, pw, py] = nodes.map(parameters);
  for (const p of [px, pw, py]) if (p instanceof No) return p;
  if (!px || !pw || !py || px instanceof No || pw instanceof No || py instanceof No) return no('unknown');
  const [xq, wq] = [operand(x as Node, 0), operand(w as Node, 0)];
  if (![xq, wq, result(quantize as Node)].every(isByte)) return no('a value is not quantised to bytes');
  if (px.scales.length !== 1 || py.scales.length !== 1) return no('the data has several scales');
  const cout = wq.type.shape[0] ?? 1;
  const perChannel = pw.scales.length === cout && w.attrs.axis === 0 && w.attrs.block === 0;
  if (pw.scales.length !== 1 && !perChannel)
    return no('the scales of the weight are not one per output channel');
  if (floatsAreFaster(place)) return no(`"${conv.name}" is as fast in floats`);
  const [sx = 1] = [px.scales[0]];
  const bias = biasOf(conv, (c) => Math.fround(sx * (pw.scales[pw.scales.length === 1 ? 0 : c] ?? 1)));
  if (bias instanceof No) return bias;
  const range = quantizedRange(quantize.attrs.to);
  const zero = Number(py.zero?.data[0] ?? 0);
  if (activation && !isCoveredBy(activation, py.scales[0] ?? 1, zero, range))
    return no(`"${activation.name}" cuts values that ${quantize.attrs.to} has room for`);
  for (const [value, reader] of [
    [result(conv as Node), activation ?? (quantize as Node)],
    ...(activation ? [[result(activation), quantize as Node] as const] : []),
  ] as const) {
    const other = otherReader(graph, value, reader);
    if (other) return no(other);
  }
  const zeroOf = (node: Node, known: Tensor | undefined, of: Value): Value | Tensor =>
    ownInput(node, 2) ?? tensor(of.type.dtype, [], [Number(known?.data[0] ?? 0)]);
  return {
    ...place,
    bias,
    inputs: [
      xq,
      operand(x as Node, 1),
      zeroOf(x as Node, px.zero, xq),
      wq,
      operand(w as Node, 1),
      zeroOf(w as Node, pw.zero, wq),
      operand(quantize as Node, 1),
      zeroOf(quantize as Node, py.zero, result(quantize as Node)),
    ],
  };
}

/** The integers of a bias in these units per output channel; undefined where there is none. */
function biasOf(conv: Node<'Conv'>, unit: (channel: number) => number): Value | undefined | No {
  const value = ownInput(conv as Node, 2);
  if (!value) return undefined;
  const node = dequantized(value);
  const integers = node && operand(node as Node, 0);
  if (!node || integers?.type.dtype !== 'i32' || !tensorOf(integers))
    return no(`the bias of "${conv.name}" is not quantised`);
  const p = parameters(node as Node);
  if (p instanceof No) return p;
  const matches = Array.from({ length: value.type.shape[0] ?? 1 }, (_, c) => {
    const scale = p.scales[p.scales.length === 1 ? 0 : c];
    return scale === unit(c);
  });
  const hasZero = [...(p.zero?.data ?? [])].some((z) => Number(z) !== 0);
  return matches.every(Boolean) && !hasZero
    ? integers
    : no(`the bias of "${conv.name}" does not count in units of x and weight`);
}

const rule: Rule = {
  name: 'recogniseQuantisedConv',
  tryAt(root, graph) {
    const place = placeAt(root);
    const found = place && plan(place, graph);
    if (!found) return false;
    if (found instanceof No) return found;
    const b = new Builder(graph, found.conv as Node);
    const inputs = found.inputs.map((v) => ('source' in v ? v : b.constant('zero', v)));
    const y = b.op('QLinearConv', [...inputs, found.bias], found.conv.attrs);
    supersede(graph, result(root), y);
    return true;
  },
};

export const recogniseQuantisedConv = definePass({
  name: 'recogniseQuantisedConv',
  summary: 'Makes one layer of a convolution between dequantisation and quantisation',
  requires: [noEpilogues],
  ensures: [noEpilogues],
  run: (graph, context) => applyRules(graph, [rule], context),
});
