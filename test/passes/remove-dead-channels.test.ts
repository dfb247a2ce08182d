import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Builder } from '#ir/builder.ts';
import { cloneGraph } from '#ir/clone.ts';
import type { Value } from '#ir/graph.ts';
import { f32, type Tensor } from '#ir/tensor.ts';
import { graphCost } from '#passes/analysis/cost.ts';
import { removeDeadChannels } from '#passes/fuse/remove-dead-channels.ts';
import { runPass } from '#passes/pass.ts';
import { compareGraphs, Random, withoutWeights } from '../support/graphs.ts';
import { conv, expectRefusal, expectRewrite, graphOf } from './rewriting.ts';

const X = 'input %x: f32[1,1,3,3]';
const PAD = conv({ pads: '[1,1,1,1]' });

describe('removeDeadChannels', () => {
  test('a channel that ends as 0 goes from before a padded layer, and from all between', () => {
    expectRewrite(
      removeDeadChannels,
      `${X}
       const %w: f32[3,1,1,1] = [1, 0, 3]
       const %b: f32[3] = [1, -2, 3]
       const %d: f32[3,1,1,1] = [4, 5, 6]
       const %s: f32[3,1,1] = [7, 8, 9]
       const %v: f32[1,3,3,3] = [1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3]
       %a: f32[1,3,3,3] = Conv(%x, %w, %b) ${conv()}
       %r: f32[1,3,3,3] = Relu(%a)
       %e: f32[1,3,3,3] = Conv(%r, %d) ${conv({ group: '3' })}
       %m: f32[1,3,3,3] = Mul(%e, %s)
       %y: f32[1,1,3,3] = Conv(%m, %v) ${PAD}
       output "y" = %y`,
      `${X}
       const %w: f32[2,1,1,1] = [1, 3]
       const %b: f32[2] = [1, 3]
       const %d: f32[2,1,1,1] = [4, 6]
       const %s: f32[2,1,1] = [7, 9]
       const %v: f32[1,2,3,3] = [1, 1, 1, 1, 1, 1, 1, 1, 1, 3, 3, 3, 3, 3, 3, 3, 3, 3]
       %a: f32[1,2,3,3] = Conv(%x, %w, %b) ${conv()}
       %r: f32[1,2,3,3] = Relu(%a)
       %e: f32[1,2,3,3] = Conv(%r, %d) ${conv({ group: '2' })}
       %m: f32[1,2,3,3] = Mul(%e, %s)
       %y: f32[1,1,3,3] = Conv(%m, %v) ${PAD}
       output "y" = %y`,
    );
  });

  test('a constant goes into the bias of an unpadded layer, through batch norm and pooling', () => {
    expectRewrite(
      removeDeadChannels,
      `${X}
       const %w: f32[2,1,1,1] = [0, 3]
       const %b: f32[2] = [2, 3]
       const %g: f32[2] = [3, 1]
       const %h: f32[2] = [4, 1]
       const %i: f32[2] = [1, 0]
       const %j: f32[2] = [9, 1]
       const %v: f32[1,2,1,1] = [10, 20]
       %a: f32[1,2,3,3] = Conv(%x, %w, %b) ${conv()}
       %n: f32[1,2,3,3] = BatchNormalization(%a, %g, %h, %i, %j) {epsilon=0}
       %p: f32[1,2,3,3] = MaxPool(%n) {kernel=[3,3], strides=[1,1], dilations=[1,1], pads=[1,1,1,1], ceil=false}
       %y: f32[1,1,3,3] = Conv(%p, %v) ${conv()}
       output "y" = %y`,
      // (2 − 1)·3/√9 + 4 = 5
      `${X}
       const %w: f32[1,1,1,1] = [3]
       const %b: f32[1] = [3]
       const %g: f32[1] = [1]
       const %h: f32[1] = [1]
       const %i: f32[1] = [0]
       const %j: f32[1] = [1]
       const %v: f32[1,1,1,1] = [20]
       const %y_bias: f32[1] = [50]
       %a: f32[1,1,3,3] = Conv(%x, %w, %b) ${conv()}
       %n: f32[1,1,3,3] = BatchNormalization(%a, %g, %h, %i, %j) {epsilon=0}
       %p: f32[1,1,3,3] = MaxPool(%n) {kernel=[3,3], strides=[1,1], dilations=[1,1], pads=[1,1,1,1], ceil=false}
       %y: f32[1,1,3,3] = Conv(%p, %v, %y_bias) ${conv()}
       output "y" = %y`,
    );
  });

  test('a channel that the next layer multiplies by 0 goes, whatever it is; a Gemm keeps its factors', () => {
    expectRewrite(
      removeDeadChannels,
      `input %x: f32[1,2]
       const %w: f32[3,2] = [1, 2, 0, 0, 5, 6]
       const %b: f32[3] = [1, 2, 3]
       const %v: f32[2,3] = [0, 3, 5, 0, 4, 6]
       const %c: f32[2] = [1, 2]
       %a: f32[1,3] = Gemm(%x, %w, %b) {alpha=1, beta=1, transA=false, transB=true}
       %y: f32[1,2] = Gemm(%a, %v, %c) {alpha=2, beta=4, transA=false, transB=true}
       output "y" = %y`,
      `input %x: f32[1,2]
       const %w: f32[1,2] = [5, 6]
       const %b: f32[1] = [3]
       const %v: f32[2,1] = [5, 6]
       const %c: f32[2] = [4, 6]
       %a: f32[1,1] = Gemm(%x, %w, %b) {alpha=1, beta=1, transA=false, transB=true}
       %y: f32[1,2] = Gemm(%a, %v, %c) {alpha=2, beta=4, transA=false, transB=true}
       output "y" = %y`,
    );
  });

  test('one channel stays where all are dead', () => {
    const graph = graphOf(`${X}
      const %w: f32[2,1,1,1] = [0, 0]
      const %v: f32[1,2,1,1] = [1, 2]
      %a: f32[1,2,3,3] = Conv(%x, %w) ${conv()}
      %y: f32[1,1,3,3] = Conv(%a, %v) ${conv()}
      output "y" = %y`);
    const before = cloneGraph(graph);
    expect(runPass(graph, removeDeadChannels).changes).toBe(1);
    expect(graph.nodes[0]?.outputs[0]?.type.shape).toEqual([1, 1, 3, 3]);
    expect(compareGraphs(before, graph)).toBe(0);
  });

  const dead = (between: string, last: string, more = '', w = '[0, 3]') => `${X}
    const %w: f32[2,1,1,1] = ${w}
    const %b: f32[2] = [2, 3]
    const %v: f32[1,2,1,1] = [10, 20]
    const %d: f32[2,1,1,1] = [4, 5]
    const %u: f32[4,1,1,1] = [10, 20, 30, 40]
    const %f: f32[2,3,3] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    %a: f32[1,2,3,3] = Conv(%x, %w, %b) ${conv()}
    ${between}
    ${last}
    output "y" = %y${more}`;
  const same = '%p: f32[1,2,3,3] = Relu(%a)';
  const plain = `%y: f32[1,1,3,3] = Conv(%p, %v) ${conv()}`;
  const padded = `%y: f32[1,1,5,5] = Conv(%p, %v) ${PAD}`;

  test.each([
    ['a padded layer after a constant', dead(same, padded), '"y" sees padding beside a channel that is 2'],
    [
      'a padded depthwise layer after a constant',
      dead(
        `%p: f32[1,2,5,5] = Conv(%a, %d) ${conv({ pads: '[1,1,1,1]', group: '2' })}`,
        padded.replace('5,5', '7,7'),
      ),
      '"p" sees padding beside a channel that is 2',
    ],
    [
      'padding that is counted',
      dead(
        '%p: f32[1,2,3,3] = AveragePool(%a) {kernel=[3,3], strides=[1,1], dilations=[1,1], pads=[1,1,1,1], ceil=false, countIncludePad=true}',
        plain,
      ),
      '"p" counts its padding',
    ],
    [
      'a factor per position',
      dead('%p: f32[1,2,3,3] = Mul(%a, %f)', plain),
      '"p" does not do the same to all of a channel',
    ],
    ['another reader', dead(same, plain, '\noutput "p" = %p'), '"p" is also an output of the graph'],
    [
      'groups',
      dead(same, `%y: f32[1,4,3,3] = Conv(%p, %u) ${conv({ group: '2' })}`),
      '"y" has groups, and its channels their places in them',
    ],
    [
      'no place for a bias',
      `input %x: f32[1,2]
       const %w: f32[2,2] = [1, 0, 2, 0]
       const %v: f32[2,2] = [1, 2, 3, 4]
       const %t: f32[1] = [1]
       %a: f32[1,2] = MatMul(%x, %w)
       %p: f32[1,2] = Add(%a, %t)
       %y: f32[1,2] = MatMul(%p, %v)
       output "y" = %y`,
      '"y" has no place for a bias',
    ],
  ])('refused: %s', (_, lines, reason) => {
    expectRefusal(removeDeadChannels, lines, reason);
  });

  test('of no interest: nothing is dead, or the weights are not there', () => {
    expectRefusal(removeDeadChannels, dead(same, plain, '', '[1, 3]'));
    const bare = withoutWeights(graphOf(dead(same, plain)));
    expect(runPass(bare, removeDeadChannels)).toEqual({
      ...runPass(bare, removeDeadChannels),
      changes: 0,
      refusals: [],
    });
  });
});

/** Two layers with steps between, some of whose filters are zero, and some of whose columns are. */
function network(seed: number) {
  const random = new Random(seed);
  const b = new Builder('network');
  const channels = 5;
  const weight = (...shape: number[]) => b.constant('w', random.tensor(shape));
  const sparse = ({ type, data }: Tensor, channelOf: (i: number) => number, often: number): Value => {
    const zero = Array.from({ length: channels }, () => random.integer(1, often) === 1);
    return b.constant(
      'w',
      f32(
        type.shape,
        Array.from(data as Float32Array, (v, i) => (zero[channelOf(i)] ? 0 : v)),
      ),
    );
  };
  const steps: readonly ((v: Value) => Value)[] = [
    (v) => b.relu(v),
    (v) => b.op('Mul', [v, weight(1, channels, 1, 1)], {}),
    (v) => b.op('Sub', [weight(channels, 1, 1), v], {}),
    (v) => b.op('Sigmoid', [v], {}),
    (v) =>
      b.conv(
        v,
        sparse(random.tensor([channels, 1, 2, 1]), (i) => i >> 1, 4),
        {
          group: channels,
          pads: [random.integer(0, 1), 0, 0, 0],
          bias: weight(channels),
        },
      ),
    (v) =>
      b.op('AveragePool', [v], { kernel: [2, 2], strides: [1, 1], dilations: [1, 1], pads: [0, 0, 1, 1] }),
    (v) =>
      b.op('MaxPool', [v], {
        kernel: [2, 1],
        strides: [1, 2],
        dilations: [1, 1],
        pads: [0, 0, 0, 0],
        ceil: true,
      }),
  ];
  const x = b.input('x', [2, 3, 6, 6]);
  const bias = random.integer(0, 1) === 1 ? { bias: weight(channels) } : {};
  const made = b.conv(
    x,
    sparse(random.tensor([channels, 3, 1, 1]), (i) => Math.floor(i / 3), 3),
    bias,
  );
  let after = made;
  for (let i = random.integer(0, 3); i > 0; i--) after = random.pick(steps)(after);
  const [, , h = 1, w = 1] = after.type.shape;
  const flat = () => b.op('Flatten', [after], { axis: 1 });
  const y = random.pick([
    () =>
      b.conv(
        after,
        sparse(random.tensor([2, channels, 1, 1]), (i) => i % channels, 5),
        { pads: [0, 1, 0, 0] },
      ),
    () => b.conv(after, weight(2, channels, 2, 1)),
    () =>
      b.op('ConvTranspose', [after, weight(channels, 2, 1, 1)], {
        strides: [1, 1],
        dilations: [1, 1],
        pads: [0, 0, 0, 0],
        outputPadding: [0, 0],
      }),
    () => b.op('Gemm', [flat(), weight(3, channels * h * w), weight(3)], { transB: true, alpha: 2, beta: 3 }),
  ])();
  b.output('y', y);
  return b.graph;
}

test('random networks keep their results without their dead channels', () => {
  let removed = 0;
  fc.assert(
    fc.property(fc.nat(), (seed) => {
      const graph = network(seed);
      const after = cloneGraph(graph);
      removed += runPass(after, removeDeadChannels).changes;
      expect(compareGraphs(graph, after)).toBeLessThan(1e-6);
      const [old, now] = [graphCost(graph).totals, graphCost(after).totals];
      expect(now.macs).toBeLessThanOrEqual(old.macs);
      // a bias of two numbers may be new
      expect(now.parameters).toBeLessThanOrEqual(old.parameters + 2);
      expect(after.nodes.map((n) => n.op)).toEqual(graph.nodes.map((n) => n.op));
      expect(runPass(after, removeDeadChannels).changes).toBe(0);
    }),
    { seed: 8, numRuns: 150 },
  );
  expect(removed).toBeGreaterThan(60);
});
