/** Random networks through everything: passes, kernels, code, self-check, and the results against the reference. */
import { compileGraph } from '#compiler/compile.ts';
import { cloneGraph } from '#ir/clone.ts';
import { evaluateGraph } from '#ir/evaluate.ts';
import type { Graph } from '#ir/graph.ts';
import type { Tensor } from '#ir/tensor.ts';
import { runPipeline } from '#passes/pass.ts';
import { graphPipeline, lowerPipeline } from '#passes/pipeline.ts';
import { randomInputs } from './graphs.ts';
import { differences, relativeDifference, runBundle } from './wasm.ts';

/** Of the largest magnitude: for one node on equal operands, and for a whole network whose passes reorder sums. */
const NODE_BOUND = 1e-4;
const NETWORK_BOUND = 5e-4;

/** What is wrong with the compiled form of a network; nothing if all is well. */
export async function compiledFaults(graph: Graph): Promise<string[]> {
  const faults: string[] = [];
  const inputs = randomInputs(graph, 7);
  const lowered = cloneGraph(graph);
  runPipeline(lowered, graphPipeline);
  runPipeline(lowered, lowerPipeline);
  for (const { node, op, relative } of await differences(lowered, inputs)) {
    if (!(relative <= NODE_BOUND)) faults.push(`${op} ${node} is off by ${relative}`);
  }
  const expected = evaluateGraph(graph, inputs);
  const bundle = await compileGraph(graph);
  // the second run starts from what the first one left
  for (const [run, outputs] of runBundle(bundle, inputs, 2).entries()) {
    for (const { name, value } of graph.outputs) {
      const want = expected.get(value);
      const got: Tensor | undefined = outputs.get(name);
      const relative = want && got ? relativeDifference(want, got) : Number.NaN;
      if (!(relative <= NETWORK_BOUND)) faults.push(`run ${run}: output ${name} is off by ${relative}`);
    }
  }
  return faults;
}
