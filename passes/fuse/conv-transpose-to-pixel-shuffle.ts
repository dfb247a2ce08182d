/**
 * Before      y = ConvTranspose(x, W, b) whose kernel is as large as its stride, s×s
 * After       y = DepthToSpace(Conv(x, W′, b′), s) in order CRD, every kernel size 1
 * Conditions  weights constant (their values may be missing); two spatial axes of one stride; dilation 1, nothing cropped, no
 *             output padding, so that each input position makes s×s output positions of its own
 * Formula     W′[(o·s + i)·s + j, c] = W[c, o, i, j], b′[(o·s + i)·s + j] = b[o]
 * Trade       the same MACs; the result is written and read once more. For runtimes whose ConvTranspose is slow: `compile`
 *             makes one product per phase of it and writes each where it belongs
 */
import { constantOf, type Graph, type Node, operand, result } from '#ir/graph.ts';
import type { Constant } from '#ir/tensor.ts';
import { derive, inheritName, supersede } from '../edit.ts';
import { definePass } from '../pass.ts';
import { applyRules, defineRule, no, op } from '../pattern.ts';
import { noEpilogues } from '../properties.ts';

interface Plan {
  readonly node: Node<'ConvTranspose'>;
  readonly weight: Constant;
  readonly bias: Constant | undefined;
  readonly stride: number;
}

const transposed = op('ConvTranspose');

const rule = defineRule<Plan>({
  name: 'convTransposeToPixelShuffle',
  pattern: transposed,
  check(match) {
    const node = match.node(transposed);
    const { strides, dilations, pads, outputPadding } = node.attrs;
    const [weight, bias] = [1, 2].map((slot) => constantOf(node.operands[slot]));
    const [, , ...kernel] = operand(node as Node, 1).type.shape;
    const [stride = 1] = strides;
    if (strides.length !== 2 || strides.some((s) => s !== stride) || stride === 1) {
      return no(`"${node.name}" has no one stride over two axes, as DepthToSpace asks`);
    }
    if (kernel.some((k) => k !== stride))
      return no(`the kernel of "${node.name}" is not as large as its stride`);
    if (dilations.some((d) => d !== 1)) return no(`"${node.name}" is dilated`);
    if (pads.some((p) => p !== 0)) return no(`"${node.name}" crops its result`);
    if (outputPadding.some((p) => p !== 0)) return no(`"${node.name}" pads its result`);
    if (!weight || (node.operands[2] && !bias)) return no(`the weights of "${node.name}" are not constant`);
    return { node, weight, bias, stride };
  },
  rewrite: (plan, graph) => replace(plan, graph),
});

function replace({ node, weight, bias, stride }: Plan, graph: Graph): void {
  const { group } = node.attrs;
  const [inputs = 1, channels = 1] = weight.type.shape;
  const taps = stride * stride;
  const depth = inputs / group;
  const outputs = channels * group * taps;
  const [x, w, b] = node.operands;
  const named = (name: string, constant: Constant) => graph.addConstant(name, constant);
  const newWeight = named(
    w?.name ?? `${node.name}_weight`,
    derive([outputs, depth, 1, 1], [weight], (data) => (index) => {
      const [row, c] = [Math.floor(index / depth), index % depth];
      const [o, tap] = [Math.floor(row / taps), row % taps];
      const from = Math.floor(o / channels) * depth + c;
      return Number(data?.[(from * channels + (o % channels)) * taps + tap]);
    }),
  );
  const newBias =
    bias &&
    named(
      b?.name ?? `${node.name}_bias`,
      derive([outputs], [bias], (data) => (index) => Number(data?.[Math.floor(index / taps)])),
    );
  const conv = graph.addNode(
    'Conv',
    newBias ? [x, newWeight, newBias] : [x, newWeight],
    { strides: [1, 1], dilations: [1, 1], pads: [0, 0, 0, 0], group },
    { name: node.name },
  );
  const shuffled = graph.addNode(
    'DepthToSpace',
    [result(conv as Node)],
    { blocksize: stride, mode: 'CRD' },
    { name: `${node.name}_shuffle` },
  );
  supersede(graph, result(node as Node), result(shuffled as Node));
  if (w) inheritName(graph, newWeight, w);
  if (b && newBias) inheritName(graph, newBias, b);
}

export const convTransposeToPixelShuffle = definePass({
  name: 'convTransposeToPixelShuffle',
  summary: 'Writes a transposed convolution without overlap as a pointwise one and a DepthToSpace',
  requires: [noEpilogues],
  ensures: [noEpilogues],
  run: (graph, context) => applyRules(graph, [rule], context),
});
