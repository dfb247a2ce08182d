/** What a model takes once it is compiled, like the data sheet of a microcontroller library: activations, weights, code. */
import type { Graph } from '#ir/graph.ts';
import { RUNTIME_SOURCE } from '../bundle/generated/runtime-source.ts';
import { planProgram } from '../plan.ts';
import { emitModule, memoryMap } from '../targets/wasm/index.ts';
import type { AuditFootprint } from './schema.ts';

const PAGE_BYTES = 65536;

/**
 * Of the program that `compile` makes by default.
 * @param code also generate the code, for its size
 * @throws CompileError for nodes that cannot be compiled
 */
export function footprintOf(
  graph: Graph,
  { code = false }: { readonly code?: boolean } = {},
): AuditFootprint {
  const program = planProgram(graph);
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
  };
}

function codeOf(program: Parameters<typeof emitModule>[0]): NonNullable<AuditFootprint['code']> {
  const { bytes, kernels } = emitModule(program);
  return { wasmBytes: bytes.byteLength, loaderBytes: RUNTIME_SOURCE.length, kernels: kernels.length };
}
