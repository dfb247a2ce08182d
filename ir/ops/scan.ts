import { attr } from '../attrs.ts';
import { type AxisField, defineOp, inputData, inputType, OpError } from '../op.ts';
import { allocate, type TensorData, write } from '../tensor.ts';
import { elementCount, isWide, product } from '../types.ts';
import { axisField } from './common.ts';
import { checkAxis } from './offsets.ts';

const SCANS = {
  CumSum: { init: 0, doubles: (a: number, b: number) => a + b, whole: (a: bigint, b: bigint) => a + b },
  CumProd: { init: 1, doubles: (a: number, b: number) => a * b, whole: (a: bigint, b: bigint) => a * b },
} as const;

/** All elements up to each position of `axis` (or, in reverse, from it on) combined; `exclusive` leaves its own out. */
const scan = <const N extends keyof typeof SCANS>(name: N) =>
  defineOp({
    name,
    attrs: { axis: attr.int(), exclusive: attr.bool(false), reverse: attr.bool(false) },
    inputs: [{ name: 'x', role: 'data' }],
    traits: { layout: 'rowMajor' },
    infer({ attrs: { axis }, inputs }) {
      const type = inputType({ inputs }, 0);
      checkAxis(axis, type.shape.length);
      if (type.dtype === 'bool') throw new OpError('values of bool are not added up');
      return [type];
    },
    cost: ({ inputs }) => ({ macs: 0, otherOps: elementCount(inputType({ inputs }, 0).shape) }),
    field: ({ attrs, inputs }) =>
      inputType({ inputs }, 0).shape.map(
        (_, a): AxisField => (a === attrs.axis ? { kind: 'whole' } : axisField(a)),
      ),
    reference: {
      kind: 'whole',
      evaluate(context) {
        const { axis, exclusive, reverse } = context.attrs;
        const { dtype, shape } = inputType(context, 0);
        const data = inputData(context, 0);
        const length = shape[axis] ?? 1;
        const step = product(shape.slice(axis + 1));
        const result: TensorData = allocate(dtype, data.length);
        const { init, doubles, whole } = SCANS[name];
        for (let line = 0; line < data.length / Math.max(1, length); line++) {
          const start = Math.floor(line / step) * step * length + (line % step);
          let sum: number | bigint = isWide(dtype) ? BigInt(init) : init;
          for (let i = 0; i < length; i++) {
            const at = start + (reverse ? length - 1 - i : i) * step;
            const before: number | bigint = sum;
            const x = data[at] ?? 0;
            sum = typeof x === 'bigint' ? whole(sum as bigint, x) : doubles(sum as number, x);
            write(result, at, exclusive ? before : sum);
          }
        }
        return [result];
      },
    },
  });

export const SCAN_OPS = { CumSum: scan('CumSum'), CumProd: scan('CumProd') } as const;
