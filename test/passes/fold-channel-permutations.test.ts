import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Builder } from '#ir/builder.ts';
import { cloneGraph } from '#ir/clone.ts';
import type { Value } from '#ir/graph.ts';
import { f32, i64 } from '#ir/tensor.ts';
import { graphCost } from '#passes/analysis/cost.ts';
import { foldChannelPermutations } from '#passes/fuse/fold-channel-permutations.ts';
import { graphTotals, runPass } from '#passes/pass.ts';
import { compareGraphs, Random } from '../support/graphs.ts';
import { conv, expectRefusal, expectRewrite } from './rewriting.ts';

const X = 'input %x: f32[1,4,2,2]';
const T = 'f32[1,4,2,2]';
const DIAGONAL = '[1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 3, 0, 0, 0, 0, 4]';
const SHUFFLE = `ChannelShuffle(%z) {groups=2}`;

describe('foldChannelPermutations', () => {
  test('into the output channels of the layer before, through what keeps channels apart', () => {
    expectRewrite(
      foldChannelPermutations,
      `${X}
       const %w: f32[4,4,1,1] = ${DIAGONAL}
       const %b: f32[4] = [1, 2, 3, 4]
       const %d: f32[4,1,1,1] = [5, 6, 7, 8]
       const %s: f32[4,1,1] = [1, 2, 3, 4]
       const %t: f32[] = [9]
       %a: ${T} = Conv(%x, %w, %b) ${conv()}
       %r: ${T} = Relu(%a)
       %e: ${T} = Conv(%r, %d) ${conv({ group: '4' })}
       %m: ${T} = Mul(%s, %e)
       %z: ${T} = Add(%m, %t)
       %y: ${T} = ${SHUFFLE}
       %u: ${T} = Sigmoid(%y)
       output "u" = %u`,
      `${X}
       const %w: f32[4,4,1,1] = [1, 0, 0, 0, 0, 0, 3, 0, 0, 2, 0, 0, 0, 0, 0, 4]
       const %b: f32[4] = [1, 3, 2, 4]
       const %d: f32[4,1,1,1] = [5, 7, 6, 8]
       const %s: f32[4,1,1] = [1, 3, 2, 4]
       const %t: f32[] = [9]
       %a: ${T} = Conv(%x, %w, %b) ${conv()}
       %r: ${T} = Relu(%a)
       %e: ${T} = Conv(%r, %d) ${conv({ group: '4' })}
       %m: ${T} = Mul(%s, %e)
       %z: ${T} = Add(%m, %t)
       %u: ${T} = Sigmoid(%z)
       output "u" = %u`,
    );
  });

  test('into the input channels of the layer after, spread over the positions that a Flatten gives each', () => {
    expectRewrite(
      foldChannelPermutations,
      `input %z: f32[1,3,1,2]
       const %i: i64[3] = [2, 0, -2]
       const %g: f32[6,1] = [1, 2, 3, 4, 5, 6]
       %p: f32[1,3,1,2] = Gather(%z, %i) {axis=1}
       %q: f32[1,3,1,2] = MaxPool(%p) {kernel=[1,1], strides=[1,1], dilations=[1,1], pads=[0,0,0,0], ceil=false}
       %f: f32[1,6] = Flatten(%q) {axis=1}
       %y: f32[1,1] = MatMul(%f, %g)
       output "y" = %y`,
      `input %z: f32[1,3,1,2]
       const %g: f32[6,1] = [3, 4, 5, 6, 1, 2]
       %q: f32[1,3,1,2] = MaxPool(%z) {kernel=[1,1], strides=[1,1], dilations=[1,1], pads=[0,0,0,0], ceil=false}
       %f: f32[1,6] = Flatten(%q) {axis=1}
       %y: f32[1,1] = MatMul(%f, %g)
       output "y" = %y`,
    );
  });

  test('what a second one undoes goes with it', () => {
    expectRewrite(
      foldChannelPermutations,
      `input %z: f32[1,6,2]
       const %s: f32[6,1] = [1, 2, 3, 4, 5, 6]
       %p: f32[1,6,2] = ChannelShuffle(%z) {groups=2}
       %m: f32[1,6,2] = Mul(%p, %s)
       %y: f32[1,6,2] = ChannelShuffle(%m) {groups=3}
       output "y" = %y`,
      `input %z: f32[1,6,2]
       const %s: f32[6,1] = [1, 3, 5, 2, 4, 6]
       %m: f32[1,6,2] = Mul(%z, %s)
       output "y" = %m`,
    );
  });

  const between = (more = '', before = conv({ group: '2' }), after = conv({ group: '2' })) => `${X}
    const %w: f32[4,2,1,1] = [1, 2, 3, 4, 5, 6, 7, 8]
    const %v: f32[4,2,1,1] = [8, 7, 6, 5, 4, 3, 2, 1]
    %z: ${T} = Conv(%x, %w) ${before}
    %p: ${T} = ${SHUFFLE}
    %y: ${T} = Conv(%p, %v) ${after}
    output "y" = %y${more}`;

  test('refused', () => {
    const groups = (name: string) => `"${name}" has groups, and its channels their places in them`;
    expectRefusal(foldChannelPermutations, between(), `before it, ${groups('z')}; after it, ${groups('y')}`);
    expectRefusal(
      foldChannelPermutations,
      between('\noutput "z" = %z\noutput "p" = %p'),
      'before it, "z" is also an output of the graph; after it, "p" is also an output of the graph',
    );
    expectRefusal(
      foldChannelPermutations,
      between(`\n%a: ${T} = Relu(%z)\n%b: ${T} = Relu(%p)\noutput "a" = %a\noutput "b" = %b`),
      'before it, "z" is also read by "a"; after it, "p" is also read by "b"',
    );
    expectRefusal(
      foldChannelPermutations,
      `input %z: ${T}
       input %s: ${T}
       %p: ${T} = ${SHUFFLE}
       %y: ${T} = Mul(%p, %s)
       output "y" = %y`,
      'before it, "z" is no result of a layer; after it, "y" is no layer with weights',
    );
    expectRefusal(
      foldChannelPermutations,
      `input %x: f32[4]
       input %k: ${T}
       input %w: f32[2,4,1,1]
       const %v: f32[2,1] = [1, 2]
       %z: ${T} = Mul(%k, %k)
       %p: ${T} = ${SHUFFLE}
       %y: f32[1,2,2,2] = Conv(%p, %w) ${conv()}
       output "y" = %y`,
      'before it, "k" is no result of a layer; after it, the weights of "y" are not constant',
    );
    expectRefusal(
      foldChannelPermutations,
      `input %z: ${T}
       const %v: f32[2,1] = [1, 2]
       %p: ${T} = ${SHUFFLE}
       %y: f32[1,4,2,1] = MatMul(%p, %v)
       output "y" = %y`,
      'before it, "z" is no result of a layer; after it, "y" is no product of rows',
    );
  });

  test('of no interest: a Gather that leaves channels out or repeats them, or of another axis', () => {
    for (const [index, axis] of [
      ['[0, 1, 2]', 1],
      ['[0, 1, 2, 2]', 1],
      ['[1, 0]', 2],
    ] as const) {
      const n = index.split(',').length;
      expectRefusal(
        foldChannelPermutations,
        `${X}
         const %w: f32[4,4,1,1] = ${DIAGONAL}
         const %i: i64[${n}] = ${index}
         %z: ${T} = Conv(%x, %w) ${conv()}
         %y: f32[1,${axis === 1 ? n : 4},2,2] = Gather(%z, %i) {axis=${axis}}
         output "y" = %y`,
      );
    }
  });
});

/** A layer, some steps, a permutation, some steps, a layer. */
function network(seed: number) {
  const random = new Random(seed);
  const b = new Builder('network');
  const channels = random.pick([4, 6]);
  const weight = (...shape: number[]) => b.constant('w', random.tensor(shape));
  const variance = () =>
    b.constant(
      'v',
      f32(
        [channels],
        Array.from({ length: channels }, () => random.integer(1, 5)),
      ),
    );
  const steps: readonly ((v: Value) => Value)[] = [
    (v) => b.relu(v),
    (v) => b.op('Mul', [v, weight(1, channels, 1, 1)], {}),
    (v) => b.op('Sub', [weight(channels, 1, 1), v], {}),
    (v) => b.op('PRelu', [v, weight(channels, 1, 1)], {}),
    (v) =>
      b.op('BatchNormalization', [v, weight(channels), weight(channels), weight(channels), variance()], {}),
    (v) =>
      b.conv(v, weight(channels, 1, 2, 1), { group: channels, pads: [1, 0, 0, 0], bias: weight(channels) }),
    (v) =>
      b.op('AveragePool', [v], { kernel: [2, 2], strides: [1, 1], dilations: [1, 1], pads: [0, 0, 1, 1] }),
  ];
  const some = (v: Value) =>
    Array.from({ length: random.integer(0, 3) }).reduce((value: Value) => random.pick(steps)(value), v);
  const x = b.input('x', [2, 3, 4, 4]);
  const grouped = random.integer(0, 1) === 1;
  const first = b.conv(x, weight(channels, 3, 1, 1), { bias: weight(channels) });
  const made = grouped ? b.conv(first, weight(channels, channels / 2, 1, 1), { group: 2 }) : first;
  const order = Array.from({ length: channels }, (_, c) => c);
  for (let i = channels - 1; i > 0; i--) {
    const j = random.integer(0, i);
    [order[i], order[j]] = [order[j] ?? 0, order[i] ?? 0];
  }
  const before = some(made);
  const permuted =
    random.integer(0, 1) === 1
      ? b.op('ChannelShuffle', [before], { groups: 2 })
      : b.op('Gather', [before, b.constant('i', i64(order))], { axis: 1 });
  const after = some(permuted);
  const [, , h = 1, w = 1] = after.type.shape;
  const flat = () => b.op('Reshape', [after], { shape: [2, channels * h * w] });
  const y = random.pick([
    () => b.conv(after, weight(2, channels, 2, 2), { pads: [1, 1, 1, 1] }),
    () => b.op('Gemm', [flat(), weight(3, channels * h * w), weight(3)], { transB: true }),
    () => b.op('MatMul', [flat(), weight(channels * h * w, 3)], {}),
  ])();
  b.output('y', y);
  return b.graph;
}

test('random permutations between layers go, and cost nothing', () => {
  fc.assert(
    fc.property(fc.nat(), (seed) => {
      const graph = network(seed);
      const folded = cloneGraph(graph);
      runPass(folded, foldChannelPermutations);
      expect(folded.nodes.filter((n) => ['ChannelShuffle', 'Gather'].includes(n.op))).toEqual([]);
      expect(compareGraphs(graph, folded)).toBeLessThan(1e-6);
      const [before, after] = [graphTotals(graph), graphTotals(folded)];
      expect(after).toEqual({ ...before, nodes: before.nodes - 1 });
      const [old, now] = [graphCost(graph).totals, graphCost(folded).totals];
      expect(now.parameters).toBe(old.parameters);
      expect(now.bytesRead + now.bytesWritten).toBeLessThan(old.bytesRead + old.bytesWritten);
    }),
    { seed: 7, numRuns: 100 },
  );
});
