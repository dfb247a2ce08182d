/** What a model takes once it is compiled, like the data sheet of a microcontroller library: activations, weights, code. */

import { CompileError } from '#ir/diagnostics.ts';
import type { Graph } from '#ir/graph.ts';
import { MODULE_BREAK } from '#runtime/gpu-plan.ts';
import { RUNTIME_SOURCE } from '../bundle/generated/runtime-source.ts';
import { gpuScript } from '../bundle/gpu-script.ts';
import type { SplitStats } from '../compile-options.ts';
import { copiesOf, partsForGpu } from '../compile-split.ts';
import { lowerPlan, planGraph } from '../plan.ts';
import { emitModule, memoryMap } from '../targets/wasm/index.ts';
import {
  emitProgram,
  GPU_PRECISIONS,
  type GpuPrecision,
  type GpuProgram,
  lowerGraph as lowerOnGpu,
  memoryOf,
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

type GpuFootprint = NonNullable<AuditFootprint['webgpu']>[number];

/** What `compile --target wasm,webgpu` makes of it besides; or why it makes nothing. */
function onGpu(graph: Graph, precision: GpuPrecision, code: boolean): GpuFootprint {
  const found = graphsOnGpu(graph, precision);
  if (typeof found === 'string') return { precision, missing: found };
  const { graphs, split } = found;
  const programs = graphs.map((part) => lowerOnGpu(part, precision));
  const memories = programs.map(memoryOf);
  const banks = memories.flatMap((memory) => memory.banks);
  const sum = (list: readonly number[]) => list.reduce((a, b) => a + b, 0);
  return {
    precision,
    dispatches: sum(programs.map(({ calls }) => calls.length)),
    activationBytes: sum(memories.map(({ arenaBytes }) => arenaBytes)),
    halvesBytes: sum(memories.map(({ halvesBytes }) => halvesBytes)),
    constantBytes: sum(banks),
    constantBuffers: banks.length,
    ...(split && { split }),
    ...(code ? { code: gpuCodeOf(programs) } : {}),
  };
}

function graphsOnGpu(
  graph: Graph,
  precision: GpuPrecision,
): { readonly graphs: readonly Graph[]; readonly split?: SplitStats } | string {
  try {
    const partition = partsForGpu(graph, precision);
    if (!partition) return { graphs: [graph] };
    const graphs = partition.parts.flatMap((part) => (part.onDevice ? [part.graph] : []));
    return { graphs, split: copiesOf(partition) };
  } catch (error) {
    if (!(error instanceof CompileError)) throw error;
    const [first, ...more] = error.diagnostics;
    return `${first?.subject}: ${first?.message}${more.length > 0 ? ` and ${more.length} more` : ''}`;
  }
}

type OnGpu = Extract<GpuFootprint, { readonly dispatches: number }>;

function gpuCodeOf(programs: readonly GpuProgram[]): NonNullable<OnGpu['code']> {
  const codes = programs.map(emitProgram);
  const bytes = (text: string) => new TextEncoder().encode(text).byteLength;
  const plans = codes.map(({ plan }) => plan);
  return {
    scriptBytes: bytes(gpuScript(plans, null)),
    wgslBytes: bytes(codes.map(({ wgsl }) => wgsl).join(MODULE_BREAK)),
    kernels: plans.reduce((n, { kernels }) => n + kernels.length, 0),
  };
}
