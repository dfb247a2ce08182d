/** What elementwise ops have in common; the ops are in activation.ts, arithmetic.ts and logic.ts. */
import type { AttrSchema, AttrsOf } from '../attrs.ts';
import { arg, compileExpr, type Expr, evaluateInteger, operationCount } from '../expr.ts';
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
  isWide,
  type Shape,
  sameShape,
  type TensorType,
} from '../types.ts';
import { broadcastField } from './common.ts';

export const x: Expr = arg(0);
export const y: Expr = arg(1);

/** Which element types an op computes with. */
const KINDS = {
  float: (dtype: DType) => dtype === 'f32',
  number: (dtype: DType) => dtype !== 'bool',
  integer: isInteger,
  bool: (dtype: DType) => dtype === 'bool',
  any: () => true,
} as const;

interface ElementwiseOptions {
  readonly commutative?: true;
  /** The element types that fit; all operands have the same one. */
  readonly of: keyof typeof KINDS;
  /** The first operand is a condition of bool, which the rest does not share. */
  readonly condition?: true;
  /** The result's element type; that of the operands where absent. */
  readonly result?: DType;
  readonly inputs: readonly InputSpec[];
}

/** An op that computes each element from the elements at the same broadcast position. */
export function elementwise<const N extends string, const S extends AttrSchema>(
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
      const dtype = elementType(name, types, options);
      const shape = broadcastShapes(...types.map((t) => t.shape));
      if (!shape)
        throw new OpError(`shapes ${types.map((t) => formatShape(t.shape)).join(' and ')} do not broadcast`);
      return [{ dtype: options.result ?? dtype, shape }];
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

/** The type that the operands share. @throws OpError where they do not, or where the op is not for it. */
function elementType(name: string, types: readonly TensorType[], options: ElementwiseOptions): DType {
  const [first, ...rest] = types.map((t) => t.dtype);
  const own = options.condition ? rest : first ? [first, ...rest] : [];
  if (options.condition && first !== 'bool') throw new OpError(`the condition is ${first}, not bool`);
  const [dtype = 'f32'] = own;
  const other = own.find((t) => t !== dtype);
  if (other) throw new OpError(`operands are ${dtype} and ${other}`);
  if (!KINDS[options.of](dtype)) throw new OpError(`${name} of ${dtype} is not defined`);
  return dtype;
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
    const wide = isWide(out.dtype);
    for (let i = 0; i < result.length; i++) {
      const value = evaluateInteger(
        e,
        operands.map(({ data }, k) => BigInt(read64(data, next[k]?.(i) ?? i))),
      );
      // wrapped here: a product of 32-bit numbers need not be exact as a double
      write(result, i, wide ? value : BigInt.asIntN(32, value));
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

export const unaryOp = <const N extends string, const S extends AttrSchema>(
  name: N,
  attrs: S,
  e: (attrs: AttrsOf<S>) => Expr,
  options: Partial<ElementwiseOptions> = {},
) => elementwise(name, attrs, e, { inputs: DATA_X, of: 'float', ...options });

export const binaryOp = <const N extends string, const S extends AttrSchema>(
  name: N,
  attrs: S,
  e: (attrs: AttrsOf<S>) => Expr,
  options: Partial<ElementwiseOptions> = {},
) => elementwise(name, attrs, e, { inputs: DATA_XY, of: 'number', ...options });
