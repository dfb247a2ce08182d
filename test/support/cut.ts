/** Bundles of networks in parts, cut where a test wants. */
import { makeBundle } from '#compiler/bundle/writer.ts';
import { compileGraph } from '#compiler/compile.ts';
import { compiledForGpu } from '#compiler/compile-gpu.ts';
import { optimised } from '#compiler/prepare.ts';
import type { PreprocessOptions } from '#compiler/preprocess/options.ts';
import { partition } from '#compiler/schedule/partition.ts';
import { lowerGraph } from '#compiler/targets/wasm/index.ts';
import { variantsOf } from '#compiler/variant.ts';
import { outputsOf } from '#compiler/weights/rounding-error.ts';
import type { Graph, Node } from '#ir/graph.ts';
import type { TensorArray } from '#runtime/abi.ts';
import { write } from './bundles.ts';

export async function lowered(source: Graph, preprocess?: PreprocessOptions) {
  const [variant] = variantsOf([source], [], preprocess);
  if (!variant) throw new Error('one graph is one variant');
  return { variant, graph: await optimised(variant, {}) };
}

/** A bundle whose parts are made as if only some layers had kernels on WebGPU. */
export async function cutBundle(
  source: Graph,
  onDevice: (node: Node) => boolean,
  preprocess?: PreprocessOptions,
): Promise<string> {
  const { variant, graph } = await lowered(source, preprocess);
  const { files: webgpu } = await compiledForGpu(graph, variant, {}, partition(graph, onDevice));
  const { abi, name, generator, inputs, outputs, cost } = (
    await compileGraph(source, preprocess ? { preprocess } : {})
  ).manifest;
  const program = { abi, name, generator, inputs, outputs, cost };
  const seededOutputs = (await outputsOf(lowerGraph(graph))) as TensorArray[];
  return write(await makeBundle({ program, webgpu, seededOutputs }));
}
