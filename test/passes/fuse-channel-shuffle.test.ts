import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Builder } from '#ir/builder.ts';
import { cloneGraph } from '#ir/clone.ts';
import { evaluateGraph } from '#ir/evaluate.ts';
import type { Graph } from '#ir/graph.ts';
import { fuseChannelShuffle } from '#passes/fuse/fuse-channel-shuffle.ts';
import { runPipeline } from '#passes/pass.ts';
import { PIPELINES } from '#passes/pipeline.ts';
import { compiledFaults } from '../support/compiled.ts';
import { compareGraphs, Random } from '../support/graphs.ts';
import { noise } from '../support/op.ts';
import { optimisedForGpu, runOnGpu, withAdapter } from '../support/webgpu.ts';
import { conv, expectRefusal, expectRewrite } from './rewriting.ts';

const X = 'input %x: f32[1,4,2,2]';
const W = 'const %w: f32[4,2,1,1] = [1, 2, 3, 4, 5, 6, 7, 8]';
const grouped = (group: string, then = '') => `%c: f32[1,4,2,2] = Conv(%x, %w) ${conv({ group })}${then}`;
const shuffle = (groups: number) => `%y: f32[1,4,2,2] = ChannelShuffle(%c) {groups=${groups}}`;
const Y = 'output "y" = %y';

describe('fuseChannelShuffle', () => {
  test('a grouped convolution and the shuffle of its groups are one op', () => {
    expectRewrite(
      fuseChannelShuffle,
      `${X}\n${W}\n${grouped('2')}\n${shuffle(2)}\n${Y}`,
      `${X}\n${W}\n%y: f32[1,4,2,2] = ShuffledConv(%x, %w) ${conv({ group: '2' })} name "c"\n${Y}`,
    );
  });

  test('other groups, other readers, depthwise layers', () => {
    expectRefusal(
      fuseChannelShuffle,
      `${X}\nconst %w: f32[4,4,1,1] = [1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8]\n${grouped('1')}\n${shuffle(2)}\n${Y}`,
      '"c" has 1 groups, the shuffle 2',
    );
    expectRefusal(
      fuseChannelShuffle,
      `${X}\n${W}\n${grouped('2')}\n${shuffle(2)}\n${Y}\noutput "c" = %c`,
      /output|"c"/,
    );
    expectRefusal(
      fuseChannelShuffle,
      `${X}\nconst %w: f32[4,1,1,1] = [1, 2, 3, 4]\n${grouped('4')}\n${shuffle(4)}\n${Y}`,
      '"c" is depthwise',
    );
  });
});

/** A grouped layer of any size, an activation, and its shuffle. */
function shuffledNet(g: number, perGroup: number, channels: number, kernel: number, seed: number): Graph {
  const random = new Random(seed);
  const b = new Builder('shuffled');
  const x = b.input('x', [2, g * perGroup, 5, 4]);
  const weight = b.constant('w', random.tensor([g * channels, perGroup, kernel, kernel], -0.5, 0.5));
  const pads = new Array<number>(4).fill((kernel - 1) / 2);
  const y = b.relu(
    b.conv(x, weight, { group: g, pads, bias: b.constant('b', random.tensor([g * channels])) }),
  );
  b.output('y', b.op('ChannelShuffle', [y], { groups: g }));
  return b.graph;
}

const sizes = fc.record({
  g: fc.integer({ min: 2, max: 5 }),
  perGroup: fc.integer({ min: 1, max: 9 }),
  // a single channel for each group leaves nothing to shuffle
  channels: fc.integer({ min: 2, max: 18 }),
  kernel: fc.constantFrom(1, 3),
  seed: fc.nat(),
});

test('compiled, it is one kernel that stores in the order of the shuffle', async () => {
  await fc.assert(
    fc.asyncProperty(sizes, async ({ g, perGroup, channels, kernel, seed }) => {
      const graph = shuffledNet(g, perGroup, channels, kernel, seed);
      const lowered = cloneGraph(graph);
      for (const pipeline of Object.values(PIPELINES)) runPipeline(lowered, pipeline);
      expect(lowered.nodes.map(({ op }) => op)).toEqual(['ShuffledConv']);
      expect(compareGraphs(graph, lowered)).toBe(0);
      expect(await compiledFaults(graph)).toEqual([]);
    }),
    { numRuns: 25 },
  );
});

withAdapter.test('on WebGPU too', async () => {
  const graph = shuffledNet(3, 5, 6, 3, 1);
  const inputs = graph.inputs.map(({ type }) => noise(type.shape));
  const optimised = optimisedForGpu(graph);
  const [got] = await runOnGpu(optimised, inputs);
  expect(got).toBeDefined();
  const [{ name = '' } = {}] = graph.inputs;
  const want = [...evaluateGraph(graph, new Map([[name, inputs[0] ?? noise([])]])).entries()].find(
    ([value]) => value === graph.outputs[0]?.value,
  )?.[1].data as Float32Array;
  got?.data.forEach((x, i) => {
    expect(Math.abs(Number(x) - (want[i] ?? Number.NaN))).toBeLessThan(1e-5);
  });
});
