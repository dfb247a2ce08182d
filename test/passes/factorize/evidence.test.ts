import { Matrix } from 'ml-matrix';
import { describe, expect, test } from 'vitest';
import { evidentRank } from '#passes/factorize/evidence.ts';
import { leftSingular } from '#passes/factorize/linear-algebra.ts';
import { randomIntegers } from '#runtime/abi.ts';

/** Independent numbers of the standard normal distribution (Box and Muller). */
function normal(seed: number): () => number {
  const random = randomIntegers(seed);
  const uniform = () => ((random() >>> 0) + 0.5) / 2 ** 32;
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}

const filled = (rows: number, columns: number, next: () => number) =>
  Matrix.from1DArray(rows, columns, Array.from({ length: rows * columns }, next));

const rankOf = (m: Matrix) => evidentRank(leftSingular(m).values, m.rows, m.columns);

describe('the rank that a matrix gives evidence for', () => {
  test.each([
    [40, 200, 5, 0.3],
    [64, 64, 8, 0.5],
    [200, 40, 12, 0.1],
    [30, 90, 1, 1],
  ])('%i × %i: %i products of normal vectors in noise of %f', (rows, columns, rank, noise) => {
    for (let seed = 1; seed <= 5; seed++) {
      const next = normal(100 * rank + seed);
      const signal = filled(rows, rank, next).mmul(filled(rank, columns, next));
      const noisy = Matrix.add(signal, Matrix.mul(filled(rows, columns, next), noise));
      expect(rankOf(noisy), `seed ${seed}`).toBe(rank);
    }
  });

  test('noise alone gives none, nor does nothing', () => {
    for (let seed = 1; seed <= 5; seed++) expect(rankOf(filled(50, 120, normal(seed)))).toBe(0);
    expect(rankOf(Matrix.zeros(4, 9))).toBe(0);
  });

  test('of exact products it is their number', () => {
    const next = normal(1);
    expect(rankOf(filled(20, 3, next).mmul(filled(3, 50, next)))).toBe(3);
  });
});
