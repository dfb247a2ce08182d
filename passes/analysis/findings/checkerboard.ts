/** A transposed conv whose kernel is not a multiple of its stride: some outputs sum more products than others. */
import { isOp, type Node, operand } from '#ir/graph.ts';
import { convWindow } from '#ir/ops/conv.ts';
import { type WindowAxis, windowAxes } from '#ir/window.ts';
import { counted } from '../figures.ts';
import { defineRule, evidence, type Place, saving, verb } from './finding.ts';

export const checkerboard = defineRule({
  ofSizes: false,
  command: null,
  spoils: true,
  find: ({ graph }) => graph.nodes.flatMap(placeAt),
  describe(places, { name }) {
    const [worst] = places;
    const [kernel, stride] = [evidence(worst, 'kernel'), evidence(worst, 'stride')];
    const [least, most] = [evidence(worst, 'fewestProducts'), evidence(worst, 'mostProducts')];
    const layers = `${counted(places.length, 'transposed conv')} ${verb(places, 'covers', 'cover')} outputs unevenly`;
    return `${layers}: at ${worst.nodes.map(name).join()} (kernel ${kernel}, stride ${stride}) they are sums of ${least} to ${most} taps per channel`;
  },
});

function placeAt(node: Node): readonly Place[] {
  if (!isOp(node, 'ConvTranspose')) return [];
  const axes = windowAxes(convWindow(node.attrs, operand(node as Node, 1).type.shape));
  const counts = axes.map(tapsPerPhase);
  const uneven = counts.findIndex((c) => Math.min(...c) !== Math.max(...c));
  const axis = axes[uneven];
  if (!axis) return [];
  const product = (of: (...counts: number[]) => number) => counts.reduce((p, c) => p * of(...c), 1);
  return [
    {
      nodes: [node as Node],
      evidence: {
        kernel: axis.kernel,
        stride: axis.stride,
        fewestProducts: product(Math.min),
        mostProducts: product(Math.max),
      },
      saves: saving(),
    },
  ];
}

/** Taps that reach an output, for each of the `stride` kinds of positions. */
function tapsPerPhase({ kernel, stride, dilation }: WindowAxis): number[] {
  const taps = new Array<number>(stride).fill(0);
  for (let t = 0; t < kernel; t++) {
    const phase = (t * dilation) % stride;
    taps[phase] = (taps[phase] ?? 0) + 1;
  }
  return taps;
}
