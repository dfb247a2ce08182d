/**
 * Products of quantised operands: Σ (a − zero)(b − zero), exact, as i32; and the same brought back to a quantised type
 * by a factor scale·scale / scale.
 */
import type { Value } from '../graph.ts';
import {
  type AxisField,
  type DecomposeContext,
  defineOp,
  type EvalContext,
  type InputSpec,
  inputData,
  inputType,
  inputValue,
  OpError,
  outputType,
} from '../op.ts';
import { read, type Tensor, type TensorData } from '../tensor.ts';
import {
  broadcastShapes,
  broadcastStrides,
  type DType,
  elementCount,
  formatShape,
  formatType,
  type Shape,
  sameShape,
  type TensorType,
} from '../types.ts';
import { broadcastField, unravel } from './common.ts';
import { CONV_ATTRS, Conv, type ConvAttrs, convElement } from './conv.ts';
import { MatMul, matMulElement } from './matmul.ts';
import { quantizedRange, saturate, saturateOps } from './quantize.ts';

const BYTES: readonly DType[] = ['u8', 'i8'];

function byteType(inputs: readonly (TensorType | undefined)[], i: number): TensorType {
  const type = inputType({ inputs }, i);
  if (!BYTES.includes(type.dtype)) throw new OpError(`input ${i} is ${formatType(type)}, not u8 or i8`);
  return type;
}

/** @throws OpError unless the zero point has the operand's type and broadcasts to it */
function checkZero(zero: TensorType | undefined, operand: TensorType, shape: Shape): void {
  if (!zero) return;
  if (zero.dtype !== operand.dtype)
    throw new OpError(`a zero point is ${zero.dtype}, its operand ${operand.dtype}`);
  checkFits('zero point', zero.shape, shape);
}

function checkFits(what: string, own: Shape, shape: Shape): void {
  if (elementCount(own) === 1) return;
  const both = broadcastShapes(own, shape);
  if (!both || !sameShape(both, shape))
    throw new OpError(`a ${what} of ${formatShape(own)} does not fit ${formatShape(shape)}`);
}

/** Reads a tensor that has one element, or broadcasts to `shape`. */
function broadcastReader(data: TensorData | undefined, own: Shape, shape: Shape): (index: number) => number {
  if (!data) return () => 0;
  if (data.length === 1) {
    const value = read(data, 0);
    return () => value;
  }
  const strides = broadcastStrides(own, shape);
  return (index) =>
    read(
      data,
      unravel(index, shape).reduce((sum, p, axis) => sum + p * (strides[axis] ?? 0), 0),
    );
}

/** Input `slot` minus the zero point in `zeroSlot`, which broadcasts to it under `zeroShape`. */
function centred(
  context: EvalContext<unknown>,
  slot: number,
  zeroSlot: number,
  zeroShape: Shape | undefined = context.inputs[zeroSlot]?.shape,
): Int32Array {
  const zero = broadcastReader(context.data[zeroSlot], zeroShape ?? [], inputType(context, slot).shape);
  return Int32Array.from(inputData(context, slot) as Uint8Array, (v, i) => v - zero(i));
}

/** One value per output channel as it broadcasts to a weight [Cout, …]. */
const perFilter = (own: Shape | undefined, weight: Shape): Shape | undefined =>
  own && elementCount(own) !== 1 ? [own[0] ?? 1, ...weight.slice(1).map(() => 1)] : own;

/** The types of a product as one of floats, which is what the float op is asked about. */
const asFloats = (...types: readonly TensorType[]): TensorType[] =>
  types.map(({ shape }) => ({ dtype: 'f32', shape }));

/** Slots of operands and zero points. */
export interface Slots {
  readonly a: number;
  readonly b: number;
  readonly aZero: number;
  readonly bZero: number;
}
export const PLAIN: Slots = { a: 0, b: 1, aZero: 2, bZero: 3 };
/** QLinear ops list a, scale, zero, b, scale, zero, scale and zero of the result. */
export const QUANTISED: Slots = { a: 0, b: 3, aZero: 2, bZero: 5 };

type Types = readonly (TensorType | undefined)[];

function convShape(attrs: ConvAttrs, inputs: Types, slots: Slots): Shape {
  const x = byteType(inputs, slots.a);
  const w = byteType(inputs, slots.b);
  checkZero(inputs[slots.aZero], x, []);
  const wZero = inputs[slots.bZero];
  if (wZero) checkZero({ ...wZero, shape: perFilter(wZero.shape, w.shape) ?? [] }, w, w.shape);
  return outputType({ outputs: Conv.infer({ attrs, inputs: asFloats(x, w), constants: [] }) }).shape;
}

function convSums(context: EvalContext<ConvAttrs>, slots: Slots): (index: number) => number {
  const [x, w] = [inputType(context, slots.a), inputType(context, slots.b)];
  const zeroShape = perFilter(context.inputs[slots.bZero]?.shape, w.shape);
  return convElement({
    attrs: context.attrs,
    inputs: asFloats(x, w),
    outputs: context.outputs,
    data: [centred(context, slots.a, slots.aZero), centred(context, slots.b, slots.bZero, zeroShape)],
  });
}

const noField = (outputs: readonly TensorType[]): AxisField[] =>
  outputType({ outputs }).shape.map(() => ({ kind: 'none' }));

function convField(
  attrs: ConvAttrs,
  inputs: Types,
  outputs: readonly TensorType[],
  input: number,
  { a, b }: Slots,
): AxisField[] {
  if (input !== a && input !== b) return noField(outputs);
  const types = asFloats(inputType({ inputs }, a), inputType({ inputs }, b));
  return Conv.field({ attrs, inputs: types, outputs }, 0, input === a ? 0 : 1);
}

const zero = (name: string): InputSpec => ({ name, role: 'data', optional: true });

/**
 * Convolution of bytes: x [N, Cin, …] and weight [Cout, Cin/group, k…] of u8 or i8, a zero point for x and one, or one
 * per output channel, for the weight → i32. Padding counts as x's zero point.
 */
export const ConvInteger = defineOp({
  name: 'ConvInteger',
  attrs: CONV_ATTRS,
  inputs: [
    { name: 'x', role: 'data' },
    { name: 'weight', role: 'weight' },
    zero('xZeroPoint'),
    zero('weightZeroPoint'),
  ],
  traits: { layout: 'spatial' },
  infer: ({ attrs, inputs }) => [{ dtype: 'i32', shape: convShape(attrs, inputs, PLAIN) }],
  cost: ({ attrs, inputs, outputs }) => Conv.cost({ attrs, inputs: inputs.slice(0, 2), outputs }),
  field: ({ attrs, inputs, outputs }, _output, input) => convField(attrs, inputs, outputs, input, PLAIN),
  reference: { kind: 'element', element: (context) => convSums(context, PLAIN) },
});

function productShape(inputs: Types, slots: Slots): Shape {
  const a = byteType(inputs, slots.a);
  const b = byteType(inputs, slots.b);
  const [aZero, bZero] = [inputs[slots.aZero], inputs[slots.bZero]];
  checkZero(aZero, a, a.shape.with(-1, 1));
  checkZero(bZero, b, b.shape.length > 1 ? b.shape.with(-2, 1) : [1]);
  return outputType({ outputs: MatMul.infer({ attrs: {}, inputs: asFloats(a, b), constants: [] }) }).shape;
}

const productSums = (context: EvalContext<unknown>, { a, b, aZero, bZero }: Slots) =>
  matMulElement({
    attrs: {},
    inputs: asFloats(inputType(context, a), inputType(context, b)),
    outputs: context.outputs,
    data: [centred(context, a, aZero), centred(context, b, bZero)],
  });

function productField(
  inputs: Types,
  outputs: readonly TensorType[],
  input: number,
  { a, b }: Slots,
): AxisField[] {
  if (input !== a && input !== b) return noField(outputs);
  const types = asFloats(inputType({ inputs }, a), inputType({ inputs }, b));
  return MatMul.field({ attrs: {}, inputs: types, outputs }, 0, input === a ? 0 : 1);
}

/**
 * Matrix product of bytes as MatMul's; the zero point of a is one number or one per row ([…, M, 1]), that of b one
 * number or one per column ([…, 1, N]) → i32.
 */
export const MatMulInteger = defineOp({
  name: 'MatMulInteger',
  attrs: {},
  inputs: [
    { name: 'a', role: 'data' },
    { name: 'b', role: 'weight' },
    zero('aZeroPoint'),
    zero('bZeroPoint'),
  ],
  traits: { layout: 'rowMajor' },
  infer: ({ inputs }) => [{ dtype: 'i32', shape: productShape(inputs, PLAIN) }],
  cost: ({ inputs, outputs }) => MatMul.cost({ attrs: {}, inputs: inputs.slice(0, 2), outputs }),
  field: ({ inputs, outputs }, _output, input) => productField(inputs, outputs, input, PLAIN),
  reference: { kind: 'element', element: (context) => productSums(context, PLAIN) },
});

const quantised = (a: string, b: string): InputSpec[] => [
  { name: a, role: 'data' },
  { name: `${a}Scale`, role: 'data' },
  { name: `${a}ZeroPoint`, role: 'data' },
  { name: b, role: 'weight' },
  { name: `${b}Scale`, role: 'data' },
  { name: `${b}ZeroPoint`, role: 'data' },
  { name: 'yScale', role: 'data' },
  { name: 'yZeroPoint', role: 'data' },
];
const A_SCALE = 1;
const B_SCALE = 4;
const Y_SCALE = 6;
const Y_ZERO = 7;
const BIAS = 8;

function checkScales(inputs: Types, shapes: Readonly<Record<number, Shape>>): void {
  for (const [slot, shape] of Object.entries(shapes)) {
    const type = inputType({ inputs }, Number(slot));
    if (type.dtype !== 'f32' && Number(slot) !== Y_ZERO)
      throw new OpError(`the scale in input ${slot} is ${formatType(type)}, not f32`);
    checkFits('scale', type.shape, shape);
  }
}

/** A scale per output channel as it broadcasts to [N, Cout, …]. */
const perChannel = (own: Shape, shape: Shape): Shape =>
  elementCount(own) === 1 ? [] : [own[0] ?? 1, ...shape.slice(2).map(() => 1)];

/**
 * saturate(round(sum·m) + zero) with m = aScale·bScale / yScale: both products, the quotient, the sum as a float and
 * its product with m are rounded to f32, as in onnxruntime.
 */
function requantised(
  context: EvalContext<unknown>,
  sums: (index: number) => number,
  scaleShapes: readonly [Shape, Shape],
): (index: number) => number {
  const { dtype, shape } = outputType(context);
  const reader = (slot: number, own: Shape = inputType(context, slot).shape) =>
    broadcastReader(inputData(context, slot), own, shape);
  const aScale = reader(A_SCALE, scaleShapes[0]);
  const bScale = reader(B_SCALE, scaleShapes[1]);
  const [yScale, yZero] = [reader(Y_SCALE), reader(Y_ZERO)];
  const range = quantizedRange(dtype);
  return (index) => {
    const m = requantisingFactor(aScale(index), bScale(index), yScale(index));
    // an i32 wraps around
    return saturate(Math.fround(Math.fround(sums(index) | 0) * m), yZero(index), range);
  };
}

const inputTypes = ({ inputs }: Pick<DecomposeContext<unknown>, 'inputs'>): Types =>
  inputs.map((v) => v?.type);

function requantisedOps(
  context: DecomposeContext<unknown>,
  sums: Value,
  aScale: Value,
  bScale: Value,
): Value[] {
  const { b } = context;
  const one = (v: Value) =>
    elementCount(v.type.shape) === 1 && v.type.shape.length > 0 ? b.op('Reshape', [v], { shape: [] }) : v;
  const scales = b.op('Mul', [one(aScale), one(bScale)], {});
  const m = b.op('Div', [scales, one(inputValue(context, Y_SCALE))], {});
  const product = b.op('Mul', [b.op('Cast', [sums], { to: 'f32' }), m], {});
  const zeroPoint = one(b.op('Cast', [inputValue(context, Y_ZERO)], { to: 'f32' }));
  return [saturateOps(context, product, zeroPoint, outputType(context).dtype)];
}

/** Products that kernels compute in one go. */
export interface KnownProduct {
  /** What sums are multiplied with: one factor, or one per output channel. */
  readonly factors: Float32Array;
  readonly zero: number;
  readonly bias: Int32Array | undefined;
}

/**
 * What brings the sums of a quantised product to its type, where all but the data and its zero point is known and the
 * same all along each of `channels`; a product of that kind is not written in other ops.
 */
export function knownProduct(
  constant: (slot: number) => Tensor | undefined,
  inputs: Types,
  channels: number,
): KnownProduct | undefined {
  const slots = [
    A_SCALE,
    QUANTISED.b,
    B_SCALE,
    QUANTISED.bZero,
    Y_SCALE,
    Y_ZERO,
    ...(inputs[BIAS] ? [BIAS] : []),
  ];
  const known = slots.every((slot) => constant(slot));
  const numbers = (slot: number): ArrayLike<number> => (constant(slot)?.data ?? []) as ArrayLike<number>;
  const [aScale, bScale, yScale, yZero] = [A_SCALE, B_SCALE, Y_SCALE, Y_ZERO].map(numbers);
  if (!known || aScale?.length !== 1 || !bScale || yScale?.length !== 1 || yZero?.length !== 1)
    return undefined;
  const bScaleShape = inputs[B_SCALE]?.shape ?? [];
  const perChannel = bScale.length === 1 || bScaleShape[bScaleShape.length - 1] === channels;
  if (!perChannel || (bScale.length !== 1 && bScale.length !== channels)) return undefined;
  return {
    factors: Float32Array.from(bScale, (b) => requantisingFactor(aScale[0] ?? 1, b, yScale[0] ?? 1)),
    zero: yZero[0] ?? 0,
    bias: inputs[BIAS] && Int32Array.from(numbers(BIAS)),
  };
}

/** aScale·bScale / yScale, rounded to f32 twice. */
const requantisingFactor = (aScale: number, bScale: number, yScale: number): number =>
  Math.fround(Math.fround(aScale * bScale) / yScale);

/**
 * ConvInteger of x and weight plus bias (i32 [Cout], in units of xScale·weightScale), brought to yScale and yZeroPoint.
 * Scales and zero points are single, those of the weight may be one per output channel.
 */
export const QLinearConv = defineOp({
  name: 'QLinearConv',
  attrs: CONV_ATTRS,
  inputs: [...quantised('x', 'weight'), { name: 'bias', role: 'weight', optional: true }],
  traits: { layout: 'spatial' },
  infer({ attrs, inputs }) {
    const shape = convShape(attrs, inputs, QUANTISED);
    const channels = shape[1] ?? 1;
    const bias = inputs[BIAS];
    checkScales(inputs, { [A_SCALE]: [], [B_SCALE]: [channels], [Y_SCALE]: [], [Y_ZERO]: [] });
    if (bias && (bias.dtype !== 'i32' || elementCount(bias.shape) !== channels))
      throw new OpError(`the bias is ${formatType(bias)}, not i32[${channels}]`);
    return [{ dtype: byteType(inputs, Y_ZERO).dtype, shape }];
  },
  /** Per element a product, a rounding, a sum and two bounds. */
  cost({ attrs, inputs, outputs }) {
    const operands = [inputs[QUANTISED.a], inputs[QUANTISED.b]];
    const { macs, otherOps } = Conv.cost({ attrs, inputs: [...operands, inputs[BIAS]], outputs });
    return { macs, otherOps: otherOps + 5 * elementCount(outputType({ outputs }).shape) };
  },
  field: ({ attrs, inputs, outputs }, _output, input) => convField(attrs, inputs, outputs, input, QUANTISED),
  reference: {
    kind: 'element',
    element(context) {
      const { shape } = outputType(context);
      const sums = convSums(context, QUANTISED);
      const bias = broadcastReader(
        context.data[BIAS],
        perChannel(context.inputs[BIAS]?.shape ?? [], shape),
        shape,
      );
      const bScale = perChannel(inputType(context, B_SCALE).shape, shape);
      return requantised(context, (index) => sums(index) + bias(index), [[], bScale]);
    },
  },
  decompose: decomposeQLinearConv,
});

function decomposeQLinearConv(context: DecomposeContext<ConvAttrs>): Value[] | undefined {
  const { b, attrs, inputs } = context;
  const { shape } = outputType(context);
  if (knownProduct(context.constant, inputTypes(context), shape[1] ?? 1)) return undefined;
  const { a, b: w, aZero, bZero } = QUANTISED;
  const spread = (v: Value) => b.op('Reshape', [v], { shape: perChannel(v.type.shape, shape) });
  const sums = b.op('ConvInteger', [inputs[a], inputs[w], inputs[aZero], inputs[bZero]], attrs);
  const bias = inputs[BIAS];
  const total = bias ? b.op('Add', [sums, spread(bias)], {}) : sums;
  return requantisedOps(context, total, inputValue(context, A_SCALE), spread(inputValue(context, B_SCALE)));
}

/**
 * MatMulInteger of a and b, brought to yScale and yZeroPoint. Scales and zero points of a are single or one per row
 * ([…, M, 1]), of b single or one per column ([…, 1, N]), of the result either.
 */
export const QLinearMatMul = defineOp({
  name: 'QLinearMatMul',
  attrs: {},
  inputs: quantised('a', 'b'),
  traits: { layout: 'rowMajor' },
  infer({ inputs }) {
    const shape = productShape(inputs, QUANTISED);
    checkScales(inputs, { [A_SCALE]: shape, [B_SCALE]: shape, [Y_SCALE]: shape, [Y_ZERO]: shape });
    return [{ dtype: byteType(inputs, Y_ZERO).dtype, shape }];
  },
  cost({ inputs, outputs }) {
    const { macs } = MatMul.cost({ attrs: {}, inputs: [inputs[QUANTISED.a], inputs[QUANTISED.b]], outputs });
    return { macs, otherOps: 5 * elementCount(outputType({ outputs }).shape) };
  },
  field: ({ inputs, outputs }, _output, input) => {
    const isOperand = input === QUANTISED.a || input === QUANTISED.b;
    const { shape } = outputType({ outputs });
    const own = inputType({ inputs }, input).shape;
    return isOperand || elementCount(own) === 1
      ? productField(inputs, outputs, input, QUANTISED)
      : broadcastField(own, shape);
  },
  reference: {
    kind: 'element',
    element: (context) =>
      requantised(context, productSums(context, QUANTISED), [
        inputType(context, A_SCALE).shape,
        inputType(context, B_SCALE).shape,
      ]),
  },
  decompose: decomposeQLinearMatMul,
});

function decomposeQLinearMatMul(context: DecomposeContext<unknown>): Value[] | undefined {
  const { b: builder, inputs } = context;
  const weight = inputValue(context, QUANTISED.b).type.shape;
  const columns = weight.length === 1 ? 1 : (weight[weight.length - 1] ?? 1);
  const isMatrix = weight.length <= 2;
  if (isMatrix && knownProduct(context.constant, inputTypes(context), columns)) return undefined;
  const { a, b, aZero, bZero } = QUANTISED;
  const sums = builder.op('MatMulInteger', [inputs[a], inputs[b], inputs[aZero], inputs[bZero]], {});
  return requantisedOps(context, sums, inputValue(context, A_SCALE), inputValue(context, B_SCALE));
}

export const INTEGER_PRODUCTS = { ConvInteger, MatMulInteger, QLinearConv, QLinearMatMul } as const;
