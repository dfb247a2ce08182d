/** Pooling that remembers where its elements came from, and its inverse. */

import { attr } from '../attrs.ts';
import { defineOp, inputData, inputType, OpError, outputType } from '../op.ts';
import { allocate, copyElement, read, write } from '../tensor.ts';
import { elementCount, formatShape, product, rowMajorStrides, sameShape } from '../types.ts';
import { tapRange, windowAxes } from '../window.ts';
import { unravel, wholeField } from './common.ts';
import { checkedShape } from './offsets.ts';
import { inferPool, POOL_ATTRS, poolField, windowCost } from './pool.ts';

/** What one step along each spatial axis adds to the index that MaxPool reports: row-major, or column by column. */
export function indexStrides(spatial: readonly number[], columnMajor: boolean): number[] {
  return columnMajor ? rowMajorStrides([...spatial].reverse()).reverse() : rowMajorStrides(spatial);
}

/**
 * MaxPool with its second output: the position of each element in the whole input as a flat i64 index; of equal elements
 * the first. Column-major indices count the first spatial axis fastest.
 */
export const MaxPoolWithIndices = defineOp({
  name: 'MaxPoolWithIndices',
  attrs: { ...POOL_ATTRS, columnMajor: attr.bool(false) },
  inputs: [{ name: 'x', role: 'data' }],
  traits: { layout: 'rowMajor' },
  infer({ attrs, inputs }) {
    const [pooled] = inferPool(attrs, inputType({ inputs }, 0));
    if (!pooled) throw new OpError('pooling has no result');
    return [pooled, { dtype: 'i64', shape: pooled.shape }];
  },
  cost: windowCost,
  field: ({ attrs }) => poolField(attrs),
  reference: {
    kind: 'whole',
    evaluate(context) {
      const { shape } = inputType(context, 0);
      const out = outputType(context);
      const spatial = shape.slice(2);
      const axes = windowAxes(context.attrs);
      const strides = rowMajorStrides(spatial);
      const steps = indexStrides(spatial, context.attrs.columnMajor);
      const plane = product(spatial);
      const data = inputData(context, 0);
      const values = allocate(out.dtype, elementCount(out.shape));
      const indices = allocate('i64', values.length);
      for (let o = 0; o < values.length; o++) {
        const [n = 0, c = 0, ...at] = unravel(o, out.shape);
        const channel = (n * (shape[1] ?? 1) + c) * plane;
        let best = -1;
        let index = 0;
        const visit = (axis: number, offset: number, flat: number): void => {
          const a = axes[axis];
          if (!a) {
            if (best >= 0 && !((data[channel + offset] ?? 0) > (data[best] ?? 0))) return;
            best = channel + offset;
            index = channel + flat;
            return;
          }
          const [first, end] = tapRange(a, at[axis] ?? 0, spatial[axis] ?? 1);
          for (let tap = first; tap < end; tap++) {
            const position = (at[axis] ?? 0) * a.stride - a.padBegin + tap * a.dilation;
            visit(axis + 1, offset + position * (strides[axis] ?? 0), flat + position * (steps[axis] ?? 0));
          }
        };
        visit(0, 0, 0);
        if (best >= 0) copyElement(values, o, data, best);
        write(indices, o, index);
      }
      return [values, indices];
    },
  },
});

/** Zeros of `shape`, in which the elements of x stand at the flat positions that `indices` give; outside ones are lost. */
export const MaxUnpool = defineOp({
  name: 'MaxUnpool',
  attrs: { shape: attr.ints() },
  inputs: [
    { name: 'x', role: 'data' },
    { name: 'indices', role: 'data' },
  ],
  traits: { layout: 'rowMajor', movement: true },
  infer({ attrs, inputs }) {
    const x = inputType({ inputs }, 0);
    const indices = inputType({ inputs }, 1);
    if (indices.dtype !== 'i64') throw new OpError(`indices are ${indices.dtype}, not i64`);
    if (!sameShape(x.shape, indices.shape))
      throw new OpError(`${formatShape(indices.shape)} indices for ${formatShape(x.shape)} elements`);
    return [{ dtype: x.dtype, shape: checkedShape(attrs.shape) }];
  },
  cost: () => ({ macs: 0, otherOps: 0 }),
  field: ({ outputs }) => wholeField(outputType({ outputs }).shape),
  between: () => [0],
  reference: {
    kind: 'whole',
    evaluate(context) {
      const { dtype, shape } = outputType(context);
      const data = inputData(context, 0);
      const indices = inputData(context, 1);
      const result = allocate(dtype, elementCount(shape));
      for (let i = 0; i < data.length; i++) {
        const to = read(indices, i);
        if (to >= 0 && to < result.length) copyElement(result, to, data, i);
      }
      return [result];
    },
  },
});

export const UNPOOLS = { MaxPoolWithIndices, MaxUnpool } as const;
