/**
 * Exact passes on the zoo: onnxruntime-web's output of the exported model against its output of the original. They may
 * differ by 1e-5 of the largest magnitude, or by 3 times what its own optimisations change on that model.
 */
import { expect, test } from 'vitest';
import { exportOnnx } from '#compiler/export/onnx/index.ts';
import { readModel } from '#compiler/files/index.ts';
import { planProgram } from '#compiler/plan.ts';
import { DEVICES } from '#compiler/roofline/devices.ts';
import { cloneGraph } from '#ir/clone.ts';
import type { Graph } from '#ir/graph.ts';
import { graphCost } from '#passes/analysis/cost.ts';
import { runPipeline } from '#passes/pass.ts';
import { graphPipeline } from '#passes/pipeline.ts';
import { compareOutputs } from '../support/agreement.ts';
import { withModels, zooModel, zooNames } from '../support/collection.ts';
import { runOnnxruntime } from '../support/onnxruntime.ts';
import { noise } from '../support/op.ts';

/** By the data sheet of a device, each node by itself: the longer of its arithmetic and of its traffic. */
function predictedNs(graph: Graph): number {
  const [{ gflops, gigabytesPerSecond }] = DEVICES;
  return [...graphCost(graph).nodes.values()].reduce(
    (sum, { flops, bytesRead, bytesWritten }) =>
      sum + Math.max(flops / gflops, (bytesRead + bytesWritten) / gigabytesPerSecond),
    0,
  );
}

withModels.describe('exact passes on the zoo', () => {
  for (const name of zooNames()) {
    test(name, async () => {
      const { model: path } = await zooModel(name);
      const { graph: before } = await readModel(path, { requireWeights: true });
      const graph = cloneGraph(before);
      runPipeline(graph, graphPipeline);
      const [was, is] = [graphCost(before).totals, graphCost(graph).totals];
      expect(is.macs).toBeLessThanOrEqual(was.macs);
      expect(is.bytesRead + is.bytesWritten).toBeLessThanOrEqual(was.bytesRead + was.bytesWritten);

      expect(predictedNs(graph)).toBeLessThanOrEqual(predictedNs(before));

      const feeds = Object.fromEntries(
        before.inputs.map(({ name: input, type }) => [
          input,
          { data: noise(type.shape).data as Float32Array, shape: type.shape },
        ]),
      );
      const original = await runOnnxruntime(path, feeds);
      const plain = await runOnnxruntime(path, feeds, { optimization: 'disabled' });
      const rewritten = await runOnnxruntime(exportOnnx(graph).model, feeds);
      let [worst, own] = [0, 0];
      for (const { name: output, value } of before.outputs) {
        const want = original[output]?.data as Float32Array;
        const shape = value.type.shape;
        worst = Math.max(
          worst,
          compareOutputs(want, rewritten[output]?.data as Float32Array, shape).relative,
        );
        own = Math.max(own, compareOutputs(want, plain[output]?.data as Float32Array, shape).relative);
      }
      const calls = planProgram(before).calls.length;
      console.log(
        `${name}: ${worst.toExponential(1)} off; onnxruntime by its own optimisations ${own.toExponential(1)}; ` +
          `nodes ${before.nodes.length} → ${graph.nodes.length}, kernel calls ${calls}`,
      );
      expect(worst).toBeLessThanOrEqual(Math.max(1e-5, 3 * own));
    }, 240_000);
  }
});
