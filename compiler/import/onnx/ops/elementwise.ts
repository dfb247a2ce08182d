/** Functions of one element, arithmetic with broadcasting, casts. */
import type { OpAttrs, OpName, Value } from '#ir/graph.ts';
import { read, tensor } from '#ir/tensor.ts';
import { elementCount, isWide, type Shape, sameShape } from '#ir/types.ts';
import type { ImportRule, NodeImport } from '../rule.ts';

/** Ops of the IR without attributes that are called as in ONNX. */
type Plain = { [K in OpName]: keyof OpAttrs<K> extends never ? K : never }[OpName];

const unary =
  (op: Plain): ImportRule =>
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
  (op: Plain): ImportRule =>
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

/** The result has the base's type; a power of integers with a fraction in its exponent is one of floats, truncated. */
const pow: ImportRule = (node) => {
  const [x, y] = operands(node);
  const [base, exponent] = [x.type.dtype, y.type.dtype];
  if (base === exponent) return node.emit('Pow', [x, y], {});
  if (base === 'f32') return node.emit('Pow', [x, node.step('Cast', [y], { to: base })], {});
  const common = exponent === 'f32' ? 'f32' : 'i64';
  const [a, b] = [x, y].map((v) => (v.type.dtype === common ? v : node.step('Cast', [v], { to: common })));
  const power = node.step('Pow', [a, b], {});
  return base === common ? identity(node, power) : node.emit('Cast', [power], { to: base });
};

const mod: ImportRule = (node) => {
  const [x, y] = operands(node);
  requireOneType(node, x, y);
  return node.emit('Mod', [x, y], { truncated: node.attrs.flag('fmod') });
};

const bitShift: ImportRule = (node) => {
  const [x, y] = operands(node);
  requireOneType(node, x, y);
  const word = node.attrs.string('direction', '');
  if (word !== 'LEFT' && word !== 'RIGHT') node.refuse(`direction "${word}" is not known`, 'graph-invalid');
  return node.emit('BitShift', [x, y], { direction: word === 'LEFT' ? 'left' : 'right' });
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
    if (known?.data.length !== 1) return value;
    const bound = read(known.data, 0);
    // attributes are doubles; a bound that is none stays an operand
    return isWide(known.type.dtype) && !Number.isSafeInteger(bound) ? value : bound;
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

const cast: ImportRule = (node) => {
  const code = node.attrs.int('to') ?? node.refuse('Cast does not say to which type', 'graph-invalid');
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
  if (node.opset < 7 && node.attrs.int('is_test') === 0 && node.wants(1)) {
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

/** Slopes broadcast to x; before opset 7 a list of them belongs to the channels. */
const prelu: ImportRule = (node) => {
  const x = node.input(0);
  const slope = node.input(1);
  requireOneType(node, x, slope);
  const [count = 1] = slope.type.shape;
  const rank = x.type.shape.length;
  if (node.opset >= 7 || slope.type.shape.length !== 1 || rank <= 2 || sameShape(slope.type.shape, [1]))
    return node.emit('PRelu', [x, slope], {});
  const shape = [count, ...new Array<number>(rank - 2).fill(1)];
  return node.emit('PRelu', [x, node.step('Reshape', [slope], { shape })], {});
};

const gelu: ImportRule = (node) => {
  const word = node.attrs.string('approximate', 'none');
  const known = word === 'none' || word === 'tanh' ? word : undefined;
  const approximate = known ?? node.refuse(`approximation "${word}" is not known`);
  return node.emit('Gelu', [node.input(0)], { approximate });
};

/** An activation with one attribute, alpha. */
const withAlpha =
  (op: 'LeakyRelu' | 'Elu' | 'Celu' | 'ThresholdedRelu' | 'Swish', fallback: number): ImportRule =>
  (node) =>
    node.emit(op, [node.input(0)], { alpha: node.attrs.float('alpha', fallback) });

const selu: ImportRule = (node) =>
  node.emit('Selu', [node.input(0)], {
    alpha: node.attrs.float('alpha', 1.6732631921768188),
    gamma: node.attrs.float('gamma', 1.0507010221481323),
  });

export const ELEMENTWISE = {
  Relu: unary('Relu'),
  HardSwish: unary('HardSwish'),
  Sigmoid: unary('Sigmoid'),
  Tanh: unary('Tanh'),
  Softplus: unary('Softplus'),
  Softsign: unary('Softsign'),
  Mish: unary('Mish'),
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
  Sin: unary('Sin'),
  Cos: unary('Cos'),
  Tan: unary('Tan'),
  Asin: unary('Asin'),
  Acos: unary('Acos'),
  Atan: unary('Atan'),
  Sinh: unary('Sinh'),
  Cosh: unary('Cosh'),
  Asinh: unary('Asinh'),
  Acosh: unary('Acosh'),
  Atanh: unary('Atanh'),
  Not: unary('Not'),
  IsNaN: unary('IsNaN'),
  BitwiseNot: unary('BitwiseNot'),
  LeakyRelu: withAlpha('LeakyRelu', 0.01),
  Elu: withAlpha('Elu', 1),
  Celu: withAlpha('Celu', 1),
  ThresholdedRelu: withAlpha('ThresholdedRelu', 1),
  Swish: withAlpha('Swish', 1),
  Selu: selu,
  HardSigmoid: (node) =>
    node.emit('HardSigmoid', [node.input(0)], {
      alpha: node.attrs.float('alpha', 0.2),
      beta: node.attrs.float('beta', 0.5),
    }),
  Shrink: (node) =>
    node.emit('Shrink', [node.input(0)], {
      lambda: node.attrs.float('lambd', 0.5),
      bias: node.attrs.float('bias', 0),
    }),
  IsInf: (node) =>
    node.emit('IsInf', [node.input(0)], {
      positive: node.attrs.flag('detect_positive', true),
      negative: node.attrs.flag('detect_negative', true),
    }),
  Gelu: gelu,
  PRelu: prelu,
  Clip: clip,
  Add: binary('Add'),
  Sub: binary('Sub'),
  Mul: binary('Mul'),
  Div: binary('Div'),
  And: binary('And'),
  Or: binary('Or'),
  Xor: binary('Xor'),
  Equal: binary('Equal'),
  Less: binary('Less'),
  LessOrEqual: binary('LessOrEqual'),
  Greater: binary('Greater'),
  GreaterOrEqual: binary('GreaterOrEqual'),
  BitwiseAnd: binary('BitwiseAnd'),
  BitwiseOr: binary('BitwiseOr'),
  BitwiseXor: binary('BitwiseXor'),
  Pow: pow,
  Mod: mod,
  BitShift: bitShift,
  Sum: variadic('Add'),
  Min: variadic('Min'),
  Max: variadic('Max'),
  Mean: mean,
  Where: where,
  Cast: cast,
  CastLike: (node) => castTo(node, node.input(1).type.dtype),
  Identity: (node) => identity(node, node.input(0)),
  Dropout: dropout,
} satisfies Record<string, ImportRule>;
