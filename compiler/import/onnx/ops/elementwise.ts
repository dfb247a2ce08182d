/** Functions of one element, arithmetic with broadcasting, casts. */
import type { OpName, Value } from '#ir/graph.ts';
import { read, tensor } from '#ir/tensor.ts';
import { elementCount, type Shape, sameShape } from '#ir/types.ts';
import type { ImportRule, NodeImport } from '../rule.ts';

/** Ops of the IR that have no attributes and are called the same. */
type PlainUnary = Extract<
  OpName,
  | 'Relu'
  | 'HardSwish'
  | 'Sigmoid'
  | 'Tanh'
  | 'Erf'
  | 'Exp'
  | 'Log'
  | 'Sqrt'
  | 'Reciprocal'
  | 'Neg'
  | 'Abs'
  | 'Floor'
  | 'Ceil'
  | 'Round'
  | 'Sign'
  | 'Not'
>;
type PlainBinary = Extract<
  OpName,
  | 'Add'
  | 'Sub'
  | 'Mul'
  | 'Div'
  | 'Min'
  | 'Max'
  | 'And'
  | 'Or'
  | 'Equal'
  | 'Less'
  | 'LessOrEqual'
  | 'Greater'
  | 'GreaterOrEqual'
>;

const unary =
  (op: PlainUnary): ImportRule =>
  (node) =>
    node.emit(op, [node.input(0)], {});

/** Before opset 7 the second operand broadcasts from `axis`, and only with `broadcast`. */
function operands(node: NodeImport): readonly [Value, Value] {
  const x = node.input(0);
  const y = node.input(1);
  const axis = node.attrs.int('axis');
  if (node.opset >= 7 || axis === undefined || !node.attrs.flag('broadcast')) return [x, y];
  const from = node.axis(axis, x.type.shape.length);
  const after = x.type.shape.length - from - y.type.shape.length;
  if (after < 0)
    node.refuse(`an operand of rank ${y.type.shape.length} does not fit at axis ${from}`, 'shape-mismatch');
  if (after === 0) return [x, y];
  const shape: Shape = [...y.type.shape, ...new Array<number>(after).fill(1)];
  return [x, node.step('Reshape', [y], { shape })];
}

/** @throws CompileError where the operands' element types differ */
function requireOneType(node: NodeImport, x: Value, y: Value): void {
  if (x.type.dtype !== y.type.dtype) {
    node.refuse(`${node.op} of ${x.type.dtype} and ${y.type.dtype}`, 'shape-mismatch');
  }
}

const binary =
  (op: PlainBinary): ImportRule =>
  (node) => {
    const [x, y] = operands(node);
    requireOneType(node, x, y);
    return node.emit(op, [x, y], {});
  };

/** One operand to many: (((a ∘ b) ∘ c) …). */
const variadic =
  (op: 'Add' | 'Min' | 'Max'): ImportRule =>
  (node) => {
    const last = node.inputs.length - 1;
    let sum = node.input(0);
    if (last === 0) return identity(node, sum);
    for (let i = 1; i < last; i++) sum = node.step(op, [sum, node.input(i)], {});
    requireOneType(node, sum, node.input(last));
    return node.emit(op, [sum, node.input(last)], {});
  };

const mean: ImportRule = (node) => {
  let sum = node.input(0);
  for (let i = 1; i < node.inputs.length; i++) sum = node.step('Add', [sum, node.input(i)], {});
  return node.emit('Div', [sum, node.literal(tensor(sum.type.dtype, [], [node.inputs.length]))], {});
};

/** The exponent may have another type than the base. */
const pow: ImportRule = (node) => {
  const [x, y] = operands(node);
  const exponent = x.type.dtype === y.type.dtype ? y : node.step('Cast', [y], { to: x.type.dtype });
  return node.emit('Pow', [x, exponent], {});
};

const FLOAT_MAX = 3.4028234663852886e38;

/** Bounds are attributes before opset 11. The largest float is no bound. */
const clip: ImportRule = (node) => {
  const x = node.input(0);
  const bound = (i: number, name: string, none: number): number | Value => {
    if (node.opset < 11) return node.attrs.float(name, none);
    const value = node.inputs[i];
    if (!value) return none;
    const known = node.known(i);
    return known && known.data.length === 1 ? read(known.data, 0) : value;
  };
  let min = bound(1, 'min', Number.NEGATIVE_INFINITY);
  let max = bound(2, 'max', Number.POSITIVE_INFINITY);
  if (typeof min === 'number' && typeof max === 'number') {
    if (min <= -FLOAT_MAX) min = Number.NEGATIVE_INFINITY;
    if (max >= FLOAT_MAX) max = Number.POSITIVE_INFINITY;
    return node.emit('Clip', [x], { min, max });
  }
  const scalar = (value: number | Value): Value =>
    typeof value === 'number' ? node.literal(tensor(x.type.dtype, [], [value])) : value;
  const absent = (value: number | Value) => typeof value === 'number' && !Number.isFinite(value);
  if (absent(max)) return node.emit('Max', [x, scalar(min)], {});
  const above = absent(min) ? x : node.step('Max', [x, scalar(min)], {});
  return node.emit('Min', [above, scalar(max)], {});
};

const CAST_NAMES: Readonly<Record<string, number>> = {
  FLOAT: 1,
  UINT8: 2,
  INT8: 3,
  UINT16: 4,
  INT16: 5,
  INT32: 6,
  INT64: 7,
  BOOL: 9,
  FLOAT16: 10,
  DOUBLE: 11,
  UINT32: 12,
  UINT64: 13,
};

const cast: ImportRule = (node) => {
  // a word before opset 6
  const given = node.opset < 6 ? CAST_NAMES[node.attrs.string('to', '')] : node.attrs.int('to');
  const code = given ?? node.refuse('Cast does not say to which type', 'graph-invalid');
  return castTo(node, node.dtypeOf(code));
};

function castTo(node: NodeImport, to: Value['type']['dtype']): Value | readonly Value[] {
  const x = node.input(0);
  return x.type.dtype === to ? identity(node, x) : node.emit('Cast', [x], { to });
}

/** A constant under another name is that constant. */
export function identity(node: NodeImport, x: Value): Value | readonly Value[] {
  return x.source.kind === 'constant' ? x : node.emit('Identity', [x], {});
}

/** In training mode the result is random. The mask of inference is all true. */
const dropout: ImportRule = (node) => {
  if (node.opset < 7 && node.opset > 1 && node.attrs.int('is_test') === 0 && node.wants(1)) {
    node.refuse(
      'Dropout in training mode is not supported',
      'op-unsupported-form',
      'export the model in evaluation mode',
    );
  }
  const training = node.opset >= 12 && node.inputs[2] ? node.known(2) : undefined;
  if (node.opset >= 12 && node.inputs[2] && (!training || read(training.data, 0) !== 0)) {
    node.refuse(
      'Dropout in training mode is not supported',
      'op-unsupported-form',
      'export the model in evaluation mode',
    );
  }
  const x = node.input(0);
  const value = identity(node, x);
  const outputs = Array.isArray(value) ? (value as readonly Value[]).slice(0, 1) : [value as Value];
  if (!node.wants(1)) return outputs;
  const { shape } = x.type;
  const mask = node.opset < 10 ? node.filled(x.type.dtype, shape, 1, 1) : node.filled('bool', shape, 1, 1);
  return mask ? [...outputs, mask] : node.refuse(`a mask of ${elementCount(shape)} elements is too large`);
};

const where: ImportRule = (node) => {
  requireOneType(node, node.input(1), node.input(2));
  return node.emit('Where', [node.input(0), node.input(1), node.input(2)], {});
};

/** Slope per channel: max(x, 0) + slope·min(x, 0). */
const prelu: ImportRule = (node) => {
  const x = node.input(0);
  let slope = node.input(1);
  // before opset 7 a list of slopes belongs to the channels
  if (
    node.opset < 7 &&
    slope.type.shape.length === 1 &&
    x.type.shape.length > 2 &&
    !sameShape(slope.type.shape, [1])
  ) {
    slope = node.step('Reshape', [slope], {
      shape: [slope.type.shape[0] ?? 1, ...new Array<number>(x.type.shape.length - 2).fill(1)],
    });
  }
  const zero = node.literal(tensor(x.type.dtype, [], [0]));
  const negative = node.step('Mul', [slope, node.step('Min', [x, zero], {})], {});
  return node.emit('Add', [node.step('Max', [x, zero], {}), negative], {});
};

export const ELEMENTWISE = {
  Relu: unary('Relu'),
  HardSwish: unary('HardSwish'),
  Sigmoid: unary('Sigmoid'),
  Tanh: unary('Tanh'),
  Erf: unary('Erf'),
  Exp: unary('Exp'),
  Log: unary('Log'),
  Sqrt: unary('Sqrt'),
  Reciprocal: unary('Reciprocal'),
  Neg: unary('Neg'),
  Abs: unary('Abs'),
  Floor: unary('Floor'),
  Ceil: unary('Ceil'),
  Round: unary('Round'),
  Sign: unary('Sign'),
  Not: unary('Not'),
  LeakyRelu: (node) => node.emit('LeakyRelu', [node.input(0)], { alpha: node.attrs.float('alpha', 0.01) }),
  HardSigmoid: (node) =>
    node.emit('HardSigmoid', [node.input(0)], {
      alpha: node.attrs.float('alpha', 0.2),
      beta: node.attrs.float('beta', 0.5),
    }),
  PRelu: prelu,
  Clip: clip,
  Add: binary('Add'),
  Sub: binary('Sub'),
  Mul: binary('Mul'),
  Div: binary('Div'),
  Pow: pow,
  Sum: variadic('Add'),
  Min: variadic('Min'),
  Max: variadic('Max'),
  Mean: mean,
  And: binary('And'),
  Or: binary('Or'),
  Equal: binary('Equal'),
  Less: binary('Less'),
  LessOrEqual: binary('LessOrEqual'),
  Greater: binary('Greater'),
  GreaterOrEqual: binary('GreaterOrEqual'),
  Where: where,
  Cast: cast,
  CastLike: (node) => castTo(node, node.input(1).type.dtype),
  Identity: (node) => identity(node, node.input(0)),
  Dropout: dropout,
} satisfies Record<string, ImportRule>;
