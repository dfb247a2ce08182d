import { expect, test } from 'vitest';
import { cloneGraph } from '#ir/clone.ts';
import { graphCost } from '#passes/analysis/cost.ts';
import { expandBatchNorm } from '#passes/fuse/expand-batch-norm.ts';
import { joinScaleAndShift } from '#passes/fuse/join-scale-and-shift.ts';
import { runPass } from '#passes/pass.ts';
import { compareGraphs } from '../support/graphs.ts';
import { body, expectRefusal, expectRewrite, graphOf } from './rewriting.ts';

const X = 'input %x: f32[1,2,3,3]';
const S = 'const %s: f32[2,1,1] = [2, 3]';
const T = 'const %t: f32[1,2,1,1] = [4, 5]';
const product = (by: string) => `%p: f32[1,2,3,3] = Mul(%x, %${by})`;
const sum = (by: string) => `%y: f32[1,2,3,3] = Add(%p, %${by})`;

test('a scale and a shift per channel are one batch normalisation', () => {
  expectRewrite(
    joinScaleAndShift,
    `${X}\n${S}\n${T}\n${product('s')}\n${sum('t')}\noutput "y" = %y`,
    `${X}
     const %y_s: f32[2] = [2, 3]
     const %y_t: f32[2] = [4, 5]
     const %y_mean: f32[2] = [0, 0]
     const %y_variance: f32[2] = [1, 1]
     %y: f32[1,2,3,3] = BatchNormalization(%x, %y_s, %y_t, %y_mean, %y_variance) {epsilon=0}
     output "y" = %y`,
  );
});

test('a normalisation that was taken apart in vain is one again, and moves half as much', () => {
  const lines = `${X}
    const %gamma: f32[2] = [4, 3]
    const %beta: f32[2] = [1, 2]
    const %mean: f32[2] = [5, 6]
    const %variance: f32[2] = [3, 0]
    %n: f32[1,2,3,3] = BatchNormalization(%x, %gamma, %beta, %mean, %variance) {epsilon=1}
    %y: f32[1,2,3,3] = Relu(%n)
    output "y" = %y`;
  const apart = graphOf(lines);
  runPass(apart, expandBatchNorm);
  const joined = cloneGraph(apart);
  runPass(joined, joinScaleAndShift);
  expect(joined.nodes.map((node) => node.op)).toEqual(['BatchNormalization', 'Relu']);
  expect(compareGraphs(graphOf(lines), joined)).toBeLessThan(1e-6);
  const moved = (graph: typeof apart) => {
    const { bytesRead, bytesWritten } = graphCost(graph).totals;
    return bytesRead + bytesWritten;
  };
  // two reads and two writes of 18 floats less, against the mean and the variance of 2 channels
  expect(moved(apart) - moved(joined)).toBe(4 * (2 * 18 - 4));
  // and apart again it is what it was
  const again = cloneGraph(joined);
  runPass(again, expandBatchNorm);
  expect(body(again).match(/= \w+\(/g)).toEqual(body(apart).match(/= \w+\(/g));
  expect(compareGraphs(apart, again)).toBe(0);
});

test('refusals', () => {
  const output = 'output "y" = %y';
  expectRefusal(
    joinScaleAndShift,
    `${X}\nconst %s: f32[] = [2]\n${T}\n${product('s')}\n${sum('t')}\n${output}`,
    '"s" is not one f32 number per channel',
  );
  expectRefusal(
    joinScaleAndShift,
    `${X}\n${S}\nconst %t: f32[1,3] = [1, 2, 3]\n${product('s')}\n${sum('t')}\n${output}`,
    '"t" is not one f32 number per channel',
  );
  expectRefusal(
    joinScaleAndShift,
    `${X}\n${S}\n${T}\n${product('s')}\n${sum('t')}\n${output}\noutput "p" = %p`,
    /"p"|"p" is an output|output/,
  );
});
