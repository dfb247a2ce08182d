/**
 * Before      y = Conv(x, W, b), one input channel per group, each kernel a column times a row: 7×7
 * After       y = Conv(Conv(x, c), r, b), 7×1 then 1×7; along the first wide axis, so that rank 3 goes in two steps
 * Conditions  weights constant and there; what is left of a kernel after the best product, as by its largest element, is at
 *             most 1e-6 of its norm; fewer MACs and parameters, and so many fewer that the traffic is paid for
 * Formula     W[o, i, j] = c[o, i]·r[o, j]; stride, dilation and padding go with their axis, the bias with the second
 * Trade       what is between is written and read once more: 5×5 does not pay, 7×7 does
 */
import { type Graph, type Node, operand, result, tensorOf, type Value } from '#ir/graph.ts';
import { convWindow } from '#ir/ops/conv.ts';
import { f32, type Tensor } from '#ir/tensor.ts';
import { byteSize, elementCount, product } from '#ir/types.ts';
import { outputSize, windowAxis } from '#ir/window.ts';
import { nodeCost } from '../analysis/cost.ts';
import { rebuild } from '../edit.ts';
import { definePass } from '../pass.ts';
import { applyRules, defineRule, type No, no, op } from '../pattern.ts';
import { noEpilogues } from '../properties.ts';

interface Plan {
  readonly node: Node<'Conv'>;
  /** The axis of the first of the two. */
  readonly axis: number;
  readonly column: Tensor;
  readonly row: Tensor;
}

const TOLERANCE = 1e-6;
/** What is computed in the time of a byte of main memory: on a Jetson Nano, by its data sheet, 118 GMAC/s over 25.6 GB/s. */
const MACS_PER_BYTE = 4;

const conv = op('Conv');

const rule = defineRule<Plan>({
  name: 'rankOneToSeparable',
  pattern: conv,
  check(match) {
    const node = match.node(conv);
    const weight = tensorOf(node.operands[1]);
    const [outputs = 1, depth = 1, ...kernel] = operand(node as Node, 1).type.shape;
    const wide = kernel.flatMap((k, axis) => (k > 1 ? [axis] : []));
    const [axis] = wide;
    if (depth !== 1 || axis === undefined || wide.length < 2 || weight?.type.dtype !== 'f32')
      return undefined;
    const parts = split(weight, outputs, kernel, axis);
    if (!parts) return no(`the kernels of "${node.name}" are no column times a row`);
    return costProblem(node, axis, kernel) ?? { node, axis, ...parts };
  },
  rewrite: (plan, graph) => replace(plan, graph),
});

/** Columns along `axis` and rows along the others, [outputs, 1, …]; undefined where one is more than their product. */
function split(
  { data }: Tensor,
  outputs: number,
  kernel: readonly number[],
  axis: number,
): { column: Tensor; row: Tensor } | undefined {
  const height = kernel[axis] ?? 1;
  const width = product(kernel) / height;
  const column = new Float32Array(outputs * height);
  const row = new Float32Array(outputs * width);
  for (let o = 0; o < outputs; o++) {
    // axes before the first wide one are of size 1
    const at = (i: number, j: number) => Number(data[(o * height + i) * width + j]);
    let peak = 0;
    for (let t = 1; t < height * width; t++) {
      const [i, j] = [Math.floor(t / width), t % width];
      if (Math.abs(at(i, j)) > Math.abs(at(Math.floor(peak / width), peak % width))) peak = t;
    }
    const [top, left] = [Math.floor(peak / width), peak % width];
    const largest = at(top, left);
    if (largest === 0) continue;
    for (let i = 0; i < height; i++) column[o * height + i] = at(i, left) / largest;
    for (let j = 0; j < width; j++) row[o * width + j] = at(top, j);
    let [rest, norm] = [0, 0];
    for (let t = 0; t < height * width; t++) {
      const [i, j] = [Math.floor(t / width), t % width];
      norm += at(i, j) ** 2;
      rest += (at(i, j) - (column[o * height + i] ?? 0) * (row[o * width + j] ?? 0)) ** 2;
    }
    if (!(rest <= norm * TOLERANCE ** 2)) return undefined;
  }
  const only = (keep: (a: number) => boolean) => kernel.map((k, a) => (keep(a) ? k : 1));
  return {
    column: f32([outputs, 1, ...only((a) => a === axis)], column),
    row: f32([outputs, 1, ...only((a) => a !== axis)], row),
  };
}

function costProblem(node: Node<'Conv'>, axis: number, kernel: readonly number[]): No | undefined {
  const [n = 1, , ...size] = operand(node as Node, 0).type.shape;
  const y = result(node as Node).type;
  const along = windowAxis(convWindow(node.attrs, operand(node as Node, 1).type.shape), axis);
  const height = kernel[axis] ?? 1;
  const [, outputs = 1] = y.shape;
  const between = n * outputs * product(size.map((s, a) => (a === axis ? outputSize(along, s) : s)));
  const { macs } = nodeCost(node as Node);
  const pair = between * height + elementCount(y.shape) * (product(kernel) / height);
  if (pair >= macs) return no(`two convolutions take ${pair} MACs, the one takes ${macs}`);
  const [taps, fewer] = [product(kernel), height + product(kernel) / height];
  if (fewer >= taps) return no(`two convolutions have ${fewer} weights per channel, the one has ${taps}`);
  const bytes = 2 * between * (byteSize(y) / elementCount(y.shape));
  return macs - pair < bytes * MACS_PER_BYTE
    ? no(`it saves ${macs - pair} MACs and moves ${bytes} bytes more, which take longer`)
    : undefined;
}

function replace({ node, axis, column, row }: Plan, graph: Graph): void {
  const { attrs } = node;
  const rank = attrs.strides.length;
  const [x, weight, bias] = node.operands;
  const outputs = column.type.shape[0] ?? 1;
  const only = (list: readonly number[], keep: (a: number) => boolean, off: number) =>
    list.map((v, i) => (keep(i % rank) ? v : off));
  const windowOf = (keep: (a: number) => boolean) => ({
    strides: only(attrs.strides, keep, 1),
    dilations: only(attrs.dilations, keep, 1),
    pads: only(attrs.pads, keep, 0),
  });
  const named = (suffix: string, constant: Tensor): Value =>
    graph.addConstant(`${weight?.name ?? node.name}_${suffix}`, constant);
  const first = graph.addNode(
    'Conv',
    [x, named('column', column)],
    { ...windowOf((a) => a === axis), group: attrs.group },
    { name: `${node.name}_column` },
  );
  const inputs = [result(first as Node), named('row', row), ...(bias ? [bias] : [])];
  rebuild(graph, node, { inputs, attrs: { ...windowOf((a) => a !== axis), group: outputs } });
}

export const rankOneToSeparable = definePass({
  name: 'rankOneToSeparable',
  summary: 'Takes kernels that are a column times a row apart, where that saves more than it moves',
  requires: [noEpilogues],
  ensures: [noEpilogues],
  run: (graph, context) => applyRules(graph, [rule], context),
});
