import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Builder } from '#ir/builder.ts';
import { cloneGraph } from '#ir/clone.ts';
import { f32 } from '#ir/tensor.ts';
import { product } from '#ir/types.ts';
import { graphCost } from '#passes/analysis/cost.ts';
import { rankOneToSeparable } from '#passes/fuse/rank-one-to-separable.ts';
import { runPass } from '#passes/pass.ts';
import { compareGraphs, Random } from '../support/graphs.ts';
import { conv, expectRefusal, expectRewrite } from './rewriting.ts';

const outer = (column: readonly number[], row: readonly number[]) =>
  `[${column.flatMap((c) => row.map((r) => c * r)).join(', ')}]`;
const COLUMN = [1, 2, 3, 4, 3, 2, 1];
const ROW = [1, 0, -3, 5, 2, 1, 1];
const blur = (attrs: string, size: string, weight = outer(COLUMN, ROW)) => `
  input %x: f32[1,1,9,9]
  const %w: f32[1,1,7,7] = ${weight}
  const %b: f32[1] = [7]
  %y: f32[1,1,${size}] = Conv(%x, %w, %b) ${attrs}
  output "y" = %y`;

describe('rankOneToSeparable', () => {
  test('7×7 becomes 7×1 and 1×7; strides and pads go with their axis, the bias with the second', () => {
    expectRewrite(
      rankOneToSeparable,
      blur(conv({ pads: '[3,2,3,4]' }), '9,9'),
      `input %x: f32[1,1,9,9]
       const %w_column: f32[1,1,7,1] = [0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25]
       const %w_row: f32[1,1,1,7] = [4, 0, -12, 20, 8, 4, 4]
       const %b: f32[1] = [7]
       %y_column_out: f32[1,1,9,9] = Conv(%x, %w_column) ${conv({ pads: '[3,0,3,0]' })} name "y_column"
       %y: f32[1,1,9,9] = Conv(%y_column_out, %w_row, %b) ${conv({ pads: '[0,2,0,4]' })}
       output "y" = %y`,
    );
  });

  test('refused: a kernel that is no product, though nearly', () => {
    const weight = outer(COLUMN, ROW).replace('[1,', '[1.001,');
    expectRefusal(
      rankOneToSeparable,
      blur(conv({ pads: '[3,3,3,3]' }), '9,9', weight),
      'the kernels of "y" are no column times a row',
    );
  });

  test('refused where it does not pay', () => {
    // 15·9·9 MACs for 2·4·9·9 bytes
    expectRefusal(
      rankOneToSeparable,
      `input %x: f32[1,1,9,9]
       const %w: f32[1,1,5,5] = ${outer([1, 2, 1, 2, 1], [1, 0, -1, 1, 1])}
       %y: f32[1,1,9,9] = Conv(%x, %w) ${conv({ pads: '[2,2,2,2]' })}
       output "y" = %y`,
      'it saves 1215 MACs and moves 648 bytes more, which take longer',
    );
    // whole rows are made, of which the stride leaves little
    expectRefusal(
      rankOneToSeparable,
      `input %x: f32[1,1,9,9]
       const %w: f32[1,1,3,2] = ${outer([1, 2, 1], [1, 2])}
       %y: f32[1,1,7,1] = Conv(%x, %w) ${conv({ strides: '[1,8]' })}
       output "y" = %y`,
      'two convolutions take 203 MACs, the one takes 42',
    );
    expectRefusal(
      rankOneToSeparable,
      `input %x: f32[1,1,9,9]
       const %w: f32[1,1,2,2] = ${outer([1, 2], [1, 2])}
       %y: f32[1,1,5,9] = Conv(%x, %w) ${conv({ strides: '[2,1]', pads: '[1,1,1,0]' })}
       output "y" = %y`,
      'two convolutions take 180 MACs, the one takes 180',
    );
  });

  test('of no interest: one wide axis, or several channels per group', () => {
    expectRefusal(
      rankOneToSeparable,
      `input %x: f32[1,2,9,9]
       const %w: f32[1,2,2,2] = ${outer([1, 2, 3, 4], [1, 2])}
       const %v: f32[1,1,5,1] = [1, 2, 3, 4, 5]
       %z: f32[1,1,8,8] = Conv(%x, %w) ${conv()}
       %y: f32[1,1,4,8] = Conv(%z, %v) ${conv()}
       output "y" = %y`,
    );
  });
});

test('random products of rank 2 and 3 keep their results and lose MACs and parameters', () => {
  let apart = 0;
  fc.assert(
    fc.property(fc.nat(), (seed) => {
      const random = new Random(seed);
      const b = new Builder('separable');
      const rank = random.pick([2, 2, 3]);
      const each = <T>(make: (i: number) => T) => Array.from({ length: rank }, (_, i) => make(i));
      const [channels, multiplier] = [random.integer(1, 3), random.integer(1, 2)];
      const outputs = channels * multiplier;
      const kernel = each(() => random.integer(7, 9));
      const factors = each((i) => random.tensor([outputs, kernel[i] ?? 1]).data as Float32Array);
      const values = Float32Array.from({ length: outputs * product(kernel) }, (_, index) => {
        let rest = index;
        let value = 1;
        for (let i = rank - 1; i >= 0; i--) {
          const k = kernel[i] ?? 1;
          value *= factors[i]?.[Math.floor(index / product(kernel)) * k + (rest % k)] ?? 0;
          rest = Math.floor(rest / k);
        }
        return value;
      });
      const x = b.input('x', [2, channels, ...each(() => random.integer(9, 11))]);
      const y = b.conv(x, b.constant('w', f32([outputs, 1, ...kernel], values)), {
        group: channels,
        strides: each((i) => (i === 0 ? random.integer(1, 2) : 1)),
        pads: [...kernel, ...kernel].map(() => random.integer(2, 4)),
        bias: b.constant('b', random.tensor([outputs])),
      });
      b.output('y', y);
      const after = cloneGraph(b.graph);
      const { refusals } = runPass(after, rankOneToSeparable);
      for (const { reason } of refusals) expect(reason).toMatch(/^it saves|^two convolutions take/);
      if (refusals.length === 0) expect(after.nodes.map((n) => n.op)).toEqual(each(() => 'Conv'));
      if (after.nodes.length === 1) return;
      apart++;
      expect(compareGraphs(b.graph, after)).toBeLessThan(2e-6);
      const [old, now] = [graphCost(b.graph).totals, graphCost(after).totals];
      expect(now.macs).toBeLessThan(old.macs);
      expect(now.parameters).toBeLessThan(old.parameters);
      const moved = now.bytesRead + now.bytesWritten - old.bytesRead - old.bytesWritten;
      expect(moved).toBeLessThanOrEqual((old.macs - now.macs) / 4);
    }),
    { seed: 9, numRuns: 30 },
  );
  expect(apart).toBeGreaterThan(20);
});
