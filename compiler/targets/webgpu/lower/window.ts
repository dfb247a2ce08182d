/** Convolutions and pooling as calls of the conv and window families. */
import type { View } from '#compiler/schedule/view.ts';
import { permuteView, splitAxis } from '#compiler/schedule/view.ts';
import { isOp, type Node, operand, ownInput, tensorOf } from '#ir/graph.ts';
import { convWindow } from '#ir/ops/conv.ts';
import { product } from '#ir/types.ts';
import { type WindowAxis, windowAxes } from '#ir/window.ts';
import { type Epilogue, isAligned, type LowerContext, packedWords, toWords } from '../context.ts';
import type { ConvAxis } from '../kernels/conv.ts';
import type { WindowParams } from '../kernels/window.ts';
import { winogradCall } from './winograd.ts';

export function lowerConv(node: Node, context: LowerContext): void {
  if (!isOp(node, 'Conv') && !isOp(node, 'ShuffledConv')) return;
  const { attrs } = node;
  const weight = operand(node, 1);
  const axes = windowAxes(convWindow(attrs, weight.type.shape));
  const cin = operand(node, 0).type.shape[1] ?? 1;
  const cout = weight.type.shape[0] ?? 1;
  if (attrs.group === cin && cout === cin && cin > 1) {
    const taps = product(axes.map((a) => a.kernel));
    const weights = depthwiseWeights(node, context, cout, taps);
    lowerWindow(node, context, axes, { combine: 'multiplyAdd', divisor: 'none' }, weights);
    return;
  }
  lowerProduct(node, context, axes, {
    transposed: false,
    groups: attrs.group,
    channels: cout / attrs.group,
    weightAt: (g, tap, c, o, taps, perGroup, channels) => ((g * channels + o) * perGroup + c) * taps + tap,
    split: (view, groups, channels) => {
      const split = splitAxis(view, 0, [groups, channels]);
      return permuteView(split, [0, ...spatialOf(split, 3), 2, 1]);
    },
  });
}

export function lowerConvTranspose(node: Node, context: LowerContext): void {
  if (!isOp(node, 'ConvTranspose')) return;
  const { attrs } = node;
  const weight = operand(node, 1);
  const axes = windowAxes(convWindow(attrs, weight.type.shape));
  lowerProduct(node, context, axes, {
    transposed: true,
    groups: attrs.group,
    channels: weight.type.shape[1] ?? 1,
    weightAt: (g, tap, c, o, taps, perGroup, channels) => ((g * perGroup + c) * channels + o) * taps + tap,
    split: (view, groups, _channels, perGroup) => {
      const split = splitAxis(view, 0, [groups, perGroup]);
      return permuteView(split, [0, ...spatialOf(split, 3), 1, 2]);
    },
  });
}

const spatialOf = (view: View, from: number): number[] => view.shape.map((_, axis) => axis).slice(from);

interface ProductKind {
  readonly transposed: boolean;
  readonly groups: number;
  /** Output channels of a group. */
  readonly channels: number;
  /** Where the element of a group, tap, input and output channel stands. */
  weightAt(
    group: number,
    tap: number,
    input: number,
    output: number,
    taps: number,
    perGroup: number,
    channels: number,
  ): number;
  /** A view of computed weights as [groups, taps…, input channels, output channels]. */
  split(view: View, groups: number, channels: number, perGroup: number): View;
}

function lowerProduct(
  node: Node,
  context: LowerContext,
  axes: readonly WindowAxis[],
  kind: ProductKind,
): void {
  const { groups, channels, transposed } = kind;
  const x = operand(node, 0);
  const input = context.anyView(x);
  const perGroup = (x.type.shape[1] ?? 1) / groups;
  const bias = biasOf(node, context, groups, channels);
  const out = context.output(node);
  const epilogue = context.epilogue(node, out);
  const convAxes = mergedAxes(
    axes.map((a, i) => axisOf(a, i, input, out)),
    epilogue,
    transposed,
  );
  const step = toWords(out.strides[1] ?? 0);
  // a shuffle puts the channels of a group as far apart as there are groups
  const shuffled = isOp(node, 'ShuffledConv');
  const channelStep = shuffled ? step * groups : step;
  const steps = [out.strides[0] ?? 0, ...out.strides.slice(2)].map(toWords);
  const params = {
    batch: batchOf(input, out),
    axes: convAxes.axes,
    groups,
    perGroup,
    channels,
    inputChannelStep: toWords(input.strides[1] ?? 0),
    outputChannelStep: channelStep,
    outputGroupStep: shuffled ? step : step * channels,
    bias: bias !== undefined,
    vectors:
      channels % 4 === 0 &&
      channelStep === 1 &&
      isAligned(out) &&
      steps.every((s) => s % 4 === 0) &&
      vectorInput(input, perGroup) &&
      vectorOperands(epilogue),
    epilogue: convAxes.epilogue,
  };
  const weight = tensorOf(operand(node, 1))?.data;
  const views = (weights: View) => [input, weights, ...(bias ? [bias] : []), out, ...epilogue.views];
  const minimal = transposed || !weight ? undefined : winogradCall(params, weight, () => context.minimal());
  if (minimal) {
    context.call(minimal.kernel, views(context.packed(minimal.weights)));
    return;
  }
  const taps = product(axes.map((a) => a.kernel));
  const row = transposed ? 1 : (convAxes.axes.at(-1)?.output ?? 1);
  const tile = context.tile(row, product(out.shape) / 4);
  context.call(
    { family: 'conv', params: { ...params, transposed, tile } },
    views(productWeights(node, context, kind, taps, perGroup)),
  );
}

export const axisOf = (a: WindowAxis, i: number, input: View, out: View): ConvAxis => ({
  input: input.shape[i + 2] ?? 1,
  output: out.shape[i + 2] ?? 1,
  kernel: a.kernel,
  stride: a.stride,
  dilation: a.dilation,
  pad: a.padBegin,
  inputStep: toWords(input.strides[i + 2] ?? 0),
  outputStep: toWords(out.strides[i + 2] ?? 0),
});

/** Axes without taps become one where every pointer crosses them without a gap: rows of pixels are then long. */
function mergedAxes(
  axes: readonly ConvAxis[],
  { kernel }: Epilogue,
  transposed: boolean,
): { readonly axes: readonly ConvAxis[]; readonly epilogue: Epilogue['kernel'] } {
  const plain = (a: ConvAxis) => a.kernel === 1 && a.stride === 1 && a.pad === 0 && a.input === a.output;
  const first = axes[0];
  const last = axes.at(-1);
  const dense = axes.every((a, k) => {
    const inner = axes[k + 1];
    if (!inner) return true;
    const joins = (outer: number, step: number) => outer === step * inner.output;
    return (
      joins(a.inputStep, inner.inputStep) &&
      joins(a.outputStep, inner.outputStep) &&
      (kernel?.strides ?? []).every((s) => joins(s[k + 2] ?? 0, s[k + 3] ?? 0))
    );
  });
  if (!first || !last || axes.length === 1 || transposed || !axes.every(plain) || !dense)
    return { axes, epilogue: kernel };
  const count = product(axes.map((a) => a.output));
  const merged = { ...last, input: count, output: count };
  const strides = (kernel?.strides ?? []).map((s) => [s[0] ?? 0, s[1] ?? 0, s.at(-1) ?? 0]);
  return { axes: [merged], epilogue: kernel && { ...kernel, strides } };
}

const batchOf = (input: View, out: View) => ({
  count: out.shape[0] ?? 1,
  inputStep: toWords(input.strides[0] ?? 0),
  outputStep: toWords(out.strides[0] ?? 0),
});

/** Four channels of the input side by side at multiples of four, or read one by one. */
const vectorInput = (input: View, perGroup: number): boolean =>
  perGroup % 4 !== 0 ||
  input.strides[1] !== 4 ||
  (isAligned(input) && [input.strides[0] ?? 0, ...input.strides.slice(2)].every((s) => s % 16 === 0));

const vectorOperands = ({ kernel, views }: Epilogue): boolean =>
  (kernel?.strides ?? []).every((strides, k) => {
    const view = views[k];
    return (
      strides[1] !== 1 ||
      (view !== undefined && isAligned(view) && strides.every((s, axis) => axis === 1 || s % 4 === 0))
    );
  });

/** [groups][taps][input channels][output channels, to whole quads]. */
function productWeights(
  node: Node,
  context: LowerContext,
  kind: ProductKind,
  taps: number,
  perGroup: number,
): View {
  const { groups, channels } = kind;
  const weight = operand(node, 1);
  const row = Math.ceil(channels / 4) * 4;
  const data = tensorOf(weight)?.data;
  if (data instanceof Float32Array) {
    const bytes = groups * taps * perGroup * row * 4;
    return context.packed({
      bytes,
      write(target) {
        const words = new Float32Array(target.buffer, target.byteOffset, bytes / 4);
        let at = 0;
        for (let g = 0; g < groups; g++)
          for (let t = 0; t < taps; t++)
            for (let c = 0; c < perGroup; c++, at += row)
              for (let o = 0; o < channels; o++)
                words[at + o] = data[kind.weightAt(g, t, c, o, taps, perGroup, channels)] ?? 0;
      },
    });
  }
  const ordered = kind.split(context.view(weight, 'rowMajor'), groups, channels, perGroup);
  const padded = context.scratch([...ordered.shape.slice(0, -1), row], 'f32');
  context.copy(ordered, { ...padded, shape: ordered.shape });
  return padded;
}

/** A bias per output channel, each group padded to whole quads. */
export function biasOf(
  node: Node,
  context: LowerContext,
  groups: number,
  channels: number,
): View | undefined {
  const value = ownInput(node, 2);
  if (!value) return undefined;
  const row = Math.ceil(channels / 4) * 4;
  const data = tensorOf(value)?.data;
  if (data instanceof Float32Array) return context.floats(paddedRows(data, groups, channels, row));
  const view = splitAxis(context.view(value, 'rowMajor'), 0, [groups, channels]);
  // kernels read it four elements at a time
  if (row === channels && isAligned(view)) return view;
  const padded = context.scratch([groups, row], 'f32');
  context.copy(view, { ...padded, shape: view.shape });
  return padded;
}

/** Rows of `size` elements, each begun at a multiple of `row`; a single element is repeated. */
export function paddedRows(data: Float32Array, rows: number, size: number, row: number): Float32Array {
  const padded = new Float32Array(rows * row);
  for (let r = 0; r < rows; r++)
    for (let i = 0; i < size; i++) padded[r * row + i] = data[data.length === 1 ? 0 : r * size + i] ?? 0;
  return padded;
}

/** [taps][channels, to whole quads]. */
function depthwiseWeights(node: Node, context: LowerContext, channels: number, taps: number): View {
  const weight = operand(node, 1);
  const row = Math.ceil(channels / 4) * 4;
  const data = tensorOf(weight)?.data;
  if (data instanceof Float32Array) {
    const words = new Float32Array(taps * row);
    for (let t = 0; t < taps; t++)
      for (let c = 0; c < channels; c++) words[t * row + c] = data[c * taps + t] ?? 0;
    return context.packed(packedWords(words));
  }
  const view = context.view(weight, 'rowMajor');
  const flat = { ...view, shape: [channels, taps], strides: [taps * 4, 4] };
  const padded = context.scratch([taps, row], 'f32');
  context.copy(permuteView(flat, [1, 0]), { ...padded, shape: [taps, channels] });
  return padded;
}

function lowerWindow(
  node: Node,
  context: LowerContext,
  axes: readonly WindowAxis[],
  how: Pick<WindowParams, 'combine' | 'divisor'>,
  weights?: View,
): void {
  const input = context.anyView(operand(node, 0));
  const channels = input.shape[1] ?? 1;
  const bias = weights && biasOf(node, context, 1, channels);
  const out = context.output(node);
  const epilogue = context.epilogue(node, out);
  const others = (view: View) => [view.strides[0] ?? 0, ...view.strides.slice(2)].every((s) => s % 16 === 0);
  const vectors =
    channels % 4 === 0 &&
    [input, out].every((view) => view.strides[1] === 4 && isAligned(view) && others(view)) &&
    vectorOperands(epilogue);
  context.call(
    {
      family: 'window',
      params: {
        ...how,
        batch: batchOf(input, out),
        axes: axes.map((a, i) => ({ ...axisOf(a, i, input, out), padEnd: a.padEnd })),
        channels,
        inputChannelStep: toWords(input.strides[1] ?? 0),
        outputChannelStep: toWords(out.strides[1] ?? 0),
        bias: bias !== undefined,
        vectors,
        epilogue: epilogue.kernel,
      },
    },
    [input, ...(weights ? [weights] : []), ...(bias ? [bias] : []), out, ...epilogue.views],
  );
}

export function lowerMaxPool(node: Node, context: LowerContext): void {
  if (!isOp(node, 'MaxPool')) return;
  lowerWindow(node, context, windowAxes(node.attrs), { combine: 'max', divisor: 'none' });
}

export function lowerAveragePool(node: Node, context: LowerContext): void {
  if (!isOp(node, 'AveragePool')) return;
  const divisor = node.attrs.countIncludePad ? 'padded' : 'inside';
  lowerWindow(node, context, windowAxes(node.attrs), { combine: 'sum', divisor });
}
