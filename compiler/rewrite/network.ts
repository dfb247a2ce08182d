/** A graph that can be run many times, by the kernels that compiling it gives. */
import { cloneGraph } from '#ir/clone.ts';
import { evaluateGraph } from '#ir/evaluate.ts';
import type { Graph, Value } from '#ir/graph.ts';
import type { Tensor } from '#ir/tensor.ts';
import { runPipeline } from '#passes/pass.ts';
import { graphPipeline, lowerPipeline } from '#passes/pipeline.ts';
import type { TensorArray } from '#runtime/abi.ts';
import { RunnableModule } from '../check/run-module.ts';
import { writeConstants } from '../schedule/program.ts';
import { emitModule, lowerGraph, runExport, wasmTarget } from '../targets/wasm/index.ts';

/** One tensor per input of a graph, in its order. */
export type Sample = readonly Tensor[];

export interface Network {
  /** The outputs, in order of the graph's. */
  run(inputs: Sample): readonly Tensor[];
}

/**
 * The graph is left as it is; what kernels do not support is run by the reference.
 * @param options.passes run the exact passes first; yes unless said
 */
export async function runnableNetwork(
  source: Graph,
  { passes = true }: { readonly passes?: boolean } = {},
): Promise<Network> {
  const graph = cloneGraph(source);
  if (passes) runPipeline(graph, graphPipeline, { verify: false });
  runPipeline(graph, lowerPipeline, { verify: false });
  if (wasmTarget.unsupported(graph).length > 0) return referenceNetwork(source);
  const program = lowerGraph(graph);
  const { bytes, memory } = emitModule(program);
  const module = await RunnableModule.load(bytes, {
    memoryBytes: memory.pages * 65536,
    weightsAddress: memory.constants,
    weightBytes: program.constantBytes,
  });
  writeConstants(program.constantParts, module.weights);
  const addressed = (ports: typeof program.inputs) =>
    ports.map(({ name, type, offset }) => ({
      name,
      dtype: type.dtype,
      shape: type.shape,
      address: memory.arena + offset,
    }));
  const [inputs, outputs] = [addressed(program.inputs), addressed(program.outputs)];
  return {
    run: (sample) =>
      module
        .run(
          { run: runExport(0), inputs, outputs },
          sample.map((tensor) => tensor.data as TensorArray),
        )
        .map((data, i) => ({ type: program.outputs[i]?.type ?? { dtype: 'f32', shape: [] }, data })),
  };
}

function referenceNetwork(source: Graph): Network {
  const graph = cloneGraph(source);
  return {
    run(sample) {
      const inputs = graph.inputs.flatMap(({ name }, i) => {
        const tensor = sample[i];
        return tensor ? [[name, tensor] as const] : [];
      });
      const values = evaluateGraph(graph, new Map(inputs));
      return graph.outputs.flatMap(({ value }) => values.get(value) ?? []);
    },
  };
}

export const numbersOf = (data: ArrayLike<number | bigint> | undefined): ArrayLike<number> =>
  (data ?? []) as ArrayLike<number>;

/** A copy whose only outputs are values of these names, in order. */
export function withOutputs(source: Graph, names: readonly string[]): Graph {
  const graph = cloneGraph(source);
  const values = new Map<string, Value>(graph.values.map((v) => [v.name, v]));
  graph.setOutputs(
    names.flatMap((name, i) => {
      const value = values.get(name);
      return value ? [{ name: `${i}:${name}`, value }] : [];
    }),
  );
  return graph;
}
