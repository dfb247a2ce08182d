import { describe, test } from 'vitest';
import { recogniseActivations } from '#passes/canonicalize/recognise-activations.ts';
import { recogniseLayerNormalization } from '#passes/canonicalize/recognise-layer-normalization.ts';
import { expectRefusal, expectRewrite } from './rewriting.ts';

const T = 'f32[2,5]';
const NUMBERS: Readonly<Record<string, number>> = {
  one: 1,
  two: 2,
  three: 3,
  six: 6,
  sixth: 1 / 6,
  half: 0.5,
  root: Math.fround(Math.SQRT2),
  inverse: Math.fround(Math.SQRT1_2),
  outer: Math.fround(Math.sqrt(2 / Math.PI)),
  inner: Math.fround(0.044715),
};

/** Nodes by their short spelling, one a line; the last gives the output. Constants are declared where they are used. */
function spelled(steps: string, x = `input %x: ${T}`): string {
  const used = Object.entries(NUMBERS).filter(([name]) => new RegExp(`%${name}\\b`).test(steps));
  const lines = steps
    .trim()
    .split('\n')
    .map((line) => line.trim().replace(' = ', `: ${T} = `));
  const last = lines.at(-1)?.split(':')[0];
  return [
    x,
    ...used.map(([name, v]) => `const %${name}: f32[] = [${v}]`),
    ...lines,
    `output "y" = ${last}`,
  ].join('\n');
}

const CLIP = '%a = Add(%x, %three)\n%c = Clip(%a) {min=0, max=6}\n';
const lone = (node: string) => `input %x: ${T}\n%y: ${T} = ${node}\noutput "y" = %y`;

describe('recogniseActivations', () => {
  test.each([
    ['x·clip / 6', `${CLIP}%m = Mul(%x, %c)\n%y = Div(%m, %six)`],
    ['x·(clip / 6)', `${CLIP}%m = Div(%c, %six)\n%y = Mul(%x, %m)`],
    ['(clip·⅙)·x', `${CLIP}%m = Mul(%c, %sixth)\n%y = Mul(%m, %x)`],
    ['(x·⅙)·clip', `${CLIP}%m = Mul(%sixth, %x)\n%y = Mul(%c, %m)`],
    ['x·HardSigmoid(x)', `%h = HardSigmoid(%x) {alpha=${Math.fround(1 / 6)}, beta=0.5}\n%y = Mul(%x, %h)`],
  ])('hard swish as %s', (_, steps) => {
    expectRewrite(recogniseActivations, spelled(steps), lone('HardSwish(%x)'));
  });

  test('hard sigmoid', () => {
    const node = `HardSigmoid(%x) {alpha=${1 / 6}, beta=0.5}`;
    expectRewrite(recogniseActivations, spelled(`${CLIP}%y = Div(%c, %six)`), lone(node));
    expectRewrite(recogniseActivations, spelled(`${CLIP}%y = Mul(%sixth, %c)`), lone(node));
  });

  const ERF = '%d = Div(%x, %root)\n%e = Erf(%d)\n%a = Add(%e, %one)\n';
  test.each([
    ['(x·(1 + erf))·½', `${ERF}%m = Mul(%x, %a)\n%y = Mul(%m, %half)`],
    ['(x·½)·(1 + erf)', `${ERF}%m = Mul(%x, %half)\n%y = Mul(%a, %m)`],
    ['x·(½·(erf + 1))', `${ERF}%m = Mul(%half, %a)\n%y = Mul(%x, %m)`],
    ['x·(1 + erf) / 2', `${ERF}%m = Mul(%x, %a)\n%y = Div(%m, %two)`],
    [
      'erf(x·√½)',
      `${ERF.replace('Div(%x, %root)', 'Mul(%inverse, %x)')}%m = Mul(%x, %a)\n%y = Mul(%m, %half)`,
    ],
  ])('GELU by erf as %s', (_, steps) => {
    expectRewrite(recogniseActivations, spelled(steps), lone('Gelu(%x) {approximate="none"}'));
  });

  test('of a product', () => {
    expectRewrite(
      recogniseActivations,
      spelled(`%x = Mul(%z, %six)\n${ERF}%m = Mul(%x, %a)\n%y = Mul(%m, %half)`, `input %z: ${T}`),
      `input %z: ${T}
       const %six: f32[] = [6]
       %x: ${T} = Mul(%z, %six)
       %y: ${T} = Gelu(%x) {approximate="none"}
       output "y" = %y`,
    );
  });

  const CUBES = {
    'Pow(x, 3)': '%p = Pow(%x, %three)\n%q = Mul(%p, %inner)\n%r = Add(%x, %q)\n%s = Mul(%r, %outer)\n',
    x·x·x:
      '%o = Mul(%x, %x)\n%p = Mul(%o, %x)\n%q = Mul(%inner, %p)\n%r = Add(%q, %x)\n%s = Mul(%outer, %r)\n',
    '1 + 0.044715·x²':
      '%o = Mul(%inner, %x)\n%p = Mul(%o, %x)\n%q = Add(%p, %one)\n%r = Mul(%outer, %x)\n%s = Mul(%r, %q)\n',
  };
  test.each(Object.entries(CUBES))('GELU by tanh with %s', (_, cube) => {
    expectRewrite(
      recogniseActivations,
      spelled(`${cube}%t = Tanh(%s)\n%u = Add(%t, %one)\n%v = Mul(%x, %half)\n%y = Mul(%v, %u)`),
      lone('Gelu(%x) {approximate="tanh"}'),
      // a cube is two products there
      { countedApart: true },
    );
  });

  test('refused: others read a step', () => {
    expectRefusal(
      recogniseActivations,
      `${spelled(`${ERF}%m = Mul(%x, %a)\n%y = Mul(%m, %half)`)}\noutput "e" = %e`,
      '"e" is a step of it that others read',
    );
    expectRefusal(
      recogniseActivations,
      `${spelled(`${CLIP}%m = Mul(%x, %c)\n%y = Div(%m, %six)`)}\n%z: ${T} = Relu(%a)\noutput "z" = %z`,
      '"a" is a step of it that others read',
    );
  });

  test.each([
    ['another scale', `${ERF}%m = Mul(%x, %a)\n%y = Mul(%m, %inner)`],
    ['another root', `${ERF.replace('%root', '%two')}%m = Mul(%x, %a)\n%y = Mul(%m, %half)`],
    ['another factor', `${CLIP}%m = Mul(%a, %c)\n%y = Div(%m, %six)`],
    ['another bound', `${CLIP.replace('max=6', 'max=5')}%m = Mul(%x, %c)\n%y = Div(%m, %six)`],
    ['the quotient the other way', `${CLIP}%y = Div(%six, %c)`],
    ['SiLU, which ONNX spells itself', '%s = Sigmoid(%x)\n%y = Mul(%x, %s)'],
    [
      'a square too few',
      `${CUBES['Pow(x, 3)'].replace('%three', '%two')}%t = Tanh(%s)\n%u = Add(%t, %one)\n%v = Mul(%x, %half)\n%y = Mul(%v, %u)`,
    ],
  ])('of no interest: %s', (_, steps) => {
    expectRefusal(recogniseActivations, spelled(steps));
  });
});

describe('recogniseLayerNormalization', () => {
  const X = 'f32[2,3,4]';
  const M = 'f32[2,3,1]';
  const spelling = ({
    square = 'Pow(%d, %k)',
    axes = '[2]',
    scale = 'f32[4] = [1, 2, 3, 4]',
    bias = true,
    more = '',
  } = {}) => `
    input %x: ${X}
    const %k: f32[] = [2]
    const %e: f32[] = [1e-6]
    const %s: ${scale}
    ${bias ? 'const %b: f32[4] = [5, 6, 7, 8]' : ''}
    %m: ${M} = ReduceMean(%x) {axes=[2], keepDims=true}
    %d: ${X} = Sub(%x, %m)
    %q: ${X} = ${square}
    %v: ${axes === '[2]' ? M : 'f32[2,1,4]'} = ReduceMean(%q) {axes=${axes}, keepDims=true}
    %a: ${axes === '[2]' ? M : 'f32[2,1,4]'} = Add(%v, %e)
    %r: ${axes === '[2]' ? M : 'f32[2,1,4]'} = Sqrt(%a)
    %n: ${X} = Div(%d, %r)
    %${bias ? 'c' : 'y'}: ${X} = Mul(%n, %s)
    ${bias ? `%y: ${X} = Add(%b, %c)` : ''}
    output "y" = %y${more}`;

  test.each([['Pow(%d, %k)'], ['Mul(%d, %d)']])('with %s', (square) => {
    expectRewrite(
      recogniseLayerNormalization,
      spelling({ square }),
      `input %x: ${X}
       const %s: f32[4] = [1, 2, 3, 4]
       const %b: f32[4] = [5, 6, 7, 8]
       %y: ${X} = LayerNormalization(%x, %s, %b) {axis=2, epsilon=${Math.fround(1e-6)}}
       output "y" = %y`,
    );
  });

  test('without a bias', () => {
    expectRewrite(
      recogniseLayerNormalization,
      spelling({ bias: false }),
      `input %x: ${X}
       const %s: f32[4] = [1, 2, 3, 4]
       %y: ${X} = LayerNormalization(%x, %s) {axis=2, epsilon=${Math.fround(1e-6)}}
       output "y" = %y`,
      // seven operations per element, with or without a bias
      { countedApart: true },
    );
  });

  test('refused', () => {
    const unscaled = '"n" is not scaled by constants, as the op asks';
    expectRefusal(
      recogniseLayerNormalization,
      spelling({ scale: 'f32[3,4] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3]' }),
      unscaled,
    );
    expectRefusal(recogniseLayerNormalization, spelling({ more: '\noutput "n" = %n' }), unscaled);
    expectRefusal(
      recogniseLayerNormalization,
      spelling({ more: '\noutput "d" = %d' }),
      '"d" is a step of it that others read',
    );
  });

  test('of no interest: a variance over another axis, or of another power', () => {
    expectRefusal(recogniseLayerNormalization, spelling({ axes: '[1]' }));
    expectRefusal(recogniseLayerNormalization, spelling({ square: 'Mul(%d, %x)' }));
  });
});
