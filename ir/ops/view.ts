/** Ops that give a tensor another shape and move no byte: row-major order is unchanged. */
import { type AttrSchema, type AttrsOf, attr } from '../attrs.ts';
import { type AxisField, defineOp, inputData, inputType, NO_COST, OpError, outputType } from '../op.ts';
import { elementCount, formatShape, product, type Shape } from '../types.ts';
import { axisField, reshapeField } from './common.ts';
import { checkAxes, checkedShape } from './offsets.ts';

/** An op whose output is its input's data under the shape that `shape` computes. */
const view = <const N extends string, const S extends AttrSchema>(
  name: N,
  attrs: S,
  shape: (attrs: AttrsOf<S>, from: Shape) => Shape,
  field: (attrs: AttrsOf<S>, from: Shape, to: Shape) => AxisField[],
) =>
  defineOp<N, S>({
    name,
    attrs,
    inputs: [{ name: 'x', role: 'data' }],
    traits: { layout: 'rowMajor', movement: true, view: true },
    infer({ attrs: given, inputs }) {
      const { dtype, shape: from } = inputType({ inputs }, 0);
      return [{ dtype, shape: shape(given, from) }];
    },
    cost: () => NO_COST,
    field: ({ attrs: given, inputs, outputs }) =>
      field(given, inputType({ inputs }, 0).shape, outputType({ outputs }).shape),
    reference: { kind: 'whole', evaluate: (context) => [inputData(context, 0)] },
  });

export const Identity = view(
  'Identity',
  {},
  (_, from) => from,
  (_, from) => from.map((_size, axis) => axisField(axis)),
);

/** x [any] → [shape], of as many elements. */
export const Reshape = view(
  'Reshape',
  { shape: attr.ints() },
  ({ shape }, from) => {
    if (elementCount(checkedShape(shape)) !== elementCount(from)) {
      throw new OpError(
        `${formatShape(from)} has ${elementCount(from)} elements, ${formatShape(shape)} has ${elementCount(shape)}`,
      );
    }
    return shape;
  },
  (_, from, to) => reshapeField(from, to),
);

/** x → [product of the axes before `axis`, product of the others]. */
export const Flatten = view(
  'Flatten',
  { axis: attr.int(1) },
  ({ axis }, from) => {
    if (axis < 0 || axis > from.length)
      throw new OpError(`axis ${axis} is outside a tensor of rank ${from.length}`);
    return [product(from.slice(0, axis)), product(from.slice(axis))];
  },
  (_, from, to) => reshapeField(from, to),
);

/** Drops axes of size 1. */
export const Squeeze = view(
  'Squeeze',
  { axes: attr.ints() },
  ({ axes }, from) => {
    checkAxes(axes, from.length);
    for (const axis of axes) {
      if (from[axis] !== 1) throw new OpError(`axis ${axis} has size ${from[axis]} and cannot be dropped`);
    }
    return from.filter((_, axis) => !axes.includes(axis));
  },
  ({ axes }, from) => from.flatMap((_, axis) => (axes.includes(axis) ? [] : [axisField(axis)])),
);

/** Inserts axes of size 1; `axes` are positions in the result. */
export const Unsqueeze = view(
  'Unsqueeze',
  { axes: attr.ints() },
  ({ axes }, from) => {
    const rank = from.length + axes.length;
    checkAxes(axes, rank);
    let next = 0;
    return Array.from({ length: rank }, (_, axis) => (axes.includes(axis) ? 1 : (from[next++] ?? 1)));
  },
  ({ axes }, _from, to) => {
    let next = 0;
    return to.map((_, axis): AxisField => (axes.includes(axis) ? { kind: 'none' } : axisField(next++)));
  },
);

export const VIEWS = { Identity, Reshape, Flatten, Squeeze, Unsqueeze } as const;
