/** A network of which some layers have no kernel on a GPU: these run on WebAssembly, between the others. */
import { type Diagnostic, diagnostic, InternalError } from '#ir/diagnostics.ts';
import { type Graph, opCost } from '#ir/graph.ts';
import { elementCount } from '#ir/types.ts';
import type { ManifestTensor, SplitPart } from '#runtime/abi.ts';
import { SELF_TEST_SEED } from './bundle/self-test.ts';
import type { BundleSplit } from './bundle/writer.ts';
import { checkProgram } from './check/self-check.ts';
import { type SplitStats, throwAny } from './compile-options.ts';
import { addressed } from './modules.ts';
import { ConstantPool, type LinkedProgram } from './schedule/link.ts';
import { type Partition, partition } from './schedule/partition.ts';
import { writeConstants } from './schedule/program.ts';
import { emitLinked, lowerGraph, runExport, type WasmKernel } from './targets/wasm/index.ts';
import { type GpuPrecision, refusal, unsupported, WORD_BYTES } from './targets/webgpu/index.ts';
import type { Variant } from './variant.ts';

/**
 * The parts of a network that a GPU cannot run as a whole; undefined where it can.
 * @throws CompileError with what the GPU lacks, where nothing with multiplications would be left for it
 */
export function partsForGpu(graph: Graph, precision?: GpuPrecision): Partition | undefined {
  const problems = unsupported(graph, precision);
  if (problems.length === 0) return undefined;
  const parts = cut(graph, problems);
  if (!parts) throwAny(problems);
  return parts;
}

/** The parts of a network with layers that a GPU refuses; undefined where it cannot be cut, or nothing would be left. */
export function cut(graph: Graph, problems: readonly Diagnostic[]): Partition | undefined {
  const refused = new Set(graph.nodes.filter((node) => refusal(node) !== undefined));
  const work = graph.nodes.some((node) => !refused.has(node) && opCost(node).macs > 0);
  // what else there is against it concerns constants, which would be as large in a part
  return work && refused.size === problems.length
    ? partition(graph, (node) => !refused.has(node))
    : undefined;
}

/** What one run copies between GPU and WebAssembly, over its parts. */
export function copiesOf({ parts }: Partition): SplitStats {
  const madeOnDevice = new Map<number, boolean>();
  const read = new Set<number>();
  let [copies, bytes] = [0, 0];
  for (const { graph, inputs, outputs, onDevice } of parts) {
    inputs.forEach((number, i) => {
      const from = madeOnDevice.get(number);
      const type = graph.inputs[i]?.type;
      // what is read back is read back once, what goes to the device, for each part
      if (from === undefined || from === onDevice || (from && read.has(number)) || !type) return;
      if (from) read.add(number);
      copies++;
      bytes += WORD_BYTES * elementCount(type.shape);
    });
    for (const number of outputs) madeOnDevice.set(number, onDevice);
  }
  return { parts: parts.length, copies, bytes };
}

/** The parts on WebAssembly as one module, whose layers are compared with the reference. */
export async function splitFiles(
  name: string,
  { parts, outputs }: Partition,
  copies: SplitStats,
  signal: AbortSignal | undefined,
): Promise<BundleSplit> {
  const pool = new ConstantPool();
  const linked: LinkedProgram<WasmKernel>[] = [];
  for (const { graph, onDevice } of parts) {
    if (onDevice) continue;
    const program = lowerGraph(graph);
    await checkProgram(program, SELF_TEST_SEED, signal ? { signal } : {});
    linked.push(pool.add(program));
  }
  const code = emitLinked(name, linked, pool.constantBytes);
  if (!WebAssembly.validate(code.bytes)) throw new InternalError('the module of the parts is not valid');
  const weights = new Uint8Array(pool.constantBytes);
  writeConstants(pool.constantParts, weights);
  let index = 0;
  return {
    parts: parts.map((part): SplitPart => {
      if (part.onDevice) {
        const { inputs, outputs } = tensorsOf(part.graph);
        return { inputs: part.inputs, outputs: part.outputs, inputTensors: inputs, outputTensors: outputs };
      }
      const program = linked[index];
      const run = runExport(index++);
      const ports = (list: 'inputs' | 'outputs') => addressed(program?.[list] ?? [], code);
      return {
        inputs: part.inputs,
        outputs: part.outputs,
        run,
        inputTensors: ports('inputs'),
        outputTensors: ports('outputs'),
      };
    }),
    outputs,
    copies: { values: copies.copies, bytes: copies.bytes },
    wasm: {
      place: {
        weightsAddress: code.memory.constants,
        memoryBytes: code.memory.pages * 65536,
        mostThreads: 1,
      },
      modules: [{ engine: 'simd', threads: false, file: 'split.wasm', bytes: code.bytes }],
      weights,
    },
  };
}

/** What goes in and out of a graph on a GPU, where every type has words of 32 bits. */
export const tensorsOf = (
  graph: Graph,
  pictures: Variant['pictures'] = new Map(),
): Record<'inputs' | 'outputs', ManifestTensor[]> => ({
  inputs: graph.inputs.map(({ name, type: { dtype, shape } }) => {
    const picture = pictures.get(name);
    return { name, dtype, shape, ...(picture ? { picture } : {}) };
  }),
  outputs: graph.outputs.map(({ name, value: { type }, count }) => ({
    name,
    dtype: type.dtype,
    shape: type.shape,
    ...(count ? { count: { axis: count.axis } } : {}),
  })),
});

/** Said when a bundle is compiled. */
export function splitNote(graph: Graph, { parts, copies, bytes }: SplitStats): Diagnostic {
  const refused = graph.nodes.flatMap((node) => {
    const reason = refusal(node);
    return reason === undefined ? [] : [`${node.name} (${node.op} on WebGPU: ${reason})`];
  });
  const more = refused.length > 3 ? ` and ${refused.length - 3} more` : '';
  const message =
    `${refused.slice(0, 3).join(', ')}${more} on WebAssembly: ` +
    `a run on a GPU has ${parts} parts and copies ${copies} values of ${bytes} bytes between them`;
  return diagnostic('gpu-split', graph.name, message);
}
