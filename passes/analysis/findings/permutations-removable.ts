/** Channel shuffles beside a conv that can take their order, and transposes that are undone by others. */
import { type Graph, isOp, type Node, operand, result, type Value } from '#ir/graph.ts';
import type { Composite } from '../composites.ts';
import { bytes, counted } from '../figures.ts';
import { followChannelwise, soleReader } from '../paths.ts';
import { defineRule, evidence, type FindingContext, type Place, REWRITE, saving, total } from './finding.ts';
import { foldedBy } from './folded.ts';

export const permutationsRemovable = defineRule({
  ofSizes: true,
  passes: ['foldChannelPermutations', 'mergeViews'],
  command: REWRITE,
  find: (context) => [...transposes(context), ...shuffles(context)],
  describe(places, { name }) {
    const saved = bytes(total(places, (p) => p.saves.bytes));
    const turned = total(places, (p) => evidence(p, 'transposes'));
    const shuffled = places.filter((p) => evidence(p, 'shuffles') > 0);
    const parts = shuffled.map(({ nodes }) => {
      const [shuffle, conv] = [nodes[0], nodes.at(-1)];
      return `the shuffle at ${shuffle ? name(shuffle) : ''} can go into the weights of ${conv ? name(conv) : ''}`;
    });
    if (turned > 0) parts.unshift(`compile removes ${counted(turned, 'transpose')}`);
    return `${parts.join('; ')}: ${saved} less to move`;
  },
});

/** Those of data that are not there after the passes of `compile`, but others are no more than before. */
function transposes({ graph, cost, composites }: FindingContext): readonly Place[] {
  const before = graph.nodes.filter(turnsData);
  if (before.length === 0) return [];
  const shuffling = new Set(composites.flatMap((c) => (isShuffle(c) ? c.nodes : [])));
  const after = new Set(
    foldedBy(graph, 'mergeViews')
      .graph.nodes.filter(turnsData)
      .map((n) => n.name),
  );
  const gone = before.filter((n) => !after.has(n.name) && !shuffling.has(n));
  if (gone.length === 0) return [];
  const moved = gone.reduce((sum, n) => sum + movedBy(n, cost), 0);
  return [
    { nodes: gone, evidence: { transposes: gone.length, shuffles: 0 }, saves: saving({ bytes: moved }) },
  ];
}

const turnsData = (node: Node): boolean =>
  isOp(node, 'Transpose') && operand(node as Node, 0).source.kind !== 'constant';

const isShuffle = ({ kind }: Composite): boolean => kind === 'grouped-shuffle' || kind === 'channel-shuffle';

function movedBy(node: Node, cost: FindingContext['cost']): number {
  const own = cost.nodes.get(node);
  return (own?.bytesRead ?? 0) + (own?.bytesWritten ?? 0);
}

function shuffles({ graph, cost, classes, composites }: FindingContext): readonly Place[] {
  const found = composites.filter(({ kind }) => kind === 'channel-shuffle');
  if (found.length === 0) return [];
  const before = filtersByEnd(graph, classes);
  return found.flatMap(({ nodes }): readonly Place[] => {
    const [first, last] = [nodes[0], nodes.at(-1)];
    if (!first || !last) return [];
    const conv = before.get(operand(first, 0)) ?? filtersAfter(graph, result(last), classes);
    if (!conv) return [];
    const moved = nodes.reduce((sum, n) => sum + movedBy(n, cost), 0);
    return [
      { nodes: [...nodes, conv], evidence: { transposes: 0, shuffles: 1 }, saves: saving({ bytes: moved }) },
    ];
  });
}

type Classes = FindingContext['classes'];

/** Convs whose output channels can be in any order, by the value that leaves their activations. */
function filtersByEnd(graph: Graph, classes: Classes): ReadonlyMap<Value, Node> {
  const convs = graph.nodes.filter((n) => classes.get(n)?.groups === 1);
  const ends = convs.map((conv) => [followChannelwise(graph, result(conv)).end, conv] as const);
  return new Map(ends.filter(([end]) => soleReader(graph, end)));
}

/** The conv that alone reads a value, through activations, and whose input channels can be in any order. */
function filtersAfter(graph: Graph, value: Value, classes: Classes): Node | undefined {
  const { end } = followChannelwise(graph, value);
  const reader = soleReader(graph, end);
  return reader && classes.get(reader)?.groups === 1 && operand(reader, 0) === end ? reader : undefined;
}
