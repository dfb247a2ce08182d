import { attr } from '../attrs.ts';
import {
  type AxisField,
  type Cost,
  defineOp,
  type EvalContext,
  inputData,
  inputType,
  type OpContext,
  OpError,
  type OpTraits,
  outputType,
} from '../op.ts';
import { elementCount, isWide, product, type TensorType } from '../types.ts';
import {
  ceilOutputSize,
  extent,
  outputSize,
  type Window,
  type WindowAxis,
  windowAxes,
  windowMap,
} from '../window.ts';
import { axisField } from './common.ts';
import { checkLength } from './offsets.ts';

/** One entry (pads two) per spatial axis; pads are explicit. `ceil` rounds output sizes up instead of down. */
export const POOL_ATTRS = {
  kernel: attr.ints(),
  strides: attr.ints(),
  dilations: attr.ints(),
  pads: attr.ints(),
  ceil: attr.bool(false),
};

export interface PoolAttrs extends Window {
  readonly ceil: boolean;
}

const DATA_X = [{ name: 'x', role: 'data' }] as const;
const SPATIAL: OpTraits = { layout: 'spatial' };

export function inferPool(attrs: PoolAttrs, x: TensorType): TensorType[] {
  const rank = x.shape.length - 2;
  if (rank < 1 || rank > 3) throw new OpError(`input has ${rank} spatial axes; 1 to 3 are supported`);
  if (isWide(x.dtype)) throw new OpError(`pooling of ${x.dtype} is not supported`);
  checkLength('kernel', attrs.kernel, rank);
  checkLength('strides', attrs.strides, rank);
  checkLength('dilations', attrs.dilations, rank);
  checkLength('pads', attrs.pads, 2 * rank);
  if ([...attrs.kernel, ...attrs.strides, ...attrs.dilations].some((v) => v < 1)) {
    throw new OpError('kernel, strides and dilations must be ≥ 1');
  }
  const spatial = windowAxes(attrs).map((axis, i) => {
    const size = x.shape[i + 2] ?? 0;
    if (axis.padBegin < 0 || axis.padEnd < 0) throw new OpError('pads must be ≥ 0');
    if (axis.padBegin >= extent(axis) || axis.padEnd >= extent(axis)) {
      throw new OpError(
        `pads ${axis.padBegin} and ${axis.padEnd} must be smaller than the window of ${extent(axis)}`,
      );
    }
    return attrs.ceil ? ceilOutputSize(axis, size) : outputSize(axis, size);
  });
  if (spatial.some((size) => size < 1)) {
    throw new OpError(`the window does not fit the input: output would be ${spatial.join('×')}`);
  }
  return [{ dtype: x.dtype, shape: [...x.shape.slice(0, 2), ...spatial] }];
}

/** Channels are kept, unlike in a convolution. */
export const poolField = (attrs: PoolAttrs): AxisField[] => [
  axisField(0),
  axisField(1),
  ...windowAxes(attrs).map((axis, i) => axisField(i + 2, windowMap(axis))),
];

/** The input positions under each output position of one axis, and how many taps the padded input holds. */
interface AxisTaps {
  readonly input: number;
  readonly output: number;
  readonly first: Int32Array;
  readonly end: Int32Array;
  readonly step: number;
  readonly padded: Int32Array;
}

/** An axis that is not there: ranks 1 and 2 are filled up at the front, so that one loop nest serves all. */
const NO_AXIS: AxisTaps = {
  input: 1,
  output: 1,
  first: Int32Array.of(0),
  end: Int32Array.of(1),
  step: 1,
  padded: Int32Array.of(1),
};

function axisTaps(axis: WindowAxis, input: number, output: number): AxisTaps {
  const { kernel, stride, dilation, padBegin, padEnd } = axis;
  const first = new Int32Array(output);
  const end = new Int32Array(output);
  const padded = new Int32Array(output);
  for (let o = 0; o < output; o++) {
    const origin = o * stride - padBegin;
    const tapsBelow = (limit: number) =>
      Math.max(0, Math.min(kernel, Math.ceil((limit - origin) / dilation)));
    first[o] = origin + tapsBelow(0) * dilation;
    end[o] = origin + tapsBelow(input) * dilation;
    padded[o] = tapsBelow(input + padEnd);
  }
  return { input, output, first, end, step: dilation, padded };
}

/**
 * Folds the input elements under each output element, then finishes with their number and the number of window
 * positions inside the padded input.
 */
export function poolElement(
  context: EvalContext<PoolAttrs>,
  init: number,
  step: (folded: number, value: number) => number,
  finish: (folded: number, count: number, padded: number) => number,
): (index: number) => number {
  const { shape } = inputType(context, 0);
  const out = outputType(context).shape;
  const data = inputData(context, 0) as Float32Array;
  const axes = windowAxes(context.attrs).map((axis, i) => axisTaps(axis, shape[i + 2] ?? 1, out[i + 2] ?? 1));
  const x = axes.at(-1) ?? NO_AXIS;
  const y = axes.at(-2) ?? NO_AXIS;
  const z = axes.at(-3) ?? NO_AXIS;
  const plane = z.input * y.input * x.input;
  const outPlane = z.output * y.output * x.output;
  return (index) => {
    const channel = Math.floor(index / outPlane);
    const position = index - channel * outPlane;
    const ox = position % x.output;
    const oy = Math.floor(position / x.output) % y.output;
    const oz = Math.floor(position / (x.output * y.output));
    const endZ = z.end[oz] as number;
    const endY = y.end[oy] as number;
    const endX = x.end[ox] as number;
    const firstY = y.first[oy] as number;
    const firstX = x.first[ox] as number;
    let folded = init;
    let count = 0;
    for (let iz = z.first[oz] as number; iz < endZ; iz += z.step) {
      for (let iy = firstY; iy < endY; iy += y.step) {
        const row = channel * plane + (iz * y.input + iy) * x.input;
        for (let ix = firstX; ix < endX; ix += x.step) {
          folded = step(folded, data[row + ix] as number);
          count++;
        }
      }
    }
    return finish(
      folded,
      count,
      (z.padded[oz] as number) * (y.padded[oy] as number) * (x.padded[ox] as number),
    );
  };
}

export const windowCost = ({ attrs, outputs }: OpContext<PoolAttrs>): Cost => ({
  macs: 0,
  otherOps: product(attrs.kernel) * elementCount(outputType({ outputs }).shape),
});

/** Largest element under the window; padding never counts. x [N, C, …] → [N, C, …]. */
export const MaxPool = defineOp({
  name: 'MaxPool',
  attrs: POOL_ATTRS,
  inputs: DATA_X,
  traits: SPATIAL,
  infer: ({ attrs, inputs }) => inferPool(attrs, inputType({ inputs }, 0)),
  cost: windowCost,
  field: ({ attrs }) => poolField(attrs),
  between: () => [],
  reference: {
    kind: 'element',
    element: (context) => poolElement(context, Number.NEGATIVE_INFINITY, Math.max, (largest) => largest),
  },
});

/**
 * Mean of the elements under the window. x [N, C, …] → [N, C, …]. The divisor is the number of real elements, or with
 * `countIncludePad` of window positions inside the padded input: what ceil mode adds beyond the pads never counts.
 */
export const AveragePool = defineOp({
  name: 'AveragePool',
  attrs: { ...POOL_ATTRS, countIncludePad: attr.bool(false) },
  inputs: DATA_X,
  traits: SPATIAL,
  infer: ({ attrs, inputs }) => inferPool(attrs, inputType({ inputs }, 0)),
  cost: windowCost,
  field: ({ attrs }) => poolField(attrs),
  // padding may count as zeros
  between: () => [0],
  reference: {
    kind: 'element',
    element(context) {
      const { countIncludePad } = context.attrs;
      return poolElement(
        context,
        0,
        (sum, value) => sum + value,
        (sum, count, padded) => sum / Math.max(1, countIncludePad ? padded : count),
      );
    },
  },
});

/** Mean over all spatial axes. x [N, C, …] → [N, C, 1, …]. */
export const GlobalAveragePool = defineOp({
  name: 'GlobalAveragePool',
  attrs: {},
  inputs: DATA_X,
  traits: SPATIAL,
  infer({ inputs }) {
    const { dtype, shape } = inputType({ inputs }, 0);
    if (shape.length < 3) throw new OpError(`input has rank ${shape.length} and no spatial axis`);
    if (isWide(dtype)) throw new OpError(`pooling of ${dtype} is not supported`);
    if (elementCount(shape.slice(2)) === 0) throw new OpError('the input has no elements');
    return [{ dtype, shape: shape.map((size, axis) => (axis < 2 ? size : 1)) }];
  },
  cost: ({ inputs }) => ({ macs: 0, otherOps: elementCount(inputType({ inputs }, 0).shape) }),
  field: ({ inputs }) =>
    inputType({ inputs }, 0).shape.map(
      (_, axis): AxisField => (axis < 2 ? axisField(axis) : { kind: 'whole' }),
    ),
  between: () => [],
  reference: {
    kind: 'element',
    element(context) {
      const data = inputData(context, 0) as Float32Array;
      const plane = product(inputType(context, 0).shape.slice(2));
      return (index) => {
        let sum = 0;
        for (let i = index * plane; i < (index + 1) * plane; i++) sum += data[i] as number;
        return sum / plane;
      };
    },
  },
});

export const POOLS = { MaxPool, AveragePool, GlobalAveragePool } as const;
