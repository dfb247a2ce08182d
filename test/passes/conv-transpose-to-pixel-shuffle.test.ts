import { describe, expect, test } from 'vitest';
import { Builder } from '#ir/builder.ts';
import { cloneGraph } from '#ir/clone.ts';
import { convTransposeToPixelShuffle } from '#passes/fuse/conv-transpose-to-pixel-shuffle.ts';
import { graphTotals, passNames, runPass } from '#passes/pass.ts';
import { graphPipeline, graphPipelineWith, OPTIONAL_PASSES } from '#passes/pipeline.ts';
import { compareGraphs, Random } from '../support/graphs.ts';
import { conv, expectRefusal, expectRewrite } from './rewriting.ts';

const transposed = (changes: Parameters<typeof conv>[0] = {}, outputPadding = '[0,0]') =>
  `${conv({ strides: '[2,2]', ...changes }).slice(0, -1)}, outputPadding=${outputPadding}}`;

describe('convTransposeToPixelShuffle', () => {
  test('each tap is a channel', () => {
    expectRewrite(
      convTransposeToPixelShuffle,
      `input %x: f32[1,2,2,3]
       const %w: f32[2,1,2,2] = [1, 2, 3, 4, 5, 6, 7, 8]
       const %b: f32[1] = [9]
       %y: f32[1,1,4,6] = ConvTranspose(%x, %w, %b) ${transposed()}
       output "y" = %y`,
      `input %x: f32[1,2,2,3]
       const %w: f32[4,2,1,1] = [1, 5, 2, 6, 3, 7, 4, 8]
       const %b: f32[4] = [9, 9, 9, 9]
       %y_out: f32[1,4,2,3] = Conv(%x, %w, %b) ${conv()} name "y"
       %y: f32[1,1,4,6] = DepthToSpace(%y_out) {blocksize=2, mode="CRD"} name "y_shuffle"
       output "y" = %y`,
    );
  });

  test.each([
    [1, 2],
    [2, 2],
    [4, 3],
  ])('in %i groups, stride %i, with the MACs it had', (group, stride) => {
    const random = new Random(group);
    const b = new Builder('transposed');
    const x = b.input('x', [2, 8, 3, 2]);
    const weight = b.constant('w', random.tensor([8, 3, stride, stride]));
    const attrs = {
      strides: [stride, stride],
      dilations: [1, 1],
      pads: [0, 0, 0, 0],
      outputPadding: [0, 0],
      group,
    };
    b.output('y', b.op('ConvTranspose', [x, weight], attrs));
    const after = cloneGraph(b.graph);
    runPass(after, convTransposeToPixelShuffle);
    expect(after.nodes.map((n) => n.op)).toEqual(['Conv', 'DepthToSpace']);
    expect(compareGraphs(b.graph, after)).toBeLessThan(1e-6);
    expect(graphTotals(after).macs).toBe(graphTotals(b.graph).macs);
  });

  const node = (size: string, attrs: string, w = 'const %w: f32[1,1,2,2] = [1, 2, 3, 4]') => `
    input %x: f32[1,1,3,3]
    ${w}
    %y: f32[1,1,${size}] = ConvTranspose(%x, %w) ${attrs}
    output "y" = %y`;

  test.each([
    [
      'two strides',
      node('6,4', transposed({ strides: '[2,1]' })),
      '"y" has no one stride over two axes, as DepthToSpace asks',
    ],
    [
      'a kernel that leaves gaps',
      node('8,8', transposed({ strides: '[3,3]' })),
      'the kernel of "y" is not as large as its stride',
    ],
    ['dilation', node('7,7', transposed({ dilations: '[2,2]' })), '"y" is dilated'],
    ['a crop', node('5,6', transposed({ pads: '[1,0,0,0]' })), '"y" crops its result'],
    ['output padding', node('7,6', transposed({}, '[1,0]')), '"y" pads its result'],
    [
      'computed weights',
      node('6,6', transposed(), 'input %w: f32[1,1,2,2]'),
      'the weights of "y" are not constant',
    ],
  ])('refused: %s', (_, lines, reason) => {
    expectRefusal(convTransposeToPixelShuffle, lines, reason);
  });
});

test('passes that trade one thing for another run where they are asked for, and say what for what', () => {
  const names = OPTIONAL_PASSES.map(({ pass }) => pass.name);
  expect(names).toEqual(['convTransposeToPixelShuffle']);
  expect(passNames(graphPipeline).filter((name) => names.includes(name))).toEqual([]);
  expect(graphPipelineWith([])).toEqual(graphPipeline);
  expect(passNames(graphPipelineWith(names))).toEqual([...passNames(graphPipeline), ...names]);
  for (const { trades, because } of OPTIONAL_PASSES) expect([trades, because]).not.toContain('');
});
