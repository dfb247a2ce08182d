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
import { allocate, type TensorData, write } from '../tensor.ts';
import { elementCount, rowMajorStrides, type Shape } from '../types.ts';
import { axisField } from './common.ts';
import { checkAxes, flattenOffsets, stridedOffsets } from './offsets.ts';

/** How elements are folded into one, in doubles. `shift` is subtracted from each element first. */
interface Reduction {
  readonly init: number;
  step(folded: number, value: number): number;
  finish?(folded: number, count: number, shift: number): number;
  /** Subtract the largest element first, so that exponentials stay finite. */
  readonly shifted?: true;
  /** Over no elements, is its value not finite? Then integers have none. */
  readonly nonEmpty?: true;
}

const sum = (folded: number, value: number): number => folded + value;

const REDUCTIONS = {
  ReduceSum: { init: 0, step: sum },
  ReduceMean: { init: 0, step: sum, finish: (s, count) => s / count, nonEmpty: true },
  ReduceMax: { init: Number.NEGATIVE_INFINITY, step: Math.max, nonEmpty: true },
  ReduceMin: { init: Number.POSITIVE_INFINITY, step: Math.min, nonEmpty: true },
  ReduceProd: { init: 1, step: (p, value) => p * value },
  ReduceL1: { init: 0, step: (s, value) => s + Math.abs(value) },
  ReduceL2: { init: 0, step: (s, value) => s + value * value, finish: Math.sqrt },
  ReduceLogSum: { init: 0, step: sum, finish: Math.log },
  ReduceLogSumExp: {
    init: 0,
    step: (s, value) => s + Math.exp(value),
    finish: (s, _count, shift) => Math.log(s) + shift,
    shifted: true,
  },
  ReduceSumSquare: { init: 0, step: (s, value) => s + value * value },
} as const satisfies Record<string, Reduction>;

/** Folds over `axes`, which stay as size 1 with `keepDims`. No axes: each element on its own. */
const reduction = <const N extends keyof typeof REDUCTIONS>(name: N) =>
  defineOp({
    name,
    attrs: { axes: attr.ints(), keepDims: attr.bool(true) },
    inputs: [{ name: 'x', role: 'data' }],
    traits: { layout: 'strided' },
    infer({ attrs: { axes, keepDims }, inputs }) {
      const { dtype, shape } = inputType({ inputs }, 0);
      if (dtype === 'bool') throw new OpError('values of bool cannot be reduced');
      checkAxes(axes, shape.length);
      const rule: Reduction = REDUCTIONS[name];
      if (rule.nonEmpty && dtype !== 'f32' && axes.some((axis) => shape[axis] === 0)) {
        throw new OpError(`there are no elements to reduce, and ${dtype} has no value for that`);
      }
      return [{ dtype, shape: reducedShape(shape, axes, keepDims) }];
    },
    cost: ({ inputs }) => ({ macs: 0, otherOps: elementCount(inputType({ inputs }, 0).shape) }),
    field: ({ attrs: { axes, keepDims }, inputs }) =>
      inputType({ inputs }, 0).shape.flatMap((_, axis): AxisField[] => {
        if (!axes.includes(axis)) return [axisField(axis)];
        return keepDims ? [{ kind: 'whole' }] : [];
      }),
    reference: { kind: 'whole', evaluate: (context) => [reduce(REDUCTIONS[name], context)] },
  });

const reducedShape = (shape: Shape, axes: readonly number[], keepDims: boolean): Shape =>
  keepDims
    ? shape.map((size, axis) => (axes.includes(axis) ? 1 : size))
    : shape.filter((_, axis) => !axes.includes(axis));

function reduce(rule: Reduction, context: EvalContext<{ readonly axes: readonly number[] }>): TensorData {
  const { shape } = inputType(context, 0);
  const data = doubles(inputData(context, 0));
  const kept = offsetsOver(shape, (axis) => !context.attrs.axes.includes(axis));
  const folded = offsetsOver(shape, (axis) => context.attrs.axes.includes(axis));
  const result = allocate(outputType(context).dtype, kept.length);
  kept.forEach((base, o) => {
    let shift = 0;
    if (rule.shifted) {
      let largest = Number.NEGATIVE_INFINITY;
      for (const offset of folded) largest = Math.max(largest, data[base + offset] as number);
      if (Number.isFinite(largest)) shift = largest;
    }
    let value = rule.init;
    for (const offset of folded) value = rule.step(value, (data[base + offset] as number) - shift);
    write(result, o, rule.finish ? rule.finish(value, folded.length, shift) : value);
  });
  return result;
}

/** Flat offsets of every position over the chosen axes, row-major. */
function offsetsOver(shape: Shape, chosen: (axis: number) => boolean): Int32Array {
  const strides = rowMajorStrides(shape);
  return flattenOffsets(
    shape.flatMap((size, axis) => (chosen(axis) ? [stridedOffsets(size, strides[axis] ?? 1)] : [])),
  );
}

/** 64-bit integers as doubles; everything else as it is. */
const doubles = (data: TensorData): Float64Array | Float32Array =>
  data instanceof BigInt64Array || data instanceof BigUint64Array
    ? Float64Array.from(data as ArrayLike<bigint | number>, Number)
    : (data as Float32Array);

export const REDUCERS = {
  ReduceSum: reduction('ReduceSum'),
  ReduceMean: reduction('ReduceMean'),
  ReduceMax: reduction('ReduceMax'),
  ReduceMin: reduction('ReduceMin'),
  ReduceProd: reduction('ReduceProd'),
  ReduceL1: reduction('ReduceL1'),
  ReduceL2: reduction('ReduceL2'),
  ReduceLogSum: reduction('ReduceLogSum'),
  ReduceLogSumExp: reduction('ReduceLogSumExp'),
  ReduceSumSquare: reduction('ReduceSumSquare'),
} as const;
