import { describe, expect, test } from 'vitest';
import { producer, result } from '#ir/graph.ts';
import { boundsOf } from '#passes/fuse/bounds.ts';
import { foldPadIntoConv } from '#passes/fuse/fold-pad-into-conv.ts';
import { foldPadIntoPool } from '#passes/fuse/fold-pad-into-pool.ts';
import { conv, expectRefusal, expectRewrite, graphOf } from './rewriting.ts';

const X = 'input %x: f32[1,2,4,4]';
const pad = (pads: string, mode = 'constant', value = 0) =>
  `Pad(%x) {mode="${mode}", pads=${pads}, value=${value}}`;

describe('foldPadIntoConv', () => {
  const W = 'const %w: f32[1,2,2,2] = [1, 2, 3, 4, 5, 6, 7, 8]';

  test('adds to the pads of a Conv', () => {
    expectRewrite(
      foldPadIntoConv,
      `${X}
       ${W}
       %p: f32[1,2,7,5] = ${pad('[0,0,1,0,0,0,2,1]')}
       %y: f32[1,1,7,5] = Conv(%p, %w) ${conv({ pads: '[0,1,1,0]' })}
       output "y" = %y`,
      `${X}
       ${W}
       %y: f32[1,1,7,5] = Conv(%x, %w) ${conv({ pads: '[1,1,3,1]' })}
       output "y" = %y`,
    );
  });

  test('a Pad with several readers goes with the last of them', () => {
    expectRewrite(
      foldPadIntoConv,
      `${X}
       ${W}
       %p: f32[1,2,5,4] = ${pad('[0,0,1,0,0,0,0,0]')}
       %y: f32[1,1,4,3] = Conv(%p, %w) ${conv()}
       output "p" = %p
       output "y" = %y`,
      `${X}
       ${W}
       %p: f32[1,2,5,4] = ${pad('[0,0,1,0,0,0,0,0]')}
       %y: f32[1,1,4,3] = Conv(%x, %w) ${conv({ pads: '[1,0,0,0]' })}
       output "p" = %p
       output "y" = %y`,
    );
  });

  const transposed = (pads: string) =>
    `${conv({ strides: '[2,2]', pads }).slice(0, -1)}, outputPadding=[0,0]}`;

  test('takes stride times as much from the crop of a ConvTranspose', () => {
    expectRewrite(
      foldPadIntoConv,
      `${X}
       const %w: f32[2,1,2,2] = [1, 2, 3, 4, 5, 6, 7, 8]
       %p: f32[1,2,5,4] = ${pad('[0,0,1,0,0,0,0,0]')}
       %y: f32[1,1,7,8] = ConvTranspose(%p, %w) ${transposed('[3,0,0,0]')}
       output "y" = %y`,
      `${X}
       const %w: f32[2,1,2,2] = [1, 2, 3, 4, 5, 6, 7, 8]
       %y: f32[1,1,7,8] = ConvTranspose(%x, %w) ${transposed('[1,0,0,0]')}
       output "y" = %y`,
    );
  });

  test('refused: a ConvTranspose that crops less', () => {
    expectRefusal(
      foldPadIntoConv,
      `${X}
       const %w: f32[2,1,2,2] = [1, 2, 3, 4, 5, 6, 7, 8]
       %p: f32[1,2,5,4] = ${pad('[0,0,1,0,0,0,0,0]')}
       %y: f32[1,1,9,8] = ConvTranspose(%p, %w) ${transposed('[1,0,0,0]')}
       output "y" = %y`,
      '"y" does not crop what the padding adds',
    );
  });

  test.each([
    ['[0,0,1,0,0,0,0,0]', 'edge', 0, 'f32[1,2,5,4]', '"p" pads by edge, not with a constant'],
    ['[0,0,1,0,0,0,0,0]', 'constant', 1, 'f32[1,2,5,4]', '"p" pads with 1, not with 0'],
    ['[1,0,1,0,0,0,0,0]', 'constant', 0, 'f32[2,2,5,4]', '"p" pads more than the spatial axes'],
    ['[0,0,2,0,0,0,-1,0]', 'constant', 0, 'f32[1,2,5,4]', '"p" cuts off'],
  ])('refused: pads %s by %s %d', (pads, mode, value, type, reason) => {
    const n = type === 'f32[2,2,5,4]' ? 2 : 1;
    expectRefusal(
      foldPadIntoConv,
      `${X}
       ${W}
       %p: ${type} = ${pad(pads, mode, value)}
       %y: f32[${n},1,4,3] = Conv(%p, %w) ${conv()}
       output "y" = %y`,
      reason,
    );
  });
});

describe('foldPadIntoPool', () => {
  const pool = (pads: string, more = '') =>
    `{kernel=[2,2], strides=[1,1], dilations=[1,1], pads=${pads}, ceil=false${more}}`;
  const padded = (node: string, size = '[1,2,4,3]', x = X) => `${x}
    %p: f32[1,2,5,4] = ${pad('[0,0,1,0,0,0,0,0]')}
    %y: f32${size} = ${node}
    output "y" = %y`;

  test('AveragePool that counts its padding', () => {
    expectRewrite(
      foldPadIntoPool,
      padded(`AveragePool(%p) ${pool('[0,1,0,0]', ', countIncludePad=true')}`, '[1,2,4,4]'),
      `${X}
       %y: f32[1,2,4,4] = AveragePool(%x) ${pool('[1,1,0,0]', ', countIncludePad=true')}
       output "y" = %y`,
    );
  });

  test('AveragePool without padding of its own can be made to count it', () => {
    expectRewrite(
      foldPadIntoPool,
      padded(`AveragePool(%p) ${pool('[0,0,0,0]', ', countIncludePad=false')}`),
      `${X}
       %y: f32[1,2,4,3] = AveragePool(%x) ${pool('[1,0,0,0]', ', countIncludePad=true')}
       output "y" = %y`,
    );
  });

  const R = `input %r: f32[1,2,4,4]
    %x: f32[1,2,4,4] = Relu(%r)`;

  test('MaxPool of what cannot be negative', () => {
    expectRewrite(
      foldPadIntoPool,
      padded(`MaxPool(%p) ${pool('[0,0,0,0]')}`, '[1,2,4,3]', R),
      `${R}
       %y: f32[1,2,4,3] = MaxPool(%x) ${pool('[1,0,0,0]')}
       output "y" = %y`,
    );
  });

  test('refused', () => {
    expectRefusal(
      foldPadIntoPool,
      padded(`AveragePool(%p) ${pool('[0,1,0,0]', ', countIncludePad=false')}`, '[1,2,4,4]'),
      '"y" does not count its own padding, but does count that of "p"',
    );
    expectRefusal(
      foldPadIntoPool,
      padded(`MaxPool(%p) ${pool('[0,0,0,0]')}`),
      '"x" may be negative, and then the zeros around it win',
    );
    expectRefusal(
      foldPadIntoPool,
      padded(`MaxPool(%p) ${pool('[1,0,0,0]')}`, '[1,2,5,3]', R),
      '"y" has a window that is not larger than the padding would be',
    );
    expectRefusal(
      foldPadIntoPool,
      padded(`MaxPool(%p) ${pool('[0,0,0,0]').replace('ceil=false', 'ceil=true')}`, '[1,2,4,3]', R),
      '"y" rounds its size up, which padding changes',
    );
    expectRefusal(
      foldPadIntoPool,
      `input %r: f32[1,1,1,1]
       %x: f32[1,1,1,1] = Relu(%r)
       %p: f32[1,1,4,1] = ${pad('[0,0,3,0,0,0,0,0]')}
       %y: f32[1,1,2,1] = MaxPool(%p) {kernel=[2,1], strides=[1,1], dilations=[2,1], pads=[0,0,0,0], ceil=false}
       output "y" = %y`,
      '"y" has a window that is not larger than the padding would be',
    );
    // taps at −2, 0 and −1, 1: the second window holds nothing of a single row
    expectRefusal(
      foldPadIntoPool,
      `input %r: f32[1,1,1,1]
       %x: f32[1,1,1,1] = Relu(%r)
       %p: f32[1,1,4,1] = ${pad('[0,0,2,0,0,0,1,0]')}
       %y: f32[1,1,2,1] = MaxPool(%p) {kernel=[2,1], strides=[1,1], dilations=[2,1], pads=[0,0,0,0], ceil=false}
       output "y" = %y`,
      'a window of "y" would hold no element',
    );
  });
});

test.each([
  ['Relu(%x)', 0, Number.POSITIVE_INFINITY],
  ['Clip(%x) {min=-1, max=6}', -1, 6],
  ['Sigmoid(%x)', 0, 1],
  ['HardSigmoid(%x) {alpha=0.2, beta=0.5}', 0, 1],
  ['Exp(%x)', 0, Number.POSITIVE_INFINITY],
  ['Abs(%x)', 0, Number.POSITIVE_INFINITY],
  ['Tanh(%x)', -1, 1],
  ['Neg(%c)', -3, -2],
  ['Mul(%c, %c)', 4, 9],
  ['Div(%c, %c)', 2 / 3, 1.5],
  ['Sub(%c, %c)', -1, 1],
  ['Add(%x, %c)', Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY],
  ['Softmax(%x) {axis=0}', Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY],
  ['Pad(%c) {mode="constant", pads=[1,1], value=9}', 2, 9],
  ['Concat(%c, %c) {axis=0}', 2, 3],
])('the bounds of %s are %d and %d', (node, low, high) => {
  const size = /Pad|Concat/.test(node) ? 4 : 2;
  const graph = graphOf(
    `input %x: f32[2]\nconst %c: f32[2] = [2, 3]\n%y: f32[${size}] = ${node}\noutput "y" = %y`,
  );
  const last = producer(graph.outputs[0]?.value);
  expect(last && boundsOf(result(last))).toEqual({ low, high });
});
