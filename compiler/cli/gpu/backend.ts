/** The kernels that `compile --target wasm,webgpu` generates, on the best adapter that there is. */
import type { Graph } from '#ir/graph.ts';
import type { Tensor } from '#ir/tensor.ts';
import type { GpuProgram } from '#runtime/gpu-program.ts';
import { type Backend, inputsOf, optimisedGraph } from '../backends.ts';
import type { Gpu } from './device.ts';
import { dataOf, gpuNetwork, loadOn, runOn } from './program.ts';

export const gpuBackend = (graph: Graph, gpu: Gpu): Backend => ({
  name: 'webgpu',
  inputs: inputsOf(graph),
  async run(inputs, { signal, onProgress }) {
    const network = gpuNetwork(optimisedGraph(graph, signal));
    const device = await gpu.device();
    let program: GpuProgram | undefined;
    try {
      program = await loadOn(device, network);
      signal.throwIfAborted();
      const results = await runOn(program, dataOf(network, inputs));
      onProgress?.(1, 1);
      return new Map(
        network.content.outputs.map(({ name, dtype }, i): [string, Tensor] => {
          const { data = new Float32Array(), shape = [] } = results[i] ?? {};
          return [name, { type: { dtype, shape }, data }];
        }),
      );
    } finally {
      program?.dispose();
      device.destroy();
    }
  },
});
