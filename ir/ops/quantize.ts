/**
 * Between floats and integers: real = (integer − zero point)·scale. Scales and zero points are one for the tensor, one
 * per position of an axis, or one per block of an axis. Quotients are rounded to f32, then to the nearest integer,
 * halves to even, as every runtime does.
 */
import { attr } from '../attrs.ts';
import { UNARY } from '../expr.ts';
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
import { allocate, tensor, write } from '../tensor.ts';
import {
  type DType,
  elementCount,
  formatShape,
  formatType,
  product,
  rowMajorStrides,
  type Shape,
  type TensorType,
} from '../types.ts';
import { axisField, broadcastField, unravel, wholeField } from './common.ts';
import { checkAxis } from './offsets.ts';

/** The least and the largest number of the types that values are quantised to. */
const RANGES: { readonly [K in DType]?: readonly [number, number] } = {
  u8: [0, 255],
  i8: [-128, 127],
  u16: [0, 65535],
  i16: [-32768, 32767],
};

/** @throws OpError for a type that is not quantised to */
export function quantizedRange(dtype: DType): readonly [number, number] {
  const range = RANGES[dtype];
  if (!range) throw new OpError(`quantisation to ${dtype} is not supported`);
  return range;
}

/** round(value) + zero, within the type's range; a NaN becomes 0, as in a conversion. */
export function saturate(value: number, zero: number, [low, high]: readonly [number, number]): number {
  return Math.min(Math.max(UNARY.round.eval(value) + zero, low), high);
}

/** The same in ops, of f32 values. */
export function saturateOps(
  { b }: Pick<DecomposeContext<unknown>, 'b'>,
  value: Value,
  zero: Value | undefined,
  to: DType,
): Value {
  const [min, max] = quantizedRange(to);
  const rounded = b.op('Round', [value], {});
  const shifted = zero ? b.op('Add', [rounded, zero], {}) : rounded;
  return b.op('Cast', [b.op('Clip', [shifted], { min, max })], { to });
}

interface Spread {
  readonly axis: number;
  readonly block: number;
}

/** How a scale belongs to the elements of x. @throws OpError where its shape fits no way */
function spreadOf(shape: Shape, scale: Shape, { axis, block }: Spread): 'tensor' | 'axis' | 'block' {
  if (block === 0 && elementCount(scale) === 1) return 'tensor';
  checkAxis(axis, shape.length);
  if (block === 0 && scale.length === 1 && scale[0] === shape[axis]) return 'axis';
  const blocks = shape.map((size, i) => (i === axis && block > 0 ? Math.ceil(size / block) : size));
  if (block > 0 && scale.join() === blocks.join()) return 'block';
  throw new OpError(
    `a scale of ${formatShape(scale)} does not belong to ${formatShape(shape)} along axis ${axis}${block > 0 ? ` in blocks of ${block}` : ''}`,
  );
}

/** Index of the scale of each element. */
function scaleIndex(shape: Shape, scale: Shape, spread: Spread): (index: number) => number {
  const kind = spreadOf(shape, scale, spread);
  if (kind === 'tensor') return () => 0;
  const { axis, block } = spread;
  if (kind === 'axis') {
    const inner = product(shape.slice(axis + 1));
    return (index) => Math.floor(index / inner) % (shape[axis] ?? 1);
  }
  const strides = rowMajorStrides(scale);
  return (index) =>
    unravel(index, shape).reduce(
      (sum, p, i) => sum + (i === axis ? Math.floor(p / block) : p) * (strides[i] ?? 0),
      0,
    );
}

function checkSpread(inputs: readonly (TensorType | undefined)[], spread: Spread): TensorType {
  const x = inputType({ inputs }, 0);
  const scale = inputType({ inputs }, 1);
  const zero = inputs[2];
  if (scale.dtype !== 'f32') throw new OpError(`the scale is ${formatType(scale)}, not f32`);
  spreadOf(x.shape, scale.shape, spread);
  if (zero && elementCount(zero.shape) !== elementCount(scale.shape))
    throw new OpError(`${formatShape(zero.shape)} zero points for ${formatShape(scale.shape)} scales`);
  return x;
}

/** A scale or zero point so that it broadcasts to x. */
function spreadOps(
  { b, attrs }: Pick<DecomposeContext<Spread>, 'b' | 'attrs'>,
  value: Value,
  shape: Shape,
  scale: Shape,
): Value {
  const { axis, block } = attrs;
  switch (spreadOf(shape, scale, attrs)) {
    case 'tensor':
      return value.type.shape.length === 0 ? value : b.op('Reshape', [value], { shape: [] });
    case 'axis':
      return b.op('Reshape', [value], { shape: shape.slice(axis).map((size, i) => (i === 0 ? size : 1)) });
    case 'block': {
      const length = shape[axis] ?? 0;
      const indices = Int32Array.from({ length }, (_, i) => Math.floor(i / block));
      return b.op('Gather', [value, b.constant('blocks', tensor('i32', [length], indices))], { axis });
    }
  }
}

const SPREAD = { axis: attr.int(1), block: attr.int(0) };
const spreadField = (
  inputs: readonly (TensorType | undefined)[],
  outputs: readonly TensorType[],
  input: number,
  { axis, block }: Spread,
): AxisField[] => {
  const { shape } = outputType({ outputs });
  const own = inputType({ inputs }, input).shape;
  if (input === 0) return broadcastField(own, shape);
  if (elementCount(own) === 1) return wholeField(shape).map(() => ({ kind: 'none' }));
  if (block === 0) return shape.map((_, i): AxisField => (i === axis ? axisField(0) : { kind: 'none' }));
  return shape.map((_, i): AxisField => (i === axis ? { kind: 'whole' } : axisField(i)));
};

/** saturate(round(x / scale) + zero): x of f32 or i32, scale as above, zero point of type `to` (0 where absent). */
export const QuantizeLinear = defineOp({
  name: 'QuantizeLinear',
  attrs: { ...SPREAD, to: attr.dtype('u8') },
  inputs: [
    { name: 'x', role: 'data' },
    { name: 'scale', role: 'data' },
    { name: 'zeroPoint', role: 'data', optional: true },
  ],
  traits: { layout: 'strided' },
  infer({ attrs, inputs }) {
    const x = checkSpread(inputs, attrs);
    if (x.dtype !== 'f32' && x.dtype !== 'i32')
      throw new OpError(`quantisation of ${x.dtype} is not supported`);
    quantizedRange(attrs.to);
    if (inputs[2] && inputs[2].dtype !== attrs.to)
      throw new OpError(`the zero point is ${inputs[2].dtype}, the result ${attrs.to}`);
    return [{ dtype: attrs.to, shape: x.shape }];
  },
  /** Quotient, rounding, sum and two bounds. */
  cost: ({ outputs }) => ({ macs: 0, otherOps: 5 * elementCount(outputType({ outputs }).shape) }),
  field: ({ attrs, inputs, outputs }, _output, input) => spreadField(inputs, outputs, input, attrs),
  reference: {
    kind: 'element',
    element(context) {
      const { shape } = inputType(context, 0);
      const [data, scale, zero] = [inputData(context, 0), inputData(context, 1), context.data[2]];
      const range = quantizedRange(context.attrs.to);
      const at = scaleIndex(shape, inputType(context, 1).shape, context.attrs);
      return (index) => {
        const k = at(index);
        const quotient = Math.fround(Math.fround(Number(data[index])) / Number(scale[k]));
        return saturate(quotient, zero ? Number(zero[k]) : 0, range);
      };
    },
  },
  decompose: decomposeQuantize,
});

function decomposeQuantize(context: DecomposeContext<Spread & { readonly to: DType }>): Value[] {
  const { b, inputs, attrs } = context;
  const x = inputValue(context, 0);
  const scale = inputValue(context, 1);
  const spread = (v: Value) => spreadOps(context, v, x.type.shape, scale.type.shape);
  const real = x.type.dtype === 'f32' ? x : b.op('Cast', [x], { to: 'f32' });
  const zero = inputs[2] && spread(b.op('Cast', [inputs[2]], { to: 'f32' }));
  return [saturateOps(context, b.op('Div', [real, spread(scale)], {}), zero, attrs.to)];
}

/** (x − zero)·scale as f32; the difference of 32-bit integers wraps around and is then rounded to f32. */
export const DequantizeLinear = defineOp({
  name: 'DequantizeLinear',
  attrs: SPREAD,
  inputs: [
    { name: 'x', role: 'weight' },
    { name: 'scale', role: 'data' },
    { name: 'zeroPoint', role: 'data', optional: true },
  ],
  traits: { layout: 'strided' },
  infer({ attrs, inputs }) {
    const x = checkSpread(inputs, attrs);
    if (!RANGES[x.dtype] && x.dtype !== 'i32') throw new OpError(`${x.dtype} is not a quantised type`);
    if (inputs[2] && inputs[2].dtype !== x.dtype)
      throw new OpError(`the zero point is ${inputs[2].dtype}, the operand ${x.dtype}`);
    return [{ dtype: 'f32', shape: x.shape }];
  },
  cost: ({ outputs }) => ({ macs: 0, otherOps: 2 * elementCount(outputType({ outputs }).shape) }),
  field: ({ attrs, inputs, outputs }, _output, input) => spreadField(inputs, outputs, input, attrs),
  reference: {
    kind: 'element',
    element(context) {
      const { shape } = inputType(context, 0);
      const [data, scale, zero] = [inputData(context, 0), inputData(context, 1), context.data[2]];
      const at = scaleIndex(shape, inputType(context, 1).shape, context.attrs);
      return (index) => {
        const k = at(index);
        const difference = (Number(data[index]) - (zero ? Number(zero[k]) : 0)) | 0;
        return Math.fround(difference) * Number(scale[k]);
      };
    },
  },
  decompose: decomposeDequantize,
});

function decomposeDequantize(context: DecomposeContext<Spread>): Value[] {
  const { b, inputs } = context;
  const x = inputValue(context, 0);
  const scale = inputValue(context, 1);
  const spread = (v: Value) => spreadOps(context, v, x.type.shape, scale.type.shape);
  const float = (v: Value) => b.op('Cast', [v], { to: 'f32' });
  const zero = inputs[2];
  // differences of small integers are exact in f32
  const difference = (v: Value) =>
    v.type.dtype === 'i32' && zero
      ? float(b.op('Sub', [v, spread(zero)], {}))
      : zero
        ? b.op('Sub', [float(v), spread(float(zero))], {})
        : float(v);
  return [b.op('Mul', [difference(x), spread(scale)], {})];
}

const BYTE = RANGES.u8 ?? [0, 255];

/**
 * Quantises x to u8 by its own range: scale = (max(x, 0) − min(x, 0)) / 255, zero = saturate(round(−min / scale)),
 * y = saturate(round(x / scale) + zero), every step rounded to f32. Results y, scale and zero point. Where x is all 0 the
 * scale is 1.
 */
export const DynamicQuantizeLinear = defineOp({
  name: 'DynamicQuantizeLinear',
  attrs: {},
  inputs: [{ name: 'x', role: 'data' }],
  traits: { layout: 'strided' },
  infer({ inputs }) {
    const x = inputType({ inputs }, 0);
    if (x.dtype !== 'f32') throw new OpError(`input is ${formatType(x)}, not f32`);
    return [
      { dtype: 'u8', shape: x.shape },
      { dtype: 'f32', shape: [] },
      { dtype: 'u8', shape: [] },
    ];
  },
  cost: ({ inputs }) => ({ macs: 0, otherOps: 7 * elementCount(inputType({ inputs }, 0).shape) }),
  field: ({ outputs }, output) => wholeField(outputType({ outputs }, output).shape),
  reference: {
    kind: 'whole',
    evaluate(context) {
      const data = inputData(context, 0) as Float32Array;
      let [low, high] = [0, 0];
      for (const x of data) {
        low = Math.min(low, x);
        high = Math.max(high, x);
      }
      const range = Math.fround(high - low);
      const scale = range === 0 ? 1 : Math.fround(range / 255);
      const zero = saturate(Math.fround((0 - low) / scale), 0, BYTE);
      const y = allocate('u8', data.length);
      data.forEach((x, i) => {
        write(y, i, saturate(Math.fround(x / scale), zero, BYTE));
      });
      return [y, Float32Array.of(scale), Uint8Array.of(zero)];
    },
  },
  decompose: decomposeDynamic,
});

function decomposeDynamic(context: DecomposeContext<unknown>): Value[] {
  const { b } = context;
  const x = inputValue(context, 0);
  const axes = x.type.shape.map((_, axis) => axis);
  const none = b.scalar(0);
  const low = b.op('Min', [b.op('ReduceMin', [x], { axes, keepDims: false }), none], {});
  const high = b.op('Max', [b.op('ReduceMax', [x], { axes, keepDims: false }), none], {});
  const range = b.op('Sub', [high, low], {});
  const isZero = b.op('Equal', [range, none], {});
  const scale = b.op('Where', [isZero, b.scalar(1), b.op('Div', [range, b.scalar(255)], {})], {});
  const zero = saturateOps(context, b.op('Div', [b.op('Sub', [none, low], {}), scale], {}), undefined, 'u8');
  const y = saturateOps(context, b.op('Div', [x, scale], {}), b.op('Cast', [zero], { to: 'f32' }), 'u8');
  return [y, scale, zero];
}

export const QUANTIZERS = { QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear } as const;
