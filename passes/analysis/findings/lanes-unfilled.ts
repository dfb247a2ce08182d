/** Layers that matter, of which the last vector of output channels is partly empty. */
import { type Node, result } from '#ir/graph.ts';
import { counted, percent } from '../figures.ts';
import { defineRule, evidence, type FindingContext, type Place, saving } from './finding.ts';
import { isNarrow, VECTOR_LANES } from './groups-narrow.ts';

/** The least share of a layer that is lost, and the least share of the network that the layer is. */
const LOST = 0.05;
const MATTERS = 0.01;

export const lanesUnfilled = defineRule({
  ofSizes: true,
  command: null,
  find: (context) => context.graph.nodes.flatMap((node) => placeAt(node, context)),
  describe(places, { name }) {
    const [worst] = places;
    const channels = evidence(worst, 'channels');
    const groups = evidence(worst, 'groups');
    const each = groups > 1 ? ' per group' : '';
    const share = percent(evidence(worst, 'macsShare'));
    return `${counted(places.length, 'layer')} whose channels do not fill vectors of ${VECTOR_LANES}: ${worst.nodes.map(name).join()}, with ${share} of the MACs, has ${counted(channels, 'output channel')}${each} and computes ${channels + evidence(worst, 'emptyLanes')}`;
  },
});

function placeAt(node: Node, { cost, classes }: FindingContext): readonly Place[] {
  const is = classes.get(node);
  if (!is || isNarrow(node, is)) return [];
  const cout = result(node).type.shape[1] ?? 1;
  // one filter per channel: vectors go across groups
  const groups = is.multiplier === 1 ? 1 : is.groups;
  const channels = cout / groups;
  const lanes = Math.ceil(channels / VECTOR_LANES) * VECTOR_LANES;
  const macs = cost.nodes.get(node)?.macs ?? 0;
  const macsShare = macs / (cost.totals.macs || 1);
  const lost = 1 - channels / lanes;
  if (lost < LOST || macsShare < MATTERS) return [];
  return [
    {
      nodes: [node],
      evidence: { channels, groups, emptyLanes: lanes - channels, lost, macsShare },
      saves: saving({ macs: Math.round((macs * (lanes - channels)) / channels) }),
    },
  ];
}
