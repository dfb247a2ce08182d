/** Convolutions as calls of the gemm and window families. */

import { blockLoop, type Loop, mergeLoops, splitInnermost } from '#compiler/schedule/loops.ts';
import { sliceView, type View } from '#compiler/schedule/view.ts';
import { isOp, type Node, operand, ownInput } from '#ir/graph.ts';
import { convWindow } from '#ir/ops/conv.ts';
import { product } from '#ir/types.ts';
import { type WindowAxis, windowAxes } from '#ir/window.ts';
import { constantFloats, type Epilogue, type LowerContext } from '../context.ts';
import { packBias, packGemm, type WeightMatrix } from '../pack.ts';
import { chooseTile } from '../tiles.ts';
import { lowerDepthwise } from './window.ts';

const LANE_BYTES = 16;

export function lowerConv(node: Node, context: LowerContext): void {
  if (!isOp(node, 'Conv')) return;
  const { attrs } = node;
  const x = operand(node, 0).type.shape;
  const weightShape = operand(node, 1).type.shape;
  const axes = windowAxes(convWindow(attrs, weightShape));
  const cin = x[1] ?? 1;
  const cout = weightShape[0] ?? 1;
  if (attrs.group === cin && cout === cin && cin > 1) {
    lowerDepthwise(node, context, axes);
    return;
  }
  const input = context.padded(
    operand(node, 0),
    axes.map((a) => a.padBegin),
    axes.map((a) => a.padEnd),
  );
  const out = context.output(node);
  const taps = product(weightShape.slice(2));
  const perGroup = cin / attrs.group;
  const channels = cout / attrs.group;
  gemmOverPixels(context, {
    input,
    output: out,
    origin: axes.map(() => 0),
    strides: axes.map((a) => a.stride),
    tapLoops: axes.map((a, i) => ({ count: a.kernel, steps: [a.dilation * (input.strides[i + 2] ?? 0)] })),
    perGroup,
    // K runs over taps, then input channels
    weights: {
      source: constantFloats(node, 1),
      groups: attrs.group,
      groupStride: channels * perGroup * taps,
      rows: Int32Array.from(
        { length: taps * perGroup },
        (_, k) => (k % perGroup) * taps + Math.floor(k / perGroup),
      ),
      columns: channels,
      columnStride: perGroup * taps,
    },
    bias: ownInput(node, 2) ? constantFloats(node, 2) : undefined,
    epilogue: context.epilogue(node, out, 1),
    epilogueStrides: (e) => e.strides,
  });
}

interface PixelProduct {
  readonly input: View;
  readonly output: View;
  /** Position in the input that output position 0 begins at, per spatial axis. */
  readonly origin: readonly number[];
  /** Input positions per output position. */
  readonly strides: readonly number[];
  readonly tapLoops: readonly Loop[];
  /** Input channels of a group. */
  readonly perGroup: number;
  readonly weights: WeightMatrix;
  readonly bias: Float32Array | undefined;
  readonly epilogue: Epilogue;
  epilogueStrides(e: Epilogue): readonly (readonly number[])[];
}

/** One gemm call: every output pixel of a view against packed weights. */
function gemmOverPixels(context: LowerContext, p: PixelProduct): void {
  const { input, output, epilogue } = p;
  const { groups, columns: channels } = p.weights;
  const depth = p.weights.rows.length;
  const start = sliceView(input, [0, 0, ...p.origin], input.shape);
  const pixelAxes = output.shape.map((_, axis) => axis).filter((axis) => axis !== 1);
  const inputSteps = output.shape.map(
    (_, axis) => (input.strides[axis] ?? 0) * (axis < 2 ? 1 : (p.strides[axis - 2] ?? 1)),
  );
  const extraStrides = p.epilogueStrides(epilogue);
  const loops = mergeLoops(
    pixelAxes.map((axis) => ({
      count: output.shape[axis] ?? 1,
      steps: [inputSteps[axis] ?? 0, output.strides[axis] ?? 0, ...extraStrides.map((s) => s[axis] ?? 0)],
    })),
  );
  const { outer, pixels } = blockPixels(loops, extraStrides.length + 2, depth);
  const taps = mergeLoops([...p.tapLoops, { count: p.perGroup, steps: [4] }]);
  const { outer: tapLoops, inner: run } =
    taps[taps.length - 1]?.steps[0] === 4
      ? splitInnermost(taps, 1)
      : { outer: taps, inner: { count: 1, steps: [4] } };
  const tile = chooseTile(pixels.count, channels);
  const packed = packGemm(p.weights, tile[1]);
  const bias = p.bias ? packBias(p.bias, groups, channels) : undefined;
  context.call(
    {
      family: 'gemm',
      params: {
        // the weights stay where they are while pixels go by
        outer: outer.map(({ count, steps: [i = 0, o = 0, ...e] }) => ({ count, steps: [i, o, 0, ...e] })),
        pixels,
        groups: {
          count: groups,
          steps: [
            p.perGroup * 4,
            channels * 4,
            packed.groupBytes,
            Math.ceil(channels / 4) * LANE_BYTES,
            ...extraStrides.map((s) => (s[1] ?? 0) * channels),
          ],
        },
        taps: depth === 0 ? [] : tapLoops,
        run: depth === 0 ? 0 : run.count,
        channels,
        weights: { kind: 'packed' },
        bias: bias !== undefined,
        tile,
        epilogue: epilogue.kernel,
      },
    },
    [start, context.packed(packed.data), ...(bias ? [context.packed(bias)] : []), output, ...epilogue.views],
  );
}

/** Bytes of input that one block of pixels should read: it stays in the second-level cache while the panels go by. */
const BLOCK_BYTES = 1 << 17;

/** Divides the pixel loops into outer ones and a row of at most about BLOCK_BYTES of input. */
function blockPixels(
  loops: readonly Loop[],
  pointers: number,
  depth: number,
): { outer: readonly Loop[]; pixels: Loop } {
  const { outer, inner } = splitInnermost(loops, pointers);
  const limit = Math.max(16, Math.floor(BLOCK_BYTES / (4 * Math.max(1, depth))));
  if (inner.count <= limit * 2) return { outer, pixels: inner };
  let best = 1;
  for (let size = 1; size <= limit; size++) {
    if (inner.count % size === 0 && (size % 4 === 0 || best % 4 !== 0)) best = size;
  }
  if (best < 16) return { outer, pixels: inner };
  const blocks = blockLoop(inner, best);
  return { outer: [...outer, blocks.outer], pixels: blocks.inner };
}

/** One axis of a transposed convolution, for the outputs of one residue modulo the stride. */
interface Phase {
  /** First output position, and how many there are (stride apart). */
  readonly first: number;
  readonly count: number;
  /** Kernel taps in the order of rising input position, and the distance between those positions. */
  readonly taps: readonly number[];
  readonly dilation: number;
  /** Input position of the first tap for the first output; negative in the padding. */
  readonly origin: number;
}

/**
 * A transposed convolution computes each residue class of output positions as an ordinary convolution of stride 1 over
 * the input ("sub-pixel phases"): output o takes the taps t with (o + pad − t·dilation) divisible by the stride.
 */
function phasesOf(axis: WindowAxis, output: number): Phase[] {
  const phases: Phase[] = [];
  for (let first = 0; first < Math.min(axis.stride, output); first++) {
    const taps: { tap: number; at: number }[] = [];
    for (let tap = axis.kernel - 1; tap >= 0; tap--) {
      const position = first + axis.padBegin - tap * axis.dilation;
      if (position % axis.stride === 0) taps.push({ tap, at: position / axis.stride });
    }
    const [a, b] = taps;
    phases.push({
      first,
      count: Math.ceil((output - first) / axis.stride),
      taps: taps.map((t) => t.tap),
      dilation: a && b ? b.at - a.at : 1,
      origin: a?.at ?? 0,
    });
  }
  return phases;
}

export function lowerConvTranspose(node: Node, context: LowerContext): void {
  if (!isOp(node, 'ConvTranspose')) return;
  const { attrs } = node;
  const x = operand(node, 0).type.shape;
  const weightShape = operand(node, 1).type.shape;
  const axes = windowAxes(convWindow(attrs, weightShape));
  const out = context.output(node);
  const phases = axes.map((axis, i) => phasesOf(axis, out.shape[i + 2] ?? 1));
  const reach = phases.map((list, i) => {
    const used = list.filter((p) => p.taps.length > 0);
    const low = Math.min(0, ...used.map((p) => p.origin));
    const high = Math.max(
      (x[i + 2] ?? 1) - 1,
      ...used.map((p) => p.origin + (p.taps.length - 1) * p.dilation + p.count - 1),
    );
    return { begin: -low, end: high - ((x[i + 2] ?? 1) - 1) };
  });
  const input = context.padded(
    operand(node, 0),
    reach.map((r) => r.begin),
    reach.map((r) => r.end),
  );
  const weight = constantFloats(node, 1);
  const bias = ownInput(node, 2) ? constantFloats(node, 2) : undefined;
  const epilogue = context.epilogue(node, out, 1);
  const kernel = weightShape.slice(2);
  const taps = product(kernel);
  const perGroup = (x[1] ?? 1) / attrs.group;
  const channels = weightShape[1] ?? 1;
  for (const choice of combinations(phases)) {
    const starts = choice.map((p) => p.first);
    const counts = choice.map((p) => p.count);
    const every = axes.map((a) => a.stride);
    const slice = (view: View) =>
      sliceView(
        view,
        [0, 0, ...starts],
        [view.shape[0] ?? 1, view.shape[1] ?? 1, ...counts],
        [1, 1, ...every],
      );
    const shape = choice.map((p) => p.taps.length);
    gemmOverPixels(context, {
      input,
      output: slice(out),
      origin: choice.map((p, i) => (p.taps.length === 0 ? 0 : p.origin + (reach[i]?.begin ?? 0))),
      strides: axes.map(() => 1),
      tapLoops: choice.map((p, i) => ({
        count: p.taps.length,
        steps: [p.dilation * (input.strides[i + 2] ?? 0)],
      })),
      perGroup,
      weights: {
        source: weight,
        groups: attrs.group,
        groupStride: perGroup * channels * taps,
        rows: Int32Array.from({ length: product(shape) * perGroup }, (_, k) => {
          const c = k % perGroup;
          return c * channels * taps + tapIndex(Math.floor(k / perGroup), choice, kernel);
        }),
        columns: channels,
        columnStride: taps,
      },
      bias,
      epilogue: {
        ...epilogue,
        views: epilogue.views.map((view, k) => ({
          ...view,
          offset:
            view.offset + starts.reduce((sum, s, i) => sum + s * (epilogue.strides[k]?.[i + 2] ?? 0), 0),
        })),
      },
      epilogueStrides: (e) =>
        e.strides.map((s) => s.map((step, axis) => step * (axis < 2 ? 1 : (every[axis - 2] ?? 1)))),
    });
  }
}

/** The kernel tap (row-major index) behind tap `index` (row-major) of a choice of phases. */
function tapIndex(index: number, choice: readonly Phase[], kernel: readonly number[]): number {
  let rest = index;
  let tap = 0;
  let scale = 1;
  for (let axis = kernel.length - 1; axis >= 0; axis--) {
    const taps = choice[axis]?.taps ?? [];
    tap += (taps[rest % taps.length] ?? 0) * scale;
    scale *= kernel[axis] ?? 1;
    rest = Math.floor(rest / taps.length);
  }
  return tap;
}

/** Every way of taking one element of each list. */
function combinations<T>(lists: readonly (readonly T[])[]): T[][] {
  return lists.reduce<T[][]>(
    (found, list) => found.flatMap((head) => list.map((item) => [...head, item])),
    [[]],
  );
}
