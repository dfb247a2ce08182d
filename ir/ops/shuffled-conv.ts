/** A grouped convolution and the channel shuffle after it as one op, for targets that store in any order of channels. */
import { defineOp, type EvalContext, outputType } from '../op.ts';
import { product } from '../types.ts';
import { Conv, type ConvAttrs, convElement } from './conv.ts';

/**
 * ChannelShuffle(Conv(x, weight, bias), group): of g groups with m output channels each, channel i·m + j of the convolution
 * is channel j·g + i (Zhang et al., ShuffleNet, 2017). x [N, Cin, …], weight [Cout, Cin/group, k…], bias [Cout] → [N, Cout, …].
 */
export const ShuffledConv = defineOp({
  ...Conv,
  name: 'ShuffledConv',
  // a filter's channel is not where its result is
  channelAxis: () => null,
  reference: { kind: 'element', element: shuffledElement },
});

function shuffledElement(context: EvalContext<ConvAttrs>): (index: number) => number {
  const { shape } = outputType(context);
  const plane = product(shape.slice(2));
  const channels = shape[1] ?? 1;
  const { group } = context.attrs;
  const element = convElement(context);
  return (index) => {
    const at = Math.floor(index / plane);
    const channel = at % channels;
    const source = (channel % group) * (channels / group) + Math.floor(channel / group);
    return element(index + (source - channel) * plane);
  };
}
