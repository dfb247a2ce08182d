/** Convolution as a call of the gemm or the window family. */

import { permuteView, splitAxis } from '#compiler/schedule/view.ts';
import { isOp, type Node, operand, result } from '#ir/graph.ts';
import { convWindow } from '#ir/ops/conv.ts';
import { product } from '#ir/types.ts';
import { windowAxes } from '#ir/window.ts';
import type { LowerContext } from '../context.ts';
import { filterMatrix } from '../pack.ts';
import { biasOf, computedWeights, gemmOverPixels, knownWeight, type PixelWeights } from './pixel-product.ts';
import { lowerDepthwise } from './window.ts';
import { lowerWinograd } from './winograd.ts';

export function lowerConv(node: Node, context: LowerContext): void {
  if (!isOp(node, 'Conv') && !isOp(node, 'ShuffledConv')) return;
  const shuffled = isOp(node, 'ShuffledConv');
  const { attrs } = node;
  const x = operand(node, 0).type.shape;
  const weightShape = operand(node, 1).type.shape;
  const axes = windowAxes(convWindow(attrs, weightShape));
  const cin = x[1] ?? 1;
  const cout = weightShape[0] ?? 1;
  if (attrs.group === cin && cout === cin && cin > 1) {
    lowerDepthwise(node, context, axes);
    return;
  }
  const perGroup = cin / attrs.group;
  const channels = cout / attrs.group;
  const source = knownWeight(node);
  const bias = biasOf(node, context);
  if (source && !shuffled) {
    const [height = 1, width = 1] = result(node).type.shape.slice(2);
    const layer = {
      axes,
      filters: { data: source, groups: attrs.group, inputChannels: perGroup, channels },
      batch: x[0] ?? 1,
      outSize: [height, width] as const,
    };
    const plan = context.winograd(layer);
    if (plan) {
      lowerWinograd(node, context, layer, plan, bias);
      return;
    }
  }
  const weights = convWeights(node, context, attrs.group, perGroup, channels);
  const input = context.padded(
    operand(node, 0),
    axes.map((a) => a.padBegin),
    axes.map((a) => a.padEnd),
  );
  const out = context.output(node);
  gemmOverPixels(context, {
    input,
    output: out,
    origin: axes.map(() => 0),
    strides: axes.map((a) => a.stride),
    tapLoops: axes.map((a, i) => ({ count: a.kernel, steps: [a.dilation * (input.strides[i + 2] ?? 0)] })),
    groups: attrs.group,
    perGroup,
    channels,
    weights,
    bias,
    epilogue: context.epilogue(node, out, 1),
    shuffled,
  });
}

/** [Cout, Cin/group, k…]; K runs over taps, then input channels. */
function convWeights(
  node: Node,
  context: LowerContext,
  groups: number,
  perGroup: number,
  channels: number,
): PixelWeights {
  const weight = operand(node, 1);
  const taps = product(weight.type.shape.slice(2));
  const source = knownWeight(node);
  if (!source) {
    const split = splitAxis(context.view(weight, 'rowMajor'), 0, [groups, channels]);
    const spatial = split.shape.map((_, axis) => axis).slice(3);
    return computedWeights(context, permuteView(split, [0, ...spatial, 2, 1]));
  }
  return {
    kind: 'constant',
    matrix: { source, ...filterMatrix(groups, channels, perGroup, taps) },
  };
}
