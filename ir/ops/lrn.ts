import { attr } from '../attrs.ts';
import type { Value } from '../graph.ts';
import {
  type AxisField,
  type DecomposeContext,
  defineOp,
  inputData,
  inputType,
  inputValue,
  OpError,
  outputType,
} from '../op.ts';
import { elementCount, formatType, product } from '../types.ts';
import { axisField } from './common.ts';

interface LrnAttrs {
  readonly size: number;
  readonly alpha: number;
  readonly beta: number;
  readonly bias: number;
}

/** Channels before and after a channel that its window holds. */
const reach = (size: number): readonly [number, number] => [
  Math.floor((size - 1) / 2),
  Math.ceil((size - 1) / 2),
];

/**
 * Local response normalisation: x / (bias + alpha/size·Σ x²)^beta, the sum over a window of `size` channels around each
 * (Krizhevsky et al. 2012, where k is the bias). x [N, C, …].
 */
export const LRN = defineOp({
  name: 'LRN',
  attrs: { size: attr.int(), alpha: attr.float(1e-4), beta: attr.float(0.75), bias: attr.float(1) },
  inputs: [{ name: 'x', role: 'data' }],
  traits: { layout: 'strided' },
  infer({ attrs, inputs }) {
    const x = inputType({ inputs }, 0);
    if (x.dtype !== 'f32') throw new OpError(`input is ${formatType(x)}, not f32`);
    if (x.shape.length < 2) throw new OpError(`input has rank ${x.shape.length} and no channel axis`);
    if (attrs.size < 1) throw new OpError(`size is ${attrs.size}`);
    return [x];
  },
  /** The square, the sum, and scale, bias, power and division. */
  cost: ({ attrs, outputs }) => ({
    macs: 0,
    otherOps: (attrs.size + 5) * elementCount(outputType({ outputs }).shape),
  }),
  field: ({ attrs, inputs }) =>
    inputType({ inputs }, 0).shape.map((_, axis): AxisField => {
      const [before] = reach(attrs.size);
      const start = before === 0 ? 0 : -before;
      return axis === 1
        ? axisField(1, { advance: 1, phases: [{ start, size: attrs.size }] })
        : axisField(axis);
    }),
  reference: {
    kind: 'element',
    element(context) {
      const { size, alpha, beta, bias } = context.attrs;
      const { shape } = inputType(context, 0);
      const data = inputData(context, 0) as Float32Array;
      const channels = shape[1] ?? 1;
      const plane = product(shape.slice(2));
      const [before, after] = reach(size);
      return (index) => {
        const c = Math.floor(index / plane) % channels;
        let sum = 0;
        for (let k = Math.max(0, c - before); k <= Math.min(channels - 1, c + after); k++)
          sum += (data[index + (k - c) * plane] as number) ** 2;
        return (data[index] as number) / (bias + (alpha / size) * sum) ** beta;
      };
    },
  },
  decompose,
});

/** The mean of squares over channels is a pooling, once channels are a spatial axis. */
function decompose(context: DecomposeContext<LrnAttrs>): Value[] {
  const { b, attrs } = context;
  const x = inputValue(context, 0);
  const { shape } = x.type;
  const [n = 1, c = 1, ...rest] = shape;
  const squares = b.op('Mul', [x, x], {});
  const [before, after] = reach(attrs.size);
  const means = b.op('AveragePool', [b.op('Reshape', [squares], { shape: [n, 1, c, product(rest)] })], {
    kernel: [attrs.size, 1],
    strides: [1, 1],
    dilations: [1, 1],
    pads: [before, 0, after, 0],
    countIncludePad: true,
  });
  const mean = b.op('Reshape', [means], { shape });
  const base = b.op('Add', [b.op('Mul', [mean, b.scalar(attrs.alpha)], {}), b.scalar(attrs.bias)], {});
  return [b.op('Div', [x, b.op('Pow', [base, b.scalar(attrs.beta)], {})], {})];
}
