/** What a report says at example sizes of dimensions that nobody gave. */
import type { PresetName } from '#passes/analysis/presets/index.ts';
import { countedTotals } from './counted.ts';
import { type Facts, sizedCosts } from './facts.ts';
import { compositeSums } from './findings.ts';
import { kindsOf, modulesOf, opsOf } from './groups.ts';
import { layerOf } from './layers.ts';
import { memoryOf } from './memory.ts';
import type { AuditExample, AuditReport } from './schema.ts';

/** @param facts of the graph at the example sizes, taken as known */
export function exampleOf(facts: Facts, preset: PresetName): AuditExample {
  const { graph, cost, liveness } = facts;
  const presets = countedTotals(cost, true, true);
  return {
    totals: {
      macs: cost.totals.macs,
      counted: presets[preset],
      presets,
      ...sizedCosts(cost.totals, true),
      peakActivationBytes: liveness.peakBytes,
      peakLayer: liveness.peakNode?.name ?? null,
    },
    layers: graph.nodes.map((node) => {
      const layer = layerOf(node, facts);
      const { macs, macsShare, counted, flops, otherOps, bytesRead, bytesWritten, intensity } = layer;
      const { liveBytes } = layer;
      return { macs, macsShare, counted, flops, otherOps, bytesRead, bytesWritten, intensity, liveBytes };
    }),
    byComposite: compositeSums(facts),
    memory: memoryOf(graph, liveness),
  };
}

/** The report with every figure, those that depend on missing sizes at the example sizes; as it is where none are missing. */
export function atExample({ example, ...report }: AuditReport): AuditReport {
  if (!example) return report;
  const { macsReason: _, ...totals } = report.totals;
  const layers = report.layers.map((layer, i) => ({ ...layer, ...example.layers[i] }));
  const macs = example.totals.macs ?? 0;
  return {
    ...report,
    totals: { ...totals, ...example.totals },
    layers,
    byKind: kindsOf(layers, macs),
    byOp: opsOf(layers, macs),
    byModule: modulesOf(layers, macs),
    byComposite: example.byComposite,
    memory: example.memory,
  };
}
