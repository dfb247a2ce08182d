/** Puts a chain of convolutions where one was. */
import { Builder } from '#ir/builder.ts';
import type { Graph } from '#ir/graph.ts';
import { f32 } from '#ir/tensor.ts';
import { supersede } from '../edit.ts';
import type { Fitted } from './family.ts';
import type { ConvLayer } from './layer.ts';

export function replaceByChain(
  graph: Graph,
  { node, x, y }: ConvLayer,
  { chain, weights, bias }: Fitted,
): void {
  const b = new Builder(graph);
  const result = chain.reduce((value, { role, cout, cinPerGroup, group, axes }, i) => {
    const name = `${node.name}/${role}`;
    const shape = [cout, cinPerGroup, ...axes.map((a) => a.kernel)];
    const weight = b.constant(`${name}.weight`, f32(shape, weights[i] ?? []));
    const last = i === chain.length - 1;
    return b.conv(value, weight, {
      name,
      group,
      strides: axes.map((a) => a.stride),
      dilations: axes.map((a) => a.dilation),
      pads: [...axes.map((a) => a.padBegin), ...axes.map((a) => a.padEnd)],
      ...(last ? { bias: b.constant(`${name}.bias`, f32([cout], bias)) } : {}),
    });
  }, x);
  supersede(graph, y, result);
}
