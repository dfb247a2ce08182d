import { attr } from '../attrs.ts';
import { type AxisField, defineOp, inputData, inputType, OpError, outputType } from '../op.ts';
import { allocate } from '../tensor.ts';
import { elementCount, formatType, product } from '../types.ts';
import { axisField } from './common.ts';
import { checkAxis } from './offsets.ts';

/**
 * Inference form: scale·(x − mean) / √(variance + epsilon) + bias per channel.
 * x [N, C, …]; scale, bias, mean, variance [C] → [N, C, …].
 */
export const BatchNormalization = defineOp({
  name: 'BatchNormalization',
  attrs: { epsilon: attr.float(1e-5) },
  inputs: [
    { name: 'x', role: 'data' },
    { name: 'scale', role: 'weight' },
    { name: 'bias', role: 'weight' },
    { name: 'mean', role: 'buffer' },
    { name: 'variance', role: 'buffer' },
  ],
  traits: { layout: 'spatial', epilogue: true },
  infer({ inputs }) {
    const x = inputType({ inputs }, 0);
    if (x.dtype !== 'f32') throw new OpError(`input is ${formatType(x)}, not f32`);
    if (x.shape.length < 2) throw new OpError(`input has rank ${x.shape.length} and no channel axis`);
    for (const [i, name] of ['scale', 'bias', 'mean', 'variance'].entries()) {
      const count = elementCount(inputType({ inputs }, i + 1).shape);
      if (count !== x.shape[1]) throw new OpError(`${name} has ${count} elements for ${x.shape[1]} channels`);
    }
    return [x];
  },
  cost: ({ outputs }) => ({ macs: 0, otherOps: 2 * elementCount(outputType({ outputs }).shape) }),
  field: ({ inputs, outputs }, _output, input): AxisField[] =>
    outputType({ outputs }).shape.map((_, axis): AxisField => {
      if (input === 0) return axisField(axis);
      return axis === 1 && inputType({ inputs }, input).shape.length === 1 ? axisField(0) : { kind: 'none' };
    }),
  reference: {
    kind: 'element',
    element(context) {
      const data = inputData(context, 0) as Float32Array;
      const [scale, bias, mean, variance] = [1, 2, 3, 4].map((i) =>
        Float64Array.from(inputData(context, i) as Float32Array),
      );
      const { shape } = inputType(context, 0);
      const channels = shape[1] ?? 1;
      const plane = product(shape.slice(2));
      const slope = new Float64Array(channels);
      const shift = new Float64Array(channels);
      for (let c = 0; c < channels; c++) {
        slope[c] = (scale?.[c] ?? 1) / Math.sqrt((variance?.[c] ?? 1) + context.attrs.epsilon);
        shift[c] = (bias?.[c] ?? 0) - (mean?.[c] ?? 0) * (slope[c] as number);
      }
      return (index) => {
        const c = Math.floor(index / plane) % channels;
        return (data[index] as number) * (slope[c] as number) + (shift[c] as number);
      };
    },
  },
});

/** exp(x − max) / Σ exp(x − max) along `axis`. */
export const Softmax = defineOp({
  name: 'Softmax',
  attrs: { axis: attr.int() },
  inputs: [{ name: 'x', role: 'data' }],
  traits: { layout: 'strided' },
  infer({ attrs: { axis }, inputs }) {
    const x = inputType({ inputs }, 0);
    if (x.dtype !== 'f32') throw new OpError(`input is ${formatType(x)}, not f32`);
    checkAxis(axis, x.shape.length);
    return [x];
  },
  /** Subtraction, exponential, two comparisons or sums and a division per element. */
  cost: ({ outputs }) => ({ macs: 0, otherOps: 5 * elementCount(outputType({ outputs }).shape) }),
  field: ({ attrs, inputs }) =>
    inputType({ inputs }, 0).shape.map(
      (_, axis): AxisField => (axis === attrs.axis ? { kind: 'whole' } : axisField(axis)),
    ),
  reference: {
    kind: 'whole',
    evaluate(context) {
      const { axis } = context.attrs;
      const { dtype, shape } = inputType(context, 0);
      const data = inputData(context, 0) as Float32Array;
      const result = allocate(dtype, data.length) as Float32Array;
      const length = shape[axis] ?? 1;
      const inner = product(shape.slice(axis + 1));
      const exps = new Float64Array(length);
      for (let start = 0; start < data.length; start += length * inner) {
        for (let at = start; at < start + inner; at++) {
          let largest = Number.NEGATIVE_INFINITY;
          for (let i = 0; i < length; i++) largest = Math.max(largest, data[at + i * inner] as number);
          let sum = 0;
          for (let i = 0; i < length; i++) {
            const e = Math.exp((data[at + i * inner] as number) - largest);
            exps[i] = e;
            sum += e;
          }
          for (let i = 0; i < length; i++) result[at + i * inner] = (exps[i] as number) / sum;
        }
      }
      return [result];
    },
  },
});

export const NORMALIZATIONS = { BatchNormalization, Softmax } as const;
