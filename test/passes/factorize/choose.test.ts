import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Choice, choose, paretoFront } from '#passes/factorize/choose.ts';

const choice = fc.record({
  cost: fc.integer({ min: 1, max: 50 }),
  error: fc.double({ min: 0, max: 1, noNaN: true }),
});
const layers = fc.array(fc.array(choice, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 5 });

/** The least error of all combinations within a budget. */
function bruteForce(all: readonly (readonly Choice[])[], budget: number): number {
  const [first, ...rest] = all;
  if (!first) return budget < 0 ? Number.POSITIVE_INFINITY : 0;
  return Math.min(...first.map(({ cost, error }) => error + bruteForce(rest, budget - cost)));
}

test('the plan is the best of all combinations, but for the grid of costs', () => {
  fc.assert(
    fc.property(layers, fc.integer({ min: 1, max: 200 }), (all, budget) => {
      const best = bruteForce(all, budget);
      const plan = choose(all, budget);
      if (!Number.isFinite(best)) {
        expect(plan).toBeUndefined();
        return;
      }
      if (!plan) throw new Error('no plan');
      expect(plan.cost).toBeLessThanOrEqual(budget);
      expect(plan.error).toBeGreaterThanOrEqual(best - 1e-12);
      expect(plan.errorBound).toBeLessThanOrEqual(best + 1e-12);
      // costs are rounded up to parts of the budget, a thousandth of a unit here
      expect(plan.error).toBeLessThanOrEqual(bruteForce(all, budget - all.length * (budget / 4000)) + 1e-12);
    }),
    { numRuns: 300 },
  );
});

test('nothing on the front is beaten in both', () => {
  fc.assert(
    fc.property(fc.array(choice, { minLength: 1, maxLength: 12 }), (all) => {
      const front = paretoFront(all);
      for (const a of front) expect(all.some((b) => b.cost <= a.cost && b.error < a.error)).toBe(false);
      for (const b of all) expect(front.some((a) => a.cost <= b.cost && a.error <= b.error)).toBe(true);
    }),
  );
});
