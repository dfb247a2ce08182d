import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  arg,
  BINARY,
  type BinaryFn,
  binary,
  compileExpr,
  constant,
  type Expr,
  formatExpr,
  operationCount,
  parseExpr,
  select,
  UNARY,
  type UnaryFn,
  unary,
} from '#ir/expr.ts';
import { simplify } from '#ir/simplify.ts';

test.each([
  ['mul(x0, 1)', 'x0'],
  ['mul(1, x0)', 'x0'],
  ['add(-0, x0)', 'x0'],
  ['add(0, x0)', 'add(x0, 0)'],
  ['sub(x0, 0)', 'x0'],
  ['sub(0, x0)', 'sub(0, x0)'],
  ['div(x0, 1)', 'x0'],
  ['div(1, x0)', 'div(1, x0)'],
  ['pow(x0, 1)', 'x0'],
  ['pow(x0, 2)', 'mul(x0, x0)'],
  ['mul(x0, 0)', 'mul(x0, 0)'],
  ['min(max(x0, -Infinity), Infinity)', 'x0'],
  ['max(max(x0, 1), 2)', 'max(x0, 2)'],
  ['min(min(x0, 1), 2)', 'min(x0, 1)'],
  ['min(max(x0, 0), 6)', 'min(max(x0, 0), 6)'],
  ['add(mul(2, 3), x0)', 'add(x0, 6)'],
  ['exp(0)', '1'],
  ['select(lt(1, 2), x0, x1)', 'x0'],
  ['select(x0, x1, x1)', 'x1'],
])('%s is %s', (before, after) => {
  expect(formatExpr(simplify(parseExpr(before)))).toBe(after);
});

const numberArbitrary = fc.oneof(
  fc.constantFrom(0, 1, -1, 2, 0.5, 6, Number.POSITIVE_INFINITY),
  fc.integer({ min: -4, max: 4 }),
);
const exprArbitrary = fc.letrec<{ e: Expr }>((tie) => ({
  e: fc.oneof(
    { depthSize: 'small' },
    fc.nat(2).map(arg),
    numberArbitrary.map(constant),
    fc.tuple(fc.constantFrom(...(Object.keys(UNARY) as UnaryFn[])), tie('e')).map(([fn, x]) => unary(fn, x)),
    fc
      .tuple(fc.constantFrom(...(Object.keys(BINARY) as BinaryFn[])), tie('e'), tie('e'))
      .map(([fn, x, y]) => binary(fn, x, y)),
    fc.tuple(tie('e'), tie('e'), tie('e')).map(([test, x, y]) => select(test, x, y)),
  ),
})).e;

test('0 is dropped where the sign of zero does not matter', () => {
  expect(formatExpr(simplify(parseExpr('add(x0, 0)'), 'unsigned'))).toBe('x0');
});

test('a simplified expression has the same value everywhere, and no more operations', () => {
  const value = fc.oneof(
    numberArbitrary,
    fc.constant(Number.NaN),
    fc.double({ min: -8, max: 8, noNaN: true }),
  );
  fc.assert(
    fc.property(exprArbitrary, fc.array(value, { minLength: 3, maxLength: 3 }), (e, args) => {
      const simple = simplify(e);
      const [before, after] = [compileExpr(e)(args), compileExpr(simple)(args)];
      expect(Object.is(before, after) || Math.abs(before - after) <= 1e-12 * Math.abs(before)).toBe(true);
      expect(operationCount(simple)).toBeLessThanOrEqual(operationCount(e));
    }),
    { seed: 7, numRuns: 2000 },
  );
});
