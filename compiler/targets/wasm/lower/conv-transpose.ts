/** Transposed convolution as one matrix product per residue of the stride. */

import { permuteView, sliceView, splitAxis, type View } from '#compiler/schedule/view.ts';
import { isOp, type Node, operand, result } from '#ir/graph.ts';
import { convWindow } from '#ir/ops/conv.ts';
import { product } from '#ir/types.ts';
import { type WindowAxis, windowAxes } from '#ir/window.ts';
import type { Epilogue, LowerContext } from '../context.ts';
import { biasOf, computedWeights, gemmOverPixels, knownWeight, type PixelWeights } from './pixel-product.ts';

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

/** Each phase is a kernel call of its own. */
const MOST_PHASES = 1024;

/** Why a transposed convolution cannot be lowered. */
export function transposedRefusal(node: Node): string | undefined {
  if (!isOp(node, 'ConvTranspose')) return undefined;
  const phases = product(node.attrs.strides);
  return phases > MOST_PHASES
    ? `stride ${node.attrs.strides.join('×')} takes ${phases} kernels, one for each residue; at most ${MOST_PHASES} are made`
    : undefined;
}

export function lowerConvTranspose(node: Node, context: LowerContext): void {
  if (!isOp(node, 'ConvTranspose')) return;
  const { attrs } = node;
  const x = operand(node, 0).type.shape;
  const weightShape = operand(node, 1).type.shape;
  const axes = windowAxes(convWindow(attrs, weightShape));
  const outShape = result(node).type.shape;
  const phases = axes.map((axis, i) => phasesOf(axis, outShape[i + 2] ?? 1));
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
  const bias = biasOf(node, context);
  const out = context.output(node);
  const epilogue = context.epilogue(node, out, 1);
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
    gemmOverPixels(context, {
      input,
      output: slice(out),
      origin: choice.map((p, i) => (p.taps.length === 0 ? 0 : p.origin + (reach[i]?.begin ?? 0))),
      strides: axes.map(() => 1),
      tapLoops: choice.map((p, i) => ({
        count: p.taps.length,
        steps: [p.dilation * (input.strides[i + 2] ?? 0)],
      })),
      groups: attrs.group,
      perGroup,
      channels,
      weights: phaseWeights(node, context, attrs.group, perGroup, choice),
      bias,
      epilogue: phaseEpilogue(epilogue, starts, every),
    });
  }
}

/** The operands of an epilogue at the positions of one phase. */
const phaseEpilogue = (e: Epilogue, starts: readonly number[], every: readonly number[]): Epilogue => ({
  ...e,
  views: e.views.map((view, k) => ({
    ...view,
    offset: view.offset + starts.reduce((sum, s, i) => sum + s * (e.strides[k]?.[i + 2] ?? 0), 0),
  })),
  strides: e.strides.map((s) => s.map((step, axis) => step * (axis < 2 ? 1 : (every[axis - 2] ?? 1)))),
});

/** The taps of one phase of [Cin, Cout/group, k…]; K runs over taps, then input channels. */
function phaseWeights(
  node: Node,
  context: LowerContext,
  groups: number,
  perGroup: number,
  choice: readonly Phase[],
): PixelWeights {
  const weight = operand(node, 1);
  const [, channels = 1, ...kernel] = weight.type.shape;
  const taps = product(kernel);
  const counts = choice.map((p) => p.taps.length);
  const source = knownWeight(node);
  if (!source) {
    const split = splitAxis(context.view(weight, 'rowMajor'), 0, [groups, perGroup]);
    const from = choice.map((p) => p.taps[0] ?? 0);
    const steps = choice.map((p) => (p.taps[1] ?? 0) - (p.taps[0] ?? 0));
    const used = sliceView(
      split,
      [0, 0, 0, ...from],
      [groups, perGroup, channels, ...counts],
      [1, 1, 1, ...steps],
    );
    const spatial = used.shape.map((_, axis) => axis).slice(3);
    return computedWeights(context, permuteView(used, [0, ...spatial, 1, 2]));
  }
  return {
    kind: 'constant',
    matrix: {
      source,
      groups,
      groupStride: perGroup * channels * taps,
      rows: Int32Array.from({ length: product(counts) * perGroup }, (_, k) => {
        const c = k % perGroup;
        return c * channels * taps + tapIndex(Math.floor(k / perGroup), choice, kernel);
      }),
      columns: channels,
      columnStride: taps,
    },
  };
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
