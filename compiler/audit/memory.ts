/** The memory section of a report: where activations lie, and how much of that sharing saves. */
import { type Graph, opDef } from '#ir/graph.ts';
import { type GraphLiveness, peakBytes } from '#passes/analysis/liveness.ts';
import type { AuditMemory } from './schema.ts';

/** Of the graph as it is, its nodes run one by one. */
export function memoryOf(
  graph: Graph,
  { peakBytes: planBytes, liveBytes, peakNode }: GraphLiveness,
): AuditMemory {
  const joins = graph.nodes.some((node) => opDef(node.op).traits.joins);
  return {
    planBytes,
    lowerBoundBytes: liveBytes,
    peakLayer: peakNode?.name ?? null,
    // plans are found step by step: one with more freedom can come out larger
    inPlaceSavedBytes: Math.max(0, peakBytes(graph, { inPlace: false }) - planBytes),
    concatSlicesSavedBytes: joins
      ? planBytes - Math.min(planBytes, peakBytes(graph, { concatBySlices: true }))
      : 0,
  };
}
