/** Convolutions of one value whose results are added: a network as it was trained, whose branches are one layer. */
import { type Graph, isOp, type Node, result } from '#ir/graph.ts';
import { graphCost } from '../cost.ts';
import { bytes, counted, percent } from '../figures.ts';
import { dataOperands, followChannelwise, soleReader } from '../paths.ts';
import { defineRule, evidence, REWRITE, saving, total } from './finding.ts';
import { foldedBy } from './folded.ts';

const PASS = 'mergeParallelConvs';

export const branchesMergeable = defineRule({
  ofSizes: true,
  passes: [PASS],
  command: REWRITE,
  find(context) {
    const { graph, cost } = context;
    if (!graph.nodes.some((node) => isOp(node, 'Conv') && isAdded(node, graph))) return [];
    const after = foldedBy(graph, PASS);
    if (!after.traces.some(({ pass, changes }) => pass === PASS && changes > 0)) return [];
    const left = new Set(after.graph.nodes.map(({ name }) => name));
    const gone = graph.nodes.filter(
      (node) => isOp(node, 'Conv') && !left.has(node.name) && isAdded(node, graph),
    );
    if (gone.length === 0) return [];
    // what merges before it, and what stands in its way, is not its doing
    const before = foldedBy(graph, 'expandBatchNorm');
    const [from, to] = [graphCost(before.graph).totals, graphCost(after.graph).totals];
    const less = (key: 'bytesRead' | 'bytesWritten') => Math.max(0, from[key] - to[key]);
    const macs = gone.reduce((sum, node) => sum + (cost.nodes.get(node)?.macs ?? 0), 0);
    const parameters = gone.reduce((sum, node) => sum + (cost.nodes.get(node)?.parameters ?? 0), 0);
    return [
      {
        nodes: gone,
        evidence: { branches: gone.length, macs },
        saves: saving({ macs, parameters, bytes: less('bytesRead') + less('bytesWritten') }),
      },
    ];
  },
  describe(places, { cost }) {
    const branches = total(places, (p) => evidence(p, 'branches'));
    const macs = total(places, (p) => p.saves.macs);
    const moved = bytes(total(places, (p) => p.saves.bytes));
    const be =
      branches === 1
        ? 'is added to what another layer makes of the same value, and can be part of it'
        : 'are added to what other layers make of the same values, and can be part of them';
    return `${counted(branches, 'convolution')} ${be}: ${percent(macs / (cost.totals.macs || 1))} of the MACs and ${moved} less to move, with the same results`;
  },
});

/** Does its result, but for scales and shifts, go into a sum of two values alone? */
function isAdded(conv: Node, graph: Graph): boolean {
  const reader = soleReader(graph, followChannelwise(graph, result(conv)).end);
  return isOp(reader, 'Add') && dataOperands(reader as Node).length === 2;
}
