import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Builder } from '#ir/builder.ts';
import { cloneGraph } from '#ir/clone.ts';
import { graphCost } from '#passes/analysis/cost.ts';
import { mergeConvPairs } from '#passes/fuse/merge-conv-pairs.ts';
import { runPass } from '#passes/pass.ts';
import { compareGraphs, Random } from '../support/graphs.ts';
import { conv, expectRefusal, expectRewrite } from './rewriting.ts';

const line = (changes: Partial<Record<'strides' | 'dilations' | 'pads' | 'group', string>> = {}) =>
  conv({ strides: '[1]', dilations: '[1]', pads: '[0,0]', ...changes });

describe('mergeConvPairs', () => {
  test('3 taps then 1, padded and with biases', () => {
    expectRewrite(
      mergeConvPairs,
      `input %x: f32[1,1,4]
       const %v: f32[2,1,3] = [1, 2, 3, 4, 5, 6]
       const %c: f32[2] = [1, 2]
       const %w: f32[1,2,1] = [10, 100]
       const %b: f32[1] = [5]
       %z: f32[1,2,4] = Conv(%x, %v, %c) ${line({ pads: '[1,1]' })}
       %y: f32[1,1,4] = Conv(%z, %w, %b) ${line()}
       output "y" = %y`,
      `input %x: f32[1,1,4]
       const %w: f32[1,1,3] = [410, 520, 630]
       const %b: f32[1] = [215]
       %y: f32[1,1,4] = Conv(%x, %w, %b) ${line({ pads: '[1,1]' })}
       output "y" = %y`,
    );
  });

  test('1 tap without bias then 3, padded', () => {
    expectRewrite(
      mergeConvPairs,
      `input %x: f32[1,1,4]
       const %v: f32[2,1,1] = [1, 2]
       const %w: f32[1,2,3] = [1, 2, 3, 10, 20, 30]
       %z: f32[1,2,4] = Conv(%x, %v) ${line()}
       %y: f32[1,1,4] = Conv(%z, %w) ${line({ pads: '[1,1]' })}
       output "y" = %y`,
      `input %x: f32[1,1,4]
       const %w: f32[1,1,3] = [21, 42, 63]
       %y: f32[1,1,4] = Conv(%x, %w) ${line({ pads: '[1,1]' })}
       output "y" = %y`,
    );
  });

  test('1 tap with bias then 3, unpadded: there is a bias where the second had none', () => {
    expectRewrite(
      mergeConvPairs,
      `input %x: f32[1,1,4]
       const %v: f32[2,1,1] = [1, 2]
       const %c: f32[2] = [1, 1]
       const %w: f32[1,2,3] = [1, 2, 3, 10, 20, 30]
       %z: f32[1,2,4] = Conv(%x, %v, %c) ${line()}
       %y: f32[1,1,2] = Conv(%z, %w) ${line()}
       output "y" = %y`,
      `input %x: f32[1,1,4]
       const %w: f32[1,1,3] = [21, 42, 63]
       const %y_bias: f32[1] = [66]
       %y: f32[1,1,2] = Conv(%x, %w, %y_bias) ${line()}
       output "y" = %y`,
    );
  });

  test('2 taps of stride 2 then 2 of dilation 1: one step of the second is two of the first', () => {
    expectRewrite(
      mergeConvPairs,
      `input %x: f32[1,1,8]
       const %v: f32[4,1,2] = [1, 2, 3, 4, 5, 6, 7, 8]
       const %w: f32[1,4,2] = [1, 10, 1, 10, 1, 10, 1, 10]
       %z: f32[1,4,4] = Conv(%x, %v) ${line({ strides: '[2]' })}
       %y: f32[1,1,3] = Conv(%z, %w) ${line()}
       output "y" = %y`,
      `input %x: f32[1,1,8]
       const %w: f32[1,1,4] = [16, 20, 160, 200]
       %y: f32[1,1,3] = Conv(%x, %w) ${line({ strides: '[2]' })}
       output "y" = %y`,
    );
  });

  test('a bias of zeros is none', () => {
    expectRewrite(
      mergeConvPairs,
      `input %x: f32[1,1,4]
       const %v: f32[2,1,1] = [1, 2]
       const %c: f32[2] = [0, 0]
       const %w: f32[1,2,3] = [1, 2, 3, 10, 20, 30]
       %z: f32[1,2,4] = Conv(%x, %v, %c) ${line()}
       %y: f32[1,1,4] = Conv(%z, %w) ${line({ pads: '[1,1]' })}
       output "y" = %y`,
      `input %x: f32[1,1,4]
       const %w: f32[1,1,3] = [21, 42, 63]
       const %y_bias: f32[1] = [0]
       %y: f32[1,1,4] = Conv(%x, %w, %y_bias) ${line({ pads: '[1,1]' })}
       output "y" = %y`,
    );
  });

  const pair = ({ v = 'f32[2,1,1] = [1, 2]', c = '', first = line(), second = line(), more = '', z = 4 }) =>
    `input %x: f32[1,1,4]
     const %v: ${v}
     ${c && `const %c: f32[2] = ${c}`}
     const %w: f32[1,2,3] = [1, 2, 3, 10, 20, 30]
     %z: f32[1,2,${z}] = Conv(%x, %v${c && ', %c'}) ${first}
     %y: f32[1,1,4] = Conv(%z, %w) ${second}
     output "y" = %y${more}`;
  const padded = line({ pads: '[1,1]' });

  test('refused at the border', () => {
    expectRefusal(
      mergeConvPairs,
      pair({ c: '[1, 2]', second: padded }),
      '"y" pads with zeros, which the bias of "z" would not be',
    );
    const sees = '"y" pads with zeros what "z" would see of its input there';
    expectRefusal(
      mergeConvPairs,
      pair({ v: 'f32[2,1,3] = [1, 2, 3, 4, 5, 6]', first: padded, second: padded }),
      sees,
    );
    expectRefusal(
      mergeConvPairs,
      pair({ first: padded, second: line({ pads: '[1,1]', strides: '[2]' }), z: 6 }).replace(
        'f32[1,1,4] = Conv(%z',
        'f32[1,1,3] = Conv(%z',
      ),
      sees,
    );
  });

  test('refused: other readers, computed weights', () => {
    expectRefusal(
      mergeConvPairs,
      pair({ second: padded, more: '\noutput "z" = %z' }),
      '"z" is also an output of the graph',
    );
    expectRefusal(
      mergeConvPairs,
      pair({ second: padded }).replace('const %v: f32[2,1,1] = [1, 2]', 'input %v: f32[2,1,1]'),
      'the weights of "z" are not constant',
    );
  });

  test('refused where it costs more', () => {
    // 3 + 3 taps per channel, 5 at once of which nothing is shared
    expectRefusal(
      mergeConvPairs,
      `input %x: f32[1,2,8]
       const %v: f32[2,1,3] = [1, 2, 3, 4, 5, 6]
       const %w: f32[4,2,1] = [1, 2, 3, 4, 5, 6, 7, 8]
       %z: f32[1,2,6] = Conv(%x, %v) ${line({ group: '2' })}
       %y: f32[1,4,6] = Conv(%z, %w) ${line()}
       output "y" = %y`,
      'one convolution takes 144 MACs, the two take 84',
    );
    // the stride leaves few positions, but the weights are more
    expectRefusal(
      mergeConvPairs,
      `input %x: f32[1,2,8]
       const %v: f32[2,1,3] = [1, 2, 3, 4, 5, 6]
       const %w: f32[3,2,1] = [1, 2, 3, 4, 5, 6]
       %z: f32[1,2,6] = Conv(%x, %v) ${line({ group: '2' })}
       %y: f32[1,3,1] = Conv(%z, %w) ${line({ strides: '[6]' })}
       output "y" = %y`,
      'one convolution has 18 parameters, the two have 12',
    );
  });
});

/** Two layers of any rank, stride, dilation and groups; the first wide enough that one layer is usually cheaper. */
function pairOf(seed: number) {
  const random = new Random(seed);
  const b = new Builder('pair');
  const rank = random.integer(1, 3);
  const each = <T>(make: () => T) => Array.from({ length: rank }, make);
  const [g1, g2] = [random.pick([1, 2]), random.pick([1, 2, 4])];
  const x = b.input('x', [1, 2, ...each(() => random.integer(5, 8))]);
  const layer = (from: typeof x, channels: number, group: number, unpadded: boolean) => {
    const kernel = each(() => random.pick([1, 1, 2, 3]));
    const [cin = 1, ...size] = from.type.shape.slice(1);
    const fits = kernel.map((k, i) => Math.min(k, size[i] ?? 1));
    const weight = b.constant('w', random.tensor([channels, cin / group, ...fits]));
    const room = fits.every((k, i) => (k - 1) * 2 < (size[i] ?? 1));
    const bias = random.integer(0, 1) === 1 ? { bias: b.constant('b', random.tensor([channels])) } : {};
    return b.conv(from, weight, {
      strides: each(() => random.integer(1, 2)),
      dilations: each(() => (room ? random.integer(1, 2) : 1)),
      pads: [...each(() => 0), ...each(() => 0)].map(() => (unpadded ? 0 : random.integer(0, 1))),
      group,
      ...bias,
    });
  };
  const z = layer(x, 8, g1, random.integer(0, 1) === 1);
  b.output('y', layer(z, 4, g2, random.integer(0, 2) > 0));
  return b.graph;
}

test('random pairs keep their results and cost no more', () => {
  let merged = 0;
  fc.assert(
    fc.property(fc.nat(), (seed) => {
      const graph = pairOf(seed);
      const after = cloneGraph(graph);
      merged += runPass(after, mergeConvPairs).changes;
      expect(compareGraphs(graph, after)).toBeLessThan(1e-6);
      const [old, now] = [graphCost(graph).totals, graphCost(after).totals];
      expect(now.macs).toBeLessThanOrEqual(old.macs);
      expect(now.parameters).toBeLessThanOrEqual(old.parameters);
      expect(now.bytesRead + now.bytesWritten).toBeLessThanOrEqual(old.bytesRead + old.bytesWritten);
    }),
    { seed: 6, numRuns: 200 },
  );
  expect(merged).toBeGreaterThan(60);
});
