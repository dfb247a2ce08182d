import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compareFields, fieldNetwork, fieldSteps } from '../support/field-graphs.ts';
import { influenceErrors } from '../support/graph-influence.ts';
import { randomGraph } from '../support/graphs.ts';

test('in 500 random networks of any ops nothing sees more than its receptive field', {
  timeout: 300_000,
}, () => {
  for (let seed = 1000; seed < 1500; seed++) {
    const found = influenceErrors(randomGraph(seed, { steps: 2 + (seed % 10) }), seed);
    expect(found.errors.slice(0, 3), `seed ${seed}`).toEqual([]);
  }
});

test('in 500 random networks the receptive field is the hull of what is seen', { timeout: 300_000 }, () => {
  let exact = 0;
  fc.assert(
    fc.property(fieldSteps(9), (steps) => {
      const found = compareFields(fieldNetwork(steps));
      expect(found.errors.slice(0, 3)).toEqual([]);
      exact += found.exact;
    }),
    { numRuns: 500 },
  );
  expect(exact).toBeGreaterThan(10_000);
});
