/** Every tile of the table against the reference, on rows around its size. */
import { describe, expect, test } from 'vitest';
import {
  emitProgram,
  lowerGraph,
  tilesFor,
  USUAL_CHOICES,
  usualTile,
} from '#compiler/targets/webgpu/index.ts';
import { EVERY_DEVICE, TILES, USUAL_WORKGROUP } from '#compiler/targets/webgpu/tiles.ts';
import { Builder } from '#ir/builder.ts';
import type { Graph } from '#ir/graph.ts';
import { differenceOnGpu, halved } from '../../support/gpu-agreement.ts';
import { Random } from '../../support/graphs.ts';
import { complaintsOf, optimisedForGpu, withAdapter } from '../../support/webgpu.ts';

const BOUND = 1e-5;

/** With padding and a border, without, with a stride, and a product of matrices. */
function graphs(row: number): Graph[] {
  const random = new Random(row);
  const conv = (kernel: number, stride: number, pad: number) => {
    const b = new Builder('conv');
    const x = b.input('x', [1, 4, 3 * stride, (row - 1) * stride + kernel - 2 * pad]);
    const w = b.constant('w', random.tensor([8, 4, kernel, kernel], -0.5, 0.5));
    b.output('y', b.relu(b.conv(x, w, { strides: [stride, stride], pads: [pad, pad, pad, pad] })));
    return b.graph;
  };
  const product = new Builder('product');
  const weights = product.constant('w', random.tensor([5, 6], -0.5, 0.5));
  product.output('y', product.op('MatMul', [product.input('x', [row, 5]), weights], {}));
  return [conv(1, 1, 0), conv(3, 1, 1), conv(2, 2, 0), product.graph];
}

describe.each(TILES)('$pixels pixels, $workgroup invocations', (tile) => {
  const rows = [tile.pixels, tile.pixels + 1, 2 * tile.pixels, 2 * tile.pixels + 1];
  const choices = { ...USUAL_CHOICES, tile: () => tile };

  withAdapter.test('gives what the reference gives', async () => {
    for (const graph of rows.flatMap(graphs))
      expect(await differenceOnGpu(graph, undefined, 'f32', choices)).toBeLessThan(BOUND);
  });

  withAdapter.test('is what every device takes, in either precision', async () => {
    for (const graph of graphs(rows[1] ?? 1)) {
      for (const [source, precision, features] of [
        [optimisedForGpu(graph), 'f32', []],
        [halved(graph), 'f16', ['shader-f16']],
      ] as const) {
        const code = emitProgram(lowerGraph(source, precision, choices));
        expect(await complaintsOf(code, [...features])).toEqual([]);
        expect(code.wgsl).toContain(`@workgroup_size(${tile.workgroup})`);
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
