/** How many kernel calls an inference takes, before the passes and after, and how long writing a model takes. */
import { exportOnnx } from '#compiler/export/onnx/index.ts';
import { readModel } from '#compiler/files/index.ts';
import { lowerGraph } from '#compiler/targets/wasm/index.ts';
import { cloneGraph } from '#ir/clone.ts';
import type { Graph } from '#ir/graph.ts';
import { expandComposites } from '#passes/canonicalize/expand-composites.ts';
import { foldConstants } from '#passes/canonicalize/fold-constants.ts';
import { removeDeadValues } from '#passes/canonicalize/remove-dead-values.ts';
import { expandBatchNorm } from '#passes/fuse/expand-batch-norm.ts';
import { runPass, runPipeline } from '#passes/pass.ts';
import { graphPipeline, lowerPipeline } from '#passes/pipeline.ts';

export interface Calls {
  readonly nodes: number;
  /** Each node by itself, batch norms and composites as the ops that they are made of. */
  readonly before: number;
  readonly exactNodes: number;
  readonly after: number;
}

const callsOf = (graph: Graph): number => lowerGraph(graph).calls.length;

export async function kernelCalls(path: string): Promise<Calls> {
  const { graph } = await readModel(path, { requireWeights: true });
  const single = cloneGraph(graph);
  for (const pass of [expandComposites, expandBatchNorm, removeDeadValues, foldConstants])
    runPass(single, pass);
  const fused = cloneGraph(graph);
  runPipeline(fused, graphPipeline);
  const exactNodes = fused.nodes.length;
  runPipeline(fused, lowerPipeline);
  return { nodes: graph.nodes.length, before: callsOf(single), exactNodes, after: callsOf(fused) };
}

/** Milliseconds that writing a model takes, the least of three. */
export async function exportTime(path: string): Promise<{ readonly ms: number; readonly bytes: number }> {
  const { graph, opset } = await readModel(path, { requireWeights: true });
  let [ms, bytes] = [Number.POSITIVE_INFINITY, 0];
  for (let i = 0; i < 3; i++) {
    const start = performance.now();
    bytes = exportOnnx(graph, { opset }).model.length;
    ms = Math.min(ms, performance.now() - start);
  }
  return { ms, bytes };
}
