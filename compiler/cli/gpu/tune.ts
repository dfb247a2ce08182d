/** Tuning on the adapter at hand. */
import { CompileError } from '#ir/diagnostics.ts';
import type { Graph } from '#ir/graph.ts';
import { seededInput, type TensorArray } from '#runtime/abi.ts';
import { emitProgram, type GpuPrecision, type GpuProgram } from '../../targets/webgpu/index.ts';
import type { AdapterKey } from '../../tune/adapters.ts';
import { type TuneGpuResult, tuneGpuGraph } from '../../tune/gpu.ts';
import type { Tuning } from '../../tune/tuning.ts';
import { adapterText, type Gpu, openGpu } from './device.ts';
import { contentOf, loadOn } from './program.ts';

export interface TuneOnGpuOptions {
  readonly precision: GpuPrecision;
  /** Also on an adapter that computes on the processor. */
  readonly software: boolean;
  readonly known: Tuning;
  readonly signal: AbortSignal;
  readonly onProgress: (fraction: number) => void;
}

export interface TunedOnGpu {
  readonly key: AdapterKey;
  /** Or why nothing was measured. */
  readonly result: TuneGpuResult | string;
}

/** @param graph lowered as `compile` does. @returns why there is no adapter, where there is none */
export async function tuneOnGpu(graph: Graph, options: TuneOnGpuOptions): Promise<TunedOnGpu | string> {
  const gpu = await openGpu().catch((error: unknown) => {
    if (error instanceof CompileError) return error.diagnostics.map(({ message }) => message).join('; ');
    throw error;
  });
  if (typeof gpu === 'string') return gpu;
  const { engine, name: adapter } = gpu;
  const key: AdapterKey = { engine, adapter, precision: options.precision };
  return { key, result: await measured(graph, gpu, key, options) };
}

async function measured(
  graph: Graph,
  gpu: Gpu,
  key: AdapterKey,
  { precision, software, known, signal, onProgress }: TuneOnGpuOptions,
): Promise<TuneGpuResult | string> {
  if (gpu.software && !software)
    return `${adapterText(gpu)} says nothing about a GPU; --tune-software measures it all the same`;
  const device = await gpu.device();
  try {
    if (!device.features.has('timestamp-query')) return `${adapterText(gpu)} has no timestamp-query`;
    if (precision === 'f16' && !device.features.has('shader-f16'))
      return `${adapterText(gpu)} has no shader-f16`;
    const load = async (program: GpuProgram) => {
      const content = contentOf(program, emitProgram(program));
      const loaded = await loadOn(device, { program, content });
      const inputs = content.inputs.map((type, i) => seededInput(type, 1, i) as TensorArray);
      loaded.write(loaded.readInputs(inputs), device.createCommandEncoder());
      return loaded;
    };
    return await tuneGpuGraph(graph, { key, limits: device.limits, known, load, signal, onProgress });
  } finally {
    device.destroy();
  }
}
