/** Depthwise convolution and pooling as calls of the window family. */

import { loopsOver, mergeLoops } from '#compiler/schedule/loops.ts';
import { permuteView, reshapeView, type View } from '#compiler/schedule/view.ts';
import { isOp, type Node, operand, result } from '#ir/graph.ts';
import { product, type Shape } from '#ir/types.ts';
import { tapRange, type Window, type WindowAxis, windowAxes } from '#ir/window.ts';
import type { Epilogue, LowerContext } from '../context.ts';
import { channelBytes } from '../kernels/family.ts';
import type { Segment, WindowParams } from '../kernels/window.ts';
import { packBias, packDepthwise } from '../pack.ts';
import { biasOf, knownWeight } from './pixel-product.ts';

/** More segments than this on one axis, and a padded copy is cheaper than their code. */
const MOST_SEGMENTS = 5;
/** Outputs of a row that are computed together: accumulators, inputs and weights fit in registers. */
const TILE = 4;

/** Runs of output positions that see the same taps (and, for averages, divide by the same count). */
function segmentsOf(
  axis: WindowAxis,
  input: number,
  output: number,
  step: number,
  divisor: (o: number) => number,
): Segment[] {
  const segments: (Segment & { count: number })[] = [];
  for (let o = 0; o < output; o++) {
    const [firstTap, endTap] = tapRange(axis, o, input);
    const last = segments[segments.length - 1];
    const same =
      last && last.firstTap === firstTap && last.taps === endTap - firstTap && last.divisor === divisor(o);
    if (same) segments[segments.length - 1] = { ...last, count: last.count + 1 };
    else {
      const start = (o * axis.stride - axis.padBegin + firstTap * axis.dilation) * step;
      segments.push({ count: 1, start, firstTap, taps: endTap - firstTap, divisor: divisor(o) });
    }
  }
  return segments;
}

/** What windows slide over: a view of it as it is, a dense one, or one within a border. */
interface WindowInput {
  readonly any: View;
  channelsLast(): View;
  padded(begins: readonly number[], ends: readonly number[], border: number): View;
}

interface WindowCall {
  readonly combine: WindowParams['combine'];
  readonly axes: readonly WindowAxis[];
  /** Value of padding, where a padded copy is made. */
  readonly border: number;
  /** Positions that output `o` of axis `i` divides by. */
  divisor(i: number, o: number): number;
  readonly weights: readonly View[];
  readonly input: WindowInput;
  readonly outShape: Shape;
  /** Where the results go; asked for once the input is ready. */
  result(): { readonly out: View; readonly epilogue: Epilogue };
}

/** A call from the first operand of a node to its result. */
const ofNode = (node: Node, context: LowerContext): Pick<WindowCall, 'input' | 'outShape' | 'result'> => {
  const x = operand(node, 0);
  return {
    input: {
      any: context.anyView(x),
      channelsLast: () => context.pixels(x),
      padded: (begins, ends, border) => context.padded(x, begins, ends, border),
    },
    outShape: result(node).type.shape,
    result: () => {
      const out = context.output(node);
      return { out, epilogue: context.epilogue(node, out, 1) };
    },
  };
};

function emitWindowCall(context: LowerContext, call: WindowCall): void {
  const { outShape, weights } = call;
  const size = (axis: number) => call.input.any.shape[axis + 2] ?? 1;
  const plan = (axes: readonly WindowAxis[], input: View) =>
    axes.map((axis, i) =>
      segmentsOf(axis, input.shape[i + 2] ?? 1, outShape[i + 2] ?? 1, input.strides[i + 2] ?? 0, (o) =>
        call.divisor(i, o),
      ),
    );
  let axes = call.axes;
  let input = call.input.any;
  if (plan(axes, input).some((s) => s.length > MOST_SEGMENTS)) {
    // enough border that every window lies inside, also the last one of ceil mode
    const ends = axes.map((a, i) =>
      Math.max(
        a.padEnd,
        ((outShape[i + 2] ?? 1) - 1) * a.stride + (a.kernel - 1) * a.dilation + 1 - a.padBegin - size(i),
      ),
    );
    input = call.input.padded(
      axes.map((a) => a.padBegin),
      ends,
      call.border,
    );
    axes = axes.map((a) => ({ ...a, padBegin: 0, padEnd: 0 }));
  } else {
    input = call.input.channelsLast();
  }
  const { out, epilogue } = call.result();
  const segments = plan(axes, input);
  context.call(
    {
      family: 'window',
      params: {
        combine: call.combine,
        outer: mergeLoops(loopsOver(out.shape, [input.strides, out.strides, ...epilogue.strides], [0])),
        axes: axes.map((axis, i) => ({
          segments: segments[i] ?? [],
          inputStep: axis.stride * (input.strides[i + 2] ?? 0),
          outputStep: out.strides[i + 2] ?? 0,
          tapStep: axis.dilation * (input.strides[i + 2] ?? 0),
          kernel: axis.kernel,
          extraSteps: epilogue.strides.map((s) => s[i + 2] ?? 0),
        })),
        channels: out.shape[1] ?? 1,
        bias: weights.length > 1,
        tile: TILE,
        epilogue: epilogue.kernel,
      },
    },
    [input, ...weights, out, ...epilogue.views],
  );
}

export function lowerDepthwise(node: Node, context: LowerContext, axes: readonly WindowAxis[]): void {
  const channels = operand(node, 1).type.shape[0] ?? 1;
  const taps = product(axes.map((a) => a.kernel));
  const weight = depthwiseWeights(node, context, channels, taps);
  const bias = biasOf(node, context);
  const biasViews =
    bias.kind === 'none'
      ? []
      : [bias.kind === 'computed' ? bias.view : context.packed(packBias(bias.data, 1, channels))];
  emitWindowCall(context, { ...DEPTHWISE, axes, weights: [weight, ...biasViews], ...ofNode(node, context) });
}

const DEPTHWISE = { combine: 'multiplyAdd', border: 0, divisor: () => 1 } as const;

/** A depthwise convolution of a dense channels-last view. */
export function depthwiseOf(
  context: LowerContext,
  {
    source,
    ...call
  }: Pick<WindowCall, 'axes' | 'weights' | 'outShape' | 'result'> & { readonly source: View },
): void {
  emitWindowCall(context, {
    ...DEPTHWISE,
    ...call,
    input: {
      any: source,
      channelsLast: () => source,
      padded: (begins, ends, border) => context.paddedCopy(source, begins, ends, border),
    },
  });
}

/** [taps][C padded to whole vectors], packed now or copied there while the network runs. */
function depthwiseWeights(node: Node, context: LowerContext, channels: number, taps: number): View {
  const source = knownWeight(node);
  if (source) return context.packed(packDepthwise(source, channels, taps));
  const weight = reshapeView(context.view(operand(node, 1), 'rowMajor'), [channels, taps]);
  const row = channelBytes(channels);
  const padded = context.scratch([taps, row / 4], 'f32');
  context.copy(permuteView(weight, [1, 0]), { ...padded, shape: [taps, channels] });
  return padded;
}

export function lowerMaxPool(node: Node, context: LowerContext): void {
  if (!isOp(node, 'MaxPool')) return;
  const axes = windowAxes(node.attrs satisfies Window);
  emitWindowCall(context, {
    combine: 'max',
    axes,
    border: Number.NEGATIVE_INFINITY,
    divisor: () => 1,
    weights: [],
    ...ofNode(node, context),
  });
}

export function lowerAveragePool(node: Node, context: LowerContext): void {
  if (!isOp(node, 'AveragePool')) return;
  const axes = windowAxes(node.attrs satisfies Window);
  const shape = operand(node, 0).type.shape;
  const { countIncludePad } = node.attrs;
  const divisor = (i: number, o: number) => {
    const axis = axes[i] as WindowAxis;
    const input = shape[i + 2] ?? 1;
    if (!countIncludePad) {
      const [first, end] = tapRange(axis, o, input);
      return end - first;
    }
    // positions inside the padded input
    const padded = { ...axis, padBegin: 0, padEnd: 0 };
    const [first, end] = tapRange(padded, o, input + axis.padBegin + axis.padEnd);
    return end - first;
  };
  emitWindowCall(context, {
    combine: 'sum',
    axes,
    border: 0,
    divisor,
    weights: [],
    ...ofNode(node, context),
  });
}
