/** Operands of a Concat that are computed in its place. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { lowerGraph } from '#compiler/targets/wasm/index.ts';
import { lowerGraph as lowerForGpu } from '#compiler/targets/webgpu/index.ts';
import { Builder } from '#ir/builder.ts';
import { evaluateGraph } from '#ir/evaluate.ts';
import type { Graph, Value } from '#ir/graph.ts';
import { compareOutputs } from '../../support/agreement.ts';
import { compiledFaults } from '../../support/compiled.ts';
import { randomInputs } from '../../support/graphs.ts';
import { joinedGraph } from '../../support/joined-graphs.ts';
import { Random } from '../../support/random.ts';
import { optimisedForGpu, runOnGpu, withAdapter } from '../../support/webgpu.ts';

test('networks that join again and again compute what the reference does', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: 2 ** 31 }), async (seed) => {
      expect(await compiledFaults(joinedGraph(seed))).toEqual([]);
    }),
    { numRuns: 60 },
  );
});

withAdapter.test('on WebGPU too', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: 2 ** 31 }), async (seed) => {
      const graph = joinedGraph(seed);
      const inputs = randomInputs(graph, 7);
      const values = evaluateGraph(graph, inputs);
      const given = graph.inputs.flatMap(({ name }) => inputs.get(name) ?? []);
      const outputs = await runOnGpu(optimisedForGpu(graph), given);
      graph.outputs.forEach(({ value }, i) => {
        const want = values.get(value)?.data as Float32Array;
        const { relative } = compareOutputs(want, outputs[i]?.data as Float32Array, value.type.shape);
        // sums of a few hundred products in another order
        expect(relative).toBeLessThan(1e-4);
      });
    }),
    { numRuns: 25 },
  );
});

const CHANNELS = 8;

/** The input, and the results of convolutions that each read all results before, as DenseNet joins them. */
function denseBlock(layers: number): Graph {
  const random = new Random(1);
  const b = new Builder('dense');
  const conv = (x: Value, name: string) =>
    b.relu(
      b.conv(x, b.constant(`${name}.w`, random.tensor([CHANNELS, x.type.shape[1] ?? 1, 1, 1])), { name }),
    );
  const results = [conv(b.input('x', [1, CHANNELS, 4, 4]), 'first')];
  for (let i = 1; i < layers; i++) {
    const all = results.length > 1 ? b.op('Concat', [...results], { axis: 1 }) : (results[0] as Value);
    results.push(conv(all, `layer${i}`));
  }
  b.output('y', conv(b.op('Concat', results, { axis: 1 }), 'last'));
  return b.graph;
}

test('a dense block is computed in one place, and nothing in it is copied', async () => {
  const graph = optimisedForGpu(denseBlock(5));
  const convs = graph.nodes.filter(({ op }) => op === 'Conv').length;
  // the output, and on WebAssembly the input too, come into another order by a copy
  expect(lowerGraph(graph).calls).toHaveLength(convs + 2);
  expect(lowerForGpu(graph).calls).toHaveLength(convs + 1);
  expect(await compiledFaults(denseBlock(5))).toEqual([]);
});

test('a sum of one channel is not stored over its neighbours', async () => {
  const random = new Random(2);
  const b = new Builder('one');
  const x = b.input('x', [1, 3, 5, 5]);
  const conv = (channels: number) =>
    b.conv(x, b.constant(`w${b.graph.nodes.length}`, random.tensor([channels, 3, 1, 1])));
  const sum = b.add(b.relu(conv(1)), b.relu(conv(1)));
  b.output('y', b.op('Concat', [sum, conv(3)], { axis: 1 }));
  b.output('sum', b.relu(sum));
  expect(await compiledFaults(b.graph)).toEqual([]);
});

test('a skip connection does not keep room for what joins it much later', () => {
  const random = new Random(3);
  const b = new Builder('skip');
  const conv = (x: Value, cout: number) =>
    b.relu(
      b.conv(x, b.constant(`w${b.graph.nodes.length}`, random.tensor([cout, x.type.shape[1] ?? 1, 1, 1]))),
    );
  const skip = conv(b.input('x', [1, 8, 16, 16]), 32);
  let y = skip;
  for (let i = 0; i < 20; i++) y = conv(y, 8);
  b.output('y', conv(b.op('Concat', [skip, conv(y, 32)], { axis: 1 }), 8));
  const plane = 4 * 16 * 16;
  // the skip and what a convolution between reads and writes, until both parts and their join are there
  expect(lowerGraph(optimisedForGpu(b.graph)).arenaBytes).toBeLessThanOrEqual((32 + 64 + 8) * plane);
});
