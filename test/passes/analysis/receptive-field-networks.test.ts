/** No element of a random network depends on what it is said not to see. */
import { expect, test } from 'vitest';
import { influenceErrors } from '../../support/graph-influence.ts';
import { randomGraph } from '../../support/graphs.ts';

test('60 random networks', () => {
  let bounded = 0;
  for (let seed = 0; seed < 60; seed++) {
    const found = influenceErrors(randomGraph(seed, { steps: 1 + (seed % 10) }), seed);
    expect(found.errors.slice(0, 3), `seed ${seed}`).toEqual([]);
    bounded += found.bounded;
  }
  expect(bounded).toBeGreaterThan(5000);
});
