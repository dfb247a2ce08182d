import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fitPolynomial, formatPolynomial } from '#passes/analysis/polynomial.ts';

const N = { name: 'N', points: [1, 2, 3], checks: [5] };
const H = { name: 'H', points: [224, 256, 288, 320], checks: [225, 333] };
const W = { name: 'W', points: [224, 256, 288, 320], checks: [225, 333] };

const text = (fit: ReturnType<typeof fitPolynomial>) =>
  fit.polynomial ? formatPolynomial(fit.polynomial) : fit.reason;

test('one symbol, several, and none', () => {
  expect(text(fitPolynomial([N], ({ N = 0 }) => 300774272 * N))).toBe('300774272·N');
  expect(text(fitPolynomial([N, H, W], ({ N = 0, H = 0, W = 0 }) => 27 * N * (H - 2) * (W - 2) + 5))).toBe(
    '27·N·H·W − 54·N·H − 54·N·W + 108·N + 5',
  );
  expect(text(fitPolynomial([N], () => 7))).toBe('7');
  expect(text(fitPolynomial([N], () => 0))).toBe('0');
  expect(text(fitPolynomial([], () => 42))).toBe('42');
  expect(text(fitPolynomial([H], ({ H = 0 }) => (H * (H - 1)) / 2))).toBe('1/2·H² − 1/2·H');
});

test('rounding breaks the fit, and the reason names the size', () => {
  const fit = fitPolynomial([H], ({ H = 0 }) => 9 * Math.ceil(H / 2));
  expect(fit.polynomial).toBeUndefined();
  expect(fit.reason).toContain('H = 225 there are 1017');
  expect(fit.reason).toContain('2025/2');
});

test('integer polynomials of two symbols come back exactly', () => {
  const coefficient = fc.integer({ min: -50, max: 50 });
  fc.assert(
    fc.property(fc.array(coefficient, { minLength: 9, maxLength: 9 }), (c) => {
      const value = ({ H = 0, W = 0 }: Readonly<Record<string, number>>) =>
        c.reduce((sum, k, i) => sum + k * H ** Math.floor(i / 3) * W ** (i % 3), 0);
      const fit = fitPolynomial([H, W], value);
      const terms = new Map(fit.polynomial?.terms.map((t) => [t.exponents.join(','), t]));
      c.forEach((k, i) => {
        const term = terms.get(`${Math.floor(i / 3)},${i % 3}`);
        expect(Number(term?.numerator ?? 0n)).toBe(k);
        expect(term?.denominator ?? 1n).toBe(1n);
      });
    }),
  );
});
