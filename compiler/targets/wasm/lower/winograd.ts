/** Convolutions 3×3 of stride 1 as calls of the Winograd family. */
import { loopsOver, mergeLoops } from '#compiler/schedule/loops.ts';
import { layoutStrides, type View } from '#compiler/schedule/view.ts';
import type { Node } from '#ir/graph.ts';
import { operand } from '#ir/graph.ts';
import { winogradTransform } from '../../../winograd/transforms.ts';
import type { LowerContext } from '../context.ts';
import { packFilters } from '../kernels/winograd/filter.ts';
import { type WinogradParams, winogradScratch } from '../kernels/winograd/winograd.ts';
import { biasArguments, type PixelBias } from './pixel-product.ts';
import { chunkOf, type WinogradLayer, type WinogradPlan, winogradTile } from './winograd-plan.ts';

export function lowerWinograd(
  node: Node,
  context: LowerContext,
  { axes, filters }: WinogradLayer,
  plan: WinogradPlan,
  bias: PixelBias,
): void {
  const { groups, inputChannels, channels } = filters;
  const input = context.pixels(operand(node, 0));
  const out = context.output(node);
  const epilogue = context.epilogue(node, out, 1);
  const spatial = (list: readonly number[]) => [list[2] ?? 0, list[3] ?? 0] as const;
  const plane = ({ shape, strides, dtype }: View) => {
    // of an axis of one position the strides say nothing
    const dense = layoutStrides(shape, dtype, 'channelsLast');
    const steps = strides.map((step, axis) => (shape[axis] === 1 ? (dense[axis] ?? 0) : step));
    return { size: spatial(shape), steps: spatial(steps) };
  };
  const elements = winogradTransform(plan.outputs).size ** 2;
  const tile = winogradTile(channels);
  const weight = packFilters(filters, plan.outputs, tile[1]);
  const biases = biasArguments(context, bias, groups, channels);
  const shape = {
    outputs: plan.outputs,
    block: plan.block,
    chunk: chunkOf(filters, plan),
    inputChannels,
    channels,
    input: plane(input),
    threads: context.threads,
  };
  const blocks = {
    ...shape,
    output: plane(out),
    outer: mergeLoops(loopsOver(out.shape, [input.strides, out.strides, ...epilogue.strides], [0])),
    groups: {
      count: groups,
      steps: [
        inputChannels * 4,
        channels * 4,
        elements * weight.elementBytes,
        biases.groupBytes,
        ...epilogue.strides.map((s) => (s[1] ?? 0) * channels),
      ],
    },
  };
  const scratch = context.scratch([winogradScratch(blocks).bytes / 4], 'f32');
  const params: WinogradParams = {
    ...blocks,
    pads: [axes[0]?.padBegin ?? 0, axes[1]?.padBegin ?? 0],
    weightBytes: weight.elementBytes,
    tile,
    bias: biases.views.length > 0,
    epilogue: epilogue.kernel,
    extraSteps: epilogue.strides.map(spatial),
  };
  context.call({ family: 'winograd', params }, [
    input,
    context.packed(weight),
    ...biases.views,
    scratch,
    out,
    ...epilogue.views,
  ]);
}
