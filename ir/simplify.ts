/**
 * Exact simplification of scalar expressions: constants are folded (in double arithmetic) and terms that change nothing
 * for any argument, NaN and infinities among them, are dropped.
 */
import {
  BINARY,
  type BinaryFn,
  binary,
  compileExpr,
  constant,
  type Expr,
  exprKey,
  select,
  UNARY,
  unary,
} from './expr.ts';

/** With `unsigned` zeros, +0 is dropped too, which turns −0 into 0. */
export function simplify(e: Expr, zeros: 'signed' | 'unsigned' = 'signed'): Expr {
  const inner = (x: Expr) => simplify(x, zeros);
  switch (e.kind) {
    case 'arg':
    case 'const':
      return e;
    case 'unary': {
      const x = inner(e.x);
      return x.kind === 'const' ? constant(UNARY[e.fn].eval(x.value)) : unary(e.fn, x);
    }
    case 'binary':
      return simplifyBinary(e.fn, inner(e.x), inner(e.y), zeros === 'signed');
    case 'select': {
      const [test, x, y] = [inner(e.test), inner(e.x), inner(e.y)];
      if (test.kind === 'const') return test.value !== 0 ? x : y;
      return exprKey(x) === exprKey(y) ? x : select(test, x, y);
    }
  }
}

/** Right operands that leave the left one as it is. */
const NEUTRAL: Partial<Record<BinaryFn, number>> = {
  add: -0,
  sub: 0,
  mul: 1,
  div: 1,
  pow: 1,
  min: Number.POSITIVE_INFINITY,
  max: Number.NEGATIVE_INFINITY,
};
const COMMUTATIVE: readonly BinaryFn[] = ['add', 'mul', 'min', 'max'];

function simplifyBinary(fn: BinaryFn, x: Expr, y: Expr, signed: boolean): Expr {
  if (x.kind === 'const' && y.kind === 'const') return constant(BINARY[fn].eval(x.value, y.value));
  if (COMMUTATIVE.includes(fn) && x.kind === 'const') return simplifyBinary(fn, y, x, signed);
  if (y.kind !== 'const') return binary(fn, x, y);
  const neutral = NEUTRAL[fn];
  if (signed ? Object.is(y.value, neutral) : y.value === neutral) return x;
  // pow is at best x·x correctly rounded
  if (fn === 'pow' && y.value === 2 && x.kind === 'arg') return binary('mul', x, x);
  const nested = (fn === 'min' || fn === 'max') && x.kind === 'binary' && x.fn === fn ? x : undefined;
  return nested?.y.kind === 'const'
    ? binary(fn, nested.x, compileExpr(binary(fn, nested.y, y))([]))
    : binary(fn, x, y);
}
