/** Products of bytes whose weights are known: bytes less their zero points become 16-bit integers, sums are exact. */
import { knownProductOf, productChannels } from '#compiler/schedule/contract.ts';
import { blockLoop, type Loop, loopsOver, mergeLoops } from '#compiler/schedule/loops.ts';
import { axesByStride, broadcastViewStrides, sliceView, type View } from '#compiler/schedule/view.ts';
import { InternalError } from '#ir/diagnostics.ts';
import { isOp, type Node, operand, ownInput, tensorOf, type Value } from '#ir/graph.ts';
import { type ConvAttrs, convWindow } from '#ir/ops/conv.ts';
import { type KnownProduct, PLAIN, QUANTISED, type Slots } from '#ir/ops/integer-product.ts';
import { f32 } from '#ir/tensor.ts';
import { bytesOf, elementCount, product } from '#ir/types.ts';
import { windowAxes } from '#ir/window.ts';
import type { Epilogue, LowerContext } from '../context.ts';
import type { DotParams } from '../kernels/dot.ts';
import { channelBytes } from '../kernels/family.ts';
import { isLaneType } from '../kernels/lanes.ts';
import type { MapParams } from '../kernels/map.ts';
import { type ByteMatrix, filterMatrix, packBias, packDepthwise, packDot } from '../pack.ts';
import { pixelLoops } from './pixel-product.ts';
import { depthwiseOf } from './window.ts';

type Bytes = Uint8Array | Int8Array;

/** Weights and their zero points where both are known, and there is one zero point or one per output channel. */
function knownWeights(node: Node, { b, bZero }: Slots, channels: number) {
  const weights = tensorOf(operand(node, b))?.data;
  const zero = ownInput(node, bZero);
  const zeros = zero ? tensorOf(zero)?.data : Int8Array.of(0);
  const isKnown = isBytes(weights) && isBytes(zeros) && (zeros.length === 1 || zeros.length === channels);
  return isKnown ? { weights, zeros } : undefined;
}

const isBytes = (data: unknown): data is Bytes => data instanceof Uint8Array || data instanceof Int8Array;

/** Whether a quantised product can be computed as it stands. */
export function isKnownProduct(node: Node): boolean {
  return knownProductOf(node) !== undefined;
}

export function lowerQLinearConv(node: Node, context: LowerContext): void {
  if (!isOp(node, 'QLinearConv')) return;
  const quantised = knownProductOf(node);
  if (quantised && lowerQuantisedDepthwise(node, context, node.attrs, quantised)) return;
  if (!lowerKnownConv(node, context, node.attrs, QUANTISED, quantised))
    throw new InternalError(`the weights of ${node.name} are not known`);
}

export function lowerQLinearMatMul(node: Node, context: LowerContext): void {
  if (!lowerKnownMatMul(node, context, QUANTISED, knownProductOf(node)))
    throw new InternalError(`the weights of ${node.name} are not known`);
}

/** ConvInteger, where it is of this form. */
export const lowerKnownConvInteger = (node: Node, context: LowerContext): boolean =>
  isOp(node, 'ConvInteger') && lowerKnownConv(node, context, node.attrs, PLAIN, undefined);

/** MatMulInteger, where it is of this form. */
export const lowerKnownMatMulInteger = (node: Node, context: LowerContext): boolean =>
  lowerKnownMatMul(node, context, PLAIN, undefined);

function lowerKnownConv(
  node: Node,
  context: LowerContext,
  attrs: ConvAttrs,
  slots: Slots,
  quantised: KnownProduct | undefined,
): boolean {
  const { shape } = operand(node, slots.b).type;
  const [cout = 1, perGroup = 1, ...kernel] = shape;
  const known = knownWeights(node, slots, cout);
  if (!known) return false;
  const axes = windowAxes(convWindow(attrs, shape));
  const channels = cout / attrs.group;
  const taps = product(kernel);
  const input = widened(context, operand(node, slots.a), ownInput(node, slots.aZero), {
    begins: axes.map((a) => a.padBegin),
    ends: axes.map((a) => a.padEnd),
  });
  const output = context.output(node);
  const finish = finishing(context, quantised, attrs.group, channels);
  const { start, outer, pixels, ...inner } = pixelLoops({
    input,
    output,
    origin: axes.map(() => 0),
    strides: axes.map((a) => a.stride),
    tapLoops: axes.map((a, i) => ({ count: a.kernel, steps: [a.dilation * (input.strides[i + 2] ?? 0)] })),
    perGroup,
    epilogue: finish.epilogue(output),
  });
  dotProduct(context, {
    input: start,
    output,
    outer,
    pixels,
    taps: inner.taps,
    groupSteps: [perGroup * 2, channels * (output.strides[1] ?? 0)],
    finish,
    matrix: {
      source: known.weights,
      zeros: known.zeros,
      run: inner.run,
      ...filterMatrix(attrs.group, channels, perGroup, taps),
    },
  });
  return true;
}

function lowerKnownMatMul(
  node: Node,
  context: LowerContext,
  slots: Slots,
  quantised: KnownProduct | undefined,
): boolean {
  const columns = productChannels(node, slots);
  const known = columns === undefined ? undefined : knownWeights(node, slots, columns);
  if (columns === undefined || !known) return false;
  const input = widened(context, operand(node, slots.a), ownInput(node, slots.aZero), {});
  const output = context.output(node);
  const depth = input.shape[input.shape.length - 1] ?? 1;
  const finish = finishing(context, quantised, 1, columns);
  const rows = product(input.shape.slice(0, -1));
  dotProduct(context, {
    input,
    output,
    outer: [],
    pixels: {
      count: rows,
      steps: [depth * 2, columns * bytesOf(output.dtype), ...finish.views.map(() => 0)],
    },
    taps: [],
    groupSteps: [0, 0],
    finish,
    matrix: {
      source: known.weights,
      zeros: known.zeros,
      groups: 1,
      groupStride: 0,
      rows: Int32Array.from({ length: depth }, (_, k) => k * columns),
      columns,
      columnStride: 1,
      run: depth,
    },
  });
  return true;
}

/** Integers below it are floats. */
const EXACT_FLOATS = 2 ** 24;

/**
 * A depthwise convolution has few products per sum. Where no sum can exceed what floats hold exactly, the kernels of floats,
 * which have a channel per lane, give the same.
 */
function lowerQuantisedDepthwise(
  node: Node,
  context: LowerContext,
  attrs: ConvAttrs,
  { factors, zero, bias }: KnownProduct,
): boolean {
  const { a, aZero, b } = QUANTISED;
  const [channels = 1, perGroup = 1, ...kernel] = operand(node, b).type.shape;
  const known = knownWeights(node, QUANTISED, channels);
  if (!known || attrs.group !== channels || perGroup !== 1) return false;
  const taps = product(kernel);
  const weights = Float32Array.from(known.weights, (w, i) => {
    const own = known.zeros.length === 1 ? 0 : Math.floor(i / taps);
    return w - (known.zeros[own] ?? 0);
  });
  for (let c = 0; c < channels; c++) {
    const sum = weights.subarray(c * taps, (c + 1) * taps).reduce((n, w) => n + 255 * Math.abs(w), 0);
    if (sum + Math.abs(bias?.[c] ?? 0) >= EXACT_FLOATS) return false;
  }
  const bytes = context.view(operand(node, a), 'channelsLast');
  const zeroPoint = ownInput(node, aZero);
  const shift = zeroPoint ? [context.view(zeroPoint, 'rowMajor')] : [];
  const source = context.scratch(bytes.shape, 'f32', 'channelsLast');
  flatMap(context, shift.length > 0 ? 'sub(x0, x1)' : 'x0', [bytes, ...shift], source);
  const output = context.output(node);
  const out = context.scratch(output.shape, 'f32', 'channelsLast');
  const finish = finishing(context, { factors, zero, bias: undefined }, 1, channels);
  depthwiseOf(context, {
    source,
    axes: windowAxes(convWindow(attrs, operand(node, b).type.shape)),
    weights: [
      context.packed(packDepthwise(weights, channels, taps)),
      ...(bias ? [context.packed(packBias(Float32Array.from(bias), 1, channels))] : []),
    ],
    outShape: out.shape,
    result: () => ({
      out,
      epilogue: { ...finish.epilogue(out), kernel: { expr: REQUANTISED, operands: finish.operands } },
    }),
  });
  flatMap(context, 'x0', [out], output);
  return true;
}

/** One expression of all elements of the first view, in the order in which they lie, and of single numbers. */
function flatMap(context: LowerContext, expr: string, inputs: readonly View[], out: View): void {
  const params: MapParams = {
    outer: [],
    count: elementCount(out.shape),
    inputs: inputs.map((_, k) => (k === 0 ? 'vector' : 'splat')),
    types: [...inputs, out].map(({ dtype }) => (isLaneType(dtype) ? dtype : 'f32')),
    expr,
  };
  context.call({ family: 'map', params }, [...inputs, out]);
}

interface Dot extends Pick<DotParams, 'outer' | 'pixels' | 'taps'> {
  readonly input: View;
  readonly output: View;
  /** Bytes from one group to the next, of input and output. */
  readonly groupSteps: readonly number[];
  readonly finish: Finish;
  readonly matrix: ByteMatrix;
}

function dotProduct(context: LowerContext, { input, output, finish, matrix, groupSteps, ...p }: Dot): void {
  const { groups, columns, run } = matrix;
  const tile = context.packedTile(p.pixels.count, columns);
  const weights = packDot(matrix, tile[1]);
  const { dtype } = output;
  const result = dtype === 'u8' || dtype === 'i8' ? dtype : 'i32';
  const params: DotParams = {
    ...p,
    groups: { count: groups, steps: [...groupSteps, weights.groupBytes, ...finish.groupSteps] },
    run: Math.ceil(run / 2),
    channels: columns,
    weights: { kind: 'packed' },
    bias: finish.bias.length > 0,
    tile,
    epilogue: finish.views.length > 0 ? { expr: REQUANTISED, operands: finish.operands } : null,
    result,
  };
  context.call({ family: 'dot', params }, [
    input,
    context.packed(weights),
    ...finish.bias,
    output,
    ...finish.views,
  ]);
}

/** A sum, what it is multiplied with, the zero point of the result. */
const REQUANTISED = 'add(round(mul(x0, x1)), x2)';

/** What becomes of the sums. */
interface Finish {
  readonly bias: readonly View[];
  /** Factors and zero point; nothing where the sums are the result. */
  readonly views: readonly View[];
  readonly operands: readonly ('vector' | 'splat')[];
  /** Bytes from one group to the next, of the bias and then of each view. */
  readonly groupSteps: readonly number[];
  /** As the loops over pixels take it: each pixel has the same. */
  epilogue(output: View): Epilogue;
}

function finishing(
  context: LowerContext,
  quantised: KnownProduct | undefined,
  groups: number,
  channels: number,
): Finish {
  const perChannel = (data: Float32Array | Int32Array): View =>
    context.packed(packBias(data, groups, channels));
  const bias = quantised?.bias ? [perChannel(quantised.bias)] : [];
  const single = quantised?.factors.length === 1;
  const views = quantised
    ? [
        single ? context.constant(f32([1], [...quantised.factors])) : perChannel(quantised.factors),
        context.constant(f32([1], [quantised.zero])),
      ]
    : [];
  const bytes = channelBytes(channels);
  return {
    bias,
    views,
    operands: [single ? 'splat' : 'vector', 'splat'],
    groupSteps: [bias.length > 0 ? bytes : 0, ...(quantised ? [single ? 0 : bytes, 0] : [])],
    epilogue: ({ shape }) => ({ kernel: null, views, strides: views.map(() => shape.map(() => 0)) }),
  };
}

interface Border {
  /** Positions before and behind each spatial axis. */
  readonly begins?: readonly number[];
  readonly ends?: readonly number[];
}

/** Bytes less their zero point as i16, in the order of their layout, within a border of zeros. */
function widened(
  context: LowerContext,
  value: Value,
  zeroPoint: Value | undefined,
  { begins = [], ends = [] }: Border,
): View {
  const source = context.anyView(value);
  const from = source.dtype === 'i8' ? 'i8' : 'u8';
  const starts = source.shape.map((_, axis) => begins[axis - 2] ?? 0);
  const shape = source.shape.map((size, axis) => (starts[axis] ?? 0) + size + (ends[axis - 2] ?? 0));
  const target = context.scratch(shape, 'i16', begins.length > 0 ? 'channelsLast' : 'rowMajor');
  context.border(target, starts, source.shape, 0);
  const inside = sliceView(target, starts, source.shape);
  const zero = zeroPoint && context.view(zeroPoint, 'rowMajor');
  const zeroStrides =
    zero && elementCount(zero.shape) > 1
      ? broadcastViewStrides(zero, source.shape)
      : source.shape.map(() => 0);
  const strides = [source.strides, inside.strides, ...(zero ? [zeroStrides] : [])];
  const loops = mergeLoops(loopsOver(source.shape, strides, axesByStride(inside)));
  const line = lineOf(loops);
  const around = loops.filter((loop) => loop !== line);
  const pieces = around.length === 0 ? PIECES.find((n) => line.count % (n * 16) === 0) : undefined;
  const { outer, inner } = pieces ? blockLoop(line, line.count / pieces) : { outer: undefined, inner: line };
  const [inStep = 0, outStep = 0] = inner.steps;
  context.call(
    {
      family: 'widen',
      params: {
        from,
        outer: outer ? [outer] : around,
        count: inner.count,
        steps: [inStep, outStep],
        zero: zero !== undefined,
      },
    },
    [source, ...(zero ? [zero] : []), inside],
  );
  return target;
}

/** The loop along which elements are read together: they lie side by side, if there is such a loop. */
function lineOf(loops: readonly Loop[]): Loop {
  const lines = loops.filter(({ steps: [, , zero = 0] }) => zero === 0);
  const [longest = ONE] = [...lines].sort((a, b) => b.count - a.count);
  return (
    lines.find(({ steps }) => steps[0] === 1 && steps[1] === 2) ??
    lines.find(({ steps }) => steps[0] === 1) ??
    longest
  );
}

const ONE: Loop = { count: 1, steps: [1, 2] };

/** Into how many parts one long line is divided, for threads to share. */
const PIECES = [16, 12, 8, 4, 2];
