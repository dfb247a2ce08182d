import { type AttrSchema, type AttrsOf, attr } from '../attrs.ts';
import {
  arg,
  binary,
  compileExpr,
  type Expr,
  evaluateInteger,
  operationCount,
  select,
  unary,
} from '../expr.ts';
import {
  defineOp,
  type EvalContext,
  type InputSpec,
  inputData,
  inputType,
  OpError,
  outputType,
} from '../op.ts';
import { allocate, read, type TensorData, write } from '../tensor.ts';
import {
  broadcastShapes,
  broadcastStrides,
  type DType,
  elementCount,
  formatShape,
  isInteger,
  type Shape,
  sameShape,
  type TensorType,
} from '../types.ts';
import { broadcastField } from './common.ts';

const x: Expr = arg(0);
const y: Expr = arg(1);

interface ElementwiseOptions {
  readonly commutative?: true;
  /** The result's element type; that of the first input where absent. */
  readonly result?: (inputs: readonly TensorType[]) => DType;
  readonly inputs: readonly InputSpec[];
}

/** An op that computes each element from the elements at the same broadcast position. */
function elementwise<const N extends string, const S extends AttrSchema>(
  name: N,
  attrs: S,
  expression: (attrs: AttrsOf<S>, inputs: number) => Expr,
  options: ElementwiseOptions,
) {
  return defineOp<N, S>({
    name,
    attrs,
    inputs: options.inputs,
    traits: {
      layout: 'pointwise',
      epilogue: true,
      ...(options.commutative ? { commutative: true } : {}),
    },
    infer({ inputs }) {
      const types = inputs.map((_, i) => inputType({ inputs }, i));
      const shape = broadcastShapes(...types.map((t) => t.shape));
      if (!shape)
        throw new OpError(`shapes ${types.map((t) => formatShape(t.shape)).join(' and ')} do not broadcast`);
      return [{ dtype: options.result?.(types) ?? inputType({ inputs }, 0).dtype, shape }];
    },
    cost({ attrs: given, inputs, outputs }) {
      const perElement = operationCount(expression(given, inputs.length));
      return { macs: 0, otherOps: perElement * elementCount(outputType({ outputs }).shape) };
    },
    field: ({ inputs, outputs }, _output, input) =>
      broadcastField(inputType({ inputs }, input).shape, outputType({ outputs }).shape),
    expression,
    reference: {
      kind: 'whole',
      evaluate: (context) => [evaluateExpr(expression(context.attrs, context.data.length), context)],
    },
  });
}

/** Applies an expression over broadcast operands: doubles for floats, exact integers for integer types. */
export function evaluateExpr(e: Expr, context: EvalContext<unknown>): TensorData {
  const out = outputType(context);
  const operands = context.inputs.map((_, i) => ({
    data: inputData(context, i),
    type: inputType(context, i),
  }));
  const result = allocate(out.dtype, elementCount(out.shape));
  const next = operands.map(({ type }) => broadcastIndex(type.shape, out.shape));
  if (operands.some(({ type }) => isInteger(type.dtype))) {
    for (let i = 0; i < result.length; i++) {
      write(
        result,
        i,
        evaluateInteger(
          e,
          operands.map(({ data }, k) => BigInt(read64(data, next[k]?.(i) ?? i))),
        ),
      );
    }
    return result;
  }
  const fn = compileExpr(e);
  const args = new Float64Array(operands.length);
  for (let i = 0; i < result.length; i++) {
    operands.forEach(({ data }, k) => {
      args[k] = read(data, next[k]?.(i) ?? i);
    });
    write(result, i, fn(args));
  }
  return result;
}

const read64 = (data: TensorData, index: number): bigint | number => data[index] ?? 0;

/** Maps a flat index of the broadcast shape to one of the operand; undefined where they are the same. */
function broadcastIndex(from: Shape, to: Shape): ((index: number) => number) | undefined {
  if (sameShape(from, to)) return undefined;
  if (elementCount(from) === 1) return () => 0;
  const strides = broadcastStrides(from, to);
  return (index) => {
    let rest = index;
    let at = 0;
    for (let axis = to.length - 1; axis >= 0; axis--) {
      const size = to[axis] ?? 1;
      at += (rest % size) * (strides[axis] ?? 0);
      rest = Math.floor(rest / size);
    }
    return at;
  };
}

const DATA_X: readonly InputSpec[] = [{ name: 'x', role: 'data' }];
const DATA_XY: readonly InputSpec[] = [
  { name: 'x', role: 'data' },
  { name: 'y', role: 'data' },
];
const AFFINE_XY: readonly InputSpec[] = [
  { name: 'x', role: 'affine' },
  { name: 'y', role: 'affine' },
];

const unaryOp = <const N extends string, const S extends AttrSchema>(
  name: N,
  attrs: S,
  e: (attrs: AttrsOf<S>) => Expr,
) => elementwise(name, attrs, e, { inputs: DATA_X });
const binaryOp = <const N extends string>(name: N, e: Expr, options: Partial<ElementwiseOptions> = {}) =>
  elementwise(name, {}, () => e, { inputs: DATA_XY, ...options });
const comparison = <const N extends string>(name: N, e: Expr) => binaryOp(name, e, { result: () => 'bool' });

/** min(max(e, low), high); an infinite bound is left out. */
function clamp(e: Expr, low: number, high: number): Expr {
  const above = low === Number.NEGATIVE_INFINITY ? e : binary('max', e, low);
  return high === Number.POSITIVE_INFINITY ? above : binary('min', above, high);
}

export const sigmoid = (e: Expr): Expr => binary('div', 1, binary('add', 1, unary('exp', unary('neg', e))));
const hardSigmoid = (e: Expr, alpha: number, beta: number): Expr =>
  clamp(binary('add', binary('mul', e, alpha), beta), 0, 1);

/** Unary functions and activations: one entry each. */
export const ACTIVATIONS = {
  Relu: unaryOp('Relu', {}, () => binary('max', x, 0)),
  LeakyRelu: unaryOp('LeakyRelu', { alpha: attr.float(0.01) }, (a) =>
    select(binary('lt', x, 0), binary('mul', x, a.alpha), x),
  ),
  Clip: unaryOp(
    'Clip',
    { min: attr.float(Number.NEGATIVE_INFINITY), max: attr.float(Number.POSITIVE_INFINITY) },
    (a) => clamp(x, a.min, a.max),
  ),
  Sigmoid: unaryOp('Sigmoid', {}, () => sigmoid(x)),
  HardSigmoid: unaryOp('HardSigmoid', { alpha: attr.float(0.2), beta: attr.float(0.5) }, (a) =>
    hardSigmoid(x, a.alpha, a.beta),
  ),
  HardSwish: unaryOp('HardSwish', {}, () => binary('mul', x, hardSigmoid(x, 1 / 6, 0.5))),
  Tanh: unaryOp('Tanh', {}, () => unary('tanh', x)),
  Erf: unaryOp('Erf', {}, () => unary('erf', x)),
  Exp: unaryOp('Exp', {}, () => unary('exp', x)),
  Log: unaryOp('Log', {}, () => unary('log', x)),
  Sqrt: unaryOp('Sqrt', {}, () => unary('sqrt', x)),
  Reciprocal: unaryOp('Reciprocal', {}, () => binary('div', 1, x)),
  Neg: unaryOp('Neg', {}, () => unary('neg', x)),
  Abs: unaryOp('Abs', {}, () => unary('abs', x)),
  Floor: unaryOp('Floor', {}, () => unary('floor', x)),
  Ceil: unaryOp('Ceil', {}, () => unary('ceil', x)),
  Round: unaryOp('Round', {}, () => unary('round', x)),
  Sign: unaryOp('Sign', {}, () => unary('sign', x)),
  Not: unaryOp('Not', {}, () => unary('not', x)),
} as const;

export const ARITHMETIC = {
  Add: binaryOp('Add', binary('add', x, y), { inputs: AFFINE_XY, commutative: true }),
  Sub: binaryOp('Sub', binary('sub', x, y)),
  Mul: binaryOp('Mul', binary('mul', x, y), { inputs: AFFINE_XY, commutative: true }),
  Div: binaryOp('Div', binary('div', x, y)),
  Pow: binaryOp('Pow', binary('pow', x, y)),
  Min: binaryOp('Min', binary('min', x, y), { commutative: true }),
  Max: binaryOp('Max', binary('max', x, y), { commutative: true }),
  Equal: comparison('Equal', binary('eq', x, y)),
  Less: comparison('Less', binary('lt', x, y)),
  LessOrEqual: comparison('LessOrEqual', binary('le', x, y)),
  Greater: comparison('Greater', binary('gt', x, y)),
  GreaterOrEqual: comparison('GreaterOrEqual', binary('ge', x, y)),
  And: comparison('And', binary('mul', x, y)),
  Or: comparison('Or', binary('max', x, y)),
  Where: elementwise('Where', {}, () => select(arg(0), arg(1), arg(2)), {
    inputs: [
      { name: 'condition', role: 'data' },
      { name: 'x', role: 'data' },
      { name: 'y', role: 'data' },
    ],
    result: (inputs) => inputs[1]?.dtype ?? 'f32',
  }),
} as const;
