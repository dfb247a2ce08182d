/** Overlapping blocks added up to an image. */
import { attr } from '../attrs.ts';
import { type AxisField, defineOp, inputData, inputType, OpError, outputType } from '../op.ts';
import { allocate, read, type TensorData } from '../tensor.ts';
import { elementCount, formatShape, product, rowMajorStrides } from '../types.ts';
import { outputSize, windowAxes } from '../window.ts';
import { axisField, unravel } from './common.ts';
import { checkedShape, checkLength } from './offsets.ts';

import { requireFloats, WHOLE } from './sampling.ts';

/** Windows of `block` that lie over an image, per axis: their number, and where the taps of one lie. */
export interface BlockAxis {
  readonly image: number;
  readonly block: number;
  readonly stride: number;
  readonly dilation: number;
  readonly pad: number;
  readonly count: number;
}

interface BlockAttrs {
  readonly image: readonly number[];
  readonly block: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly pads: readonly number[];
}

export const blockAxes = (attrs: BlockAttrs): BlockAxis[] =>
  windowAxes({ ...attrs, kernel: attrs.block }).map((axis, i) => ({
    image: attrs.image[i] ?? 1,
    block: axis.kernel,
    stride: axis.stride,
    dilation: axis.dilation,
    pad: axis.padBegin,
    count: outputSize(axis, attrs.image[i] ?? 1),
  }));

/** Columns [N, C·∏block, L] added up where the windows that they are lie in an image: → [N, C, image…]. */
export const Col2Im = defineOp({
  name: 'Col2Im',
  attrs: {
    image: attr.ints(),
    block: attr.ints(),
    strides: attr.ints(),
    dilations: attr.ints(),
    pads: attr.ints(),
  },
  inputs: [{ name: 'x', role: 'data' }],
  traits: { layout: 'rowMajor' },
  infer({ attrs, inputs }) {
    const { shape } = inputType({ inputs }, 0);
    const [n = 0, rows = 0, columns = 0] = shape;
    requireFloats(inputs);
    checkLength('block', attrs.block, attrs.image.length);
    checkLength('strides', attrs.strides, attrs.image.length);
    checkLength('dilations', attrs.dilations, attrs.image.length);
    checkLength('pads', attrs.pads, 2 * attrs.image.length);
    if ([...attrs.image, ...attrs.block, ...attrs.strides, ...attrs.dilations].some((v) => v < 1))
      throw new OpError('image, block, strides and dilations must be ≥ 1');
    const windows = product(blockAxes(attrs).map((axis) => axis.count));
    const taps = product(attrs.block);
    if (shape.length !== 3 || rows % taps !== 0 || columns !== windows)
      throw new OpError(`columns of ${formatShape(shape)} for ${windows} windows of ${taps}`);
    return [{ dtype: 'f32', shape: checkedShape([n, rows / taps, ...attrs.image]) }];
  },
  cost: ({ inputs }) => ({ macs: 0, otherOps: elementCount(inputType({ inputs }, 0).shape) }),
  field: ({ outputs }) =>
    outputType({ outputs }).shape.map((_, axis): AxisField => (axis === 0 ? axisField(0) : WHOLE)),
  reference: {
    kind: 'whole',
    evaluate(context): TensorData[] {
      const { shape } = outputType(context);
      const axes = blockAxes(context.attrs);
      const counts = axes.map((a) => a.count);
      const windows = product(counts);
      const taps = product(context.attrs.block);
      const plane = product(context.attrs.image);
      const strides = rowMajorStrides(context.attrs.image);
      const data = inputData(context, 0);
      const result = allocate('f32', elementCount(shape)) as Float32Array;
      const sums = new Float64Array(result.length);
      for (let i = 0; i < data.length; i++) {
        const at = unravel(i % windows, counts);
        const row = Math.floor(i / windows);
        const tap = unravel(row % taps, context.attrs.block);
        let offset = 0;
        const inside = axes.every((axis, a) => {
          const position = (at[a] ?? 0) * axis.stride - axis.pad + (tap[a] ?? 0) * axis.dilation;
          offset += position * (strides[a] ?? 0);
          return position >= 0 && position < axis.image;
        });
        const to = Math.floor(row / taps) * plane + offset;
        if (inside) sums[to] = (sums[to] ?? 0) + read(data, i);
      }
      result.set(sums);
      return [result];
    },
  },
});
