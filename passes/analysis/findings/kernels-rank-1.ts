/** k×k kernels over one channel that are a column times a row, and so a k×1 conv and a 1×k conv. */
import { isOp, type Node, operand, result } from '#ir/graph.ts';
import { convWindow } from '#ir/ops/conv.ts';
import { outputSize, windowAxes } from '#ir/window.ts';
import { counted, short } from '../figures.ts';
import { type Filters, filtersOf } from './filters.ts';
import { defineRule, evidence, type Place, REWRITE, saving, total } from './finding.ts';

/** The largest part of a kernel's norm that may be left out. */
const TOLERANCE = 1e-4;

export const kernelsRank1 = defineRule({
  ofSizes: true,
  passes: ['rankOneToSeparable'],
  command: REWRITE,
  find: ({ graph }) => graph.nodes.flatMap(placeAt),
  describe(places, { name }) {
    const [before, after] = (['macs', 'pairMacs'] as const).map((key) =>
      total(places, (p) => evidence(p, key)),
    );
    const [most] = places;
    const [h, w] = [evidence(most, 'height'), evidence(most, 'width')];
    return `${counted(places.length, 'layer')} whose kernels are a column times a row: ${most.nodes.map(name).join()} can be ${h}×1 then 1×${w}; ${short(after ?? 0)} MACs in place of ${short(before ?? 0)}, with the same results`;
  },
});

function placeAt(node: Node): readonly Place[] {
  const filters = filtersOf(node);
  if (!filters || !isOp(node, 'Conv') || filters.depth !== 1) return [];
  const [height = 1, width = 1, ...more] = filters.kernel;
  if (more.length > 0 || filters.kernel.length < 2 || height === 1 || width === 1) return [];
  const residual = largestResidual(filters, height, width);
  const [macs, pairMacs] = macsOf(node, filters);
  if (!(residual <= TOLERANCE) || pairMacs >= macs) return [];
  return [
    {
      nodes: [node as Node],
      evidence: { height, width, residual, macs, pairMacs },
      saves: saving({
        macs: macs - pairMacs,
        parameters: filters.count * (height * width - height - width),
      }),
    },
  ];
}

/** Of the layer, and of a k×1 conv over whole rows followed by a 1×k conv. */
function macsOf(node: Node<'Conv'>, { count, kernel }: Filters): readonly [number, number] {
  const [vertical] = windowAxes(convWindow(node.attrs, operand(node as Node, 1).type.shape));
  const [n = 1, , h = 1, w = 1] = operand(node as Node, 0).type.shape;
  const [, , , columns = 1] = result(node as Node).type.shape;
  const [height = 1, width = 1] = kernel;
  const rows = vertical ? outputSize(vertical, h) : 0;
  const per = n * count * rows;
  return [per * columns * height * width, per * (w * height + columns * width)];
}

function largestResidual(filters: Filters, height: number, width: number): number {
  let worst = 0;
  for (const filter of filters.values()) worst = Math.max(worst, residualOf(filter, height, width));
  return worst;
}

/**
 * What is left of a kernel, as part of its norm, after the row and the column through its largest element are multiplied
 * out. The best product leaves no more.
 */
function residualOf(kernel: Float32Array, height: number, width: number): number {
  const at = (y: number, x: number) => kernel[y * width + x] ?? 0;
  const peak = kernel.reduce((best, v, i) => (Math.abs(v) > Math.abs(kernel[best] ?? 0) ? i : best), 0);
  const [row, column] = [Math.floor(peak / width), peak % width];
  const largest = at(row, column);
  if (largest === 0) return 0;
  let [rest, norm] = [0, 0];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      norm += at(y, x) ** 2;
      rest += (at(y, x) - (at(y, column) * at(row, x)) / largest) ** 2;
    }
  }
  return Math.sqrt(rest / norm);
}
