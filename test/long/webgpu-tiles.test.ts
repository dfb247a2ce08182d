/** Every tile of the table against the reference, on rows around its size. */
import { describe, expect } from 'vitest';
import { USUAL_CHOICES } from '#compiler/targets/webgpu/index.ts';
import { TILES } from '#compiler/targets/webgpu/tiles.ts';
import { differenceOnGpu } from '../support/gpu-agreement.ts';
import { rowGraphs } from '../support/tile-layers.ts';
import { withAdapter } from '../support/webgpu.ts';

const BOUND = 1e-5;

describe.each(TILES)('$pixels pixels, $workgroup invocations', (tile) => {
  const rows = [tile.pixels, tile.pixels + 1, 2 * tile.pixels, 2 * tile.pixels + 1];
  const choices = { ...USUAL_CHOICES, tile: () => tile };

  withAdapter.test('gives what the reference gives', async () => {
    for (const graph of rows.flatMap(rowGraphs))
      expect(await differenceOnGpu(graph, undefined, 'f32', choices)).toBeLessThan(BOUND);
  });
});
