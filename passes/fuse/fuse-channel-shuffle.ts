/**
 * Before      y = ChannelShuffle(Conv(x, W, b) -> f, g), the Conv of g groups
 * After       y = ShuffledConv(x, W, b) -> f: one kernel, which stores each channel where the shuffle would put it
 * Conditions  as many groups as the shuffle has; nobody else reads the result of the Conv; f reads no other tensor, which
 *             would have the order before the shuffle
 */
import { type Node, ownInputs, result } from '#ir/graph.ts';
import { otherReader, supersede } from '../edit.ts';
import { definePass } from '../pass.ts';
import { applyRules, defineRule, no, op } from '../pattern.ts';

const conv = op('Conv');
const shuffle = op('ChannelShuffle', conv);

const rule = defineRule({
  name: 'fuseChannelShuffle',
  pattern: shuffle,
  check(match, graph) {
    const [layer, order] = [match.node(conv), match.node(shuffle)];
    const { group } = layer.attrs;
    const { groups } = order.attrs;
    if (group !== groups) return no(`"${layer.name}" has ${group} groups, the shuffle ${groups}`);
    if (group === result(layer as Node).type.shape[1]) return no(`"${layer.name}" is depthwise`);
    if (layer.operands.length > layer.arity) return no(`"${layer.name}" reads other tensors in its epilogue`);
    if (order.epilogue) return no(`"${order.name}" has an epilogue`);
    const other = otherReader(graph, result(layer as Node), order as Node);
    return other ? no(other) : { layer, order };
  },
  rewrite({ layer, order }, graph) {
    const { name, origin, epilogue, attrs } = layer;
    const fused = graph.addNode('ShuffledConv', ownInputs(layer as Node), attrs, {
      name,
      ...(origin ? { origin } : {}),
      ...(epilogue ? { epilogue: { expr: epilogue, operands: [] } } : {}),
    });
    supersede(graph, result(order as Node), result(fused as Node));
  },
});

export const fuseChannelShuffle = definePass({
  name: 'fuseChannelShuffle',
  summary: 'Lets a grouped convolution store its channels in the order that the shuffle after it makes',
  requires: [],
  ensures: [],
  run: (graph, context) => applyRules(graph, [rule], context),
});
