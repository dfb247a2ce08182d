import { describe, test } from 'vitest';
import { mergeViews } from '#passes/canonicalize/merge-views.ts';
import { recogniseChannelShuffle } from '#passes/canonicalize/recognise-channel-shuffle.ts';
import { recogniseGlobalAveragePool } from '#passes/canonicalize/recognise-global-average-pool.ts';
import { expectRefusal, expectRewrite } from './rewriting.ts';

const X = 'input %x: f32[1,6,2,3]';
const T = 'f32[1,6,2,3]';

describe('mergeViews', () => {
  test('views of any kind', () => {
    expectRewrite(
      mergeViews,
      `${X}
       %f: f32[1,36] = Flatten(%x) {axis=1}
       %u: f32[1,36,1] = Unsqueeze(%f) {axes=[2]}
       %y: f32[36] = Reshape(%u) {shape=[36]}
       output "y" = %y`,
      `${X}
       %y: f32[36] = Reshape(%x) {shape=[36]}
       output "y" = %y`,
    );
  });

  test('transposes', () => {
    expectRewrite(
      mergeViews,
      `${X}
       %t: f32[1,2,3,6] = Transpose(%x) {perm=[0,2,3,1]}
       %y: f32[2,1,6,3] = Transpose(%t) {perm=[1,0,3,2]}
       output "y" = %y`,
      `${X}
       %y: f32[2,1,6,3] = Transpose(%x) {perm=[2,0,1,3]}
       output "y" = %y`,
    );
  });

  test('a transpose that moves axes of size 1 only', () => {
    expectRewrite(
      mergeViews,
      `${X}
       %y: f32[6,2,1,3] = Transpose(%x) {perm=[1,2,0,3]}
       output "y" = %y`,
      `${X}
       %y: f32[6,2,1,3] = Reshape(%x) {shape=[6,2,1,3]}
       output "y" = %y`,
    );
  });

  test('a step that others read stays for them', () => {
    expectRewrite(
      mergeViews,
      `${X}
       %f: f32[1,36] = Flatten(%x) {axis=1}
       %y: f32[36] = Reshape(%f) {shape=[36]}
       output "f" = %f
       output "y" = %y`,
      `${X}
       %f: f32[1,36] = Flatten(%x) {axis=1}
       %y: f32[36] = Reshape(%x) {shape=[36]}
       output "f" = %f
       output "y" = %y`,
    );
  });
});

describe('recogniseChannelShuffle', () => {
  const spelled = (view: string, perm: string, x = X, type = T) => {
    const sizes = JSON.parse(view) as number[];
    const turned = (JSON.parse(perm) as number[]).map((axis) => sizes[axis]);
    return `${x}
      %v: f32${view} = Reshape(%x) {shape=${view}}
      %t: f32[${turned}] = Transpose(%v) {perm=${perm}}
      %y: ${type} = Reshape(%t) {shape=${type.slice(3)}}
      output "y" = %y`;
  };

  test.each([
    ['[1,2,3,2,3]', '[0,2,1,3,4]', 2],
    ['[1,3,2,2,3]', '[0,2,1,3,4]', 3],
    ['[1,2,3,6]', '[0,2,1,3]', 2],
    ['[2,3,6]', '[1,0,2]', 2],
    ['[2,3,2,3]', '[1,0,2,3]', 2],
    ['[1,2,1,3,2,3]', '[0,3,2,1,4,5]', 2],
  ])('x seen as %s, turned by %s', (view, perm, groups) => {
    expectRewrite(
      recogniseChannelShuffle,
      spelled(view, perm),
      `${X}
       %y: ${T} = ChannelShuffle(%x) {groups=${groups}} name "t"
       output "y" = %y`,
    );
  });

  test('of rank 3 and with a batch', () => {
    expectRewrite(
      recogniseChannelShuffle,
      spelled('[2,2,3,5]', '[0,2,1,3]', 'input %x: f32[2,6,5]', 'f32[2,6,5]'),
      `input %x: f32[2,6,5]
       %y: f32[2,6,5] = ChannelShuffle(%x) {groups=2} name "t"
       output "y" = %y`,
    );
  });

  test.each([
    ['the spatial axes turn', '[1,6,2,3]', '[0,1,3,2]', X],
    ['channels turn with space', '[1,6,2,3]', '[0,2,1,3]', X],
    ['three factors of the channels turn', '[1,2,3,1,6]', '[0,4,2,3,1]', X],
    ['not adjacent', '[1,2,3,2,3]', '[0,3,2,1,4]', X],
  ])('left alone: %s', (_, view, perm, x) => {
    expectRefusal(recogniseChannelShuffle, spelled(view, perm, x));
  });

  test('left alone: the batch turns', () => {
    expectRefusal(
      recogniseChannelShuffle,
      spelled('[2,6,5]', '[1,0,2]', 'input %x: f32[2,6,5]', 'f32[2,6,5]'),
    );
  });

  test('refused: somebody else reads a step', () => {
    expectRefusal(
      recogniseChannelShuffle,
      `${spelled('[1,2,3,2,3]', '[0,2,1,3,4]')}\n output "t" = %t`,
      '"t" is also an output of the graph',
    );
  });
});

describe('recogniseGlobalAveragePool', () => {
  test('ReduceMean that keeps or drops the axes', () => {
    expectRewrite(
      recogniseGlobalAveragePool,
      `${X}
       %y: f32[1,6,1,1] = ReduceMean(%x) {axes=[2,3], keepDims=true}
       output "y" = %y`,
      `${X}
       %y: f32[1,6,1,1] = GlobalAveragePool(%x)
       output "y" = %y`,
    );
    expectRewrite(
      recogniseGlobalAveragePool,
      `${X}
       %m: f32[1,6] = ReduceMean(%x) {axes=[3,2], keepDims=false}
       output "y" = %m`,
      `${X}
       %m_out: f32[1,6,1,1] = GlobalAveragePool(%x)
       %m: f32[1,6] = Reshape(%m_out) {shape=[1,6]} name "m_flat"
       output "y" = %m`,
    );
  });

  test('AveragePool over everything', () => {
    expectRewrite(
      recogniseGlobalAveragePool,
      `${X}
       %y: f32[1,6,1,1] = AveragePool(%x) {kernel=[2,3], strides=[1,1], dilations=[1,1], pads=[0,0,0,0], ceil=false, countIncludePad=false}
       output "y" = %y`,
      `${X}
       %y: f32[1,6,1,1] = GlobalAveragePool(%x)
       output "y" = %y`,
    );
  });

  test.each([
    ['ReduceMean(%x) {axes=[1,3], keepDims=true}', 'f32[1,1,2,1]'],
    ['ReduceMean(%x) {axes=[3], keepDims=true}', 'f32[1,6,2,1]'],
    [
      'AveragePool(%x) {kernel=[2,2], strides=[1,2], dilations=[1,1], pads=[0,0,0,0], ceil=false, countIncludePad=false}',
      'f32[1,6,1,1]',
    ],
  ])('left alone: %s', (node, type) => {
    expectRefusal(recogniseGlobalAveragePool, `${X}\n%y: ${type} = ${node}\noutput "y" = %y`);
  });

  test('left alone: the mean of a layer normalisation', () => {
    expectRefusal(
      recogniseGlobalAveragePool,
      `input %x: f32[1,5,6]
       %y: f32[1,5,1] = ReduceMean(%x) {axes=[2], keepDims=true}
       output "y" = %y`,
    );
  });
});
