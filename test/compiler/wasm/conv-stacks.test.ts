import fc from 'fast-check';
import { expect, test } from 'vitest';
import { cloneGraph } from '#ir/clone.ts';
import { evaluateGraph } from '#ir/evaluate.ts';
import type { Graph } from '#ir/graph.ts';
import { f32 } from '#ir/tensor.ts';
import { buildStack, stackArbitrary } from '../../support/conv-stacks.ts';
import { boundedOutputs } from '../../support/rounding.ts';
import { compareStacks, partOfBound, shortfalls } from '../../support/stack-agreement.ts';
import { relativeDifference } from '../../support/wasm.ts';

// test/long has more of them
test('stacks of convolutions give what the reference and onnxruntime give', async () => {
  const tally = await compareStacks(1, 40);
  expect(tally.worst).toBeGreaterThan(0);
  expect(shortfalls(tally, 0.05)).toEqual([]);
});

/** The graph with the first two numbers of its last kernel of more than one tap exchanged. */
function withExchangedTaps(graph: Graph): Graph | undefined {
  const kernels = graph.values.flatMap(({ source, type }) =>
    source.kind === 'constant' && type.shape.length > 2 && (type.shape.at(-1) ?? 1) > 1
      ? [source.constant]
      : [],
  );
  const last = kernels.at(-1);
  if (!last) return undefined;
  return cloneGraph(graph, (constant) => {
    if (constant !== last || !constant.data) return constant;
    const [first = 0, second = 0, ...rest] = constant.data as Float32Array;
    return f32(constant.type.shape, [second, first, ...rest]);
  });
}

test('rounding is no excuse for two taps that are exchanged', () => {
  let excused = 0;
  let all = 0;
  for (const spec of fc.sample(stackArbitrary, { seed: 1, numRuns: 150 })) {
    const { graph, inputs } = buildStack(spec);
    const wrong = withExchangedTaps(graph);
    if (!wrong) continue;
    const results = evaluateGraph(wrong, inputs);
    const bounds = boundedOutputs(graph, inputs);
    for (const { name, value } of wrong.outputs) {
      const [want, got] = [bounds.get(name), results.get(value)];
      // taps on padding and taps behind a flat activation change nothing
      if (!want || !got || relativeDifference(want.value, got) < 0.01) continue;
      all++;
      if (partOfBound(want, got.data as Float32Array) <= 1) excused++;
    }
  }
  expect(all).toBeGreaterThan(80);
  expect(excused).toBe(0);
});
