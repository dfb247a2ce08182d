/** Softmax and what is like it: functions of a line of elements along one axis. */
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
import { allocate, f32, type TensorData } from '../tensor.ts';
import { elementCount, formatType, product } from '../types.ts';
import { axisField } from './common.ts';
import { checkAxis } from './offsets.ts';

interface AxisAttrs {
  readonly axis: number;
}

/** @param write fills `result` from the elements of one line, in doubles */
const lineOp = <const N extends string>(
  name: N,
  operations: number,
  write: (line: Float64Array, result: Float64Array) => void,
  decompose?: (context: DecomposeContext<AxisAttrs>) => Value[],
) =>
  defineOp({
    name,
    attrs: { axis: attr.int() },
    inputs: [{ name: 'x', role: 'data' }],
    traits: { layout: 'strided' },
    infer({ attrs: { axis }, inputs }) {
      const x = inputType({ inputs }, 0);
      if (x.dtype !== 'f32') throw new OpError(`input is ${formatType(x)}, not f32`);
      checkAxis(axis, x.shape.length);
      return [x];
    },
    cost: ({ outputs }) => ({
      macs: 0,
      otherOps: operations * elementCount(outputType({ outputs }).shape),
    }),
    field: ({ attrs, inputs }) =>
      inputType({ inputs }, 0).shape.map(
        (_, axis): AxisField => (axis === attrs.axis ? { kind: 'whole' } : axisField(axis)),
      ),
    reference: { kind: 'whole', evaluate: (context) => [alongAxis(context, write)] },
    ...(decompose ? { decompose } : {}),
  });

function alongAxis(
  context: EvalContext<AxisAttrs>,
  write: (line: Float64Array, result: Float64Array) => void,
): TensorData {
  const { axis } = context.attrs;
  const { dtype, shape } = inputType(context, 0);
  const data = inputData(context, 0) as Float32Array;
  const result = allocate(dtype, data.length) as Float32Array;
  const length = shape[axis] ?? 1;
  const inner = product(shape.slice(axis + 1));
  const line = new Float64Array(length);
  const values = new Float64Array(length);
  for (let start = 0; start < data.length; start += length * inner) {
    for (let at = start; at < start + inner; at++) {
      for (let i = 0; i < length; i++) line[i] = data[at + i * inner] as number;
      write(line, values);
      for (let i = 0; i < length; i++) result[at + i * inner] = values[i] as number;
    }
  }
  return result;
}

const largestOf = (line: Float64Array): number =>
  line.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);

/** exp(x − max) into `result`; gives their sum. */
function exponentials(line: Float64Array, result: Float64Array): number {
  const largest = largestOf(line);
  let sum = 0;
  for (let i = 0; i < line.length; i++) {
    const e = Math.exp((line[i] as number) - largest);
    result[i] = e;
    sum += e;
  }
  return sum;
}

/**
 * exp(x − max) / Σ exp(x − max) along `axis`. Five operations per element: subtraction, exponential, two comparisons or
 * sums and a division.
 */
export const Softmax = lineOp('Softmax', 5, (line, result) => {
  const sum = exponentials(line, result);
  for (let i = 0; i < line.length; i++) result[i] = (result[i] as number) / sum;
});

/** x − max − log Σ exp(x − max) along `axis`. */
export const LogSoftmax = lineOp(
  'LogSoftmax',
  5,
  (line, result) => {
    const log = Math.log(exponentials(line, result));
    const largest = largestOf(line);
    for (let i = 0; i < line.length; i++) result[i] = (line[i] as number) - largest - log;
  },
  decomposeLogSoftmax,
);

function decomposeLogSoftmax(context: DecomposeContext<AxisAttrs>): Value[] {
  const { b } = context;
  const axes = [context.attrs.axis];
  const x = inputValue(context, 0);
  const shifted = b.op('Sub', [x, b.op('ReduceMax', [x], { axes })], {});
  const sum = b.op('ReduceSum', [b.op('Exp', [shifted], {})], { axes });
  return [b.op('Sub', [shifted, b.op('Log', [sum], {})], {})];
}

/** 1 at the first of the largest elements along `axis`, else 0; all 0 where one of them is NaN. */
export const Hardmax = lineOp(
  'Hardmax',
  2,
  (line, result) => {
    const largest = largestOf(line);
    result.fill(0);
    const first = line.indexOf(largest);
    if (first >= 0) result[first] = 1;
  },
  decomposeHardmax,
);

/** Of the positions whose element is the largest, the least; then 1 where a position is that. */
function decomposeHardmax(context: DecomposeContext<AxisAttrs>): Value[] {
  const { b } = context;
  const { axis } = context.attrs;
  const x = inputValue(context, 0);
  const { shape } = x.type;
  const length = shape[axis] ?? 1;
  const ramp = f32(
    shape.map((_, i) => (i === axis ? length : 1)),
    Float32Array.from({ length }, (_, i) => i),
  );
  const positions = b.constant('positions', ramp);
  const isLargest = b.op('Equal', [x, b.op('ReduceMax', [x], { axes: [axis] })], {});
  const candidates = b.op('Where', [isLargest, positions, b.scalar(length)], {});
  const first = b.op('ReduceMin', [candidates], { axes: [axis] });
  return [b.op('Where', [b.op('Equal', [positions, first], {}), b.scalar(1), b.scalar(0)], {})];
}

export const SOFTMAXES = { Softmax, LogSoftmax, Hardmax } as const;
