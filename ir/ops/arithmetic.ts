/** Functions of one number, and arithmetic of two: one entry each. */
import { attr } from '../attrs.ts';
import { binary, unary } from '../expr.ts';
import type { InputSpec } from '../op.ts';
import { binaryOp, unaryOp, x, y } from './elementwise.ts';

/** A constant that is added or multiplied is a parameter, like a bias. */
const AFFINE_XY: readonly InputSpec[] = [
  { name: 'x', role: 'affine' },
  { name: 'y', role: 'affine' },
];
const NUMBERS = { of: 'number' } as const;
const COMMUTATIVE = { commutative: true } as const;

export const FUNCTIONS = {
  Erf: unaryOp('Erf', {}, () => unary('erf', x)),
  Exp: unaryOp('Exp', {}, () => unary('exp', x)),
  Log: unaryOp('Log', {}, () => unary('log', x)),
  Sqrt: unaryOp('Sqrt', {}, () => unary('sqrt', x)),
  Reciprocal: unaryOp('Reciprocal', {}, () => binary('div', 1, x)),
  Sin: unaryOp('Sin', {}, () => unary('sin', x)),
  Cos: unaryOp('Cos', {}, () => unary('cos', x)),
  Tan: unaryOp('Tan', {}, () => unary('tan', x)),
  Asin: unaryOp('Asin', {}, () => unary('asin', x)),
  Acos: unaryOp('Acos', {}, () => unary('acos', x)),
  Atan: unaryOp('Atan', {}, () => unary('atan', x)),
  Sinh: unaryOp('Sinh', {}, () => unary('sinh', x)),
  Cosh: unaryOp('Cosh', {}, () => unary('cosh', x)),
  Asinh: unaryOp('Asinh', {}, () => unary('asinh', x)),
  Acosh: unaryOp('Acosh', {}, () => unary('acosh', x)),
  Atanh: unaryOp('Atanh', {}, () => unary('atanh', x)),
  Neg: unaryOp('Neg', {}, () => unary('neg', x), NUMBERS),
  Abs: unaryOp('Abs', {}, () => unary('abs', x), NUMBERS),
  Sign: unaryOp('Sign', {}, () => unary('sign', x), NUMBERS),
  Floor: unaryOp('Floor', {}, () => unary('floor', x), NUMBERS),
  Ceil: unaryOp('Ceil', {}, () => unary('ceil', x), NUMBERS),
  /** Halves go to the even neighbour. */
  Round: unaryOp('Round', {}, () => unary('round', x), NUMBERS),
} as const;

/** Integers wrap around; their division truncates, and by 0 gives 0. */
export const ARITHMETIC = {
  Add: binaryOp('Add', {}, () => binary('add', x, y), { inputs: AFFINE_XY, ...COMMUTATIVE }),
  Sub: binaryOp('Sub', {}, () => binary('sub', x, y)),
  Mul: binaryOp('Mul', {}, () => binary('mul', x, y), { inputs: AFFINE_XY, ...COMMUTATIVE }),
  Div: binaryOp('Div', {}, () => binary('div', x, y)),
  Pow: binaryOp('Pow', {}, () => binary('pow', x, y)),
  /** The remainder has the sign of the divisor, or with `truncated` (fmod of C) that of the dividend. */
  Mod: binaryOp('Mod', { truncated: attr.bool(false) }, (a) => binary(a.truncated ? 'fmod' : 'mod', x, y)),
  Min: binaryOp('Min', {}, () => binary('min', x, y), COMMUTATIVE),
  Max: binaryOp('Max', {}, () => binary('max', x, y), COMMUTATIVE),
} as const;
