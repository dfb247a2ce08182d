/** Ops that only move data: as other views of the same bytes where possible, as copies where not. For every target. */

import { isOp, type Node, operand, result } from '#ir/graph.ts';
import { type PadMode, padSource } from '#ir/ops/movement.ts';
import type { ViewContext } from './context.ts';
import {
  broadcastViewStrides,
  isInLayout,
  permuteView,
  reshapeView,
  sliceView,
  splitAxis,
  type View,
} from './view.ts';

/** The output is the input's bytes seen through `view` if its layout allows, else a copy of them. */
function aliasOrCopy(node: Node, context: ViewContext<unknown>, view: View): void {
  const value = result(node);
  if (isInLayout(view, context.layoutOf(value))) context.define(value, view);
  else context.copy(view, context.output(node));
}

/** Reshape, Flatten, Squeeze, Unsqueeze, Identity: row-major order is unchanged. */
export function lowerView(node: Node, context: ViewContext<unknown>): void {
  const value = result(node);
  const { shape } = value.type;
  const source = operand(node, 0);
  if (source.type.shape.length === shape.length && source.type.shape.every((s, i) => s === shape[i])) {
    aliasOrCopy(node, context, context.anyView(source));
    return;
  }
  aliasOrCopy(node, context, reshapeView(context.view(source, 'rowMajor'), shape));
}

export function lowerTranspose(node: Node, context: ViewContext<unknown>): void {
  if (!isOp(node, 'Transpose')) return;
  aliasOrCopy(node, context, permuteView(context.anyView(operand(node, 0)), node.attrs.perm));
}

export function lowerConcat(node: Node, context: ViewContext<unknown>): void {
  if (!isOp(node, 'Concat')) return;
  const { axis } = node.attrs;
  const joined = axis === 1 ? context.joined(node.operands.flatMap((value) => value ?? [])) : undefined;
  if (joined) {
    context.define(result(node), joined);
    return;
  }
  const out = context.output(node);
  let at = 0;
  for (const value of node.operands) {
    if (!value) continue;
    const starts = out.shape.map((_, a) => (a === axis ? at : 0));
    const isThere = axis === 1 && context.isPart(value, out, at);
    if (!isThere && value.type.shape.every((s) => s > 0)) {
      context.copy(context.anyView(value), sliceView(out, starts, value.type.shape));
    }
    at += value.type.shape[axis] ?? 0;
  }
}

export function lowerSlice(node: Node, context: ViewContext<unknown>): void {
  if (!isOp(node, 'Slice')) return;
  const { starts, sizes, steps } = node.attrs;
  aliasOrCopy(node, context, sliceView(context.anyView(operand(node, 0)), starts, sizes, steps));
}

export function lowerSplit(node: Node, context: ViewContext<unknown>): void {
  if (!isOp(node, 'Split')) return;
  const { axis } = node.attrs;
  const input = context.anyView(operand(node, 0));
  let at = 0;
  node.outputs.forEach((value, index) => {
    const starts = input.shape.map((_, a) => (a === axis ? at : 0));
    context.copy(sliceView(input, starts, value.type.shape), context.output(node, index));
    at += value.type.shape[axis] ?? 0;
  });
}

interface Region {
  readonly to: number;
  readonly from: number;
  readonly step: number;
  readonly count: number;
}

/** The pieces of one padded axis, each a run of input positions with one step; none where the constant stands. */
function padRegions(mode: PadMode, size: number, begin: number, end: number): Region[] {
  const regions: Region[] = [];
  for (let to = 0; to < begin + size + end; to++) {
    const from = padSource(mode, to - begin, size);
    if (from < 0) continue;
    const last = regions[regions.length - 1];
    const step = last && (last.count === 1 ? from - last.from : last.step);
    const follows = last && last.to + last.count === to && Math.abs(step ?? 2) <= 1;
    if (last && step !== undefined && follows && last.from + last.count * step === from) {
      regions[regions.length - 1] = { ...last, step, count: last.count + 1 };
    } else {
      regions.push({ to, from, step: 1, count: 1 });
    }
  }
  return regions;
}

export function lowerPad(node: Node, context: ViewContext<unknown>): void {
  if (!isOp(node, 'Pad')) return;
  const { mode, pads, value } = node.attrs;
  const input = context.anyView(operand(node, 0));
  const out = context.output(node);
  const rank = out.shape.length;
  const regions = input.shape.map((size, axis) =>
    padRegions(mode, size, pads[axis] ?? 0, pads[rank + axis] ?? 0),
  );
  if (mode === 'constant') {
    // the input is one piece of each axis, or cut away
    const inside = regions.map((r) => r[0] ?? { to: 0, from: 0, step: 1, count: 0 });
    context.border(
      out,
      inside.map((r) => r.to),
      inside.map((r) => r.count),
      value,
    );
  }
  const choose = (axis: number, picked: readonly Region[]): void => {
    if (axis < rank) {
      for (const region of regions[axis] ?? []) choose(axis + 1, [...picked, region]);
      return;
    }
    const shape = picked.map((r) => r.count);
    if (shape.some((s) => s <= 0)) return;
    const from = sliceView(
      input,
      picked.map((r) => r.from),
      shape,
      picked.map((r) => r.step),
    );
    context.copy(
      from,
      sliceView(
        out,
        picked.map((r) => r.to),
        shape,
      ),
    );
  };
  choose(0, []);
}

/** [N, g·m, …] seen as [N, g, m, …], its two inner axes exchanged. */
export function lowerChannelShuffle(node: Node, context: ViewContext<unknown>): void {
  if (!isOp(node, 'ChannelShuffle')) return;
  const { groups } = node.attrs;
  const input = context.anyView(operand(node, 0));
  const out = context.output(node);
  const per = (input.shape[1] ?? 1) / groups;
  const split = splitAxis(input, 1, [groups, per]);
  const perm = split.shape.map((_, axis) => (axis === 1 ? 2 : axis === 2 ? 1 : axis));
  context.copy(permuteView(split, perm), splitAxis(out, 1, [per, groups]));
}

export function lowerDepthToSpace(node: Node, context: ViewContext<unknown>): void {
  if (!isOp(node, 'DepthToSpace')) return;
  const { blocksize: b, mode } = node.attrs;
  const input = context.anyView(operand(node, 0));
  const out = context.output(node);
  const channels = out.shape[1] ?? 1;
  // both as [N, C, H, b, W, b]
  const split = splitAxis(input, 1, mode === 'DCR' ? [b, b, channels] : [channels, b, b]);
  const from = permuteView(split, mode === 'DCR' ? [0, 3, 4, 1, 5, 2] : [0, 1, 4, 2, 5, 3]);
  const rows = splitAxis(out, 3, [input.shape[3] ?? 1, b]);
  context.copy(from, splitAxis(rows, 2, [input.shape[2] ?? 1, b]));
}

export function lowerExpand(node: Node, context: ViewContext<unknown>): void {
  const input = context.anyView(operand(node, 0));
  const out = context.output(node);
  context.copy({ ...input, shape: out.shape, strides: broadcastViewStrides(input, out.shape) }, out);
}

export function lowerTile(node: Node, context: ViewContext<unknown>): void {
  if (!isOp(node, 'Tile')) return;
  const { repeats } = node.attrs;
  const input = context.anyView(operand(node, 0));
  const out = context.output(node);
  let to: View = out;
  const shape: number[] = [];
  const strides: number[] = [];
  for (let axis = out.shape.length - 1; axis >= 0; axis--) {
    to = splitAxis(to, axis, [repeats[axis] ?? 1, input.shape[axis] ?? 1]);
    shape.unshift(repeats[axis] ?? 1, input.shape[axis] ?? 1);
    strides.unshift(0, input.strides[axis] ?? 0);
  }
  context.copy({ ...input, shape, strides }, to);
}
