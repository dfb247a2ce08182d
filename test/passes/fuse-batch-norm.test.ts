import { describe, expect, test } from 'vitest';
import { producer, result, tensorOf } from '#ir/graph.ts';
import { expandBatchNorm } from '#passes/fuse/expand-batch-norm.ts';
import { fuseBatchNormBeforeConv } from '#passes/fuse/fuse-batch-norm-before-conv.ts';
import { fuseBatchNormIntoConv } from '#passes/fuse/fuse-batch-norm-into-conv.ts';
import { runPass } from '#passes/pass.ts';
import { conv, expectRefusal, expectRewrite, graphOf } from './rewriting.ts';

const X = 'input %x: f32[1,2,3,3]';
/** scale / √(variance + ε) = 2 and 3. */
const PARAMETERS = `
  const %gamma: f32[2] = [4, 3]
  const %beta: f32[2] = [1, 2]
  const %mean: f32[2] = [5, 6]
  const %variance: f32[2] = [3, 0]`;
const bn = (x: string, y: string) =>
  `%${y}: f32[1,2,3,3] = BatchNormalization(%${x}, %gamma, %beta, %mean, %variance) {epsilon=1}`;

describe('fuseBatchNormIntoConv', () => {
  test('Conv with bias', () => {
    expectRewrite(
      fuseBatchNormIntoConv,
      `${X}
       const %w: f32[2,2,1,1] = [1, 2, 3, 4]
       const %b: f32[2] = [7, 8]
       ${PARAMETERS}
       %c: f32[1,2,3,3] = Conv(%x, %w, %b) ${conv()}
       ${bn('c', 'y')}
       output "y" = %y`,
      `${X}
       const %w: f32[2,2,1,1] = [2, 4, 9, 12]
       const %b: f32[2] = [5, 8]
       %y: f32[1,2,3,3] = Conv(%x, %w, %b) ${conv()} name "c"
       output "y" = %y`,
    );
  });

  test('depthwise Conv without bias', () => {
    expectRewrite(
      fuseBatchNormIntoConv,
      `${X}
       const %w: f32[2,1,1,1] = [1, 2]
       ${PARAMETERS}
       %c: f32[1,2,3,3] = Conv(%x, %w) ${conv({ group: '2' })}
       ${bn('c', 'y')}
       output "y" = %y`,
      `${X}
       const %w: f32[2,1,1,1] = [2, 6]
       const %c_bias: f32[2] = [-9, -16]
       %y: f32[1,2,3,3] = Conv(%x, %w, %c_bias) ${conv({ group: '2' })} name "c"
       output "y" = %y`,
    );
  });

  test('ConvTranspose with and without groups: output channels are the second axis of its weight', () => {
    const transposed = (group: string) => `${conv({ group }).slice(0, -1)}, outputPadding=[0,0]}`;
    expectRewrite(
      fuseBatchNormIntoConv,
      `${X}
       const %w: f32[2,2,1,1] = [1, 2, 3, 4]
       const %b: f32[2] = [7, 8]
       ${PARAMETERS}
       %c: f32[1,2,3,3] = ConvTranspose(%x, %w, %b) ${transposed('1')}
       ${bn('c', 'y')}
       output "y" = %y`,
      `${X}
       const %w: f32[2,2,1,1] = [2, 6, 6, 12]
       const %b: f32[2] = [5, 8]
       %y: f32[1,2,3,3] = ConvTranspose(%x, %w, %b) ${transposed('1')} name "c"
       output "y" = %y`,
    );
    expectRewrite(
      fuseBatchNormIntoConv,
      `${X}
       const %w: f32[2,1,1,1] = [1, 2]
       const %b: f32[2] = [7, 8]
       ${PARAMETERS}
       %c: f32[1,2,3,3] = ConvTranspose(%x, %w, %b) ${transposed('2')}
       ${bn('c', 'y')}
       output "y" = %y`,
      `${X}
       const %w: f32[2,1,1,1] = [2, 6]
       const %b: f32[2] = [5, 8]
       %y: f32[1,2,3,3] = ConvTranspose(%x, %w, %b) ${transposed('2')} name "c"
       output "y" = %y`,
    );
  });

  test('weights that two layers share are changed for one of them only', () => {
    expectRewrite(
      fuseBatchNormIntoConv,
      `${X}
       const %w: f32[2,1,1,1] = [1, 2]
       ${PARAMETERS}
       %c: f32[1,2,3,3] = Conv(%x, %w) ${conv({ group: '2' })}
       %d: f32[1,2,3,3] = Conv(%x, %w) ${conv({ group: '2' })}
       ${bn('c', 'y')}
       output "y" = %y
       output "d" = %d`,
      `${X}
       const %w: f32[2,1,1,1] = [1, 2]
       const %w_1: f32[2,1,1,1] = [2, 6]
       const %c_bias: f32[2] = [-9, -16]
       %d: f32[1,2,3,3] = Conv(%x, %w) ${conv({ group: '2' })}
       %y: f32[1,2,3,3] = Conv(%x, %w_1, %c_bias) ${conv({ group: '2' })} name "c"
       output "y" = %y
       output "d" = %d`,
    );
  });

  test('missing weights give missing weights', () => {
    const graph = graphOf(`${X}
      const %w: f32[2,2,1,1] = missing "no file"
      ${PARAMETERS}
      %c: f32[1,2,3,3] = Conv(%x, %w) ${conv()}
      ${bn('c', 'y')}
      output "y" = %y`);
    runPass(graph, fuseBatchNormIntoConv);
    expect(graph.nodes.map((n) => n.op)).toEqual(['Conv']);
    const [, w, b] = graph.nodes[0]?.operands ?? [];
    expect(w?.source).toMatchObject({ kind: 'constant', constant: { data: null, missing: 'no file' } });
    expect(tensorOf(b)?.data).toEqual(Float32Array.of(-9, -16));
  });

  const shared = (extra: string) => `${X}
    const %w: f32[2,2,1,1] = [1, 2, 3, 4]
    ${PARAMETERS}
    %c: f32[1,2,3,3] = Conv(%x, %w) ${conv()}
    ${bn('c', 'y')}
    ${extra}
    output "y" = %y`;

  test('refused: somebody else reads the result of the layer', () => {
    expectRefusal(
      fuseBatchNormIntoConv,
      shared('%z: f32[1,2,3,3] = Relu(%c)\n output "z" = %z'),
      '"c" is also read by "z"',
    );
    expectRefusal(fuseBatchNormIntoConv, shared('output "c" = %c'), '"c" is also an output of the graph');
  });

  test('refused: weights or parameters are not constant', () => {
    expectRefusal(
      fuseBatchNormIntoConv,
      `${X}
       input %w: f32[2,2,1,1]
       ${PARAMETERS}
       %c: f32[1,2,3,3] = Conv(%x, %w) ${conv()}
       ${bn('c', 'y')}
       output "y" = %y`,
      'the weights of "c" are not constant',
    );
    expectRefusal(
      fuseBatchNormIntoConv,
      shared('').replace('const %mean: f32[2] = [5, 6]', 'input %mean: f32[2]'),
      'the parameters of "y" are not constant',
    );
    expectRefusal(
      fuseBatchNormIntoConv,
      shared('')
        .replace('Conv(%x, %w)', 'Conv(%x, %w, %b)')
        .replace('const %w', 'input %b: f32[2]\nconst %w'),
      'the bias of "c" is not constant',
    );
  });
});

describe('fuseBatchNormBeforeConv', () => {
  const normThenConv = (pads: string) => `${X}
    const %w: f32[2,2,1,1] = [1, 2, 3, 4]
    ${PARAMETERS}
    ${bn('x', 'n')}
    %y: f32[1,2,3,3] = Conv(%n, %w) ${conv({ pads })}
    output "y" = %y`;

  test('unpadded Conv: scale and shift', () => {
    expectRewrite(
      fuseBatchNormBeforeConv,
      normThenConv('[0,0,0,0]'),
      `${X}
       const %w: f32[2,2,1,1] = [2, 6, 6, 12]
       const %y_bias: f32[2] = [-41, -91]
       %y: f32[1,2,3,3] = Conv(%x, %w, %y_bias) ${conv()}
       output "y" = %y`,
    );
  });

  test('padded grouped Conv: scale, where there is no shift', () => {
    expectRewrite(
      fuseBatchNormBeforeConv,
      `${X}
       const %w: f32[2,1,3,3] = splat 1
       const %gamma: f32[2] = [4, 3]
       const %zero: f32[2] = splat 0
       const %variance: f32[2] = [3, 0]
       %n: f32[1,2,3,3] = BatchNormalization(%x, %gamma, %zero, %zero, %variance) {epsilon=1}
       %y: f32[1,2,3,3] = Conv(%n, %w) ${conv({ pads: '[1,1,1,1]', group: '2' })}
       output "y" = %y`,
      `${X}
       const %w: f32[2,1,3,3] = data "${Buffer.from(Float32Array.from({ length: 18 }, (_, i) => (i < 9 ? 2 : 3)).buffer).toString('base64')}"
       %y: f32[1,2,3,3] = Conv(%x, %w) ${conv({ pads: '[1,1,1,1]', group: '2' })}
       output "y" = %y`,
    );
  });

  test('refused: a shift before padding', () => {
    expectRefusal(
      fuseBatchNormBeforeConv,
      normThenConv('[1,0,0,0]').replace('%y: f32[1,2,3,3]', '%y: f32[1,2,4,3]'),
      '"y" sees padding, and the normalisation shifts',
    );
  });

  test('refused: a shift that is not known before padding', () => {
    expectRefusal(
      fuseBatchNormBeforeConv,
      normThenConv('[1,0,0,0]')
        .replace('%y: f32[1,2,3,3]', '%y: f32[1,2,4,3]')
        .replace('const %beta: f32[2] = [1, 2]', 'const %beta: f32[2] = missing "no file"'),
      '"y" sees padding, and the normalisation shifts',
    );
  });

  test('refused: somebody else reads the normalised value', () => {
    expectRefusal(
      fuseBatchNormBeforeConv,
      `${normThenConv('[0,0,0,0]')}\n output "n" = %n`,
      '"n" is also an output of the graph',
    );
  });
});

describe('expandBatchNorm', () => {
  test('constant parameters', () => {
    expectRewrite(
      expandBatchNorm,
      `${X}
       ${PARAMETERS}
       ${bn('x', 'y')}
       output "y" = %y`,
      `${X}
       const %y_s: f32[2,1,1] = [2, 3]
       const %y_t: f32[2,1,1] = [-9, -16]
       %y_scale_out: f32[1,2,3,3] = Mul(%x, %y_s)
       %y: f32[1,2,3,3] = Add(%y_scale_out, %y_t)
       output "y" = %y`,
    );
  });

  test('computed parameters', () => {
    const graph = graphOf(`${X}
      input %gamma: f32[2]
      ${PARAMETERS.replace(/const %gamma.*\n/, '')}
      ${bn('x', 'y')}
      output "y" = %y`);
    runPass(graph, expandBatchNorm);
    expect(graph.nodes.some((n) => n.op === 'BatchNormalization')).toBe(false);
    const last = producer(graph.outputs[0]?.value);
    expect(last && result(last).name).toBe('y');
  });
});
