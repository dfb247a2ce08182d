/** Ops that read between or around pixels: grids, regions, moved taps, overlapping blocks. All row-major. */
import { mergeLoops } from '#compiler/schedule/loops.ts';
import { gridSampleParts } from '#compiler/schedule/operands.ts';
import { sliceView, type View } from '#compiler/schedule/view.ts';
import { isOp, type Node, ownInput } from '#ir/graph.ts';
import { blockAxes } from '#ir/ops/col2im.ts';
import type { LowerContext } from '../context.ts';

export function lowerGridSample(node: Node, context: LowerContext): void {
  if (!isOp(node, 'GridSample')) return;
  const { params, views } = gridSampleParts(node, context);
  context.call({ family: 'gridSample', params }, views);
}

export function lowerRoiAlign(node: Node, context: LowerContext): void {
  if (!isOp(node, 'RoiAlign')) return;
  const { mode, size, samples, scale, halfPixel } = node.attrs;
  const input = context.rowMajor(node, 0);
  const rois = context.rowMajor(node, 1);
  const batch = context.rowMajor(node, 2);
  const out = context.output(node);
  const [batches = 1, channels = 1, height = 1, width = 1] = input.shape;
  const bins = [size[0] ?? 1, size[1] ?? 1] as const;
  const index = batch.dtype === 'i32' ? 'i32' : 'i64';
  const shared = { mode, samples, scale, halfPixel, batches, channels, height, width, index } as const;
  context.call({ family: 'roiAlign', params: { ...shared, size: bins, rois: rois.shape[0] ?? 0 } }, [
    input,
    rois,
    batch,
    out,
  ]);
}

type Pair = readonly [number, number];
const pair = (list: readonly number[], from = 0): Pair => [list[from] ?? 1, list[from + 1] ?? 1];

/** Per image: what the taps see, as a matrix, and a product with the weights of each group. */
export function lowerDeformConv(node: Node, context: LowerContext): void {
  if (!isOp(node, 'DeformConv')) return;
  const { strides, dilations, pads, group, offsetGroups } = node.attrs;
  const input = context.rowMajor(node, 0);
  const weight = context.rowMajor(node, 1);
  const offset = context.rowMajor(node, 2);
  const bias = ownInput(node, 3) ? context.rowMajor(node, 3) : undefined;
  const mask = ownInput(node, 4) ? context.rowMajor(node, 4) : undefined;
  const out = context.output(node);
  const [batch = 1, channels = 1] = input.shape;
  const kernel = pair(weight.shape, 2);
  const spatial = pair(out.shape, 2);
  const points = spatial[0] * spatial[1];
  const depth = (weight.shape[1] ?? 1) * kernel[0] * kernel[1];
  const rows = (out.shape[1] ?? 1) / group;
  const seen = context.scratch([channels * kernel[0] * kernel[1], points], 'f32');
  const image = (view: View, n: number): View =>
    sliceView(view, [n, ...view.shape.slice(1).map(() => 0)], [1, ...view.shape.slice(1)]);
  for (let n = 0; n < batch; n++) {
    context.call(
      {
        family: 'deform',
        params: {
          channels,
          offsetGroups,
          input: pair(input.shape, 2),
          output: spatial,
          kernel,
          strides: pair(strides),
          dilations: pair(dilations),
          pads: pair(pads),
          masked: mask !== undefined,
        },
      },
      [image(input, n), image(offset, n), ...(mask ? [image(mask, n)] : []), seen],
    );
    const steps = [rows * depth * 4, rows * points * 4, depth * points * 4, ...(bias ? [rows * 4] : [])];
    context.call(
      {
        family: 'gemm',
        params: {
          outer: mergeLoops([{ count: group, steps }]),
          pixels: { count: rows, steps: [depth * 4, points * 4, ...(bias ? [4] : [])] },
          groups: { count: 1, steps: [] },
          taps: [],
          run: depth,
          channels: points,
          weights: { kind: 'rows', bytes: points * 4 },
          bias: false,
          tile: context.rowsTile(rows, points),
          epilogue: bias ? { expr: 'add(x0, x1)', operands: ['splat'] } : null,
        },
      },
      [weight, seen, image(out, n), ...(bias ? [bias] : [])],
    );
  }
}

export function lowerCol2Im(node: Node, context: LowerContext): void {
  if (!isOp(node, 'Col2Im')) return;
  const input = context.rowMajor(node, 0);
  const out = context.output(node);
  context.fill(out, 0);
  const planes = (out.shape[0] ?? 1) * (out.shape[1] ?? 1);
  context.call({ family: 'columns', params: { planes, axes: blockAxes(node.attrs) } }, [input, out]);
}
