import { Matrix } from 'ml-matrix';
import { expect, test } from 'vitest';
import { cholesky, covarianceRoot } from '#passes/factorize/linear-algebra.ts';
import { Random } from '../../support/random.ts';

const numbers = (rows: number, columns: number, seed: number): Matrix =>
  Matrix.from1DArray(rows, columns, Array.from(new Random(seed).tensor([rows, columns]).data, Number));

test('the triangle times itself turned is the matrix', () => {
  const x = numbers(6, 20, 1);
  const a = x.mmul(x.transpose());
  const l = cholesky(a);
  const off = l.mmul(l.transpose()).sub(a);
  expect(off.norm()).toBeLessThan(1e-9 * a.norm());
});

test('a covariance that rounding made indefinite has a triangle without NaN and without large numbers', () => {
  // features 3 to 5 are sums of the first three, and all of it is rounded to f32 behind a large mean
  const x = numbers(3, 40, 2);
  const all = Matrix.zeros(6, 40);
  for (let i = 0; i < 6; i++) {
    for (let k = 0; k < 40; k++) all.set(i, k, i < 3 ? x.get(i, k) : x.get(i - 3, k) + x.get((i + 1) % 3, k));
  }
  const a = all.mmul(all.transpose());
  for (let i = 0; i < 6; i++) {
    for (let j = 0; j < 6; j++) a.set(i, j, Math.fround(a.get(i, j) + 1e5) - 1e5);
  }
  for (const l of [cholesky(a, 1e-7), covarianceRoot(a)]) {
    for (const row of l.to2DArray()) for (const n of row) expect(Math.abs(n)).toBeLessThan(1e3);
  }
});
