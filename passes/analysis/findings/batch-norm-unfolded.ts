/** Batch normalisations that stand as layers of their own: how many `compile` folds, and why not the others. */
import { isOp, type Node } from '#ir/graph.ts';
import { bytes, counted } from '../figures.ts';
import { defineRule, evidence, type FindingContext, type Place, REWRITE, saving, total } from './finding.ts';
import { foldedBy } from './folded.ts';

const FOLDS = ['fuseBatchNormIntoConv', 'fuseBatchNormBeforeConv'];

export const batchNormUnfolded = defineRule({
  ofSizes: true,
  command: REWRITE,
  passes: FOLDS,
  find(context) {
    const { graph } = context;
    const norms = graph.nodes.filter((n) => isOp(n, 'BatchNormalization'));
    if (norms.length === 0) return [];
    const folded = foldedBy(graph, 'fuseBatchNormBeforeConv');
    const left = new Set(folded.graph.nodes.flatMap((n) => (isOp(n, 'BatchNormalization') ? [n.name] : [])));
    const places = norms.map((node) => placeAt(node, !left.has(node.name), context));
    return places.some((p) => evidence(p, 'folds') > 0) ? places : [];
  },
  describe(places) {
    const folds = total(places, (p) => evidence(p, 'folds'));
    const saved = bytes(total(places, (p) => p.saves.bytes));
    const rest = places.length - folds;
    const norms = `${counted(places.length, 'batch normalisation')} ${places.length === 1 ? 'is a layer' : 'are layers'} of ${places.length === 1 ? 'its' : 'their'} own`;
    const done =
      folds > 0
        ? `compile folds ${rest === 0 ? 'all' : folds} into layers beside them, ${saved} less to move`
        : '';
    const stays =
      rest > 0
        ? `${rest} ${rest === 1 ? 'stands' : 'stand'} where no layer beside can take ${rest === 1 ? 'it' : 'them'}, and ${rest === 1 ? 'stays' : 'stay'} as scale and shift`
        : '';
    return `${norms}: ${[done, stays].filter((s) => s !== '').join('; ')}`;
  },
});

function placeAt(node: Node, folds: boolean, { cost }: FindingContext): Place {
  const own = cost.nodes.get(node);
  const moved = (own?.bytesRead ?? 0) + (own?.bytesWritten ?? 0);
  return {
    nodes: [node],
    evidence: { folds: folds ? 1 : 0, otherOps: own?.otherOps ?? 0, bytesMoved: moved },
    saves: saving({ bytes: folds ? moved : 0 }),
  };
}
