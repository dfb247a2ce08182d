import { describe, expect, test } from 'vitest';
import { foldConstants } from '#passes/canonicalize/fold-constants.ts';
import { mergeCommonSubexpressions } from '#passes/canonicalize/merge-common-subexpressions.ts';
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
