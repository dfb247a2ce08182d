import { describe, test } from 'vitest';
import { fuseBiasIntoConv } from '#passes/fuse/fuse-bias-into-conv.ts';
import { fuseScaleIntoConv } from '#passes/fuse/fuse-scale-into-conv.ts';
import { conv, expectRefusal, expectRewrite } from './rewriting.ts';

const X = 'input %x: f32[1,2,3,3]';

describe('fuseScaleIntoConv', () => {
  const W = 'const %w: f32[2,2,1,1] = [1, 2, 3, 4]';

  test.each([
    ['one number', 'f32[] = [2]', 'Mul', '[2, 4, 6, 8]', '[14, 16]'],
    ['one per channel', 'f32[2,1,1] = [2, 3]', 'Mul', '[2, 4, 9, 12]', '[14, 24]'],
    ['one per channel, of full rank', 'f32[1,2,1,1] = [2, 3]', 'Mul', '[2, 4, 9, 12]', '[14, 24]'],
    ['a division', 'f32[1] = [2]', 'Div', '[0.5, 1, 1.5, 2]', '[3.5, 4]'],
  ])('after: %s', (_, s, op, w, b) => {
    expectRewrite(
      fuseScaleIntoConv,
      `${X}
       ${W}
       const %b: f32[2] = [7, 8]
       const %s: ${s}
       %c: f32[1,2,3,3] = Conv(%x, %w, %b) ${conv()}
       %y: f32[1,2,3,3] = ${op}(%c, %s)
       output "y" = %y`,
      `${X}
       const %w: f32[2,2,1,1] = ${w}
       const %b: f32[2] = ${b}
       %y: f32[1,2,3,3] = Conv(%x, %w, %b) ${conv()} name "c"
       output "y" = %y`,
    );
  });

  test('before a padded Conv', () => {
    expectRewrite(
      fuseScaleIntoConv,
      `${X}
       ${W}
       const %s: f32[2,1,1] = [2, 3]
       %m: f32[1,2,3,3] = Mul(%s, %x)
       %y: f32[1,2,4,3] = Conv(%m, %w) ${conv({ pads: '[1,0,0,0]' })}
       output "y" = %y`,
      `${X}
       const %w: f32[2,2,1,1] = [2, 6, 6, 12]
       %y: f32[1,2,4,3] = Conv(%x, %w) ${conv({ pads: '[1,0,0,0]' })}
       output "y" = %y`,
    );
  });

  test('Gemm with a transposed matrix, and beta', () => {
    expectRewrite(
      fuseScaleIntoConv,
      `input %x: f32[1,2]
       const %w: f32[3,2] = [1, 2, 3, 4, 5, 6]
       const %b: f32[1,3] = [1, 2, 3]
       const %s: f32[3] = [1, 2, 3]
       %g: f32[1,3] = Gemm(%x, %w, %b) {alpha=2, beta=10, transA=false, transB=true}
       %y: f32[1,3] = Mul(%g, %s)
       output "y" = %y`,
      `input %x: f32[1,2]
       const %w: f32[3,2] = [1, 2, 6, 8, 15, 18]
       const %b: f32[3] = [10, 40, 90]
       %y: f32[1,3] = Gemm(%x, %w, %b) {alpha=2, beta=1, transA=false, transB=true} name "g"
       output "y" = %y`,
    );
  });

  const refused = (s: string, y: string, extra = '') => `${X}
    ${W}
    const %s: ${s}
    %c: f32[1,2,3,3] = Conv(%x, %w) ${conv()}
    %y: ${y} = Mul(%c, %s)
    output "y" = %y${extra}`;

  test('refused', () => {
    const notOne = '"s" is not one f32 number per channel';
    expectRefusal(fuseScaleIntoConv, refused('f32[3] = [1, 2, 3]', 'f32[1,2,3,3]'), notOne);
    expectRefusal(fuseScaleIntoConv, refused('f32[1,1,1,1,1] = [2]', 'f32[1,1,2,3,3]'), notOne);
    expectRefusal(fuseScaleIntoConv, refused('f32[2,1,1,1] = [1, 2]', 'f32[2,2,3,3]'), notOne);
    expectRefusal(
      fuseScaleIntoConv,
      `${X}
       const %w: f32[1,2,1,1] = [1, 2]
       const %s: f32[2,1,1] = [1, 2]
       %c: f32[1,1,3,3] = Conv(%x, %w) ${conv()}
       %y: f32[1,2,3,3] = Mul(%c, %s)
       output "y" = %y`,
      notOne,
    );
    expectRefusal(
      fuseScaleIntoConv,
      refused('f32[] = [2]', 'f32[1,2,3,3]', '\n output "c" = %c'),
      '"c" is also an output of the graph',
    );
  });

  test('refused before: the scale enlarges, or somebody else reads the scaled value', () => {
    expectRefusal(
      fuseScaleIntoConv,
      `input %x: f32[1,1,3,3]
       ${W}
       const %s: f32[2,1,1] = [2, 3]
       %m: f32[1,2,3,3] = Mul(%x, %s)
       %y: f32[1,2,3,3] = Conv(%m, %w) ${conv()}
       output "y" = %y`,
      '"s" is not one f32 number per channel',
    );
    expectRefusal(
      fuseScaleIntoConv,
      `${X}
       ${W}
       const %s: f32[] = [2]
       %m: f32[1,2,3,3] = Mul(%x, %s)
       %y: f32[1,2,3,3] = Conv(%m, %w) ${conv()}
       output "y" = %y
       output "m" = %m`,
      '"m" is also an output of the graph',
    );
  });
});

describe('fuseBiasIntoConv', () => {
  const W = 'const %w: f32[2,2,1,1] = [1, 2, 3, 4]';

  test.each([
    ['Add', '%c, %t', '[5, 6]'],
    ['Add', '%t, %c', '[5, 6]'],
    ['Sub', '%c, %t', '[-5, -6]'],
  ])('after: %s(%s)', (op, operands, bias) => {
    expectRewrite(
      fuseBiasIntoConv,
      `${X}
       ${W}
       const %t: f32[2,1,1] = [5, 6]
       %c: f32[1,2,3,3] = Conv(%x, %w) ${conv()}
       %y: f32[1,2,3,3] = ${op}(${operands})
       output "y" = %y`,
      `${X}
       ${W}
       const %c_bias: f32[2] = ${bias}
       %y: f32[1,2,3,3] = Conv(%x, %w, %c_bias) ${conv()} name "c"
       output "y" = %y`,
    );
  });

  test('before an unpadded Conv', () => {
    expectRewrite(
      fuseBiasIntoConv,
      `${X}
       ${W}
       const %b: f32[2] = [1, 1]
       const %t: f32[2,1,1] = [5, 6]
       %a: f32[1,2,3,3] = Add(%x, %t)
       %y: f32[1,2,3,3] = Conv(%a, %w, %b) ${conv()}
       output "y" = %y`,
      `${X}
       ${W}
       const %b: f32[2] = [18, 40]
       %y: f32[1,2,3,3] = Conv(%x, %w, %b) ${conv()}
       output "y" = %y`,
    );
  });

  test('MatMul of rank 2 becomes Gemm', () => {
    expectRewrite(
      fuseBiasIntoConv,
      `input %x: f32[1,2]
       const %w: f32[2,3] = [1, 2, 3, 4, 5, 6]
       const %t: f32[3] = [1, 2, 3]
       %m: f32[1,3] = MatMul(%x, %w)
       %y: f32[1,3] = Add(%m, %t)
       output "y" = %y`,
      `input %x: f32[1,2]
       const %w: f32[2,3] = [1, 2, 3, 4, 5, 6]
       const %m_bias: f32[3] = [1, 2, 3]
       %y: f32[1,3] = Gemm(%x, %w, %m_bias) {alpha=1, beta=1, transA=false, transB=false} name "m"
       output "y" = %y`,
    );
  });

  test('refused: a constant less Conv', () => {
    const lines = `${X}
      ${W}
      const %t: f32[2,1,1] = [5, 6]
      %c: f32[1,2,3,3] = Conv(%x, %w) ${conv()}
      %y: f32[1,2,3,3] = Sub(%t, %c)
      output "y" = %y`;
    expectRefusal(fuseBiasIntoConv, lines);
  });

  test('refused: an addition before padding', () => {
    expectRefusal(
      fuseBiasIntoConv,
      `${X}
       ${W}
       const %t: f32[] = [5]
       %a: f32[1,2,3,3] = Add(%x, %t)
       %y: f32[1,2,4,3] = Conv(%a, %w) ${conv({ pads: '[1,0,0,0]' })}
       output "y" = %y`,
      '"y" sees padding, which the addition would have to shift too',
    );
  });

  test('refused: MatMul of rank 3 has no place for a bias', () => {
    expectRefusal(
      fuseBiasIntoConv,
      `input %x: f32[1,4,2]
       const %w: f32[2,3] = [1, 2, 3, 4, 5, 6]
       const %t: f32[3] = [1, 2, 3]
       %m: f32[1,4,3] = MatMul(%x, %w)
       %y: f32[1,4,3] = Add(%m, %t)
       output "y" = %y`,
      '"m" has no place for a bias',
    );
  });

  test('refused: the bias of a Gemm differs between rows', () => {
    expectRefusal(
      fuseBiasIntoConv,
      `input %x: f32[2,2]
       const %w: f32[2,3] = [1, 2, 3, 4, 5, 6]
       const %b: f32[2,1] = [1, 2]
       const %t: f32[3] = [1, 2, 3]
       %g: f32[2,3] = Gemm(%x, %w, %b) {alpha=1, beta=1, transA=false, transB=false}
       %y: f32[2,3] = Add(%g, %t)
       output "y" = %y`,
      'the bias of "g" differs between rows',
    );
  });
});
