/** Minimal filtering in WGSL: what it gives, what every device takes, and which layers are left to the direct way. */
import { expect, test } from 'vitest';
import { emitProgram, lowerGraph } from '#compiler/targets/webgpu/index.ts';
import { differenceOnGpu, halved } from '../../support/gpu-agreement.ts';
import { complaintsOf, optimisedForGpu, withAdapter } from '../../support/webgpu.ts';
import { BOUND, choosing, familiesOf, type Layer, layerGraph } from '../../support/winograd-layers.ts';

const LAYER: Layer = {
  batch: 1,
  groups: 1,
  perGroup: 16,
  channels: 16,
  height: 32,
  width: 32,
  pads: [1, 1, 1, 1],
};

withAdapter.test('gives what the reference gives', async () => {
  // a border that tiles do not divide, and a quad that is alone; a software adapter takes long to translate such a kernel
  const layer = { ...LAYER, channels: 20, height: 25, width: 24, pads: [1, 0, 0, 1] } as const;
  expect(familiesOf(layerGraph(layer, 1))).toContain('winograd');
  expect(await differenceOnGpu(layerGraph(layer, 1), undefined, 'f32', choosing(4))).toBeLessThan(BOUND);
});

withAdapter.test('is what every device takes, in either precision', async () => {
  for (const quads of [4, 8] as const) {
    for (const layer of [LAYER, { ...LAYER, groups: 2, batch: 2, perGroup: 20, channels: 36, height: 31 }]) {
      const graph = layerGraph(layer, 1);
      for (const [source, precision, features] of [
        [optimisedForGpu(graph), 'f32', []],
        [halved(graph), 'f16', ['shader-f16']],
      ] as const) {
        const code = emitProgram(lowerGraph(source, precision, choosing(quads)));
        expect(code.wgsl).toContain(`_q${quads}(`);
        expect(await complaintsOf(code, [...features])).toEqual([]);
      }
    }
  }
});

test.each([
  ['few tiles, whose weights would be read for too little', { height: 16, width: 16 }],
  ['few channels', { perGroup: 8 }],
  ['channels that are no whole quads', { channels: 18 }],
])('direct: %s', (_, change) => {
  expect(familiesOf(layerGraph(LAYER, 1))).toContain('winograd');
  expect(familiesOf(layerGraph({ ...LAYER, ...change }, 1))).not.toContain('winograd');
});

test('direct unless it is chosen', () => {
  const { calls } = lowerGraph(optimisedForGpu(layerGraph(LAYER, 1)), 'f32');
  expect(calls.map(({ kernel }) => kernel.family)).not.toContain('winograd');
});
