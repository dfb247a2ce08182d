/** The receptive field against what it means: raise one input position at a time and see which outputs change. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compareFields, fieldNetwork, fieldSteps } from '../../support/field-graphs.ts';

test('the field of every value is the hull of influence', () => {
  let exact = 0;
  fc.assert(
    fc.property(fieldSteps(6), (steps) => {
      const found = compareFields(fieldNetwork(steps));
      expect(found.errors.slice(0, 3)).toEqual([]);
      exact += found.exact;
    }),
    { numRuns: 60 },
  );
  expect(exact).toBeGreaterThan(500);
});
