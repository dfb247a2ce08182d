/** Comparisons, truth values, bits and choice: one entry each. */
import { attr } from '../attrs.ts';
import { arg, binary, constant, type Expr, select, unary } from '../expr.ts';
import { binaryOp, elementwise, unaryOp, x, y } from './elementwise.ts';

const comparison = <const N extends string>(name: N, e: Expr) =>
  binaryOp(name, {}, () => e, { of: 'any', result: 'bool' });
const truths = <const N extends string>(name: N, e: Expr) =>
  binaryOp(name, {}, () => e, { of: 'bool', commutative: true });
const bits = <const N extends string>(name: N, e: Expr) =>
  binaryOp(name, {}, () => e, { of: 'integer', commutative: true });

/** x is +∞, −∞, either or, where neither is asked for, nothing. */
function infinite(positive: boolean, negative: boolean): Expr {
  if (positive && negative) return binary('eq', unary('abs', x), Number.POSITIVE_INFINITY);
  if (positive) return binary('eq', x, Number.POSITIVE_INFINITY);
  return negative ? binary('eq', x, Number.NEGATIVE_INFINITY) : constant(0);
}

export const LOGIC = {
  Equal: comparison('Equal', binary('eq', x, y)),
  Less: comparison('Less', binary('lt', x, y)),
  LessOrEqual: comparison('LessOrEqual', binary('le', x, y)),
  Greater: comparison('Greater', binary('gt', x, y)),
  GreaterOrEqual: comparison('GreaterOrEqual', binary('ge', x, y)),
  And: truths('And', binary('mul', x, y)),
  Or: truths('Or', binary('max', x, y)),
  Xor: truths('Xor', binary('ne', x, y)),
  Not: unaryOp('Not', {}, () => unary('not', x), { of: 'bool' }),
  IsNaN: unaryOp('IsNaN', {}, () => unary('isnan', x), { result: 'bool' }),
  IsInf: unaryOp(
    'IsInf',
    { positive: attr.bool(true), negative: attr.bool(true) },
    (a) => infinite(a.positive, a.negative),
    { result: 'bool' },
  ),
  BitwiseAnd: bits('BitwiseAnd', binary('bitand', x, y)),
  BitwiseOr: bits('BitwiseOr', binary('bitor', x, y)),
  BitwiseXor: bits('BitwiseXor', binary('bitxor', x, y)),
  BitwiseNot: unaryOp('BitwiseNot', {}, () => unary('bitnot', x), { of: 'integer' }),
  /** Right shifts keep the sign; a shift by the width or more, or by a negative number, moves all bits out. */
  BitShift: binaryOp(
    'BitShift',
    { direction: attr.word('left', 'right') },
    (a) => binary(a.direction === 'left' ? 'shl' : 'shr', x, y),
    { of: 'integer' },
  ),
  /** x where the condition holds, else y; all three broadcast. */
  Where: elementwise('Where', {}, () => select(arg(0), arg(1), arg(2)), {
    of: 'any',
    condition: true,
    inputs: [
      { name: 'condition', role: 'data' },
      { name: 'x', role: 'data' },
      { name: 'y', role: 'data' },
    ],
  }),
} as const;
