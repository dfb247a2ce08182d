import { expect, test } from 'vitest';
import { audit } from '#compiler/audit/index.ts';
import { importOnnx } from '#compiler/import/onnx/index.ts';
import { Builder } from '#ir/builder.ts';
import type { Graph } from '#ir/graph.ts';
import { tensor } from '#ir/tensor.ts';
import { mergeParallelConvs } from '#passes/fuse/merge-parallel-convs.ts';
import { runPass } from '#passes/pass.ts';
import { info, node, onnxModel, stored } from '../../support/onnx.ts';
import { blocksRun } from '../../support/work.ts';

/** Residual blocks, one after the other. */
function chain(nodes: number): Uint8Array<ArrayBuffer> {
  const blocks = Array.from({ length: nodes / 5 }, (_, i) => i);
  const weights = (name: string) =>
    stored(
      name,
      [4, 4, 1, 1],
      Float32Array.from({ length: 16 }, (_, i) => i + 1),
    );
  return onnxModel({
    inputs: [info('v0', ['N', 4, 8, 8])],
    outputs: [`v${blocks.length}`],
    initializers: blocks.flatMap((i) => [weights(`w${i}`), weights(`u${i}`)]),
    nodes: blocks.flatMap((i) => [
      node('Conv', [`v${i}`, `w${i}`], [`a${i}`]),
      node('Relu', [`a${i}`], [`b${i}`]),
      node('Conv', [`b${i}`, `u${i}`], [`c${i}`]),
      node('Add', [`c${i}`, `v${i}`], [`d${i}`]),
      node('Relu', [`d${i}`], [`v${i + 1}`]),
    ]),
  });
}

const auditOf = (model: Uint8Array) => audit((dims) => importOnnx(model, { dims }));

/** The results of all layers of a chain, added up: a sum whose terms are each of another value. */
function longSum(layers: number): Graph {
  const b = new Builder();
  const weight = () => b.constant('w', tensor('f32', [2, 2, 3], new Float32Array(12).fill(1)));
  const results = [b.input('x', [1, 2, 4])];
  for (let value = results[0]; value && results.length <= layers; results.push(value))
    value = b.conv(value, weight(), { strides: [1], dilations: [1], pads: [1, 1] });
  b.output(
    'y',
    results.reduce((sum, term) => b.add(sum, term)),
  );
  return b.graph;
}

test('twice the nodes are twice the work of an audit, and of the merging of branches', async () => {
  const bodies = [
    ...[500, 500, 1000, 2000].map(chain).map((model) => () => void auditOf(model)),
    ...[500, 500, 1000].map(longSum).map((graph) => () => void runPass(graph, mergeParallelConvs)),
  ];
  const [, small = 0, medium = 0, large = 0, , short = 0, long = 0] = await blocksRun(bodies);
  expect(small).toBeGreaterThan(500 * 50);
  expect(short).toBeGreaterThan(500 * 10);
  for (const ratio of [medium / small, large / medium, long / short]) {
    expect(ratio).toBeGreaterThan(1.7);
    expect(ratio).toBeLessThan(2.2);
  }
});

test('20,000 nodes are audited', () => {
  const report = auditOf(chain(20000));
  expect(report.layers).toHaveLength(20000);
  expect(report.totals.macsExpr).toBe(`${8000 * 16 * 64}·N`);
}, 60_000);
