import { attr } from '../attrs.ts';
import type { Value } from '../graph.ts';
import {
  type AxisField,
  type DecomposeContext,
  defineOp,
  type EvalContext,
  inputData,
  inputType,
  inputValue,
  OpError,
  outputType,
} from '../op.ts';
import { allocate, type TensorData, write } from '../tensor.ts';
import { elementCount, isInteger, isWide, type Shape } from '../types.ts';
import { axisField } from './common.ts';
import { checkAxes, offsetsOver } from './offsets.ts';

/** How elements are folded into one, in doubles. `shift` is subtracted from each element first. */
interface Reduction {
  readonly init: number;
  step(folded: number, value: number): number;
  finish?(folded: number, count: number, shift: number): number;
  /** Subtract the largest element first, so that exponentials stay finite. */
  readonly shifted?: true;
  /** The same for integers, exactly, where that is not what doubles give anyway. */
  readonly integers?: {
    readonly init?: bigint;
    step(folded: bigint, value: bigint): bigint;
    finish?(folded: bigint, count: bigint): bigint;
  };
  /** Over no elements, is its value not finite? Then integers have none. */
  readonly nonEmpty?: true;
}

const sum = (folded: number, value: number): number => folded + value;
const integerSum = { init: 0n, step: (s: bigint, value: bigint) => s + value };

const REDUCTIONS = {
  ReduceSum: { init: 0, step: sum, integers: integerSum },
  ReduceMean: {
    init: 0,
    step: sum,
    finish: (s, count) => s / count,
    integers: { ...integerSum, finish: (s: bigint, count: bigint) => s / count },
    nonEmpty: true,
  },
  ReduceMax: {
    init: Number.NEGATIVE_INFINITY,
    step: Math.max,
    integers: { step: (m: bigint, value: bigint) => (value > m ? value : m) },
    nonEmpty: true,
  },
  ReduceMin: {
    init: Number.POSITIVE_INFINITY,
    step: Math.min,
    integers: { step: (m: bigint, value: bigint) => (value < m ? value : m) },
    nonEmpty: true,
  },
  ReduceProd: {
    init: 1,
    step: (p, value) => p * value,
    integers: { init: 1n, step: (p: bigint, value: bigint) => BigInt.asIntN(64, p * value) },
  },
  ReduceL1: {
    init: 0,
    step: (s, value) => s + Math.abs(value),
    integers: { init: 0n, step: (s: bigint, value: bigint) => s + (value < 0n ? -value : value) },
  },
  ReduceL2: { init: 0, step: (s, value) => s + value * value, finish: Math.sqrt },
  ReduceLogSum: { init: 0, step: sum, finish: Math.log },
  ReduceLogSumExp: {
    init: 0,
    step: (s, value) => s + Math.exp(value),
    finish: (s, _count, shift) => Math.log(s) + shift,
    shifted: true,
  },
  ReduceSumSquare: {
    init: 0,
    step: (s, value) => s + value * value,
    integers: { init: 0n, step: (s: bigint, value: bigint) => s + value * value },
  },
} as const satisfies Record<string, Reduction>;

/** Folds over `axes`, which stay as size 1 with `keepDims`. No axes: each element on its own. */
const reduction = <const N extends keyof typeof REDUCTIONS>(
  name: N,
  decompose?: (context: DecomposeContext<ReduceAttrs>) => Value[],
) =>
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
    ...(decompose ? { decompose } : {}),
  });

interface ReduceAttrs {
  readonly axes: readonly number[];
  readonly keepDims: boolean;
}

const reducedShape = (shape: Shape, axes: readonly number[], keepDims: boolean): Shape =>
  keepDims
    ? shape.map((size, axis) => (axes.includes(axis) ? 1 : size))
    : shape.filter((_, axis) => !axes.includes(axis));

/** log Σ exp(x − shift) + shift, the shift being the maximum where that is finite; integers are computed in f32. */
function decomposeLogSumExp(context: DecomposeContext<ReduceAttrs>): Value[] {
  const { b, attrs } = context;
  const given = inputValue(context, 0);
  const { dtype } = given.type;
  const { axes, keepDims } = attrs;
  const x = dtype === 'f32' ? given : b.op('Cast', [given], { to: 'f32' });
  const largest = b.op('ReduceMax', [x], { axes });
  const hasFinite = b.op('Less', [b.op('Abs', [largest], {}), b.scalar(Number.POSITIVE_INFINITY)], {});
  const shift = b.op('Where', [hasFinite, largest, b.scalar(0)], {});
  const sum = b.op('ReduceSum', [b.op('Exp', [b.op('Sub', [x, shift], {})], {})], { axes });
  const log = b.op('Add', [b.op('Log', [sum], {}), shift], {});
  const result = keepDims ? log : b.op('Squeeze', [log], { axes });
  return [dtype === 'f32' ? result : b.op('Cast', [result], { to: dtype })];
}

function reduce(rule: Reduction, context: EvalContext<{ readonly axes: readonly number[] }>): TensorData {
  const { shape } = inputType(context, 0);
  const kept = offsetsOver(shape, (axis) => !context.attrs.axes.includes(axis));
  const folded = offsetsOver(shape, (axis) => context.attrs.axes.includes(axis));
  const { dtype } = outputType(context);
  const result = allocate(dtype, kept.length);
  if (rule.integers && isInteger(dtype)) {
    reduceIntegers(rule.integers, inputData(context, 0), kept, folded, result, isWide(dtype));
    return result;
  }
  const data = doubles(inputData(context, 0));
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

function reduceIntegers(
  rule: NonNullable<Reduction['integers']>,
  data: TensorData,
  kept: Int32Array,
  folded: Int32Array,
  result: TensorData,
  wide: boolean,
): void {
  kept.forEach((base, o) => {
    let value = rule.init;
    for (const offset of folded) {
      const next = BigInt(data[base + offset] ?? 0);
      value = value === undefined ? next : rule.step(value, next);
    }
    const finished = rule.finish?.(value ?? 0n, BigInt(folded.length)) ?? value ?? 0n;
    write(result, o, wide ? finished : BigInt.asIntN(32, finished));
  });
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
  ReduceLogSumExp: reduction('ReduceLogSumExp', decomposeLogSumExp),
  ReduceSumSquare: reduction('ReduceSumSquare'),
} as const;
