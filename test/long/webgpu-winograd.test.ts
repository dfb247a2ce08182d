/** Minimal filtering in WGSL against the reference: sizes that tiles do not divide, groups, batches, operands, halves. */
import fc from 'fast-check';
import { expect } from 'vitest';
import { differenceOnGpu } from '../support/gpu-agreement.ts';
import { withAdapter } from '../support/webgpu.ts';
import { BOUND, choosing, familiesOf, layerGraph } from '../support/winograd-layers.ts';

/** Filters are rounded to 11 bits once they are transformed; on an adapter with halves, so is what lies between. */
const HALVES = 4e-3;

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
    fc.asyncProperty(layers, fc.constantFrom(4, 8), fc.nat(), async (layer, quads, seed) => {
      const graph = layerGraph(layer, seed);
      expect(familiesOf(graph)).toContain('winograd');
      expect(await differenceOnGpu(graph, undefined, 'f32', choosing(quads))).toBeLessThan(BOUND);
      expect(await differenceOnGpu(graph, undefined, 'f16', choosing(quads))).toBeLessThan(HALVES);
    }),
    { numRuns: 4 },
  );
});
