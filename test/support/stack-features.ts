/** What stacks of convolutions are made of, read from the networks themselves. */
import {
  type Graph,
  isOp,
  type Node,
  type OpName,
  operand,
  producer,
  result,
  type Value,
} from '#ir/graph.ts';
import { STACK_ACTIVATIONS } from './conv-stacks.ts';

interface Layer {
  readonly op: 'Conv' | 'ConvTranspose';
  readonly node: Node;
  readonly group: number;
  readonly channels: { readonly in: number; readonly out: number };
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly pads: readonly number[];
  readonly outputPadding: readonly number[];
}

function layerOf(node: Node): Layer[] {
  const transposed = isOp(node, 'ConvTranspose');
  if (!transposed && !isOp(node, 'Conv')) return [];
  const { group, strides, dilations, pads } = node.attrs;
  const outputPadding = transposed ? node.attrs.outputPadding : [];
  const [weight, ...channels] = [
    operand(node as Node, 1),
    operand(node as Node, 0),
    result(node as Node),
  ].map(({ type }) => type.shape);
  const [cin = 1, cout = 1] = channels.map((shape) => shape[1] ?? 1);
  return [
    {
      op: transposed ? 'ConvTranspose' : 'Conv',
      node: node as Node,
      group,
      channels: { in: cin, out: cout },
      kernel: weight?.slice(2) ?? [],
      ...{ strides, dilations, pads, outputPadding },
    },
  ];
}

const above = (list: readonly number[], limit: number): boolean => list.some((n) => n > limit);
const isDepthwise = ({ group, channels }: Layer): boolean => group > 1 && group === channels.in;
const isStrided = ({ strides }: Layer): boolean => above(strides, 1);
const isDilated = ({ kernel, dilations }: Layer): boolean =>
  kernel.some((k, i) => k > 1 && (dilations[i] ?? 1) > 1);
const isUneven = ({ pads, kernel }: Layer): boolean =>
  kernel.some((_, axis) => pads[axis] !== pads[axis + kernel.length]);

/** Of either kind of convolution. */
const LAYER_FEATURES: Readonly<Record<string, (layer: Layer) => boolean>> = {
  'over 1 axis': ({ kernel }) => kernel.length === 1,
  'over 2 axes': ({ kernel }) => kernel.length === 2,
  'over 3 axes': ({ kernel }) => kernel.length === 3,
  'in one group': ({ group, channels }) => group === 1 && channels.in > 1,
  'in several groups': (layer) => layer.group > 1 && !isDepthwise(layer),
  depthwise: (layer) => isDepthwise(layer) && layer.channels.out === layer.channels.in,
  'depthwise with a multiplier': (layer) => isDepthwise(layer) && layer.channels.out > layer.channels.in,
  strided: isStrided,
  dilated: isDilated,
  'strided and dilated': (layer) => isStrided(layer) && isDilated(layer),
  'dilated in several groups': (layer) => layer.group > 1 && isDilated(layer),
  padded: ({ pads }) => above(pads, 0),
  'padded more on one side': isUneven,
  'with a kernel of unequal sides': ({ kernel }) => new Set(kernel).size > 1,
  'with a kernel of 4 or 5': ({ kernel }) => above(kernel, 3),
  'of one tap': ({ kernel }) => !above(kernel, 1),
  'with a bias': ({ node }) => node.operands[2] !== undefined,
  'without a bias': ({ node }) => node.operands[2] === undefined,
  'with weights that are inputs': ({ node }) => operand(node, 1).source.kind === 'input',
};

const layers = ({ nodes }: Graph): Layer[] => nodes.flatMap(layerOf);
const has =
  (...ops: readonly OpName[]) =>
  ({ nodes }: Graph): boolean =>
    nodes.some((node) => ops.includes(node.op));
const before = (node: Node): Node | undefined => producer(operand(node, 0));

/** The convolutions whose results reach a value through no other one. */
function layersBefore(value: Value): Layer[] {
  const node = producer(value);
  if (!node) return [];
  const own = layerOf(node);
  return own.length > 0 ? own : node.operands.flatMap((v) => (v ? layersBefore(v) : []));
}

/** A layer in groups that reads what a shuffle made of the result of another one. */
function isShuffled({ node, group }: Layer): boolean {
  const joined = before(node);
  const turned = joined?.op === 'Reshape' ? before(joined) : undefined;
  if (group === 1 || turned?.op !== 'Transpose') return false;
  return layersBefore(operand(turned, 0)).some((layer) => layer.group > 1);
}

const image = ({ inputs }: Graph): readonly number[] => inputs[0]?.type.shape ?? [];

export const STACK_FEATURES: ReadonlyMap<string, (graph: Graph) => boolean> = new Map([
  ...(['Conv', 'ConvTranspose'] as const).flatMap((op) =>
    Object.entries(LAYER_FEATURES).map(
      ([name, is]) =>
        [`${op} ${name}`, (graph: Graph) => layers(graph).some((l) => l.op === op && is(l))] as const,
    ),
  ),
  ['ConvTranspose with output padding', (graph) => layers(graph).some((l) => above(l.outputPadding, 0))],
  [
    'ConvTranspose with output padding below the stride',
    (graph) =>
      layers(graph).some((l) => above(l.outputPadding, 0)) &&
      layers(graph).every((l) => l.outputPadding.every((padding, i) => padding < (l.strides[i] ?? 1))),
  ],
  ...[1, 2, 3].map((batch) => [`batch of ${batch}`, (graph: Graph) => image(graph)[0] === batch] as const),
  ['shuffle between groups', (graph) => layers(graph).some(isShuffled)],
  ['BatchNormalization', has('BatchNormalization')],
  [
    'BatchNormalization before a convolution',
    (graph) => layers(graph).some(({ node }) => before(node)?.op === 'BatchNormalization'),
  ],
  ['residual', has('Add')],
  ...(['MaxPool', 'AveragePool', 'GlobalAveragePool'] as const).map((op) => [op, has(op)] as const),
  ['output inside', ({ outputs }) => outputs.length > 1],
  ['six convolutions', (graph) => layers(graph).length === 6],
  ...STACK_ACTIVATIONS.map((op) => [op, has(op)] as const),
]);
