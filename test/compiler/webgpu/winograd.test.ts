/** Minimal filtering in WGSL against the reference: sizes that tiles do not divide, groups, shuffles, operands, halves. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { lowerGraph } from '#compiler/targets/webgpu/index.ts';
import { Builder } from '#ir/builder.ts';
import type { Graph } from '#ir/graph.ts';
import { expectKernels } from '../../support/gpu-agreement.ts';
import { Random } from '../../support/graphs.ts';
import { optimisedForGpu, withAdapter } from '../../support/webgpu.ts';

/** Sums of a few hundred terms near 1, after transforms that double what rounding does (Lavin & Gray, section 6). */
const BOUND = 1e-5;

interface Layer {
  readonly batch: number;
  readonly groups: number;
  readonly perGroup: number;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  readonly pads: readonly [number, number, number, number];
}

/** A conv 3×3 between others, so that its inputs and outputs lie channels last, with a residual. */
function layerGraph({ batch, groups, perGroup, channels, height, width, pads }: Layer, seed: number): Graph {
  const random = new Random(seed);
  const b = new Builder('conv');
  const [inputs, outputs] = [groups * perGroup, groups * channels];
  const x = b.input('x', [batch, 4, height, width]);
  const before = b.relu(b.conv(x, b.constant('v', random.tensor([inputs, 4, 1, 1])), {}));
  const w = b.constant('w', random.tensor([outputs, perGroup, 3, 3], -0.1, 0.1));
  const bias = b.constant('b', random.tensor([outputs]));
  const y = b.conv(before, w, { pads, group: groups, bias });
  const sum = b.relu(b.op('Add', [y, b.input('r', y.type.shape)], {}));
  b.output('y', b.conv(sum, b.constant('u', random.tensor([8, outputs, 1, 1], -0.2, 0.2)), {}));
  return b.graph;
}

const familiesOf = (graph: Graph): string[] =>
  lowerGraph(optimisedForGpu(graph), 'f32').calls.map(({ kernel }) => kernel.family);

withAdapter.test('sizes around whole tiles and quads, padding, groups and batches', async () => {
  const pad = fc.integer({ min: 0, max: 2 });
  const layers = fc.record({
    batch: fc.integer({ min: 1, max: 2 }),
    groups: fc.integer({ min: 1, max: 2 }),
    perGroup: fc.constantFrom(16, 20, 32, 36),
    channels: fc.constantFrom(16, 20, 32, 36),
    height: fc.integer({ min: 24, max: 26 }),
    width: fc.integer({ min: 26, max: 28 }),
    pads: fc.tuple(pad, pad, pad, pad),
  });
  await fc.assert(
    fc.asyncProperty(layers, fc.nat(), async (layer, seed) => {
      const graph = layerGraph(layer, seed);
      expect(familiesOf(graph)).toContain('winograd');
      await expectKernels(graph, BOUND);
    }),
    { numRuns: 12 },
  );
});

const LAYER: Layer = {
  batch: 1,
  groups: 1,
  perGroup: 16,
  channels: 16,
  height: 32,
  width: 32,
  pads: [1, 1, 1, 1],
};

test.each([
  ['few tiles, whose weights would be read for too little', { height: 16, width: 16 }],
  ['few channels', { perGroup: 8 }],
  ['channels that are no whole quads', { channels: 18 }],
])('direct: %s', (_, change) => {
  expect(familiesOf(layerGraph(LAYER, 1))).toContain('winograd');
  expect(familiesOf(layerGraph({ ...LAYER, ...change }, 1))).not.toContain('winograd');
});

test('direct: filters whose sums cancel, which minimal filtering would round too much', () => {
  const b = new Builder('cancelling');
  const x = b.input('x', [1, 16, 32, 32]);
  // outputs are small next to the products of which they are the sum
  const w = new Float32Array(16 * 16 * 9).map((_, i) => [1e4, -1e4, 1e-4][i % 3] as number);
  const before = b.conv(x, b.constant('v', new Random(1).tensor([16, 16, 1, 1])), {});
  const y = b.conv(before, b.constant('w', { type: { dtype: 'f32', shape: [16, 16, 3, 3] }, data: w }), {});
  b.output('y', b.conv(y, b.constant('u', new Random(2).tensor([8, 16, 1, 1])), {}));
  expect(familiesOf(b.graph)).not.toContain('winograd');
});
