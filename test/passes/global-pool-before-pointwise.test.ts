import { describe, test } from 'vitest';
import { globalPoolBeforePointwise } from '#passes/fuse/global-pool-before-pointwise.ts';
import { conv, expectRefusal, expectRewrite } from './rewriting.ts';

const X = 'input %x: f32[1,2,3,3]';
const W = 'const %w: f32[4,2,1,1] = [1, 2, 3, 4, 5, 6, 7, 8]\nconst %b: f32[4] = [1, 2, 3, 4]';

describe('globalPoolBeforePointwise', () => {
  test('one position is multiplied in place of all', () => {
    expectRewrite(
      globalPoolBeforePointwise,
      `${X}
       ${W}
       %a: f32[1,4,3,3] = Conv(%x, %w, %b) ${conv()}
       %y: f32[1,4,1,1] = GlobalAveragePool(%a)
       output "y" = %y`,
      `${X}
       ${W}
       %y_out: f32[1,2,1,1] = GlobalAveragePool(%x) name "y"
       %y: f32[1,4,1,1] = Conv(%y_out, %w, %b) ${conv()} name "a"
       output "y" = %y`,
    );
  });

  test('in groups too, in one dimension', () => {
    const line = '{strides=[1], dilations=[1], pads=[0,0], group=2}';
    expectRewrite(
      globalPoolBeforePointwise,
      `input %x: f32[2,2,5]
       const %w: f32[2,1,1] = [2, 3]
       %a: f32[2,2,5] = Conv(%x, %w) ${line}
       %y: f32[2,2,1] = GlobalAveragePool(%a)
       output "y" = %y`,
      `input %x: f32[2,2,5]
       const %w: f32[2,1,1] = [2, 3]
       %y_out: f32[2,2,1] = GlobalAveragePool(%x) name "y"
       %y: f32[2,2,1] = Conv(%y_out, %w) ${line} name "a"
       output "y" = %y`,
    );
  });

  const pooled = (size: string, attrs: string, more = '', w = W) => `${X}
    ${w}
    %a: f32[1,4,${size}] = Conv(%x, %w) ${attrs}
    %y: f32[1,4,1,1] = GlobalAveragePool(%a)
    output "y" = %y${more}`;

  test.each([
    [
      'a wider kernel',
      pooled('3,2', conv(), '', 'const %w: f32[4,2,1,2] = [1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8]'),
      '"a" sees more than one position',
    ],
    [
      'a stride',
      pooled('2,2', conv({ strides: '[2,2]' })),
      '"a" leaves out positions, which the mean would not',
    ],
    ['padding', pooled('5,5', conv({ pads: '[1,1,1,1]' })), '"a" gives its bias alone where it sees padding'],
    ['another reader', pooled('3,3', conv(), '\noutput "a" = %a'), '"a" is also an output of the graph'],
    [
      'a product of one position, which a Gemm would not make cheaper',
      `${X}
       ${W}
       %m: f32[1,2,1,1] = GlobalAveragePool(%x)
       %a: f32[1,4,1,1] = Conv(%m, %w, %b) ${conv()}
       %y: f32[1,4] = Flatten(%a) {axis=1}
       output "y" = %y`,
      '"a" is of one position: as a Gemm it takes the same MACs, bytes and kernel calls',
    ],
  ])('refused: %s', (_, lines, reason) => {
    expectRefusal(globalPoolBeforePointwise, lines, reason);
  });

  test('of no interest: an activation between', () => {
    expectRefusal(
      globalPoolBeforePointwise,
      `${X}
       ${W}
       %a: f32[1,4,3,3] = Conv(%x, %w) ${conv()}
       %r: f32[1,4,3,3] = Relu(%a)
       %y: f32[1,4,1,1] = GlobalAveragePool(%r)
       output "y" = %y`,
    );
  });
});
