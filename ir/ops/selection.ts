/** Ops that look for elements: the largest, the k largest, those that are not zero, boxes that overlap no better one. */
import { attr } from '../attrs.ts';
import {
  type AxisField,
  defineOp,
  type EvalContext,
  inputData,
  inputType,
  OpError,
  outputType,
} from '../op.ts';
import { allocate, copyElement, numbers, read, type TensorData, write } from '../tensor.ts';
import { elementCount, product, type Shape } from '../types.ts';
import { axisField, unravel, wholeField } from './common.ts';
import { checkAxis, checkedShape } from './offsets.ts';

const DATA_X = [{ name: 'x', role: 'data' }] as const;

/** The lines of a tensor along an axis: element i of a line lies at start + i·step. */
function linesAlong(shape: Shape, axis: number): { length: number; step: number; starts: Int32Array } {
  const length = shape[axis] ?? 1;
  const step = product(shape.slice(axis + 1));
  const count = product(shape.slice(0, axis)) * step;
  const starts = Int32Array.from(
    { length: count },
    (_, i) => Math.floor(i / step) * step * length + (i % step),
  );
  return { length, step, starts };
}

/** Values in an order that comparison of the elements gives; wide integers are compared exactly. */
const isBefore = (
  a: number | bigint | undefined,
  b: number | bigint | undefined,
  largest: boolean,
): boolean => (largest ? (a ?? 0) > (b ?? 0) : (a ?? 0) < (b ?? 0));

const argReduction = <const N extends 'ArgMax' | 'ArgMin'>(name: N) =>
  defineOp({
    name,
    attrs: { axis: attr.int(0), keepDims: attr.bool(true), selectLast: attr.bool(false) },
    inputs: DATA_X,
    traits: { layout: 'rowMajor' },
    infer({ attrs: { axis, keepDims }, inputs }) {
      const { shape } = inputType({ inputs }, 0);
      checkAxis(axis, shape.length);
      if (shape[axis] === 0) throw new OpError(`axis ${axis} has no elements`);
      return [{ dtype: 'i64', shape: keepDims ? shape.with(axis, 1) : shape.toSpliced(axis, 1) }];
    },
    cost: ({ inputs }) => ({ macs: 0, otherOps: elementCount(inputType({ inputs }, 0).shape) }),
    field: ({ attrs: { axis, keepDims }, inputs }) =>
      inputType({ inputs }, 0).shape.flatMap((_, a): AxisField[] => {
        if (a !== axis) return [axisField(a)];
        return keepDims ? [{ kind: 'whole' }] : [];
      }),
    reference: {
      kind: 'whole',
      evaluate(context) {
        const { axis, selectLast } = context.attrs;
        const data = inputData(context, 0);
        const { length, step, starts } = linesAlong(inputType(context, 0).shape, axis);
        const result = allocate('i64', starts.length);
        starts.forEach((start, o) => {
          let best = 0;
          for (let i = 1; i < length; i++) {
            const [x, top] = [data[start + i * step], data[start + best * step]];
            if (isBefore(x, top, name === 'ArgMax') || (selectLast && x === top)) best = i;
          }
          write(result, o, best);
        });
        return [result];
      },
    },
  });

/** Position of the largest element along `axis`, as i64; of equal ones the first, or with `selectLast` the last. */
export const ArgMax = argReduction('ArgMax');
/** Position of the smallest element along `axis`, as i64; of equal ones the first, or with `selectLast` the last. */
export const ArgMin = argReduction('ArgMin');

/** The k largest (or smallest) elements along `axis`, in order, and their positions; equal ones as they come. */
export const TopK = defineOp({
  name: 'TopK',
  attrs: { axis: attr.int(), k: attr.int(), largest: attr.bool(true) },
  inputs: DATA_X,
  traits: { layout: 'rowMajor' },
  infer({ attrs: { axis, k }, inputs }) {
    const { dtype, shape } = inputType({ inputs }, 0);
    checkAxis(axis, shape.length);
    if (k < 0 || k > (shape[axis] ?? 0))
      throw new OpError(`k is ${k}; axis ${axis} has ${shape[axis]} elements`);
    const result = shape.with(axis, k);
    return [
      { dtype, shape: result },
      { dtype: 'i64', shape: result },
    ];
  },
  cost: ({ inputs }) => ({ macs: 0, otherOps: elementCount(inputType({ inputs }, 0).shape) }),
  field: ({ attrs, inputs }) =>
    inputType({ inputs }, 0).shape.map(
      (_, a): AxisField => (a === attrs.axis ? { kind: 'whole' } : axisField(a)),
    ),
  reference: {
    kind: 'whole',
    evaluate(context) {
      const { axis, k, largest } = context.attrs;
      const data = inputData(context, 0);
      const { dtype, shape } = outputType(context);
      const from = linesAlong(inputType(context, 0).shape, axis);
      const to = linesAlong(shape, axis);
      const values = allocate(dtype, elementCount(shape));
      const indices = allocate('i64', elementCount(shape));
      if (k === 0) return [values, indices];
      from.starts.forEach((start, line) => {
        const at = (i: number) => data[start + i * from.step];
        const order = Array.from({ length: from.length }, (_, i) => i).sort((a, b) =>
          isBefore(at(a), at(b), largest) ? -1 : isBefore(at(b), at(a), largest) ? 1 : a - b,
        );
        for (let i = 0; i < k; i++) {
          const o = (to.starts[line] ?? 0) + i * to.step;
          copyElement(values, o, data, start + (order[i] ?? 0) * from.step);
          write(indices, o, order[i] ?? 0);
        }
      });
      return [values, indices];
    },
  },
});

/** Positions of elements that are not 0, as i64 [rank, count], in row-major order; room for all, and how many there are. */
export const NonZero = defineOp({
  name: 'NonZero',
  attrs: {},
  inputs: DATA_X,
  traits: { layout: 'rowMajor', bounded: 1 },
  infer({ inputs }) {
    const { shape } = inputType({ inputs }, 0);
    return [
      { dtype: 'i64', shape: checkedShape([shape.length, elementCount(shape)]) },
      { dtype: 'i64', shape: [] },
    ];
  },
  cost: ({ inputs }) => ({ macs: 0, otherOps: elementCount(inputType({ inputs }, 0).shape) }),
  field: ({ outputs }, output) => wholeField(outputType({ outputs }, output).shape),
  reference: {
    kind: 'whole',
    evaluate(context) {
      const data = inputData(context, 0);
      const { shape } = inputType(context, 0);
      const room = elementCount(shape);
      const result = allocate('i64', shape.length * room);
      let count = 0;
      for (let i = 0; i < room; i++) {
        if (read(data, i) === 0) continue;
        unravel(i, shape).forEach((at, axis) => {
          write(result, axis * room + count, at);
        });
        count++;
      }
      return [result, BigInt64Array.of(BigInt(count))];
    },
  },
});

interface Box {
  readonly y: readonly [number, number];
  readonly x: readonly [number, number];
}

const f = Math.fround;

/** Two corners in any order, or a centre and sizes; rounded as f32 arithmetic rounds, so that ties fall alike. */
function boxAt(boxes: TensorData, at: number, center: boolean): Box {
  const [a, b, c, d] = [0, 1, 2, 3].map((i) => read(boxes, at + i)) as [number, number, number, number];
  if (!center) return { y: [Math.min(a, c), Math.max(a, c)], x: [Math.min(b, d), Math.max(b, d)] };
  const [w, h] = [f(c / 2), f(d / 2)];
  return { x: [f(a - w), f(a + w)], y: [f(b - h), f(b + h)] };
}

/** Do two boxes share more than `limit` of their union? */
function overlap(p: Box, q: Box, limit: number): boolean {
  const side = ([a, b]: readonly [number, number], [c, d]: readonly [number, number]) =>
    Math.max(0, f(Math.min(b, d) - Math.max(a, c)));
  const shared = f(side(p.y, q.y) * side(p.x, q.x));
  const area = ({ y, x }: Box) => f(f(y[1] - y[0]) * f(x[1] - x[0]));
  const union = f(f(area(p) + area(q)) - shared);
  return shared > 0 && union > 0 && f(shared / union) > limit;
}

/**
 * Greedy suppression per batch and class: boxes [B, N, 4], scores [B, C, N] → i64 [count, 3] of batch, class and box, in
 * order of falling score within each class; and how many rows count. Scores must exceed the score threshold if there is one.
 */
export const NonMaxSuppression = defineOp({
  name: 'NonMaxSuppression',
  attrs: { center: attr.bool(false) },
  inputs: [
    { name: 'boxes', role: 'data' },
    { name: 'scores', role: 'data' },
    { name: 'maxPerClass', role: 'data', optional: true },
    { name: 'iouThreshold', role: 'data', optional: true },
    { name: 'scoreThreshold', role: 'data', optional: true },
  ],
  traits: { layout: 'rowMajor', bounded: 0 },
  infer({ inputs, constants }) {
    const boxes = inputType({ inputs }, 0).shape;
    const scores = inputType({ inputs }, 1).shape;
    const [batch = 0, count = 0] = boxes;
    const classes = scores[1] ?? 0;
    if (
      boxes.length !== 3 ||
      boxes[2] !== 4 ||
      scores.length !== 3 ||
      scores[0] !== batch ||
      scores[2] !== count
    )
      throw new OpError(`boxes of [${boxes.join(',')}] with scores of [${scores.join(',')}]`);
    inputs.slice(2).forEach((type, i) => {
      if (type && elementCount(type.shape) !== 1) throw new OpError(`input ${i + 2} is not one number`);
    });
    const most = inputs[2] ? (constants[2] ? (numbers(constants[2])[0] ?? 0) : count) : 0;
    const rows = batch * classes * Math.max(0, Math.min(most, count));
    return [
      { dtype: 'i64', shape: checkedShape([rows, 3]) },
      { dtype: 'i64', shape: [] },
    ];
  },
  /** Comparisons of each box with each better one, at some 15 operations, is the most there can be. */
  cost({ inputs }) {
    const [batch = 0, count = 0] = inputType({ inputs }, 0).shape;
    return {
      macs: 0,
      otherOps: (15 * batch * (inputType({ inputs }, 1).shape[1] ?? 0) * count * (count - 1)) / 2,
    };
  },
  field: ({ outputs }, output) => wholeField(outputType({ outputs }, output).shape),
  reference: { kind: 'whole', evaluate: suppress },
});

function suppress(context: EvalContext<{ readonly center: boolean }>): TensorData[] {
  const [batches = 0, classes = 0, count = 0] = inputType(context, 1).shape;
  const boxes = inputData(context, 0);
  const scores = inputData(context, 1);
  const scalar = (input: number, absent: number): number => {
    const data = context.data[input];
    return data ? read(data, 0) : absent;
  };
  const rows = outputType(context).shape[0] ?? 0;
  const most = Math.min(scalar(2, 0), batches * classes === 0 ? 0 : rows / (batches * classes));
  const limit = scalar(3, 0);
  const least = scalar(4, Number.NEGATIVE_INFINITY);
  const result = allocate('i64', rows * 3);
  let row = 0;
  for (let b = 0; b < batches; b++) {
    for (let c = 0; c < classes; c++) {
      const first = (b * classes + c) * count;
      const score = (i: number) => read(scores, first + i);
      const order = Array.from({ length: count }, (_, i) => i)
        .filter((i) => score(i) > least)
        .sort((p, q) => score(q) - score(p) || p - q);
      const kept: Box[] = [];
      for (const i of order) {
        if (kept.length >= most) break;
        const box = boxAt(boxes, (b * count + i) * 4, context.attrs.center);
        if (kept.some((other) => overlap(box, other, limit))) continue;
        kept.push(box);
        [b, c, i].forEach((value, k) => {
          write(result, row * 3 + k, value);
        });
        row++;
      }
    }
  }
  return [result, BigInt64Array.of(BigInt(row))];
}

export const SELECTIONS = { ArgMax, ArgMin, TopK, NonZero, NonMaxSuppression } as const;
