/** Dense k×k convs of which a depthwise-separable pair would save most. */
import { isOp, type Node, operand, result } from '#ir/graph.ts';
import { elementCount, product } from '#ir/types.ts';
import { counted, percent, short } from '../figures.ts';
import { defineRule, evidence, type FindingContext, type Place, saving, total } from './finding.ts';

/** A layer is worth naming if it saves this share of itself, and that of the network. */
const OF_LAYER = 0.5;
const OF_NETWORK = 0.01;
/** Layers that read images, of few channels, are left dense by all. */
const FEW_CHANNELS = 8;

export const kernelsDense = defineRule({
  ofSizes: true,
  // half of the MACs: what is left dense then saves little
  command: 'convolith rewrite MODEL --factorize depthwise --budget "macs<=50%" -o rewritten.onnx',
  find: (context) => context.graph.nodes.flatMap((node) => placeAt(node, context)),
  describe(places, { cost, name }) {
    const macs = total(places, (p) => evidence(p, 'macs'));
    const pairs = total(places, (p) => evidence(p, 'separableMacs'));
    const share = percent(macs / cost.totals.macs);
    const [most] = places;
    return `${counted(places.length, 'dense conv')} with ${share} of the MACs: depthwise-separable pairs would take ${short(pairs)} in place of ${short(macs)}; the largest saving is ${short(most.saves.macs)} at ${most.nodes.map(name).join()}; needs training`;
  },
});

function placeAt(node: Node, { cost, classes }: FindingContext): readonly Place[] {
  if (!isOp(node, 'Conv') || node.attrs.group > 1) return [];
  const [cout = 1, cin = 1, ...kernel] = operand(node as Node, 1).type.shape;
  if (cin < FEW_CHANNELS) return [];
  const taps = product(kernel);
  const macs = cost.nodes.get(node as Node)?.macs ?? 0;
  const positions = elementCount(result(node as Node).type.shape) / cout;
  const separableMacs = positions * cin * (taps + cout);
  const saved = macs - separableMacs;
  if (saved < OF_LAYER * macs || saved < OF_NETWORK * cost.totals.macs) return [];
  if (classes.get(node as Node)?.separableHalf) return [];
  return [
    {
      nodes: [node as Node],
      evidence: { macs, separableMacs },
      saves: saving({ macs: saved, parameters: cin * (cout * taps - taps - cout) }),
    },
  ];
}
