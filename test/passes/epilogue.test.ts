import { describe, expect, test } from 'vitest';
import { fuseActivation } from '#passes/fuse/fuse-activation.ts';
import { fuseElementwise } from '#passes/fuse/fuse-elementwise.ts';
import { fuseResidual } from '#passes/fuse/fuse-residual.ts';
import { runPass } from '#passes/pass.ts';
import { lowerPipeline } from '#passes/pipeline.ts';
import { afterPipeline, body, conv, expectRefusal, expectRewrite, graphOf } from './rewriting.ts';

const T = 'f32[1,2,3,3]';
const X = `input %x: ${T}
  const %w: f32[2,2,1,1] = [1, 2, 3, 4]`;
const C = `%c: ${T} = Conv(%x, %w) ${conv()}`;
const fused = (name: string, epilogue: string, anchor = 'c') =>
  `%${name}: ${T} = Conv(%x, %w) ${conv()} -> ${epilogue} name "${anchor}"`;

describe('fuseActivation', () => {
  test.each([
    ['Relu(%c)', 'max(x0, 0)'],
    ['Clip(%c) {min=0, max=6}', 'min(max(x0, 0), 6)'],
    ['LeakyRelu(%c) {alpha=0.1}', 'select(lt(x0, 0), mul(x0, 0.1), x0)'],
    ['Mul(%c, %two)', 'mul(x0, 2)'],
    ['Div(%two, %c)', 'div(2, x0)'],
    ['Sub(%c, %two)', 'sub(x0, 2)'],
    ['Min(%two, %c)', 'min(x0, 2)'],
    ['Mul(%c, %c)', 'mul(x0, x0)'],
  ])('%s', (node, epilogue) => {
    expectRewrite(
      fuseActivation,
      `${X}
       const %two: f32[1,1,1,1] = [2]
       ${C}
       %y: ${T} = ${node}
       output "y" = %y`,
      `${X}
       ${fused('y', epilogue)}
       output "y" = %y`,
    );
  });

  test('chains, onto an epilogue that is there already', () => {
    expectRewrite(
      fuseActivation,
      `${X}
       input %r: ${T}
       %c: ${T} = Conv(%x, %w) ${conv()} -> add(x0, x1) with (%r)
       %d: ${T} = Relu(%c)
       %y: ${T} = Sqrt(%d)
       output "y" = %y`,
      `input %x: ${T}
       input %r: ${T}
       const %w: f32[2,2,1,1] = [1, 2, 3, 4]
       %y: ${T} = Conv(%x, %w) ${conv()} -> sqrt(max(add(x0, x1), 0)) with (%r) name "c"
       output "y" = %y`,
    );
  });

  test('refused: somebody else reads the result of the layer', () => {
    const lines = `${X}
      ${C}
      %y: ${T} = Relu(%c)
      output "y" = %y`;
    expectRefusal(fuseActivation, `${lines}\n output "c" = %c`, '"c" is also an output of the graph');
    expectRefusal(
      fuseActivation,
      `${lines}\n %z: f32[1,2,1,1] = GlobalAveragePool(%c)\n output "z" = %z`,
      '"c" is also read by "z"',
    );
  });

  test('refused: the result is of another type, or larger', () => {
    const lines = (node: string, type: string) => `${X}
      const %two: f32[] = [2]
      const %ones: f32[1,1,1,1,1] = [1]
      ${C}
      %y: ${type} = ${node}
      output "y" = %y`;
    expectRefusal(fuseActivation, lines('Less(%c, %two)', 'bool[1,2,3,3]'), 'the element type is not f32');
    expectRefusal(
      fuseActivation,
      lines('Mul(%c, %ones)', 'f32[1,1,2,3,3]'),
      'the result of "y" is larger than that of "c"',
    );
  });

  test('left alone: what takes no epilogue', () => {
    expectRefusal(
      fuseActivation,
      `input %x: ${T}
       %c: f32[1,2,1,1] = GlobalAveragePool(%x)
       %y: f32[1,2,1,1] = Relu(%c)
       output "y" = %y`,
    );
  });
});

describe('fuseResidual', () => {
  test('a sum with another tensor', () => {
    expectRewrite(
      fuseResidual,
      `${X}
       ${C}
       %y: ${T} = Add(%x, %c)
       output "y" = %y`,
      `${X}
       %y: ${T} = Conv(%x, %w) ${conv()} -> add(x1, x0) with (%x) name "c"
       output "y" = %y`,
    );
  });

  test('of two layers the later takes the sum', () => {
    expectRewrite(
      fuseResidual,
      `${X}
       %a: ${T} = Conv(%x, %w) ${conv()}
       %b: ${T} = Conv(%a, %w) ${conv()}
       %d: ${T} = Conv(%x, %w) ${conv()}
       %y: ${T} = Sub(%d, %b)
       output "y" = %y`,
      `${X}
       %a: ${T} = Conv(%x, %w) ${conv()}
       %b: ${T} = Conv(%a, %w) ${conv()}
       %y: ${T} = Conv(%x, %w) ${conv()} -> sub(x0, x1) with (%b) name "d"
       output "y" = %y`,
    );
  });

  test('an operand that broadcasts to the result', () => {
    expectRewrite(
      fuseResidual,
      `${X}
       input %g: f32[1,2,1,1]
       ${C}
       %y: ${T} = Mul(%c, %g)
       output "y" = %y`,
      `input %x: ${T}
       input %g: f32[1,2,1,1]
       const %w: f32[2,2,1,1] = [1, 2, 3, 4]
       %y: ${T} = Conv(%x, %w) ${conv()} -> mul(x0, x1) with (%g) name "c"
       output "y" = %y`,
    );
  });

  test('a number that is not known stays an operand', () => {
    const graph = graphOf(
      `${X}
       const %s: f32[] = missing "no file"
       ${C}
       %y: ${T} = Mul(%c, %s)
       output "y" = %y`,
    );
    runPass(graph, fuseResidual);
    expect(body(graph)).toContain('-> mul(x0, x1) with (%s)');
  });

  test('refused: the result is larger than the layer’s', () => {
    expectRefusal(
      fuseResidual,
      `${X}
       input %r: f32[2,2,3,3]
       ${C}
       %y: f32[2,2,3,3] = Add(%c, %r)
       output "y" = %y`,
      'the result of "y" is larger than that of "c"',
    );
  });

  test('refused: the other operand depends on the layer, which then has two readers', () => {
    expectRefusal(
      fuseResidual,
      `${X}
       ${C}
       %p: f32[1,2,1,1] = GlobalAveragePool(%c)
       %y: ${T} = Mul(%c, %p)
       output "y" = %y`,
      '"c" is also read by "p"',
    );
  });

  test('refused: an operand of another element type', () => {
    expectRefusal(
      fuseResidual,
      `${X}
       input %b: bool[1,2,3,3]
       input %r: ${T}
       ${C}
       %y: ${T} = Where(%b, %c, %r)
       output "y" = %y`,
      'operand "b" is bool, not f32',
    );
  });

  test('refused: too many operands', () => {
    const names = ['a', 'b', 'd', 'e', 'f', 'g'];
    const inputs = names.map((n) => `input %${n}: ${T}`).join('\n');
    const sum = 'add(add(add(add(add(add(x0, x1), x2), x3), x4), x5), x6)';
    expectRefusal(
      fuseResidual,
      `${X}
       ${inputs}
       input %h: ${T}
       %c: ${T} = Conv(%x, %w) ${conv()} -> ${sum} with (${names.map((n) => `%${n}`).join(', ')})
       %y: ${T} = Add(%c, %h)
       output "y" = %y`,
      'the epilogue would have 7 operands',
    );
  });
});

describe('fuseElementwise', () => {
  test('chains become one node', () => {
    expectRewrite(
      fuseElementwise,
      `input %x: ${T}
       const %three: f32[] = [3]
       const %six: f32[] = [6]
       %a: ${T} = Add(%x, %three)
       %b: ${T} = Clip(%a) {min=0, max=6}
       %d: ${T} = Mul(%x, %b)
       %y: ${T} = Div(%d, %six)
       output "y" = %y`,
      `input %x: ${T}
       const %three: f32[] = [3]
       %y: ${T} = Add(%x, %three) -> div(mul(x1, min(max(x0, 0), 6)), 6) with (%x) name "a"
       output "y" = %y`,
    );
  });

  test('what an epilogue reads is drawn in', () => {
    expectRewrite(
      fuseElementwise,
      `${X}
       input %r: ${T}
       %a: ${T} = Relu(%r)
       %y: ${T} = Conv(%x, %w) ${conv()} -> add(x0, x1) with (%a)
       output "y" = %y`,
      `input %x: ${T}
       input %r: ${T}
       const %w: f32[2,2,1,1] = [1, 2, 3, 4]
       %y: ${T} = Conv(%x, %w) ${conv()} -> add(x0, max(x1, 0)) with (%r)
       output "y" = %y`,
    );
  });

  test('left alone: a small operand is computed once, not at every position', () => {
    expectRefusal(
      fuseElementwise,
      `${X}
       input %g: f32[1,2,1,1]
       %s: f32[1,2,1,1] = Sigmoid(%g)
       %y: ${T} = Conv(%x, %w) ${conv()} -> mul(x0, x1) with (%s)
       output "y" = %y`,
    );
    expectRefusal(
      fuseElementwise,
      `input %x: ${T}
       input %g: f32[1,2,1,1]
       %s: f32[1,2,1,1] = Sigmoid(%g)
       %y: ${T} = Mul(%x, %s)
       output "y" = %y`,
      'the result of "y" is larger than that of "s"',
    );
  });
});

/** What only all of them together do. */
describe('the lower pipeline', () => {
  test.each([
    ['swish', `%s: ${T} = Sigmoid(%c)\n%y: ${T} = Mul(%c, %s)`, 'mul(x0, div(1, add(exp(neg(x0)), 1)))'],
    [
      'hard swish by HardSigmoid',
      `%s: ${T} = HardSigmoid(%c) {alpha=0.25, beta=0.5}\n%y: ${T} = Mul(%s, %c)`,
      'mul(min(max(add(mul(x0, 0.25), 0.5), 0), 1), x0)',
    ],
    [
      'hard swish by Clip',
      `%a: ${T} = Add(%c, %three)\n%b: ${T} = Clip(%a) {min=0, max=6}\n%d: ${T} = Mul(%c, %b)\n%y: ${T} = Div(%d, %six)`,
      'div(mul(x0, min(max(add(x0, 3), 0), 6)), 6)',
    ],
    [
      'ELU by Where',
      `%l: bool[1,2,3,3] = Less(%c, %zero)\n%a: ${T} = Exp(%c)\n%b: ${T} = Sub(%a, %one)\n%y: ${T} = Where(%l, %b, %c)`,
      'select(lt(x0, 0), sub(exp(x0), 1), x0)',
    ],
    [
      'GELU',
      `%a: ${T} = Div(%c, %six)\n%b: ${T} = Erf(%a)\n%d: ${T} = Add(%b, %three)\n%y: ${T} = Mul(%c, %d)`,
      'mul(x0, add(erf(div(x0, 6)), 3))',
    ],
  ])('%s', (_, nodes, epilogue) => {
    const after = afterPipeline(
      lowerPipeline,
      `${X}
       const %three: f32[] = [3]
       const %six: f32[] = [6]
       const %zero: f32[] = [0]
       const %one: f32[] = [1]
       ${C}
       ${nodes}
       output "y" = %y`,
    );
    expect(after).toContain(fused('y', epilogue));
    expect(after.split('\n').filter((line) => line.startsWith('%'))).toHaveLength(1);
  });

  test('residual block: activation, sum, activation', () => {
    expect(
      afterPipeline(
        lowerPipeline,
        `${X}
         ${C}
         %r: ${T} = Relu(%c)
         %d: ${T} = Conv(%r, %w) ${conv()}
         %s: ${T} = Add(%d, %x)
         %y: ${T} = Relu(%s)
         output "y" = %y`,
      )
        .split('\n')
        .slice(2),
    ).toEqual([
      fused('r', 'max(x0, 0)'),
      `%y: ${T} = Conv(%r, %w) ${conv()} -> max(add(x0, x1), 0) with (%x) name "d"`,
      'output "y" = %y',
    ]);
  });

  test('each layer takes its term of a long sum', () => {
    const count = 9;
    const layers = Array.from({ length: count }, (_, i) => `%c${i}: ${T} = Conv(%x, %w) ${conv()}`);
    const sums = Array.from(
      { length: count - 1 },
      (_, i) => `%s${i + 1}: ${T} = Add(%${i === 0 ? 'c0' : `s${i}`}, %c${i + 1})`,
    );
    const after = afterPipeline(
      lowerPipeline,
      [X, ...layers, ...sums, `output "y" = %s${count - 1}`].join('\n'),
    );
    const nodes = after.split('\n').filter((line) => line.startsWith('%'));
    expect(nodes).toHaveLength(count);
    expect(
      nodes.slice(1).every((line, i) => line.includes(`-> add(x1, x0) with (%${i === 0 ? 'c0' : `s${i}`})`)),
    ).toBe(true);
  });
});
