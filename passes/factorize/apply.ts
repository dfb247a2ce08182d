/** Puts a chain of convolutions where one was. */
import { Builder } from '#ir/builder.ts';
import type { Graph, Value } from '#ir/graph.ts';
import { f32, i64 } from '#ir/tensor.ts';
import { supersede } from '../edit.ts';
import { type Fitted, inOrder } from './family.ts';
import type { ConvLayer } from './layer.ts';

export function replaceByChain(
  graph: Graph,
  { node, x, y }: ConvLayer,
  { chain, weights, bias, orders }: Fitted,
): void {
  const b = new Builder(graph);
  const reordered = (value: Value, order: readonly number[], role: string): Value => {
    if (inOrder(order)) return value;
    const name = `${node.name}/${role}`;
    const index = b.constant(`${name}.channels`, i64(order));
    return b.op('Gather', [value, index], { axis: 1 }, { name });
  };
  const read = orders ? reordered(x, orders.inputs, 'order') : x;
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
  }, read);
  supersede(graph, y, orders ? reordered(result, inverse(orders.outputs), 'reorder') : result);
}

/** The place of each in an order. */
function inverse(order: readonly number[]): readonly number[] {
  const places = new Array<number>(order.length).fill(0);
  for (const [i, from] of order.entries()) places[from] = i;
  return places;
}
