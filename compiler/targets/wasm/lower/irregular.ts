/** Ops of the irregular kernels: everything is read and written in row-major order. */
import { type Loop, loopsOver, mergeLoops } from '#compiler/schedule/loops.ts';
import { suppressParts } from '#compiler/schedule/operands.ts';
import type { View } from '#compiler/schedule/view.ts';
import { isOp, type Node, operand } from '#ir/graph.ts';
import type { ScatterReduction } from '#ir/ops/indexing.ts';
import { indexStrides } from '#ir/ops/unpool.ts';
import { bytesOf, elementCount, product, rowMajorStrides } from '#ir/types.ts';
import { windowAxes } from '#ir/window.ts';
import type { LowerContext } from '../context.ts';
import type { LargestParams } from '../kernels/blocks.ts';

/** Loops over the axes of `shape` that are not `axis`, with the strides of some views. */
const linesOf = (shape: readonly number[], axis: number, views: readonly View[]): Loop[] =>
  mergeLoops(
    loopsOver(
      shape,
      views.map((v) => v.strides),
      shape.map((_, a) => a).filter((a) => a !== axis),
    ),
  );

export function lowerGatherElements(node: Node, context: LowerContext): void {
  if (!isOp(node, 'GatherElements')) return;
  const { axis } = node.attrs;
  const input = context.rowMajor(node, 0);
  const indices = context.rowMajor(node, 1);
  const out = context.output(node);
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
  const input = context.rowMajor(node, 0);
  const indices = context.rowMajor(node, 1);
  const out = context.output(node);
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
  const indices = context.rowMajor(node, 1);
  const updates = context.rowMajor(node, 2);
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
  const indices = context.rowMajor(node, 1);
  const updates = context.rowMajor(node, 2);
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
  const input = context.rowMajor(node, 0);
  const indices = context.rowMajor(node, 1);
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
  const input = context.rowMajor(node, 0);
  const out = context.output(node);
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
  const input = context.rowMajor(node, 0);
  const out = context.output(node);
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
  const input = context.rowMajor(node, 0);
  const values = context.output(node, 0);
  const indices = context.output(node, 1);
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
  const input = context.rowMajor(node, 0);
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
  const { params, reads, out, count } = suppressParts(node, context);
  const candidates = context.scratch([Math.max(1, params.boxes)], 'i32');
  context.call({ family: 'suppress', params }, [...reads, candidates, out, count]);
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
