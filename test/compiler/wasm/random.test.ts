import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Graph, OpName } from '#ir/graph.ts';
import { compiledFaults } from '../../support/compiled.ts';
import { graphArbitrary, randomGraph } from '../../support/graphs.ts';

// test/long has more of them
test('random networks give what the reference gives, node by node and as a whole', async () => {
  await fc.assert(
    fc.asyncProperty(graphArbitrary(9), async (graph) => {
      expect(await compiledFaults(graph)).toEqual([]);
    }),
    { seed: 1, numRuns: 60 },
  );
});

test('random networks are of all kinds', () => {
  const graphs = Array.from({ length: 300 }, (_, seed) => randomGraph(seed));
  const ops = new Set(graphs.flatMap((g) => g.nodes.map((n) => n.op)));
  const wanted: OpName[] = [
    'Split',
    'Softmax',
    'ReduceL2',
    'Resize',
    'Gather',
    'Tile',
    'MatMul',
    'Slice',
    'Pad',
  ];
  expect(wanted.filter((op) => !ops.has(op))).toEqual([]);
  const count = (is: (g: Graph) => boolean) => graphs.filter(is).length;
  for (const rank of [3, 4, 5])
    expect(count((g) => g.inputs[0]?.type.shape.length === rank)).toBeGreaterThan(20);
  expect(count((g) => g.outputs.some((o) => o.value.source.kind === 'input'))).toBeGreaterThan(10);
  expect(count((g) => g.outputs.some((o) => o.value.source.kind === 'constant'))).toBeGreaterThan(10);
  expect(count((g) => new Set(g.outputs.map((o) => o.value)).size < g.outputs.length)).toBeGreaterThan(10);
  const lowerRank = (g: Graph) =>
    g.nodes.some((n) => n.op === 'Add' && new Set(n.operands.map((v) => v?.type.shape.length)).size > 1);
  expect(count(lowerRank)).toBeGreaterThan(10);
  const unread = (g: Graph) => g.nodes.some((n) => n.op === 'Split' && n.outputs.some((v) => !g.isUsed(v)));
  expect(count(unread)).toBeGreaterThan(10);
});
