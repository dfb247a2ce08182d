import { expect, test } from 'vitest';
import { influenceErrors } from '../support/graph-influence.ts';
import { randomGraph } from '../support/graphs.ts';

test('500 random networks see no more than their receptive fields', { timeout: 300_000 }, () => {
  for (let seed = 1000; seed < 1500; seed++) {
    const found = influenceErrors(randomGraph(seed, { steps: 2 + (seed % 10) }), seed);
    expect(found.errors.slice(0, 3), `seed ${seed}`).toEqual([]);
  }
});
