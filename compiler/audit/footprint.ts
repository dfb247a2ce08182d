/** What a model takes once it is compiled, like the data sheet of a microcontroller library: activations, weights, code. */
import type { Graph } from '#ir/graph.ts';
import { RUNTIME_SOURCE } from '../bundle/generated/runtime-source.ts';
import { gpuScript } from '../bundle/gpu-script.ts';
import { lowerPlan, planGraph } from '../plan.ts';
import { emitModule, memoryMap } from '../targets/wasm/index.ts';
import {
  emitProgram,
  GPU_PRECISIONS,
  type GpuPrecision,
  lowerGraph as lowerOnGpu,
  memoryOf,
  unsupported as unsupportedOnGpu,
} from '../targets/webgpu/index.ts';
import type { AuditFootprint } from './schema.ts';

const PAGE_BYTES = 65536;

/**
 * Of the program that `compile` makes by default.
 * @param code also generate the code, for its size
 * @throws CompileError for nodes that cannot be compiled
 */
export function footprintOf(
  source: Graph,
  { code = false }: { readonly code?: boolean } = {},
): AuditFootprint {
  const graph = planGraph(source);
  const program = lowerPlan(graph);
  const { calls, liveBytes, arenaBytes, arenaLowerBound, constantBytes } = program;
  const layerOf = (call: number): string => calls[call]?.node?.name ?? '(outputs)';
  const peak = liveBytes.reduce((best, bytes, i) => (bytes > (liveBytes[best] ?? 0) ? i : best), 0);
  return {
    activationBytes: arenaBytes,
    activationLowerBoundBytes: arenaLowerBound,
    peakLayer: calls.length === 0 ? null : layerOf(peak),
    weightBytes: constantBytes,
    memoryBytes: memoryMap(program).pages * PAGE_BYTES,
    timeline: calls.map((_, i) => ({ layer: layerOf(i), bytes: liveBytes[i] ?? 0 })),
    ...(code ? { code: codeOf(program) } : {}),
    webgpu: GPU_PRECISIONS.map((precision) => onGpu(graph, precision, code)),
  };
}

function codeOf(program: Parameters<typeof emitModule>[0]): NonNullable<AuditFootprint['code']> {
  const { bytes, kernels } = emitModule(program);
  return { wasmBytes: bytes.byteLength, loaderBytes: RUNTIME_SOURCE.length, kernels: kernels.length };
}

/** What `compile --target wasm,webgpu` makes of it besides; or why it makes nothing. */
function onGpu(graph: Graph, precision: GpuPrecision, code: boolean): AuditFootprint['webgpu'][number] {
  const [refused, ...more] = unsupportedOnGpu(graph, precision);
  if (refused) {
    const others = more.length > 0 ? ` and ${more.length} more` : '';
    return { precision, missing: `${refused.subject}: ${refused.message}${others}` };
  }
  const program = lowerOnGpu(graph, precision);
  const { arenaBytes, halvesBytes, banks } = memoryOf(program);
  return {
    precision,
    dispatches: program.calls.length,
    activationBytes: arenaBytes,
    halvesBytes,
    constantBytes: banks.reduce((sum, bytes) => sum + bytes, 0),
    constantBuffers: banks.length,
    ...(code ? { code: gpuCodeOf(program) } : {}),
  };
}

type OnGpu = Extract<AuditFootprint['webgpu'][number], { readonly dispatches: number }>;

function gpuCodeOf(program: Parameters<typeof emitProgram>[0]): NonNullable<OnGpu['code']> {
  const { wgsl, plan } = emitProgram(program);
  const bytes = (text: string) => new TextEncoder().encode(text).byteLength;
  return {
    scriptBytes: bytes(gpuScript([plan], null)),
    wgslBytes: bytes(wgsl),
    kernels: plan.kernels.length,
  };
}
