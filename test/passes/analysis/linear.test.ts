import { expect, test } from 'vitest';
import { audit } from '#compiler/audit/index.ts';
import { importOnnx } from '#compiler/import/onnx/index.ts';
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

test('twice the nodes are twice the work of an audit', async () => {
  const bodies = [500, 500, 1000, 2000].map(chain).map((model) => () => void auditOf(model));
  const [, small = 0, medium = 0, large = 0] = await blocksRun(bodies);
  expect(small).toBeGreaterThan(500 * 50);
  for (const ratio of [medium / small, large / medium]) {
    expect(ratio).toBeGreaterThan(1.7);
    expect(ratio).toBeLessThan(2.2);
  }
});

test('20,000 nodes are audited', () => {
  const report = auditOf(chain(20000));
  expect(report.layers).toHaveLength(20000);
  expect(report.totals.macsExpr).toBe(`${8000 * 16 * 64}·N`);
}, 60_000);
