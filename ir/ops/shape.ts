/** Ops that make shapes and other small tensors; exported models compute sizes with them. */
import { attr } from '../attrs.ts';
import { defineOp, type InferContext, inputData, inputType, NO_COST, OpError, outputType } from '../op.ts';
import { allocate, convert, numbers, toBigInt, write } from '../tensor.ts';
import { elementCount, isWide } from '../types.ts';
import { broadcastField, wholeField } from './common.ts';
import { checkedShape } from './offsets.ts';

/** The sizes of axes [start, end) of x, as i64 [end − start]; known from the type alone. */
export const Shape = defineOp({
  name: 'Shape',
  attrs: { start: attr.int(0), end: attr.int() },
  inputs: [{ name: 'x', role: 'data' }],
  traits: { layout: 'strided', ofTypes: true },
  infer({ attrs: { start, end }, inputs }) {
    const rank = inputType({ inputs }, 0).shape.length;
    if (start < 0 || end > rank)
      throw new OpError(`axes ${start} to ${end} are outside a tensor of rank ${rank}`);
    return [{ dtype: 'i64', shape: [Math.max(0, end - start)] }];
  },
  cost: () => NO_COST,
  field: () => [{ kind: 'none' }],
  reference: {
    kind: 'whole',
    evaluate(context) {
      const { start, end } = context.attrs;
      const sizes = inputType(context, 0).shape.slice(start, Math.max(start, end));
      return [BigInt64Array.from(sizes, BigInt)];
    },
  },
});

/** The numbers of a constant input. @throws OpError where it is not constant, since the result's shape needs it. */
function constantNumbers(
  context: Pick<InferContext<unknown>, 'constants'>,
  input: number,
  name: string,
): number[] {
  const constant = context.constants[input];
  if (!constant) throw new OpError(`${name} is not a constant, so the shape of the result is not known`);
  return numbers(constant);
}

/** A tensor of the shape that the (constant) input lists, filled with `value`. */
export const ConstantOfShape = defineOp({
  name: 'ConstantOfShape',
  attrs: { value: attr.float(0), dtype: attr.dtype('f32') },
  inputs: [{ name: 'shape', role: 'data' }],
  traits: { layout: 'rowMajor' },
  infer({ attrs, inputs, constants }) {
    const rank = inputType({ inputs }, 0).shape.length;
    if (rank !== 1) throw new OpError(`shape has rank ${rank}, not 1`);
    return [{ dtype: attrs.dtype, shape: checkedShape(constantNumbers({ constants }, 0, 'shape')) }];
  },
  cost: () => NO_COST,
  field: ({ outputs }) => wholeField(outputType({ outputs }).shape),
  reference: {
    kind: 'whole',
    evaluate(context) {
      const { dtype, value } = context.attrs;
      const result = allocate(dtype, elementCount(outputType(context).shape));
      (result as Float32Array).fill((isWide(dtype) ? toBigInt(value) : value) as number);
      return [result];
    },
  },
});

/** Converts each element: to bool by ≠ 0, float to integer by truncation, integers by wrap-around. */
export const Cast = defineOp({
  name: 'Cast',
  attrs: { to: attr.dtype() },
  inputs: [{ name: 'x', role: 'data' }],
  traits: { layout: 'pointwise' },
  infer: ({ attrs, inputs }) => [{ dtype: attrs.to, shape: inputType({ inputs }, 0).shape }],
  cost: () => NO_COST,
  field: ({ inputs, outputs }) =>
    broadcastField(inputType({ inputs }, 0).shape, outputType({ outputs }).shape),
  reference: {
    kind: 'whole',
    evaluate: (context) => [convert(inputData(context, 0), inputType(context, 0).dtype, context.attrs.to)],
  },
});

/** start, start + delta, … up to but without limit, from three constant scalars. */
export const Range = defineOp({
  name: 'Range',
  attrs: {},
  inputs: [
    { name: 'start', role: 'data' },
    { name: 'limit', role: 'data' },
    { name: 'delta', role: 'data' },
  ],
  traits: { layout: 'rowMajor' },
  infer({ inputs, constants }) {
    const names = ['start', 'limit', 'delta'] as const;
    const [start = 0, limit = 0, delta = 0] = names.map((name, i) => {
      const values = constantNumbers({ constants }, i, name);
      if (values.length !== 1) throw new OpError(`${name} has ${values.length} elements, not 1`);
      return values[0] ?? 0;
    });
    if (delta === 0) throw new OpError('delta is 0');
    const count = Math.max(0, Math.ceil((limit - start) / delta));
    return [{ dtype: inputType({ inputs }, 0).dtype, shape: checkedShape([count]) }];
  },
  cost: () => NO_COST,
  field: ({ outputs }) => wholeField(outputType({ outputs }).shape),
  reference: {
    kind: 'whole',
    evaluate(context) {
      const { dtype, shape } = outputType(context);
      const result = allocate(dtype, elementCount(shape));
      const start = Number(inputData(context, 0)[0]);
      const delta = Number(inputData(context, 2)[0]);
      for (let i = 0; i < result.length; i++) write(result, i, start + i * delta);
      return [result];
    },
  },
});

export const SHAPES = { Shape, ConstantOfShape, Cast, Range } as const;
