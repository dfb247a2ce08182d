/** Convolutions as matrix products over the pixels of a view. */

import { blockLoop, type Loop, mergeLoops, splitInnermost } from '#compiler/schedule/loops.ts';
import { sliceView, type View } from '#compiler/schedule/view.ts';
import type { Node } from '#ir/graph.ts';
import { operand, ownInput, tensorOf } from '#ir/graph.ts';
import { bytesOf } from '#ir/types.ts';
import type { Epilogue, LowerContext } from '../context.ts';
import { channelBytes } from '../kernels/family.ts';
import { packBias, packGemm, type WeightMatrix } from '../pack.ts';

/** Weights that are known now are packed; weights that are computed lie as dense [groups, K, channels]. */
export type PixelWeights =
  | { readonly kind: 'constant'; readonly matrix: WeightMatrix }
  | { readonly kind: 'computed'; readonly view: View };

export type PixelBias =
  | { readonly kind: 'none' }
  | { readonly kind: 'constant'; readonly data: Float32Array }
  | { readonly kind: 'computed'; readonly view: View };

/** The bias of a node in slot 2, if it has one. */
export function biasOf(node: Node, context: LowerContext): PixelBias {
  const value = ownInput(node, 2);
  if (!value) return { kind: 'none' };
  const data = tensorOf(value)?.data;
  return data instanceof Float32Array
    ? { kind: 'constant', data }
    : { kind: 'computed', view: context.view(value, 'rowMajor') };
}

/** The floats of a node's weight (slot 1) if they are known now. */
export function knownWeight(node: Node): Float32Array | undefined {
  const data = tensorOf(operand(node, 1))?.data;
  return data instanceof Float32Array ? data : undefined;
}

/** Weights in the order [groups, taps, input channels, output channels], copied there while the network runs. */
export function computedWeights(context: LowerContext, ordered: View): PixelWeights {
  const view = context.scratch(ordered.shape, ordered.dtype);
  context.copy(ordered, view);
  return { kind: 'computed', view };
}

/** Which elements each output pixel of a view is computed from. */
export interface PixelWindows {
  readonly input: View;
  readonly output: View;
  /** Position in the input that output position 0 begins at, per spatial axis. */
  readonly origin: readonly number[];
  /** Input positions per output position. */
  readonly strides: readonly number[];
  readonly tapLoops: readonly Loop[];
  /** Input channels of a group. */
  readonly perGroup: number;
  readonly epilogue: Epilogue;
}

export interface PixelProduct extends PixelWindows {
  readonly groups: number;
  /** Output channels of a group. */
  readonly channels: number;
  readonly weights: PixelWeights;
  readonly bias: PixelBias;
  /** Channels are stored in the order of a shuffle with as many groups. */
  readonly shuffled?: boolean;
}

/** The loops of a product over pixels; depth and run count elements. */
export function pixelLoops({ input, output, epilogue, perGroup, ...p }: PixelWindows) {
  const size = bytesOf(input.dtype);
  const depth = p.tapLoops.reduce((n, loop) => n * loop.count, perGroup);
  const pixelAxes = output.shape.map((_, axis) => axis).filter((axis) => axis !== 1);
  const inputSteps = output.shape.map(
    (_, axis) => (input.strides[axis] ?? 0) * (axis < 2 ? 1 : (p.strides[axis - 2] ?? 1)),
  );
  const loops = mergeLoops(
    pixelAxes.map((axis) => ({
      count: output.shape[axis] ?? 1,
      steps: [inputSteps[axis] ?? 0, output.strides[axis] ?? 0, ...epilogue.strides.map((s) => s[axis] ?? 0)],
    })),
  );
  const channels = output.shape[1] ?? 1;
  const { outer, pixels } = blockPixels(loops, epilogue.strides.length + 2, {
    input: size * depth,
    output: bytesOf(output.dtype) * channels,
    weights: size * depth * channels,
  });
  const taps = mergeLoops([...p.tapLoops, { count: perGroup, steps: [size] }]);
  const { outer: tapLoops, inner: run } =
    taps[taps.length - 1]?.steps[0] === size
      ? splitInnermost(taps, 1)
      : { outer: taps, inner: { count: 1, steps: [size] } };
  return {
    start: sliceView(input, [0, 0, ...p.origin], input.shape),
    depth,
    // the weights stay where they are while pixels go by
    outer: outer.map(({ count, steps: [i = 0, o = 0, ...e] }) => ({ count, steps: [i, o, 0, ...e] })),
    pixels,
    taps: depth === 0 ? [] : tapLoops,
    run: depth === 0 ? 0 : run.count,
  };
}

/** One gemm call: every output pixel of a view against all weights. */
export function gemmOverPixels(context: LowerContext, p: PixelProduct): void {
  const { output, epilogue, groups, channels } = p;
  const { start, depth, outer, pixels, taps, run } = pixelLoops(p);
  const tile =
    p.weights.kind === 'constant'
      ? context.packedTile(pixels.count, channels)
      : context.rowsTile(pixels.count, channels);
  const weights = weightArguments(context, p.weights, tile[1], depth * channels * 4, channels);
  const bias = biasArguments(context, p.bias, groups, channels);
  context.call(
    {
      family: 'gemm',
      params: {
        outer,
        pixels,
        groups: {
          count: groups,
          steps: [
            p.perGroup * 4,
            (p.shuffled ? 1 : channels) * (output.strides[1] ?? 4),
            weights.groupBytes,
            bias.groupBytes,
            ...epilogue.strides.map((s) => (s[1] ?? 0) * channels),
          ],
        },
        taps,
        run,
        channels,
        weights: weights.layout,
        bias: bias.views.length > 0,
        tile,
        epilogue: epilogue.kernel,
        ...(p.shuffled ? { spread: groups } : {}),
      },
    },
    [start, weights.view, ...bias.views, output, ...epilogue.views],
  );
}

function weightArguments(
  context: LowerContext,
  weights: PixelWeights,
  nr: number,
  computedBytes: number,
  channels: number,
) {
  if (weights.kind === 'computed') {
    const layout = { kind: 'rows', bytes: channels * 4 } as const;
    return { view: weights.view, groupBytes: computedBytes, layout };
  }
  const weight = packGemm(weights.matrix, nr);
  return { view: context.packed(weight), groupBytes: weight.groupBytes, layout: { kind: 'packed' } as const };
}

/** The bias as the kernels take it: each group padded to whole vectors. */
export function biasArguments(context: LowerContext, bias: PixelBias, groups: number, channels: number) {
  switch (bias.kind) {
    case 'none':
      return { views: [], groupBytes: 0 };
    case 'computed':
      return { views: [bias.view], groupBytes: channels * 4 };
    case 'constant': {
      const view = context.packed(packBias(bias.data, groups, channels));
      return { views: [view], groupBytes: channelBytes(channels) };
    }
  }
}

/**
 * What one block of pixels reads and writes stays in the second-level cache while the panels of weights go by. Where the weights
 * themselves do not, they are read again for each block, so blocks are larger.
 */
const BLOCK_BYTES = 1 << 17;
const LARGE_BLOCK_BYTES = 1 << 19;
const CACHED_WEIGHTS = 1 << 19;

/** Divides the pixel loops into outer ones and a row of at most about so many bytes. */
function blockPixels(
  loops: readonly Loop[],
  pointers: number,
  bytes: { readonly input: number; readonly output: number; readonly weights: number },
): { outer: readonly Loop[]; pixels: Loop } {
  const { outer, inner } = splitInnermost(loops, pointers);
  const perBlock =
    bytes.weights > CACHED_WEIGHTS
      ? LARGE_BLOCK_BYTES / Math.max(4, bytes.input)
      : BLOCK_BYTES / Math.max(4, bytes.input, bytes.output);
  const limit = Math.max(16, Math.floor(perBlock));
  if (inner.count <= limit * 2) return { outer, pixels: inner };
  let best = 1;
  for (let size = 1; size <= limit; size++) {
    if (inner.count % size === 0 && (size % 4 === 0 || best % 4 !== 0)) best = size;
  }
  if (best < 16) return { outer, pixels: inner };
  const blocks = blockLoop(inner, best);
  return { outer: [...outer, blocks.outer], pixels: blocks.inner };
}
