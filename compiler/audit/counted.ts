/** What a preset counts, in place of MACs, and what every other one would. */
import { type Graph, isOp, producer } from '#ir/graph.ts';
import type { GraphCost } from '#passes/analysis/cost.ts';
import { PRESETS, type Preset, presetTotal } from '#passes/analysis/presets/index.ts';
import type { AuditReport } from './schema.ts';

type Totals = AuditReport['totals'];

/** @param macsKnown whether the MACs are the same at every size that is not given */
export function countedTotals(cost: GraphCost, sizeKnown: boolean, macsKnown: boolean): Totals['presets'] {
  const known = ({ perMac }: Preset, total: number): boolean =>
    // none at one size is none at every size, and parts of a sum that does not change do not either
    sizeKnown || total === 0 || (macsKnown && perMac !== undefined);
  return Object.fromEntries(
    PRESETS.map((preset) => {
      const total = presetTotal(cost, preset);
      return [preset.name, known(preset, total) ? total : null];
    }),
  ) as Totals['presets'];
}

/**
 * Parameters while a network is trained. Exporters fold a batch norm into the convolution that it follows, and then its
 * scale is not in the file; so one that still follows a convolution shows that none is folded.
 */
export function trainingParameters(
  graph: Graph,
  parameters: number,
): Pick<Totals, 'trainingParameters' | 'trainingParametersReason'> {
  const norms = graph.nodes.filter((node) => isOp(node, 'BatchNormalization'));
  const unfolded = norms.some((norm) => isOp(producer(norm.operands[0]), 'Conv'));
  const nothingToFold = !graph.nodes.some((node) => isOp(node, 'Conv'));
  if (norms.length > 0 && (unfolded || nothingToFold)) return { trainingParameters: parameters };
  return {
    trainingParameters: null,
    trainingParametersReason:
      norms.length > 0
        ? 'batch norm is folded into the file where it follows a convolution'
        : 'batch norm is folded into the file, if there was any',
  };
}
