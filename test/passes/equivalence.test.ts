import fc from 'fast-check';
import { expect, test } from 'vitest';
import { cloneGraph } from '#ir/clone.ts';
import { printGraph } from '#ir/text.ts';
import { verifyGraph } from '#ir/verify.ts';
import { removeDeadValues } from '#passes/canonicalize/remove-dead-values.ts';
import { graphTotals, runPass, runPipeline } from '#passes/pass.ts';
import { OPTIONAL_PASSES, PIPELINES } from '#passes/pipeline.ts';
import { compareGraphs, graphArbitrary, withoutWeights } from '../support/graphs.ts';

const steps = Object.values(PIPELINES).flatMap((pipeline) => pipeline.steps);
const passes = new Map(
  [...steps.flatMap((s) => ('repeat' in s ? s.repeat : [s])), ...OPTIONAL_PASSES].map(
    ({ pass }) => [pass.name, pass] as const,
  ),
);

test.each([...passes.values()].map((pass) => [pass.name, pass] as const))(
  '%s leaves the results of random networks as they are',
  (_, pass) => {
    fc.assert(
      fc.property(graphArbitrary(), (graph) => {
        const changed = cloneGraph(graph);
        runPass(changed, removeDeadValues);
        const before = graphTotals(changed);
        runPass(changed, pass);
        expect(compareGraphs(graph, changed)).toBeLessThan(1e-5);
        expect(graphTotals(changed).macs).toBeLessThanOrEqual(before.macs);
        expect(runPass(changed, pass).changes).toBe(0);
      }),
      { seed: 1, numRuns: 40 },
    );
  },
);

test('both pipelines leave the results of random networks as they are', () => {
  fc.assert(
    fc.property(graphArbitrary(14), (graph) => {
      const changed = cloneGraph(graph);
      runPipeline(changed, PIPELINES.graph);
      expect(compareGraphs(graph, changed)).toBeLessThan(2e-5);
      runPipeline(changed, PIPELINES.lower);
      expect(compareGraphs(graph, changed)).toBeLessThan(2e-5);
    }),
    { seed: 2, numRuns: 150 },
  );
});

test('a network without its weights is rewritten to the same graph', () => {
  fc.assert(
    fc.property(graphArbitrary(12), (graph) => {
      const weightless = withoutWeights(graph);
      for (const pipeline of Object.values(PIPELINES)) {
        runPipeline(graph, pipeline);
        runPipeline(weightless, pipeline);
      }
      const shape = (g: typeof graph) =>
        g.nodes.map((n) => `${n.op} ${n.outputs.map((v) => v.type.shape)}`).sort();
      expect(verifyGraph(weightless)).toEqual([]);
      expect(shape(weightless)).toEqual(shape(graph));
    }),
    { seed: 3, numRuns: 60 },
  );
});

test('a pipeline is deterministic', () => {
  fc.assert(
    fc.property(graphArbitrary(12), (graph) => {
      const text = [graph, cloneGraph(graph)].map((g) => {
        runPipeline(g, PIPELINES.graph);
        runPipeline(g, PIPELINES.lower);
        return printGraph(g);
      });
      expect(text[0]).toBe(text[1]);
    }),
    { seed: 4, numRuns: 20 },
  );
});
