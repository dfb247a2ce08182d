import { expect, test } from 'vitest';
import { contractBatchNorm } from '#passes/fuse/contract-batch-norm.ts';
import { expandBatchNorm } from '#passes/fuse/expand-batch-norm.ts';
import { runPass } from '#passes/pass.ts';
import { compareGraphs } from '../support/graphs.ts';
import { body, expectRefusal, graphOf } from './rewriting.ts';

const LINES = `
  input %x: f32[1,2,3]
  const %s: f32[2,1] = [2, 3]
  const %t: f32[2,1] = [-1, 0.5]
  %m: f32[1,2,3] = Mul(%x, %s)
  %y: f32[1,2,3] = Add(%m, %t)
  output "y" = %y
`;

test('a multiplication and an addition per channel are one batch normalisation, and that is them again', () => {
  const [original, graph] = [graphOf(LINES), graphOf(LINES)];
  expect(runPass(graph, contractBatchNorm).changes).toBe(1);
  expect(graph.nodes.map((n) => n.op)).toEqual(['BatchNormalization']);
  expect(compareGraphs(original, graph)).toBe(0);
  runPass(graph, expandBatchNorm);
  expect(graph.nodes.map((n) => n.op)).toEqual(['Mul', 'Add']);
  expect(compareGraphs(original, graph)).toBe(0);
});

test('a product that is read elsewhere stays', () => {
  expectRefusal(contractBatchNorm, `${LINES}\n  output "m" = %m`, '"m" is also an output of the graph');
});

test('one number for all channels stays two ops', () => {
  const lines = LINES.replaceAll('[2,1]', '[1,1]').replace('[2, 3]', '[2]').replace('[-1, 0.5]', '[1]');
  const graph = graphOf(lines);
  expect(runPass(graph, contractBatchNorm).changes).toBe(0);
  expect(body(graph)).toBe(body(graphOf(lines)));
});
