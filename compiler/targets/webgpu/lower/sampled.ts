/** Ops that read between or around pixels: grids, regions, moved taps, overlapping blocks. All row-major. */
import { mergeLoops } from '#compiler/schedule/loops.ts';
import { gridSampleParts } from '#compiler/schedule/operands.ts';
import { isOp, type Node, ownInput } from '#ir/graph.ts';
import { blockAxes } from '#ir/ops/col2im.ts';
import { product } from '#ir/types.ts';
import { inWords, type LowerContext } from '../context.ts';

export function lowerGridSample(node: Node, context: LowerContext): void {
  if (!isOp(node, 'GridSample')) return;
  const { params, views } = gridSampleParts(node, context);
  context.call({ family: 'gridSample', params }, views);
}

export function lowerRoiAlign(node: Node, context: LowerContext): void {
  if (!isOp(node, 'RoiAlign')) return;
  const [input, rois, batch] = [0, 1, 2].map((slot) => context.rowMajor(node, slot));
  const out = context.output(node);
  if (!input || !rois || !batch) return;
  const [batches = 1, channels = 1, height = 1, width = 1] = input.shape;
  const params = { ...node.attrs, batches, channels, height, width, rois: rois.shape[0] ?? 0 };
  context.call({ family: 'roiAlign', params }, [input, rois, batch, out]);
}

type Pair = readonly [number, number];
const pair = (list: readonly number[], from = 0): Pair => [list[from] ?? 1, list[from + 1] ?? 1];

/** What the taps see, as a matrix per image, and a product with the weights of each group. */
export function lowerDeformConv(node: Node, context: LowerContext): void {
  if (!isOp(node, 'DeformConv')) return;
  const { strides, dilations, pads, group, offsetGroups } = node.attrs;
  const input = context.rowMajor(node, 0);
  const weight = context.rowMajor(node, 1);
  const offset = context.rowMajor(node, 2);
  const [bias, mask] = [3, 4].map((slot) => ownInput(node, slot) && context.rowMajor(node, slot));
  const out = context.output(node);
  const [batch = 1, channels = 1] = input.shape;
  const kernel = pair(weight.shape, 2);
  const output = pair(out.shape, 2);
  const points = product(output);
  const depth = (weight.shape[1] ?? 1) * product(kernel);
  const rows = (out.shape[1] ?? 1) / group;
  const seen = context.scratch([batch, channels * product(kernel), points], 'f32');
  const params = {
    batch,
    channels,
    offsetGroups,
    input: pair(input.shape, 2),
    output,
    kernel,
    strides: pair(strides),
    dilations: pair(dilations),
    pads: pair(pads),
    masked: mask !== undefined,
  };
  context.call({ family: 'deform', params }, [input, offset, ...(mask ? [mask] : []), seen]);
  // bytes of [weights, what is seen, result, bias]
  const loops = [
    { count: batch, steps: [0, group * depth * points * 4, group * rows * points * 4, 0] },
    { count: group, steps: [rows * depth * 4, depth * points * 4, rows * points * 4, rows * 4] },
    { count: rows, steps: [depth * 4, 0, points * 4, 4] },
  ];
  context.call(
    {
      family: 'matmul',
      params: {
        rows: inWords(mergeLoops(loops)),
        columns: { count: points, steps: [1, 1, 0] },
        depth,
        aStep: 1,
        bStep: points,
        expr: bias ? 'add(x0, x1)' : 'x0',
        operands: bias ? 1 : 0,
      },
    },
    [weight, seen, out, ...(bias ? [bias] : [])],
  );
}

export function lowerCol2Im(node: Node, context: LowerContext): void {
  if (!isOp(node, 'Col2Im')) return;
  const input = context.rowMajor(node, 0);
  const out = context.output(node);
  const planes = (out.shape[0] ?? 1) * (out.shape[1] ?? 1);
  context.call({ family: 'columns', params: { planes, axes: blockAxes(node.attrs) } }, [input, out]);
}
