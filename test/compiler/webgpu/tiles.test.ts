/** The tiles of the table: that devices take them, what fits, and of some that they give what the reference gives. */
import { describe, expect, test } from 'vitest';
import {
  emitProgram,
  lowerGraph,
  tilesFor,
  USUAL_CHOICES,
  usualTile,
} from '#compiler/targets/webgpu/index.ts';
import { EVERY_DEVICE, TILES, USUAL_WORKGROUP } from '#compiler/targets/webgpu/tiles.ts';
import { differenceOnGpu, halved } from '../../support/gpu-agreement.ts';
import { rowGraphs } from '../../support/tile-layers.ts';
import { complaintsOf, optimisedForGpu, withAdapter } from '../../support/webgpu.ts';

const BOUND = 1e-5;

/** Two tiles that nothing chooses by itself; test/long has every one on every row. */
const FEW = TILES.filter(
  ({ pixels, workgroup }) => (pixels === 2 && workgroup === 32) || (pixels === 8 && workgroup === 256),
);

describe.each(FEW)('$pixels pixels, $workgroup invocations', (tile) => {
  const choices = { ...USUAL_CHOICES, tile: () => tile };

  withAdapter.test('gives what the reference gives, on a row and a rest', async () => {
    for (const graph of rowGraphs(tile.pixels + 1))
      expect(await differenceOnGpu(graph, undefined, 'f32', choices)).toBeLessThan(BOUND);
  });
});

describe.each(TILES)('$pixels pixels, $workgroup invocations', (tile) => {
  const choices = { ...USUAL_CHOICES, tile: () => tile };

  withAdapter.test('is what every device takes, in either precision', async () => {
    for (const graph of rowGraphs(tile.pixels + 1)) {
      for (const [source, precision, features] of [
        [optimisedForGpu(graph), 'f32', []],
        [halved(graph), 'f16', ['shader-f16']],
      ] as const) {
        const code = emitProgram(lowerGraph(source, precision, choices));
        expect(await complaintsOf(code, [...features])).toEqual([]);
        const sizes = [...code.wgsl.matchAll(/@workgroup_size\((\d+)\)\s*fn conv_/g)].map(([, size]) =>
          Number(size),
        );
        expect(sizes).toEqual([tile.workgroup]);
      }
    }
  });
});

describe('what fits', () => {
  test('is no longer than a row', () => {
    for (const row of [1, 2, 3, 4, 7, 8, 100]) {
      const tiles = tilesFor(row);
      expect(tiles.length).toBeGreaterThan(0);
      for (const { pixels } of tiles) expect(pixels).toBeLessThanOrEqual(row);
    }
  });

  test('is within the limits of a device', () => {
    for (const most of [64, 128]) {
      const tiles = tilesFor(8, { ...EVERY_DEVICE, maxComputeInvocationsPerWorkgroup: most });
      expect(Math.max(...tiles.map(({ workgroup }) => workgroup))).toBe(most);
      const narrow = tilesFor(8, { ...EVERY_DEVICE, maxComputeWorkgroupSizeX: most });
      expect(narrow).toEqual(tiles);
    }
  });

  test('has what is usual among it, whatever the layer', () => {
    for (const row of [1, 2, 3, 4, 5, 50])
      for (const quads of [1, 2047, 2048, 8191, 8192, 1e6]) {
        const usual = usualTile(row, quads);
        expect(tilesFor(row)).toContainEqual(usual);
        expect(usual.workgroup).toBe(USUAL_WORKGROUP);
      }
  });
});
