/** The memory section of a report: where activations lie, and how much of that sharing saves. */
import { type Graph, opDef } from '#ir/graph.ts';
import { type GraphLiveness, graphLiveness } from '#passes/analysis/liveness.ts';
import type { AuditMemory } from './schema.ts';

/** Of the graph as it is, its nodes run one by one. */
export function memoryOf(graph: Graph, { peakBytes, liveBytes, peakNode }: GraphLiveness): AuditMemory {
  const joins = graph.nodes.some((node) => opDef(node.op).traits.joins);
  const peakWith = (options: Parameters<typeof graphLiveness>[1]) => graphLiveness(graph, options).peakBytes;
  return {
    planBytes: peakBytes,
    lowerBoundBytes: liveBytes,
    peakLayer: peakNode?.name ?? null,
    // plans are found step by step: one with more freedom can come out larger
    inPlaceSavedBytes: Math.max(0, peakWith({ inPlace: false }) - peakBytes),
    concatSlicesSavedBytes: joins ? peakBytes - Math.min(peakBytes, peakWith({ concatBySlices: true })) : 0,
  };
}
