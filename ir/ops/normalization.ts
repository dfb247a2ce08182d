/** Normalisation by stored statistics. */
import { attr } from '../attrs.ts';
import { type AxisField, defineOp, inputData, inputType, OpError, outputType } from '../op.ts';
import { elementCount, formatType, product } from '../types.ts';
import { axisField } from './common.ts';

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
