import { describe, expect, test } from 'vitest';
import { foldConstants } from '#passes/canonicalize/fold-constants.ts';
import { mergeCommonSubexpressions } from '#passes/canonicalize/merge-common-subexpressions.ts';
import { mergeViews } from '#passes/canonicalize/merge-views.ts';
import { recogniseChannelShuffle } from '#passes/canonicalize/recognise-channel-shuffle.ts';
import { recogniseGlobalAveragePool } from '#passes/canonicalize/recognise-global-average-pool.ts';
import { removeDeadValues } from '#passes/canonicalize/remove-dead-values.ts';
import { removeIdentities } from '#passes/canonicalize/remove-identities.ts';
import { runPass } from '#passes/pass.ts';
import { body, expectRefusal, expectRewrite, graphOf } from './rewriting.ts';

const X = 'input %x: f32[1,6,2,3]';
const T = 'f32[1,6,2,3]';

test('removeDeadValues removes whole chains, and keeps what is read', () => {
  expectRewrite(
    removeDeadValues,
    `${X}
     const %c: f32[] = [1]
     %a: ${T} = Relu(%x)
     %b: ${T} = Add(%a, %c)
     %d: ${T} = Neg(%b)
     output "a" = %a`,
    `${X}
     %a: ${T} = Relu(%x)
     output "a" = %a`,
  );
});

describe('foldConstants', () => {
  test('chains of constants', () => {
    expectRewrite(
      foldConstants,
      `${X}
       const %c: f32[2] = [1, 2]
       %n: f32[2] = Neg(%c)
       %s: f32[2] = Add(%n, %c)
       %r: f32[2,1] = Reshape(%s) {shape=[2,1]}
       %y: ${T} = Add(%x, %r)
       output "y" = %y`,
      `${X}
       const %r: f32[2,1] = splat 0
       %y: ${T} = Add(%x, %r)
       output "y" = %y`,
    );
  });

  test('the shape of what is not constant', () => {
    expectRewrite(
      foldConstants,
      `${X}
       const %i: i64[1] = [1]
       %s: i64[4] = Shape(%x) {start=0, end=4}
       %c: i64[1] = Gather(%s, %i) {axis=0}
       output "c" = %c`,
      `${X}
       const %c: i64[1] = [6]
       output "c" = %c`,
    );
  });

  test('every output of a node', () => {
    expectRewrite(
      foldConstants,
      `${X}
       const %c: f32[3] = [1, 2, 3]
       %a: f32[1], %b: f32[2] = Split(%c) {axis=0, sizes=[1,2]}
       output "a" = %a
       output "b" = %b`,
      `${X}
       const %a: f32[1] = [1]
       const %b: f32[2] = [2, 3]
       output "a" = %a
       output "b" = %b`,
    );
  });

  test('missing data stays missing', () => {
    const graph = graphOf(`${X}
      const %w: f32[2,3] = missing "no file"
      %t: f32[3,2] = Transpose(%w) {perm=[1,0]}
      %y: f32[1,6,2,2] = MatMul(%x, %t)
      output "y" = %y`);
    runPass(graph, foldConstants);
    expect(body(graph)).toContain('const %t: f32[3,2] = missing "no file"');
  });

  test('refused: results that are too large, or take too long', () => {
    expectRefusal(
      foldConstants,
      `const %c: f32[1] = [1]
       %y: f32[99999] = Expand(%c) {shape=[99999]}
       output "y" = %y`,
      'the result has 99999 elements',
    );
    expectRefusal(
      foldConstants,
      `const %a: f32[1000,1000] = splat 1
       const %b: f32[1000,1000] = splat 2
       %y: f32[1000,1000] = MatMul(%a, %b)
       output "y" = %y`,
      'it takes 1000000000 operations',
    );
  });
});

describe('removeIdentities', () => {
  test.each([
    'Identity(%x)',
    'Reshape(%x) {shape=[1,6,2,3]}',
    'Transpose(%x) {perm=[0,1,2,3]}',
    'Pad(%x) {mode="constant", pads=[0,0,0,0,0,0,0,0], value=5}',
    'Slice(%x) {starts=[0,0,0,0], steps=[1,1,1,1], sizes=[1,6,2,3]}',
    'Cast(%x) {to="f32"}',
    'Expand(%x) {shape=[6,1,1]}',
    'Tile(%x) {repeats=[1,1,1,1]}',
    'Concat(%x) {axis=1}',
    'Split(%x) {axis=1, sizes=[6]}',
    'ChannelShuffle(%x) {groups=1}',
    'ChannelShuffle(%x) {groups=6}',
    'DepthToSpace(%x) {blocksize=1, mode="CRD"}',
    'MaxPool(%x) {kernel=[1,1], strides=[1,1], dilations=[1,1], pads=[0,0,0,0], ceil=false}',
    'AveragePool(%x) {kernel=[1,1], strides=[1,1], dilations=[1,1], pads=[0,0,0,0], ceil=false, countIncludePad=false}',
    'Resize(%x) {scales=[1,1,1,1], sizes=[1,6,2,3]}',
    'Mul(%x, %one)',
    'Mul(%one, %x)',
    'Div(%x, %one)',
    'Pow(%x, %one)',
    'Add(%x, %zero)',
    'Sub(%x, %zero)',
    'Clip(%x) {min=-Infinity, max=Infinity}',
  ])('%s', (node) => {
    expectRewrite(
      removeIdentities,
      `${X}
       const %one: f32[6,1,1] = splat 1
       const %zero: f32[] = [0]
       %i: ${T} = ${node}
       %y: ${T} = Relu(%i)
       output "y" = %y`,
      `${X}
       %y: ${T} = Relu(%x)
       output "y" = %y`,
    );
  });

  test.each([
    ['Transpose(%x) {perm=[0,1,3,2]}', 'f32[1,6,3,2]'],
    ['Pad(%x) {mode="constant", pads=[0,0,1,0,0,0,-1,0], value=0}', T],
    ['Slice(%x) {starts=[0,5,0,0], steps=[1,-1,1,1], sizes=[1,6,2,3]}', T],
    ['Cast(%x) {to="i32"}', 'i32[1,6,2,3]'],
    ['ChannelShuffle(%x) {groups=2}', T],
    ['Mul(%x, %ones)', 'f32[2,6,2,3]'],
    ['Mul(%x, %two)', T],
    ['Sub(%zero, %x)', T],
    ['Div(%one, %x)', T],
    ['Mul(%x, %unknown)', T],
    ['Clip(%x) {min=0, max=Infinity}', T],
  ])('kept: %s', (node, type) => {
    expectRefusal(
      removeIdentities,
      `${X}
       const %one: f32[] = [1]
       const %ones: f32[2,1,1,1] = splat 1
       const %two: f32[6,1,1] = splat 2
       const %zero: f32[] = [0]
       const %unknown: f32[6,1,1] = missing "no file"
       %y: ${type} = ${node}
       output "y" = %y`,
    );
  });

  test('an input that is an output', () => {
    expectRewrite(
      removeIdentities,
      `${X}
       %y: ${T} = Identity(%x)
       output "y" = %y`,
      `${X}
       output "y" = %x`,
    );
  });
});

describe('mergeCommonSubexpressions', () => {
  test('equal constants, then equal nodes, in either order of operands', () => {
    expectRewrite(
      mergeCommonSubexpressions,
      `${X}
       const %c: f32[6,1,1] = splat 2
       const %d: f32[6,1,1] = splat 2
       %a: ${T} = Mul(%x, %c)
       %b: ${T} = Mul(%d, %x)
       %p: ${T} = Relu(%a)
       %q: ${T} = Relu(%b)
       %y: ${T} = Add(%p, %q)
       output "y" = %y`,
      `${X}
       const %c: f32[6,1,1] = splat 2
       %a: ${T} = Mul(%x, %c)
       %p: ${T} = Relu(%a)
       %y: ${T} = Add(%p, %p)
       output "y" = %y`,
    );
  });

  test('kept: other attributes, order, epilogues, types; missing data', () => {
    const lines = `${X}
      const %c: f32[2] = [1, 2]
      const %d: f32[2,1] = [1, 2]
      const %e: f32[2,1] = missing "no file"
      const %f: f32[2,1] = missing "no file"
      %a: ${T} = LeakyRelu(%x) {alpha=0.1}
      %b: ${T} = LeakyRelu(%x) {alpha=0.2}
      %i: ${T} = Sub(%a, %b)
      %j: ${T} = Sub(%b, %a)
      %k: ${T} = Relu(%x) -> neg(x0)
      %l: ${T} = Relu(%x)
      output "i" = %i
      output "j" = %j
      output "k" = %k
      output "l" = %l
      output "c" = %c
      output "d" = %d
      output "e" = %e
      output "f" = %f`;
    expectRefusal(mergeCommonSubexpressions, lines);
  });

  test('infinities in attributes differ', () => {
    expectRefusal(
      mergeCommonSubexpressions,
      `${X}
       %a: ${T} = Clip(%x) {min=-Infinity, max=1}
       %b: ${T} = Clip(%x) {min=NaN, max=1}
       output "a" = %a
       output "b" = %b`,
    );
  });
});

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
