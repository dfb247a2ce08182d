/** Filters whose weights are all zero. */
import type { Node } from '#ir/graph.ts';
import { counted, grouped, percent } from '../figures.ts';
import { filtersOf } from './filters.ts';
import { defineRule, evidence, type FindingContext, type Place, REWRITE, saving, total } from './finding.ts';

export const filtersDead = defineRule({
  ofSizes: false,
  passes: ['removeDeadChannels'],
  command: REWRITE,
  find: (context) => context.graph.nodes.flatMap((node) => placeAt(node, context)),
  describe(places, { name, cost, sizesKnown }) {
    const dead = total(places, (p) => evidence(p, 'dead'));
    const macs = sizesKnown
      ? `${percent(total(places, (p) => p.saves.macs) / (cost.totals.macs || 1))} of the MACs and `
      : '';
    const [most] = places;
    return `${counted(dead, 'filter')} of ${counted(places.length, 'layer')} ${dead === 1 ? 'is' : 'are'} all zero, with ${macs}${counted(
      total(places, (p) => p.saves.parameters),
      'weight',
    )}; ${most.nodes.map(name).join()} has ${grouped(evidence(most, 'dead'))} of ${grouped(evidence(most, 'filters'))}`;
  },
});

function placeAt(node: Node, { cost, sizesKnown }: FindingContext): readonly Place[] {
  const filters = filtersOf(node);
  if (!filters) return [];
  let dead = 0;
  for (const filter of filters.values()) if (filter.every((w) => w === 0)) dead++;
  if (dead === 0) return [];
  const macs = !sizesKnown ? 0 : ((cost.nodes.get(node)?.macs ?? 0) * dead) / filters.count;
  return [
    {
      nodes: [node],
      evidence: { dead, filters: filters.count },
      saves: saving({ macs, parameters: dead * filters.size }),
    },
  ];
}
