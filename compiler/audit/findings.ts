/** The sections of a report that say what stands out. */
import type { Node } from '#ir/graph.ts';
import { COMPOSITE_KINDS } from '#passes/analysis/composites.ts';
import { sumCosts } from '#passes/analysis/cost.ts';
import { type FindingCode, findings } from '#passes/analysis/findings/index.ts';
import { displayNames } from '../report/format.ts';
import { type Facts, share } from './facts.ts';
import type { AuditLayer, AuditReport } from './schema.ts';

export interface FindingChoice {
  /** List at most so many findings, the most valuable; 12 unless said. */
  readonly findings?: number;
  /** Codes of findings that are not looked for. */
  readonly ignore?: readonly FindingCode[];
}

const MOST = 12;

/** @param layers those of the graph, in its order */
export function findingsOf(
  { graph, cost, fields, classes, composites, sizeKnown }: Facts,
  layers: AuditLayer[],
  { findings: most = MOST, ignore = [] }: FindingChoice,
): Pick<AuditReport, 'findings' | 'moreFindings'> {
  const shown = displayNames({ layers });
  const layerOf = new Map(graph.nodes.map((node, i) => [node, layers[i]]));
  const name = (node: Node): string => {
    const layer = layerOf.get(node);
    return layer ? shown(layer) : node.name;
  };
  const context = { graph, cost, fields, classes, composites, name, sizesKnown: sizeKnown };
  const all = findings(context, { ignore });
  return {
    findings: all
      .slice(0, most)
      .map((finding) => structuredClone(finding) as AuditReport['findings'][number]),
    moreFindings: Math.max(0, all.length - most),
  };
}

export function compositeSums({ composites, cost, sizeKnown }: Facts): AuditReport['byComposite'] {
  return COMPOSITE_KINDS.flatMap((kind) => {
    const own = composites.filter((c) => c.kind === kind);
    const nodes = own.flatMap((c) => c.nodes);
    const sums = sumCosts(nodes.map((n) => cost.nodes.get(n) ?? sumCosts([])));
    const known = sizeKnown || sums.macs === 0;
    return own.length === 0
      ? []
      : [
          {
            kind,
            composites: own.length,
            layers: nodes.length,
            macs: known ? sums.macs : null,
            macsShare: known ? share(sums.macs, cost.totals.macs) : null,
            parameters: sums.parameters,
          },
        ];
  }).sort((a, b) => (b.macs ?? 1) - (a.macs ?? 1) || b.parameters - a.parameters);
}
