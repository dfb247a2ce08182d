/** Ops that read or write elements at positions that a tensor of indices names. */
import { attr } from '../attrs.ts';
import {
  type AxisField,
  defineOp,
  type EvalContext,
  inputData,
  inputType,
  NO_COST,
  OpError,
  type OpTraits,
  outputType,
} from '../op.ts';
import { allocate, copyElement, read, type Tensor, type TensorData, write } from '../tensor.ts';
import {
  elementCount,
  formatShape,
  isWide,
  product,
  rowMajorStrides,
  type Shape,
  sameShape,
  type TensorType,
} from '../types.ts';
import { axisField, unravel } from './common.ts';
import { checkIndices, indexType, position } from './indices.ts';
import { checkAxis, checkedShape } from './offsets.ts';

const ROW_MAJOR: OpTraits = { layout: 'rowMajor', movement: true };
const DATA_X = { name: 'x', role: 'data' } as const;
const INDICES = { name: 'indices', role: 'data' } as const;

/** x and indices of one rank, the indices nowhere larger but along `axis`. */
function checkAlongAxis(x: Shape, indices: Shape, axis: number): void {
  checkAxis(axis, x.length);
  if (x.length !== indices.length || indices.some((size, a) => a !== axis && size > (x[a] ?? 0))) {
    throw new OpError(
      `indices of ${formatShape(indices)} do not fit data of ${formatShape(x)} along axis ${axis}`,
    );
  }
}

/** For each element of a tensor of indices, the element of `x` at the same position but for `axis`, and whether it is. */
function alongAxis(context: EvalContext<{ readonly axis: number }>): {
  at: Int32Array;
  inside: readonly boolean[];
} {
  const { axis } = context.attrs;
  const { shape } = inputType(context, 0);
  const at = inputType(context, 1).shape;
  const indices = inputData(context, 1);
  const strides = rowMajorStrides(shape);
  const index = Array.from({ length: indices.length }, (_, i) =>
    position(read(indices, i), shape[axis] ?? 0),
  );
  const offset = (_: unknown, i: number) =>
    unravel(i, at).reduce(
      (sum, p, a) => sum + (a === axis ? Math.max(0, index[i] ?? 0) : p) * (strides[a] ?? 0),
      0,
    );
  return { at: Int32Array.from({ length: indices.length }, offset), inside: index.map((i) => i >= 0) };
}

/** Element (i, j, …) of the result is that of x at the same position, but for `axis`, where the index says. */
export const GatherElements = defineOp({
  name: 'GatherElements',
  attrs: { axis: attr.int(0) },
  inputs: [DATA_X, INDICES],
  traits: ROW_MAJOR,
  infer({ attrs: { axis }, inputs, constants }) {
    const { dtype, shape } = inputType({ inputs }, 0);
    const indices = indexType({ inputs }, 1);
    checkAlongAxis(shape, indices.shape, axis);
    checkIndices(constants[1]?.data, [shape[axis] ?? 0]);
    return [{ dtype, shape: indices.shape }];
  },
  cost: () => NO_COST,
  field: ({ attrs, outputs }, _output, input) =>
    outputType({ outputs }).shape.map(
      (_, axis): AxisField => (input === 0 && axis === attrs.axis ? { kind: 'whole' } : axisField(axis)),
    ),
  checkData: (context) =>
    checkIndices(inputData(context, 1), [inputType(context, 0).shape[context.attrs.axis] ?? 0]),
  reference: {
    kind: 'whole',
    evaluate(context) {
      const data = inputData(context, 0);
      const { at } = alongAxis(context);
      const result = allocate(outputType(context).dtype, at.length);
      at.forEach((from, i) => {
        copyElement(result, i, data, from);
      });
      return [result];
    },
  },
});

/** Where the slices that tuples of indices name start in x [B…, I₁…Iₖ, S…], one for each tuple, and whether they do. */
function tupleOffsets(
  context: EvalContext<unknown>,
  batch: number,
): { at: Int32Array; inside: readonly boolean[]; slice: number } {
  const { shape } = inputType(context, 0);
  const tuples = inputType(context, 1).shape;
  const indices = inputData(context, 1);
  const width = tuples.at(-1) ?? 1;
  const strides = rowMajorStrides(shape);
  const count = product(tuples.slice(0, -1));
  const perBatch = product(tuples.slice(batch, -1));
  const batchStride = product(shape.slice(batch));
  const inside = new Array<boolean>(count).fill(true);
  const at = Int32Array.from({ length: count }, (_, i) => {
    let offset = Math.floor(i / perBatch) * batchStride;
    for (let k = 0; k < width; k++) {
      const index = position(read(indices, i * width + k), shape[batch + k] ?? 0);
      if (index < 0) inside[i] = false;
      else offset += index * (strides[batch + k] ?? 0);
    }
    return offset;
  });
  return { at, inside, slice: product(shape.slice(batch + width)) };
}

/** @throws OpError unless the last axis of the indices counts axes of x after the batch axes */
function checkTuples(x: Shape, indices: Shape, batch: number, constant: Tensor | undefined): number {
  const width = indices.at(-1);
  if (width === undefined) throw new OpError('the indices are a scalar; their last axis must list positions');
  if (batch + width > x.length) {
    throw new OpError(`indices of ${width} axes after ${batch} batch axes, of data of rank ${x.length}`);
  }
  if (!sameShape(x.slice(0, batch), indices.slice(0, batch)))
    throw new OpError(`batch axes of ${formatShape(x)} and ${formatShape(indices)} differ`);
  if (width > 0) checkIndices(constant?.data, x.slice(batch, batch + width));
  return width;
}

/** @throws OpError where a tuple of indices names no slice */
const checkTupleData = (context: EvalContext<unknown>, batch: number): void =>
  checkIndices(
    inputData(context, 1),
    inputType(context, 0).shape.slice(batch, batch + (inputType(context, 1).shape.at(-1) ?? 0)),
  );

/** x [B…, I₁…Iₖ, S…], indices [B…, T…, k] → [B…, T…, S…]: the slices of x that the tuples of indices name. */
export const GatherND = defineOp({
  name: 'GatherND',
  attrs: { batchDims: attr.int(0) },
  inputs: [DATA_X, INDICES],
  traits: ROW_MAJOR,
  infer({ attrs: { batchDims }, inputs, constants }) {
    const { dtype, shape } = inputType({ inputs }, 0);
    const indices = indexType({ inputs }, 1).shape;
    if (batchDims < 0 || batchDims >= Math.max(indices.length, 1))
      throw new OpError(`batch_dims is ${batchDims}`);
    const width = checkTuples(shape, indices, batchDims, constants[1]);
    return [{ dtype, shape: checkedShape([...indices.slice(0, -1), ...shape.slice(batchDims + width)]) }];
  },
  cost: () => NO_COST,
  field({ attrs: { batchDims }, inputs, outputs }, _output, input) {
    const indices = inputType({ inputs }, 1).shape;
    const tuples = indices.length - 1;
    const rest = batchDims + (indices.at(-1) ?? 0);
    return outputType({ outputs }).shape.map((_, o): AxisField => {
      if (input === 1) return o < tuples ? axisField(o) : { kind: 'none' };
      if (o < batchDims) return axisField(o);
      return o < tuples ? { kind: 'whole' } : axisField(o - tuples + rest);
    });
  },
  checkData: (context) => checkTupleData(context, context.attrs.batchDims),
  reference: {
    kind: 'whole',
    evaluate(context) {
      const data = inputData(context, 0) as Float32Array;
      const { at, slice } = tupleOffsets(context, context.attrs.batchDims);
      const result = allocate(outputType(context).dtype, at.length * slice) as Float32Array;
      at.forEach((from, i) => {
        result.set(data.subarray(from, from + slice), i * slice);
      });
      return [result];
    },
  },
});

export const SCATTER_REDUCTIONS = ['none', 'add', 'mul', 'min', 'max'] as const;
export type ScatterReduction = (typeof SCATTER_REDUCTIONS)[number];

const COMBINE: Record<
  ScatterReduction,
  { doubles(a: number, b: number): number; whole(a: bigint, b: bigint): bigint }
> = {
  none: { doubles: (_, b) => b, whole: (_, b) => b },
  add: { doubles: (a, b) => a + b, whole: (a, b) => a + b },
  mul: { doubles: (a, b) => a * b, whole: (a, b) => a * b },
  min: { doubles: Math.min, whole: (a, b) => (b < a ? b : a) },
  max: { doubles: Math.max, whole: (a, b) => (b > a ? b : a) },
};

/** A copy of x in which `put` combines an element with one of the updates. */
function updating(context: EvalContext<{ readonly reduction: ScatterReduction }>) {
  const updates = inputData(context, 2);
  const result = inputData(context, 0).slice() as TensorData;
  const { doubles, whole } = COMBINE[context.attrs.reduction];
  const wide = isWide(outputType(context).dtype);
  const put = (at: number, from: number): void => {
    const [a = 0, b = 0] = [result[at], updates[from]];
    write(result, at, wide ? whole(a as bigint, b as bigint) : doubles(Number(a), Number(b)));
  };
  return { result, put };
}

const SCATTER_INPUTS = [DATA_X, INDICES, { name: 'updates', role: 'data' }] as const;
const REDUCTION = attr.word(...SCATTER_REDUCTIONS);

function checkUpdates(x: TensorType, updates: TensorType, shape: Shape): void {
  if (updates.dtype !== x.dtype) throw new OpError(`updates are ${updates.dtype}, data is ${x.dtype}`);
  if (!sameShape(updates.shape, shape))
    throw new OpError(`updates of ${formatShape(updates.shape)}, not ${formatShape(shape)}`);
}

/** One operation for each update that is combined rather than written. */
const scatterCost = (reduction: ScatterReduction, updates: TensorType) => ({
  macs: 0,
  otherOps: reduction === 'none' ? 0 : elementCount(updates.shape),
});

/** x with `updates` written or combined at their own positions, but for `axis`, where the index says. */
export const ScatterElements = defineOp({
  name: 'ScatterElements',
  attrs: { axis: attr.int(0), reduction: REDUCTION },
  inputs: SCATTER_INPUTS,
  traits: { layout: 'rowMajor' },
  infer({ attrs: { axis }, inputs, constants }) {
    const x = inputType({ inputs }, 0);
    const indices = indexType({ inputs }, 1).shape;
    checkAlongAxis(x.shape, indices, axis);
    checkUpdates(x, inputType({ inputs }, 2), indices);
    checkIndices(constants[1]?.data, [x.shape[axis] ?? 0]);
    return [x];
  },
  cost: ({ attrs, inputs }) => scatterCost(attrs.reduction, inputType({ inputs }, 2)),
  field: ({ attrs, inputs }, _output, input) =>
    inputType({ inputs }, 0).shape.map(
      (_, axis): AxisField => (input > 0 && axis === attrs.axis ? { kind: 'whole' } : axisField(axis)),
    ),
  checkData: (context) =>
    checkIndices(inputData(context, 1), [inputType(context, 0).shape[context.attrs.axis] ?? 0]),
  reference: {
    kind: 'whole',
    evaluate(context) {
      const { result, put } = updating(context);
      const { at, inside } = alongAxis(context);
      at.forEach((to, i) => {
        if (inside[i]) put(to, i);
      });
      return [result];
    },
  },
});

/** x [I₁…Iₖ, S…] with the slices that tuples of indices [T…, k] name replaced by, or combined with, updates [T…, S…]. */
export const ScatterND = defineOp({
  name: 'ScatterND',
  attrs: { reduction: REDUCTION },
  inputs: SCATTER_INPUTS,
  traits: { layout: 'rowMajor' },
  infer({ inputs, constants }) {
    const x = inputType({ inputs }, 0);
    const indices = indexType({ inputs }, 1).shape;
    const width = checkTuples(x.shape, indices, 0, constants[1]);
    checkUpdates(x, inputType({ inputs }, 2), [...indices.slice(0, -1), ...x.shape.slice(width)]);
    return [x];
  },
  cost: ({ attrs, inputs }) => scatterCost(attrs.reduction, inputType({ inputs }, 2)),
  field({ inputs, outputs }, _output, input) {
    const indices = inputType({ inputs }, 1).shape;
    const width = indices.at(-1) ?? 0;
    return outputType({ outputs }).shape.map((_, axis): AxisField => {
      if (input === 0) return axisField(axis);
      if (axis < width) return { kind: 'whole' };
      return input === 1 ? { kind: 'none' } : axisField(axis - width + indices.length - 1);
    });
  },
  checkData: (context) => checkTupleData(context, 0),
  reference: {
    kind: 'whole',
    evaluate(context) {
      const { result, put } = updating(context);
      const { at, inside, slice } = tupleOffsets(context, 0);
      at.forEach((offset, i) => {
        if (!inside[i]) return;
        for (let s = 0; s < slice; s++) put(offset + s, i * slice + s);
      });
      return [result];
    },
  },
});

export const INDEXING = { GatherElements, GatherND, ScatterElements, ScatterND } as const;
