/** Random stacks of convolutions of one to three dimensions through every exact pass: results within what rounding explains. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { cloneGraph } from '#ir/clone.ts';
import { evaluateGraph } from '#ir/evaluate.ts';
import type { Graph } from '#ir/graph.ts';
import type { Tensor } from '#ir/tensor.ts';
import { graphTotals, runPass, runPipeline } from '#passes/pass.ts';
import { graphPipeline, OPTIONAL_PASSES } from '#passes/pipeline.ts';
import { buildStack, stackArbitrary } from '../support/conv-stacks.ts';
import { boundedOutputs } from '../support/rounding.ts';
import { partOfBound } from '../support/stack-agreement.ts';

const passes = new Map(
  [...graphPipeline.steps.flatMap((s) => ('repeat' in s ? s.repeat : [s])), ...OPTIONAL_PASSES].map(
    ({ pass }) => [pass.name, pass] as const,
  ),
);

/** How far outputs are off, as part of what rounding explains in the original. */
function worst(
  changed: Graph,
  inputs: ReadonlyMap<string, Tensor>,
  bounds: ReturnType<typeof boundedOutputs>,
): number {
  const results = evaluateGraph(changed, inputs);
  return Math.max(
    ...changed.outputs.map(({ name, value }) => {
      const want = bounds.get(name);
      return want ? partOfBound(want, results.get(value)?.data as Float32Array) : Number.POSITIVE_INFINITY;
    }),
  );
}

test('random stacks of convolutions keep their outputs through every exact pass', () => {
  const applied = new Map<string, number>();
  for (const spec of fc.sample(stackArbitrary, { seed: 11, numRuns: 60 })) {
    const { graph, inputs } = buildStack(spec);
    const bounds = boundedOutputs(graph, inputs);
    for (const [name, pass] of passes) {
      const changed = cloneGraph(graph);
      const { macs } = graphTotals(changed);
      const { changes } = runPass(changed, pass);
      if (changes === 0) continue;
      applied.set(name, (applied.get(name) ?? 0) + 1);
      expect(worst(changed, inputs, bounds), name).toBeLessThanOrEqual(1);
      expect(graphTotals(changed).macs, name).toBeLessThanOrEqual(macs);
    }
    const whole = cloneGraph(graph);
    runPipeline(whole, graphPipeline);
    expect(worst(whole, inputs, bounds), 'all together').toBeLessThanOrEqual(1);
  }
  const expected = [
    'fuseBatchNormIntoConv',
    'fuseBatchNormBeforeConv',
    'mergeParallelConvs',
    'mergeConvPairs',
  ];
  expect([...applied.keys()]).toEqual(expect.arrayContaining(expected));
}, 120_000);
