/** Grouped convs with fewer than four channels per group, but for depthwise ones of one output per input. */
import type { ConvClass } from '#ir/conv-kind.ts';
import { type Node, operand, result } from '#ir/graph.ts';
import { counted, percent } from '../figures.ts';
import { defineRule, evidence, type FindingContext, type Place, saving, total } from './finding.ts';

export const VECTOR_LANES = 4;

export const groupsNarrow = defineRule({
  ofSizes: false,
  command: null,
  find: (context) => context.graph.nodes.flatMap((node) => placeAt(node, context)),
  describe(places, { name, sizesKnown }) {
    const [worst] = [...places].sort((a, b) => width(a) - width(b));
    if (!worst) return '';
    const [cin, cout] = [evidence(worst, 'inputsPerGroup'), evidence(worst, 'outputsPerGroup')];
    const share = sizesKnown
      ? ` with ${percent(total(places, (p) => evidence(p, 'macsShare')))} of the MACs`
      : '';
    return `${counted(places.length, 'grouped conv')}${share}: fewer than ${VECTOR_LANES} channels per group leave vectors partly empty; ${worst.nodes.map(name).join()} has ${cin} to ${cout}`;
  },
});

const width = (p: Place): number => Math.min(evidence(p, 'inputsPerGroup'), evidence(p, 'outputsPerGroup'));

/** Is a layer of this class one of these? */
export const isNarrow = (node: Node, { groups, multiplier }: ConvClass): boolean =>
  groups > 1 && multiplier !== 1 && Math.min(...perGroup(node, groups)) < VECTOR_LANES;

const perGroup = (node: Node, groups: number): readonly [number, number] => [
  (operand(node, 0).type.shape[1] ?? 0) / groups,
  (result(node).type.shape[1] ?? 0) / groups,
];

function placeAt(node: Node, { cost, classes, sizesKnown }: FindingContext): readonly Place[] {
  const is = classes.get(node);
  if (!is || !isNarrow(node, is)) return [];
  const { groups } = is;
  const [inputsPerGroup, outputsPerGroup] = perGroup(node, groups);
  const macsShare = (cost.nodes.get(node)?.macs ?? 0) / (cost.totals.macs || 1);
  const share = sizesKnown ? { macsShare } : {};
  return [
    { nodes: [node], evidence: { groups, inputsPerGroup, outputsPerGroup, ...share }, saves: saving() },
  ];
}
