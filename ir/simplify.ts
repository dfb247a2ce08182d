/**
 * Exact simplification of scalar expressions: constants are folded (in double arithmetic) and terms that change nothing
 * for any argument, NaN and infinities among them, are dropped. Adding 0 is dropped too: it can only change −0 to 0.
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

export function simplify(e: Expr): Expr {
  switch (e.kind) {
    case 'arg':
    case 'const':
      return e;
    case 'unary': {
      const x = simplify(e.x);
      if (x.kind === 'const') return constant(UNARY[e.fn].eval(x.value));
      return unary(e.fn, x);
    }
    case 'binary':
      return simplifyBinary(e.fn, simplify(e.x), simplify(e.y));
    case 'select': {
      const test = simplify(e.test);
      const [x, y] = [simplify(e.x), simplify(e.y)];
      if (test.kind === 'const') return test.value !== 0 ? x : y;
      return exprKey(x) === exprKey(y) ? x : select(test, x, y);
    }
  }
}

const is = (e: Expr, value: number): boolean => e.kind === 'const' && e.value === value;

/** Right operands that leave the left one as it is. */
const NEUTRAL: Partial<Record<BinaryFn, number>> = {
  add: 0,
  sub: 0,
  mul: 1,
  div: 1,
  pow: 1,
  min: Number.POSITIVE_INFINITY,
  max: Number.NEGATIVE_INFINITY,
};
const COMMUTATIVE: readonly BinaryFn[] = ['add', 'mul', 'min', 'max'];

function simplifyBinary(fn: BinaryFn, x: Expr, y: Expr): Expr {
  if (x.kind === 'const' && y.kind === 'const') return constant(BINARY[fn].eval(x.value, y.value));
  const neutral = NEUTRAL[fn];
  if (neutral !== undefined && is(y, neutral)) return x;
  if (COMMUTATIVE.includes(fn) && x.kind === 'const') return simplifyBinary(fn, y, x);
  // x² has no rounding of a logarithm in it, and x·x is what pow is correctly rounded to
  if (fn === 'pow' && is(y, 2)) return binary('mul', x, x);
  if ((fn === 'min' || fn === 'max') && y.kind === 'const' && x.kind === 'binary') {
    if (x.fn === fn && x.y.kind === 'const') {
      return binary(fn, x.x, compileExpr(binary(fn, x.y, y))([]));
    }
  }
  return binary(fn, x, y);
}
