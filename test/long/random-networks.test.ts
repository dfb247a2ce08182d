import { expect, test } from 'vitest';
import { printGraph } from '#ir/text.ts';
import { compiledFaults } from '../support/compiled.ts';
import { randomGraph } from '../support/graphs.ts';

const PER_TEST = 100;

test.each(Array.from({ length: 15 }, (_, i) => i * PER_TEST))(
  'random networks from seed %i give what the reference gives, node by node and as a whole',
  async (first) => {
    const faults: string[] = [];
    for (let seed = first; seed < first + PER_TEST; seed++) {
      const graph = randomGraph(seed, { steps: 1 + (seed % 12) });
      const found = await compiledFaults(graph).catch((error: Error) => [error.message]);
      if (found.length > 0) faults.push(`seed ${seed}: ${found.join('; ')}\n${printGraph(graph)}`);
    }
    expect(faults).toEqual([]);
  },
);
