/** Joins of paths that look at different places of the input. */
import type { Node } from '#ir/graph.ts';
import { counted, fraction } from '../figures.ts';
import { partingPaths } from '../parting-paths.ts';
import type { Misalignment } from '../receptive-field.ts';
import { defineRule, evidence, type FindingContext, type Place, saving } from './finding.ts';

export const pathsMisaligned = defineRule({
  ofSizes: false,
  command: null,
  spoils: true,
  find({ fields }) {
    const byNode = new Map(fields.misaligned.filter((m) => !isCausal(m)).map((m) => [m.node, m]));
    return [...byNode.values()].map(({ node, paths: [a, b] }) => ({
      nodes: [node],
      evidence: {
        shift: Math.abs((a?.centre ?? 0) - (b?.centre ?? 0)),
        stride: a?.field.stride ?? 0,
        otherStride: b?.field.stride ?? 0,
      },
      saves: saving(),
    }));
  },
  describe(places, context) {
    const { name } = context;
    const worst = [...places].sort((a, b) => evidence(b, 'shift') - evidence(a, 'shift'))[0] ?? places[0];
    const [stride, other] = [evidence(worst, 'stride'), evidence(worst, 'otherStride')];
    const how =
      stride === other
        ? `shifted by ${positions(evidence(worst, 'shift'))}, at a stride of ${fraction(stride)}`
        : `at strides of ${fraction(stride)} and ${fraction(other)}`;
    return `paths that meet at ${counted(places.length, 'layer')} look at different places; at ${worst.nodes.map(name).join()} they are ${how}${ways(worst, context)}`;
  },
});

/** `3 input positions`, `1/3 of an input position`. */
const positions = (n: number): string =>
  Number.isInteger(n) ? counted(n, 'input position') : `${fraction(n)} of an input position`;

/** By which layers the two paths come. */
function ways({ nodes }: Place, { graph, fields, name }: FindingContext): string {
  const at = fields.misaligned.find((m) => m.node === nodes[0] && !isCausal(m));
  if (!at) return '';
  const { from, paths } = partingPaths(graph)(at);
  const way = (path: readonly Node[]): string => {
    const [first, last] = [path[0], path.at(-1)];
    if (!first || !last) return 'straight';
    return first === last ? `by ${name(first)}` : `by ${name(first)} … ${name(last)}`;
  };
  const source = from?.source.kind === 'node' ? name(from.source.node) : from?.name;
  return `: ${source === undefined ? '' : `from ${source} on `}one comes ${paths.map(way).join(', the other ')}`;
}

/** Along time, causal paths agree in the last position that they see. */
function isCausal({ inputAxis, paths, node }: Misalignment): boolean {
  const rank = (node.outputs[0]?.type.shape.length ?? 0) - 2;
  const last = paths.map(({ field }) => field.size - 1 - field.padding);
  const strides = paths.map(({ field }) => field.stride);
  return inputAxis === 2 && rank !== 2 && new Set(last).size === 1 && new Set(strides).size === 1;
}
