import { expect, test } from 'vitest';
import { Builder } from '#ir/builder.ts';
import { f32 } from '#ir/tensor.ts';
import { borderShare } from '#passes/analysis/border-share.ts';
import { receptiveFields } from '#passes/analysis/receptive-field.ts';

test('shares of positions that see padding, and the first layer that has outgrown the image', () => {
  const b = new Builder();
  let x = b.input('x', [1, 1, 8, 6]);
  for (let i = 0; i < 4; i++) {
    x = b.conv(x, b.constant('w', f32([1, 1, 3, 3], new Float32Array(9).fill(1))), { pads: [1, 1, 1, 1] });
  }
  b.output('y', x);
  const { graph } = b;
  const { shares, outgrown } = borderShare(graph, receptiveFields(graph));
  // fields of 3, 5, 7 and 9 positions: 2, 4, 6 and 8 positions of an axis see padding
  expect(graph.nodes.map((node) => shares.get(node))).toEqual([1 - (6 * 4) / 48, 1 - (4 * 2) / 48, 1, 1]);
  expect(outgrown).toBe(graph.nodes[3]);
});
