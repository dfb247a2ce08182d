import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Builder } from '#ir/builder.ts';
import { cloneGraph } from '#ir/clone.ts';
import { mergeParallelConvs } from '#passes/fuse/merge-parallel-convs.ts';
import { graphTotals, runPass } from '#passes/pass.ts';
import { compareGraphs, Random, withoutWeights } from '../support/graphs.ts';
import { conv, expectRefusal, expectRewrite } from './rewriting.ts';

const X = 'input %x: f32[1,2,3,3]';
const T = 'f32[1,2,3,3]';
/** 3×3 weights of two channels, with the centres named. */
const full = (a: number, b: number, c: number, d: number) =>
  `[${[a, b, c, d].map((centre) => [1, 2, 3, 4, centre, 6, 7, 8, 9].join(', ')).join(', ')}]`;
const K = `const %k: f32[2,2,3,3] = ${full(5, 5, 5, 5)}`;
const kxk = `%a: ${T} = Conv(%x, %k) ${conv({ pads: '[1,1,1,1]' })}`;

describe('mergeParallelConvs', () => {
  test('3×3, 1×1 and a scaled and shifted identity: a block of RepVGG', () => {
    expectRewrite(
      mergeParallelConvs,
      `${X}
       ${K}
       const %kb: f32[2] = [1, 2]
       const %p: f32[2,2,1,1] = [10, 20, 30, 40]
       const %pb: f32[2] = [3, 4]
       const %s: f32[2,1,1] = [100, 200]
       const %t: f32[2,1,1] = [5, 6]
       %a: ${T} = Conv(%x, %k, %kb) ${conv({ pads: '[1,1,1,1]' })}
       %b: ${T} = Conv(%x, %p, %pb) ${conv()}
       %m: ${T} = Mul(%x, %s)
       %n: ${T} = Add(%m, %t)
       %c: ${T} = Add(%b, %a)
       %y: ${T} = Add(%c, %n)
       output "y" = %y`,
      `${X}
       const %k: f32[2,2,3,3] = ${full(115, 25, 35, 245)}
       const %kb: f32[2] = [9, 12]
       %y: ${T} = Conv(%x, %k, %kb) ${conv({ pads: '[1,1,1,1]' })} name "a"
       output "y" = %y`,
    );
  });

  test('the value itself is a kernel of one tap, in groups too; without a bias there is none', () => {
    expectRewrite(
      mergeParallelConvs,
      `input %x: f32[1,4,3]
       const %k: f32[4,2,3] = [1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3]
       %a: f32[1,4,3] = Conv(%x, %k) {strides=[1], dilations=[1], pads=[1,1], group=2}
       %y: f32[1,4,3] = Add(%x, %a)
       output "y" = %y`,
      `input %x: f32[1,4,3]
       const %k: f32[4,2,3] = [1, 3, 3, 1, 2, 3, 1, 2, 3, 1, 3, 3, 1, 3, 3, 1, 2, 3, 1, 2, 3, 1, 3, 3]
       %y: f32[1,4,3] = Conv(%x, %k) {strides=[1], dilations=[1], pads=[1,1], group=2} name "a"
       output "y" = %y`,
    );
  });

  test('what is no convolution of that value stays a term', () => {
    expectRewrite(
      mergeParallelConvs,
      `${X}
       input %z: ${T}
       const %k: f32[2,2,1,1] = [1, 2, 3, 4]
       const %p: f32[2,2,1,1] = [10, 20, 30, 40]
       %a: ${T} = Conv(%x, %k) ${conv()}
       %b: ${T} = Conv(%x, %p) ${conv()}
       %c: ${T} = Add(%a, %z)
       %y: ${T} = Add(%c, %b)
       output "y" = %y`,
      `${X}
       input %z: ${T}
       const %k: f32[2,2,1,1] = [11, 22, 33, 44]
       %a: ${T} = Conv(%x, %k) ${conv()}
       %y: ${T} = Add(%a, %z)
       output "y" = %y`,
    );
  });

  test('a dilated kernel takes in the smaller ones whose taps are among its own', () => {
    expectRewrite(
      mergeParallelConvs,
      `input %x: f32[1,1,7]
       const %k: f32[1,1,5] = [1, 2, 3, 4, 5]
       const %p: f32[1,1,2] = [10, 20]
       %a: f32[1,1,4] = Conv(%x, %k) {strides=[2], dilations=[2], pads=[4,4], group=1}
       %b: f32[1,1,4] = Conv(%x, %p) {strides=[2], dilations=[2], pads=[2,0], group=1}
       %y: f32[1,1,4] = Add(%a, %b)
       output "y" = %y`,
      `input %x: f32[1,1,7]
       const %k: f32[1,1,5] = [1, 12, 23, 4, 5]
       %y: f32[1,1,4] = Conv(%x, %k) {strides=[2], dilations=[2], pads=[4,4], group=1} name "a"
       output "y" = %y`,
    );
  });

  const beside = (weight: string, attrs: string, more = '', size = T) => `${X}
    ${K}
    const %p: ${weight}
    %a: ${size} = Conv(%x, %k) ${conv({ pads: '[1,1,1,1]' })}
    %b: ${size} = Conv(%x, %p) ${attrs}
    %y: ${size} = Add(%a, %b)
    output "y" = %y${more}`;
  const P = 'f32[2,2,1,1] = [1, 2, 3, 4]';

  test.each([
    [
      'another stride',
      `input %x: f32[1,1,5]
       const %k: f32[1,1,3] = [1, 2, 3]
       const %p: f32[1,1,1] = [1]
       %a: f32[1,1,3] = Conv(%x, %k) {strides=[1], dilations=[1], pads=[0,0], group=1}
       %b: f32[1,1,3] = Conv(%x, %p) {strides=[2], dilations=[1], pads=[0,0], group=1}
       %y: f32[1,1,3] = Add(%a, %b)
       output "y" = %y`,
      '"b" has another stride than "a"',
    ],
    [
      'another dilation',
      beside(`f32[2,2,2,1] = [1, 2, 3, 4, 5, 6, 7, 8]`, conv({ dilations: '[2,1]', pads: '[1,0,1,0]' })),
      '"b" has another dilation than "a"',
    ],
    [
      'a 1×1 between the taps',
      `input %x: f32[1,1,5]
       const %k: f32[1,1,3] = [1, 2, 3]
       const %p: f32[1,1,1] = [1]
       %a: f32[1,1,5] = Conv(%x, %k) {strides=[1], dilations=[2], pads=[1,3], group=1}
       %b: f32[1,1,5] = Conv(%x, %p) {strides=[1], dilations=[1], pads=[0,0], group=1}
       %y: f32[1,1,5] = Add(%a, %b)
       output "y" = %y`,
      'the taps of "b" are not all taps of "a"',
    ],
    [
      'a kernel that is wider',
      `input %x: f32[1,1,4,4]
       const %k: f32[1,1,3,1] = [1, 2, 3]
       const %p: f32[1,1,1,3] = [1, 2, 3]
       %a: f32[1,1,4,4] = Conv(%x, %k) ${conv({ pads: '[1,0,1,0]' })}
       %b: f32[1,1,4,4] = Conv(%x, %p) ${conv({ pads: '[0,1,0,1]' })}
       %y: f32[1,1,4,4] = Add(%a, %b)
       output "y" = %y`,
      'the taps of "b" are not all taps of "a"',
    ],
    [
      'a mixing 1×1 beside a depthwise 3×3',
      `${X}
       const %k: f32[2,1,3,3] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9]
       const %p: ${P}
       %a: ${T} = Conv(%x, %k) ${conv({ pads: '[1,1,1,1]', group: '2' })}
       %b: ${T} = Conv(%x, %p) ${conv()}
       %y: ${T} = Add(%a, %b)
       output "y" = %y`,
      '"b" mixes what the groups of "a" keep apart',
    ],
    ['another output', beside(P, conv(), '\noutput "b" = %b'), '"b" is also an output of the graph'],
    [
      'another reader',
      beside(P, conv(), `\n%z: ${T} = Relu(%a)\noutput "z" = %z`),
      '"a" is also read by "z"',
    ],
    [
      'weights that are computed',
      `${X}
       ${K}
       input %p: f32[2,2,1,1]
       ${kxk}
       %b: ${T} = Conv(%x, %p) ${conv()}
       %y: ${T} = Add(%a, %b)
       output "y" = %y`,
      'the weights of "b" are not constant',
    ],
  ])('refused: %s', (_, lines, reason) => {
    expectRefusal(mergeParallelConvs, lines, reason);
  });

  test('branches of different values, and a scale that is not per channel, are of no interest', () => {
    expectRefusal(
      mergeParallelConvs,
      `${X}
       input %z: ${T}
       ${K}
       const %s: f32[3] = [1, 2, 3]
       ${kxk}
       %b: ${T} = Conv(%z, %k) ${conv({ pads: '[1,1,1,1]' })}
       %m: ${T} = Mul(%x, %s)
       %c: ${T} = Add(%a, %b)
       %y: ${T} = Add(%c, %m)
       output "y" = %y`,
    );
  });
});

/** A block of MobileOne: some k×k of one size, a 1×1, the value itself, in one to three dimensions. */
function block(seed: number) {
  const random = new Random(seed);
  const b = new Builder('block');
  const rank = random.integer(1, 3);
  const group = random.pick([1, 2, 4]);
  const ones = new Array<number>(rank).fill(1);
  const strides = ones.map(() => random.integer(1, 2));
  const dilation = random.integer(1, 2);
  const x = b.input('x', [2, 4, ...ones.map(() => random.integer(4, 6))]);
  const branch = (k: number) => {
    const weight = b.constant('w', random.tensor([4, 4 / group, ...ones.map(() => k)]));
    const pad = ((k - 1) / 2) * dilation;
    const bias = random.integer(0, 1) === 1 ? { bias: b.constant('b', random.tensor([4])) } : {};
    return b.conv(x, weight, {
      strides,
      dilations: ones.map(() => dilation),
      pads: [...ones, ...ones].map(() => pad),
      group,
      ...bias,
    });
  };
  const branches = [...new Array<number>(random.integer(1, 3)).fill(3), 1].map(branch);
  const identity = strides.every((s) => s === 1) ? [x] : [];
  const y = [...branches, ...identity].reduce((sum, term) => b.add(term, sum));
  b.output('y', y);
  return b.graph;
}

test('random blocks become one convolution with the results of all', () => {
  fc.assert(
    fc.property(fc.nat(), (seed) => {
      const graph = block(seed);
      const merged = cloneGraph(graph);
      runPass(merged, mergeParallelConvs);
      expect(merged.nodes.map((n) => n.op)).toEqual(['Conv']);
      expect(compareGraphs(graph, merged)).toBeLessThan(1e-6);
      const [before, after] = [graphTotals(graph), graphTotals(merged)];
      expect(after.macs).toBeLessThan(before.macs);
      expect(after.otherOps).toBeLessThanOrEqual(before.otherOps);
      const bare = withoutWeights(graph);
      runPass(bare, mergeParallelConvs);
      expect(bare.nodes.map((n) => n.op)).toEqual(['Conv']);
    }),
    { seed: 5, numRuns: 60 },
  );
});
