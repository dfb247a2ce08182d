/** Ops that rearrange, select or repeat elements of any type without computing. */
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
import { allocate, read, type TensorData } from '../tensor.ts';
import {
  broadcastShapes,
  broadcastStrides,
  elementCount,
  formatShape,
  product,
  rowMajorStrides,
} from '../types.ts';
import type { PositionMap } from '../window.ts';
import { axisField, broadcastField } from './common.ts';
import { checkIndices, indexType, position } from './indices.ts';
import {
  type AxisOffsets,
  checkAxes,
  checkAxis,
  checkedShape,
  checkLength,
  copyByOffsets,
  stridedOffsets,
} from './offsets.ts';

const MOVEMENT: OpTraits = { layout: 'strided', movement: true };
const DATA_X = [{ name: 'x', role: 'data' }] as const;
const shift = (start: number, advance = 1): PositionMap => ({ advance, phases: [{ start, size: 1 }] });

/** The first input, copied through one offset table per output axis. */
const gather = (context: EvalContext<unknown>, tables: readonly AxisOffsets[], fill = 0): TensorData[] => [
  copyByOffsets(inputData(context, 0), outputType(context).dtype, tables, fill),
];

/** Output axis i is input axis perm[i]. */
export const Transpose = defineOp({
  name: 'Transpose',
  attrs: { perm: attr.ints() },
  inputs: DATA_X,
  traits: { ...MOVEMENT, reorders: true },
  infer({ attrs: { perm }, inputs }) {
    const { dtype, shape } = inputType({ inputs }, 0);
    checkLength('perm', perm, shape.length);
    checkAxes(perm, shape.length);
    return [{ dtype, shape: perm.map((axis) => shape[axis] ?? 1) }];
  },
  cost: () => NO_COST,
  field: ({ attrs }) => attrs.perm.map((axis) => axisField(axis)),
  reference: {
    kind: 'whole',
    evaluate(context) {
      const { shape } = inputType(context, 0);
      const strides = rowMajorStrides(shape);
      return gather(
        context,
        context.attrs.perm.map((axis) => stridedOffsets(shape[axis] ?? 1, strides[axis] ?? 1)),
      );
    },
  },
});

/** Inputs one after another along `axis`; all other sizes are equal. */
export const Concat = defineOp({
  name: 'Concat',
  attrs: { axis: attr.int() },
  inputs: [{ name: 'x', role: 'data', variadic: true }],
  traits: { ...MOVEMENT, joins: true },
  infer({ attrs: { axis }, inputs }) {
    const first = inputType({ inputs }, 0);
    checkAxis(axis, first.shape.length);
    let total = 0;
    for (const [i] of inputs.entries()) {
      const { dtype, shape } = inputType({ inputs }, i);
      if (dtype !== first.dtype) throw new OpError(`input ${i} is ${dtype}, input 0 is ${first.dtype}`);
      if (shape.length !== first.shape.length || shape.some((s, k) => k !== axis && s !== first.shape[k])) {
        throw new OpError(
          `${formatShape(shape)} (input ${i}) and ${formatShape(first.shape)} differ in more than axis ${axis}`,
        );
      }
      total += shape[axis] ?? 0;
    }
    return [{ dtype: first.dtype, shape: checkedShape(first.shape.with(axis, total)) }];
  },
  cost: () => NO_COST,
  field({ attrs, inputs, outputs }, _output, input) {
    const before = inputs.slice(0, input).reduce((sum, t) => sum + (t?.shape[attrs.axis] ?? 0), 0);
    return outputType({ outputs }).shape.map((_, axis): AxisField => {
      if (axis !== attrs.axis) return axisField(axis);
      return axis === 1 ? axisField(axis, shift(before === 0 ? 0 : -before)) : { kind: 'whole' };
    });
  },
  reference: {
    kind: 'whole',
    evaluate(context) {
      const { axis } = context.attrs;
      const { dtype, shape } = outputType(context);
      const result = allocate(dtype, elementCount(shape)) as Float32Array;
      const rows = product(shape.slice(0, axis));
      const row = product(shape.slice(axis));
      let before = 0;
      for (const [i] of context.inputs.entries()) {
        const source = inputData(context, i) as Float32Array;
        const chunk = rows === 0 ? 0 : source.length / rows;
        for (let r = 0; r < rows; r++)
          result.set(source.subarray(r * chunk, (r + 1) * chunk), r * row + before);
        before += chunk;
      }
      return [result];
    },
  },
});

/** Output index i of an axis reads starts + i·steps; steps may be negative, and every index read exists. */
export const Slice = defineOp({
  name: 'Slice',
  attrs: { starts: attr.ints(), steps: attr.ints(), sizes: attr.ints() },
  inputs: DATA_X,
  traits: MOVEMENT,
  infer({ attrs: { starts, steps, sizes }, inputs }) {
    const { dtype, shape } = inputType({ inputs }, 0);
    checkLength('starts', starts, shape.length);
    checkLength('steps', steps, shape.length);
    checkLength('sizes', sizes, shape.length);
    shape.forEach((length, axis) => {
      const start = starts[axis] ?? 0;
      const step = steps[axis] ?? 1;
      const size = sizes[axis] ?? 0;
      if (step === 0) throw new OpError(`step of axis ${axis} is 0`);
      if (size < 0) throw new OpError(`size of axis ${axis} is ${size}`);
      const last = start + (size - 1) * step;
      if (size > 0 && (Math.min(start, last) < 0 || Math.max(start, last) >= length)) {
        throw new OpError(`axis ${axis} has ${length} positions; ${start} to ${last} are read`);
      }
    });
    return [{ dtype, shape: sizes }];
  },
  cost: () => NO_COST,
  field: ({ attrs }) =>
    attrs.starts.map((start, axis): AxisField => {
      const step = attrs.steps[axis] ?? 1;
      return step > 0 ? axisField(axis, shift(start, step)) : { kind: 'whole' };
    }),
  reference: {
    kind: 'whole',
    evaluate(context) {
      const { starts, steps, sizes } = context.attrs;
      const strides = rowMajorStrides(inputType(context, 0).shape);
      return gather(
        context,
        sizes.map((size, axis) => stridedOffsets(size, strides[axis] ?? 1, starts[axis], steps[axis])),
      );
    },
  },
});

/** Cuts `axis` into pieces of the given sizes, in order; one output each. */
export const Split = defineOp({
  name: 'Split',
  attrs: { axis: attr.int(), sizes: attr.ints() },
  inputs: DATA_X,
  traits: MOVEMENT,
  infer({ attrs: { axis, sizes }, inputs }) {
    const { dtype, shape } = inputType({ inputs }, 0);
    checkAxis(axis, shape.length);
    if (sizes.length === 0 || sizes.some((size) => size < 0))
      throw new OpError(`sizes are [${sizes.join(',')}]`);
    const total = sizes.reduce((a, b) => a + b, 0);
    if (total !== shape[axis])
      throw new OpError(`sizes add up to ${total}; axis ${axis} has ${shape[axis]} positions`);
    return sizes.map((size) => ({ dtype, shape: shape.with(axis, size) }));
  },
  cost: () => NO_COST,
  field: ({ attrs, inputs }, output) =>
    inputType({ inputs }, 0).shape.map((_, axis) =>
      axisField(
        axis,
        shift(axis === attrs.axis ? attrs.sizes.slice(0, output).reduce((a, b) => a + b, 0) : 0),
      ),
    ),
  reference: {
    kind: 'whole',
    evaluate(context) {
      const { axis, sizes } = context.attrs;
      const { dtype, shape } = inputType(context, 0);
      const strides = rowMajorStrides(shape);
      let start = 0;
      return sizes.map((size) => {
        const tables = shape.map((length, k) => stridedOffsets(k === axis ? size : length, strides[k] ?? 1));
        const stride = strides[axis] ?? 1;
        tables[axis] = stridedOffsets(size, stride, start);
        start += size;
        return copyByOffsets(inputData(context, 0), dtype, tables);
      });
    },
  },
});

const PAD_MODES = ['constant', 'reflect', 'edge', 'wrap'] as const;
export type PadMode = (typeof PAD_MODES)[number];

/** The input position that padded position `i` (0 is the first input position) copies; −1 for the constant. */
export function padSource(mode: PadMode, i: number, size: number): number {
  if (i >= 0 && i < size) return i;
  switch (mode) {
    case 'constant':
      return -1;
    case 'edge':
      return i < 0 ? 0 : size - 1;
    case 'wrap':
      return ((i % size) + size) % size;
    case 'reflect': {
      if (size === 1) return 0;
      const period = 2 * (size - 1);
      const phase = ((i % period) + period) % period;
      return phase < size ? phase : period - phase;
    }
  }
}

/** Adds positions at both ends of each axis; a negative pad removes them. Pads: all begins, then all ends. */
export const Pad = defineOp({
  name: 'Pad',
  attrs: { mode: attr.word(...PAD_MODES), pads: attr.ints(), value: attr.float(0) },
  inputs: DATA_X,
  traits: MOVEMENT,
  infer({ attrs: { mode, pads }, inputs }) {
    const { dtype, shape } = inputType({ inputs }, 0);
    const rank = shape.length;
    checkLength('pads', pads, 2 * rank);
    const padded = shape.map((size, axis) => {
      const begin = pads[axis] ?? 0;
      const end = pads[rank + axis] ?? 0;
      if (size + Math.min(begin, 0) + Math.min(end, 0) < 0) {
        throw new OpError(`axis ${axis} has ${size} positions; pads ${begin} and ${end} remove more`);
      }
      if (mode !== 'constant' && size === 0 && begin + end > 0)
        throw new OpError(`axis ${axis} has nothing to ${mode}`);
      return size + begin + end;
    });
    return [{ dtype, shape: checkedShape(padded) }];
  },
  cost: () => NO_COST,
  field: ({ attrs, inputs }) =>
    inputType({ inputs }, 0).shape.map((_, axis) => {
      const begin = attrs.pads[axis] ?? 0;
      return axisField(
        axis,
        shift(begin === 0 ? 0 : -begin),
        attrs.mode === 'constant' ? undefined : attrs.mode,
      );
    }),
  between: ({ mode, value }) => (mode === 'constant' ? [value] : []),
  reference: {
    kind: 'whole',
    evaluate(context) {
      const { mode, pads, value } = context.attrs;
      const { shape } = inputType(context, 0);
      const strides = rowMajorStrides(shape);
      const tables = outputType(context).shape.map((size, axis) =>
        Int32Array.from({ length: size }, (_, o) => {
          const at = padSource(mode, o - (pads[axis] ?? 0), shape[axis] ?? 0);
          return at < 0 ? -1 : at * (strides[axis] ?? 1);
        }),
      );
      return gather(context, tables, value);
    },
  },
});

/** x [A…, n, B…], indices [I…] → [A…, I…, B…]: the slices of `axis` that the indices name; −1 is the last. */
export const Gather = defineOp({
  name: 'Gather',
  attrs: { axis: attr.int(0) },
  inputs: [
    { name: 'x', role: 'data' },
    { name: 'indices', role: 'data' },
  ],
  traits: MOVEMENT,
  infer({ attrs: { axis }, inputs, constants }) {
    const { dtype, shape } = inputType({ inputs }, 0);
    checkAxis(axis, shape.length);
    const indices = indexType({ inputs }, 1);
    checkIndices(constants[1]?.data, [shape[axis] ?? 0]);
    return [
      { dtype, shape: checkedShape([...shape.slice(0, axis), ...indices.shape, ...shape.slice(axis + 1)]) },
    ];
  },
  cost: () => NO_COST,
  field({ attrs: { axis }, inputs, outputs }, _output, input) {
    const width = inputType({ inputs }, 1).shape.length;
    return outputType({ outputs }).shape.map((_, o): AxisField => {
      const inside = o >= axis && o < axis + width;
      if (input === 1) return inside ? axisField(o - axis) : { kind: 'none' };
      if (inside) return { kind: 'whole' };
      return axisField(o < axis ? o : o - width + 1);
    });
  },
  checkData: (context) =>
    checkIndices(inputData(context, 1), [inputType(context, 0).shape[context.attrs.axis] ?? 0]),
  reference: {
    kind: 'whole',
    evaluate(context) {
      const { axis } = context.attrs;
      const { shape } = inputType(context, 0);
      const inner = product(shape.slice(axis + 1));
      const outer = product(shape.slice(0, axis));
      const length = shape[axis] ?? 0;
      return gather(context, [
        stridedOffsets(outer, length * inner),
        indexOffsets(inputData(context, 1), length, inner),
        stridedOffsets(inner, 1),
      ]);
    },
  },
});

const indexOffsets = (indices: TensorData, length: number, stride: number): AxisOffsets =>
  Int32Array.from(
    { length: indices.length },
    (_, i) => Math.max(0, position(read(indices, i), length)) * stride,
  );

/** Broadcasts x with `shape`, in both directions. */
export const Expand = defineOp({
  name: 'Expand',
  attrs: { shape: attr.ints() },
  inputs: DATA_X,
  traits: MOVEMENT,
  infer({ attrs, inputs }) {
    const { dtype, shape } = inputType({ inputs }, 0);
    const result = broadcastShapes(shape, attrs.shape);
    if (!result) throw new OpError(`${formatShape(shape)} and ${formatShape(attrs.shape)} do not broadcast`);
    return [{ dtype, shape: checkedShape(result) }];
  },
  cost: () => NO_COST,
  field: ({ inputs, outputs }) =>
    broadcastField(inputType({ inputs }, 0).shape, outputType({ outputs }).shape),
  reference: {
    kind: 'whole',
    evaluate(context) {
      const { shape } = outputType(context);
      const strides = broadcastStrides(inputType(context, 0).shape, shape);
      return gather(
        context,
        shape.map((size, axis) => stridedOffsets(size, strides[axis] ?? 0)),
      );
    },
  },
});

/** Repeats x `repeats` times along each axis. */
export const Tile = defineOp({
  name: 'Tile',
  attrs: { repeats: attr.ints() },
  inputs: DATA_X,
  traits: MOVEMENT,
  infer({ attrs: { repeats }, inputs }) {
    const { dtype, shape } = inputType({ inputs }, 0);
    checkLength('repeats', repeats, shape.length);
    return [{ dtype, shape: checkedShape(shape.map((size, axis) => size * (repeats[axis] ?? 1))) }];
  },
  cost: () => NO_COST,
  field: ({ attrs: { repeats }, inputs }) =>
    inputType({ inputs }, 0).shape.map(
      (_, axis): AxisField => (repeats[axis] === 1 ? axisField(axis) : { kind: 'whole' }),
    ),
  reference: {
    kind: 'whole',
    evaluate(context) {
      const { shape } = inputType(context, 0);
      const strides = rowMajorStrides(shape);
      const tables = outputType(context).shape.map((size, axis) =>
        Int32Array.from({ length: size }, (_, o) => (o % (shape[axis] ?? 1)) * (strides[axis] ?? 1)),
      );
      return gather(context, tables);
    },
  },
});

export const MOVEMENTS = {
  Transpose,
  Concat,
  Slice,
  Split,
  Pad,
  Gather,
  Expand,
  Tile,
} as const;
