/** Ops of the irregular kernels: everything is read and written in row-major order. */
import { type Loop, loopsOver, mergeLoops } from '#compiler/schedule/loops.ts';
import { sliceView, type View } from '#compiler/schedule/view.ts';
import { isOp, type Node, operand, ownInput } from '#ir/graph.ts';
import type { ScatterReduction } from '#ir/ops/indexing.ts';
import { blockAxes } from '#ir/ops/sampling.ts';
import { indexStrides } from '#ir/ops/unpool.ts';
import { bytesOf, elementCount, product, rowMajorStrides } from '#ir/types.ts';
import { windowAxes } from '#ir/window.ts';
import type { LowerContext } from '../context.ts';
import type { LargestParams } from '../kernels/blocks.ts';
import type { SuppressParams } from '../kernels/find.ts';
import { chooseTile } from '../tiles.ts';

const rowMajor = (node: Node, slot: number, context: LowerContext): View =>
  context.view(operand(node, slot), 'rowMajor');

/** Loops over the axes of `shape` that are not `axis`, with the strides of some views. */
const linesOf = (shape: readonly number[], axis: number, views: readonly View[]): Loop[] =>
  mergeLoops(
    loopsOver(
      shape,
      views.map((v) => v.strides),
      shape.map((_, a) => a).filter((a) => a !== axis),
    ),
  );

const isEmpty = (node: Node): boolean => node.outputs.every((v) => elementCount(v.type.shape) === 0);

export function lowerGatherElements(node: Node, context: LowerContext): void {
  if (!isOp(node, 'GatherElements')) return;
  const { axis } = node.attrs;
  const input = rowMajor(node, 0, context);
  const indices = rowMajor(node, 1, context);
  const out = context.output(node);
  if (isEmpty(node)) return;
  const others = input.strides.with(axis, 0);
  context.call(
    {
      family: 'gatherAt',
      params: {
        loops: mergeLoops(loopsOver(out.shape, [others, indices.strides, out.strides])),
        index: indices.dtype,
        tuple: [{ size: input.shape[axis] ?? 1, step: input.strides[axis] ?? 0 }],
        bytes: bytesOf(out.dtype),
      },
    },
    [input, indices, out],
  );
}

/** The axes that tuples of indices run over. */
const tupleAxes = (view: View, first: number, width: number) =>
  Array.from({ length: width }, (_, k) => ({
    size: view.shape[first + k] ?? 1,
    step: view.strides[first + k] ?? 0,
  }));

export function lowerGatherND(node: Node, context: LowerContext): void {
  if (!isOp(node, 'GatherND')) return;
  const { batchDims } = node.attrs;
  const input = rowMajor(node, 0, context);
  const indices = rowMajor(node, 1, context);
  const out = context.output(node);
  if (isEmpty(node)) return;
  const width = indices.shape.at(-1) ?? 0;
  const tuples = indices.shape.slice(0, -1);
  const bytes = product(input.shape.slice(batchDims + width)) * bytesOf(input.dtype);
  const perTuple = rowMajorStrides(tuples);
  const batch = tuples.map((_, a) => (a < batchDims ? (input.strides[a] ?? 0) : 0));
  context.call(
    {
      family: 'gatherAt',
      params: {
        loops: mergeLoops(
          loopsOver(tuples, [
            batch,
            perTuple.map((s) => s * width * bytesOf(indices.dtype)),
            perTuple.map((s) => s * bytes),
          ]),
        ),
        index: indices.dtype,
        tuple: tupleAxes(input, batchDims, width),
        bytes,
      },
    },
    [input, indices, out],
  );
}

const COMBINE: Record<ScatterReduction, string | undefined> = {
  none: undefined,
  add: 'add(x0, x1)',
  mul: 'mul(x0, x1)',
  min: 'min(x0, x1)',
  max: 'max(x0, x1)',
};

const combination = (reduction: ScatterReduction): { combine?: string } => {
  const combine = COMBINE[reduction];
  return combine === undefined ? {} : { combine };
};

export function lowerScatterElements(node: Node, context: LowerContext): void {
  if (!isOp(node, 'ScatterElements')) return;
  const { axis, reduction } = node.attrs;
  const indices = rowMajor(node, 1, context);
  const updates = rowMajor(node, 2, context);
  const out = context.output(node);
  context.copy(context.anyView(operand(node, 0)), out);
  if (elementCount(indices.shape) === 0) return;
  context.call(
    {
      family: 'scatterAt',
      params: {
        loops: mergeLoops(
          loopsOver(indices.shape, [out.strides.with(axis, 0), indices.strides, updates.strides]),
        ),
        index: indices.dtype,
        tuple: [{ size: out.shape[axis] ?? 1, step: out.strides[axis] ?? 0 }],
        count: 1,
        dtype: out.dtype,
        ...combination(reduction),
      },
    },
    [out, indices, updates],
  );
}

export function lowerScatterND(node: Node, context: LowerContext): void {
  if (!isOp(node, 'ScatterND')) return;
  const indices = rowMajor(node, 1, context);
  const updates = rowMajor(node, 2, context);
  const out = context.output(node);
  context.copy(context.anyView(operand(node, 0)), out);
  if (elementCount(updates.shape) === 0) return;
  const width = indices.shape.at(-1) ?? 0;
  const count = product(out.shape.slice(width));
  const steps = [0, width * bytesOf(indices.dtype), count * bytesOf(out.dtype)];
  context.call(
    {
      family: 'scatterAt',
      params: {
        loops: mergeLoops([{ count: product(indices.shape.slice(0, -1)), steps }]),
        index: indices.dtype,
        tuple: tupleAxes(out, 0, width),
        count,
        dtype: out.dtype,
        ...combination(node.attrs.reduction),
      },
    },
    [out, indices, updates],
  );
}

export function lowerMaxUnpool(node: Node, context: LowerContext): void {
  const input = rowMajor(node, 0, context);
  const indices = rowMajor(node, 1, context);
  const out = context.output(node);
  context.fill(out, 0);
  const [count, size] = [elementCount(input.shape), elementCount(out.shape)];
  if (count === 0) return;
  context.call({ family: 'unpool', params: { count, size, bytes: bytesOf(out.dtype) } }, [
    input,
    indices,
    out,
  ]);
}

const SCANS = {
  CumSum: { combine: 'add(x0, x1)', init: 0 },
  CumProd: { combine: 'mul(x0, x1)', init: 1 },
} as const;

export function lowerScan(node: Node, context: LowerContext): void {
  if (!isOp(node, 'CumSum') && !isOp(node, 'CumProd')) return;
  const { axis, exclusive, reverse } = node.attrs;
  const input = rowMajor(node, 0, context);
  const out = context.output(node);
  if (isEmpty(node)) return;
  context.call(
    {
      family: 'scan',
      params: {
        dtype: out.dtype,
        outer: linesOf(out.shape, axis, [input, out]),
        length: out.shape[axis] ?? 1,
        step: out.strides[axis] ?? 0,
        ...SCANS[node.op as keyof typeof SCANS],
        exclusive,
        reverse,
      },
    },
    [input, out],
  );
}

export function lowerArgReduction(node: Node, context: LowerContext): void {
  if (!isOp(node, 'ArgMax') && !isOp(node, 'ArgMin')) return;
  const { axis, keepDims, selectLast } = node.attrs;
  const input = rowMajor(node, 0, context);
  const out = context.output(node);
  if (isEmpty(node)) return;
  const kept: View = keepDims
    ? out
    : { ...out, shape: out.shape.toSpliced(axis, 0, 1), strides: out.strides.toSpliced(axis, 0, 0) };
  context.call(
    {
      family: 'argReduce',
      params: {
        dtype: input.dtype,
        outer: linesOf(input.shape, axis, [input, kept]),
        length: input.shape[axis] ?? 1,
        step: input.strides[axis] ?? 0,
        largest: node.op === 'ArgMax',
        last: selectLast,
      },
    },
    [input, out],
  );
}

export function lowerTopK(node: Node, context: LowerContext): void {
  if (!isOp(node, 'TopK')) return;
  const { axis, k, largest } = node.attrs;
  const input = rowMajor(node, 0, context);
  const values = context.output(node, 0);
  const indices = context.output(node, 1);
  if (isEmpty(node)) return;
  context.call(
    {
      family: 'topK',
      params: {
        dtype: input.dtype,
        outer: linesOf(input.shape, axis, [input, values, indices]),
        length: input.shape[axis] ?? 1,
        step: input.strides[axis] ?? 0,
        k,
        largest,
        valueStep: values.strides[axis] ?? 0,
        indexStep: indices.strides[axis] ?? 0,
      },
    },
    [input, values, indices],
  );
}

export function lowerNonZero(node: Node, context: LowerContext): void {
  const input = rowMajor(node, 0, context);
  const out = context.output(node, 0);
  const count = context.output(node, 1);
  context.call({ family: 'nonZero', params: { dtype: input.dtype, shape: input.shape } }, [
    input,
    out,
    count,
  ]);
}

export function lowerNonMaxSuppression(node: Node, context: LowerContext): void {
  if (!isOp(node, 'NonMaxSuppression')) return;
  const boxes = rowMajor(node, 0, context);
  const scores = rowMajor(node, 1, context);
  const limits = (['most', 'iou', 'score'] as const).flatMap((name, i) => {
    const value = ownInput(node, i + 2);
    return value ? [{ name, view: context.view(value, 'rowMajor') }] : [];
  });
  const out = context.output(node, 0);
  const count = context.output(node, 1);
  const [batches = 0, classes = 0, number = 0] = scores.shape;
  const params: SuppressParams = {
    batches,
    classes,
    boxes: number,
    most: (out.shape[0] ?? 0) / Math.max(1, batches * classes),
    center: node.attrs.center,
    given: limits.map((l) => l.name),
  };
  const candidates = context.scratch([Math.max(1, number)], 'i32');
  const views = limits.map((l) => l.view);
  context.call({ family: 'suppress', params }, [boxes, scores, ...views, candidates, out, count]);
}

export function lowerGridSample(node: Node, context: LowerContext): void {
  if (!isOp(node, 'GridSample')) return;
  const input = rowMajor(node, 0, context);
  const grid = rowMajor(node, 1, context);
  const out = context.output(node);
  if (isEmpty(node)) return;
  const [batch = 1, channels = 1, ...sizes] = input.shape;
  const points = product(out.shape.slice(2));
  context.call({ family: 'gridSample', params: { ...node.attrs, batch, channels, sizes, points } }, [
    input,
    grid,
    out,
  ]);
}

export function lowerRoiAlign(node: Node, context: LowerContext): void {
  if (!isOp(node, 'RoiAlign')) return;
  const { mode, size, samples, scale, halfPixel } = node.attrs;
  const input = rowMajor(node, 0, context);
  const rois = rowMajor(node, 1, context);
  const batch = rowMajor(node, 2, context);
  const out = context.output(node);
  if (isEmpty(node)) return;
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
  const input = rowMajor(node, 0, context);
  const weight = rowMajor(node, 1, context);
  const offset = rowMajor(node, 2, context);
  const bias = ownInput(node, 3) ? rowMajor(node, 3, context) : undefined;
  const mask = ownInput(node, 4) ? rowMajor(node, 4, context) : undefined;
  const out = context.output(node);
  if (isEmpty(node)) return;
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
          tile: chooseTile(rows, points),
          epilogue: bias ? { expr: 'add(x0, x1)', operands: ['splat'] } : null,
        },
      },
      [weight, seen, image(out, n), ...(bias ? [bias] : [])],
    );
  }
}

export function lowerCol2Im(node: Node, context: LowerContext): void {
  if (!isOp(node, 'Col2Im')) return;
  const input = rowMajor(node, 0, context);
  const out = context.output(node);
  context.fill(out, 0);
  if (isEmpty(node)) return;
  const planes = (out.shape[0] ?? 1) * (out.shape[1] ?? 1);
  context.call({ family: 'columns', params: { planes, axes: blockAxes(node.attrs) } }, [input, out]);
}

/** Largest elements of any type, in any layout, and where they were if asked. */
export function lowerLargest(node: Node, context: LowerContext): void {
  if (!isOp(node, 'MaxPool') && !isOp(node, 'MaxPoolWithIndices')) return;
  const tells = isOp(node, 'MaxPoolWithIndices');
  const input = context.anyView(operand(node, 0));
  const out = context.output(node, 0);
  const indices = tells ? context.output(node, 1) : undefined;
  const spatial = input.shape.slice(2);
  const index = indexStrides(spatial, tells && node.attrs.columnMajor);
  const axes: LargestParams['axes'] = windowAxes(node.attrs).map((axis, i) => ({
    input: spatial[i] ?? 1,
    output: out.shape[i + 2] ?? 1,
    kernel: axis.kernel,
    stride: axis.stride,
    dilation: axis.dilation,
    pad: axis.padBegin,
    inputStep: input.strides[i + 2] ?? 0,
    outputStep: out.strides[i + 2] ?? 0,
    indexStep: indices?.strides[i + 2] ?? 0,
    index: index[i] ?? 0,
  }));
  const strides = [input.strides, out.strides, indices?.strides ?? out.strides.map(() => 0)];
  context.call(
    {
      family: 'largest',
      params: { dtype: input.dtype, planes: loopsOver(out.shape, strides, [0, 1]), axes, indices: tells },
    },
    [input, out, ...(indices ? [indices] : [])],
  );
}
