/** Ways through a graph that analyses follow: on from a value for as long as nobody else sees it. */
import { constantOf, type Graph, isOp, type Node, opDef, type Value } from '#ir/graph.ts';

/** The only node that reads a value, and that reads it once; undefined for what leaves the graph. */
export function soleReader(graph: Graph, value: Value): Node | undefined {
  const [use, other] = value.uses;
  return use && !other && !graph.isOutput(value) ? use.node : undefined;
}

/** Does the node do the same to each element, or to each element of a channel, of one value that is not constant? */
export const isChannelwise = (node: Node): boolean =>
  isOp(node, 'BatchNormalization') || (isElementwise(node) && dataOperands(node).length === 1);

export const isElementwise = (node: Node): boolean => opDef(node.op).expression !== undefined;

/** Operands whose values the weights do not fix. */
export const dataOperands = (node: Node): readonly Value[] =>
  node.operands.flatMap((v) => (v && !constantOf(v) ? [v] : []));

const LINEAR: readonly string[] = ['BatchNormalization', 'Add', 'Sub', 'Mul', 'Div'];

export interface Followed {
  readonly nodes: readonly Node[];
  readonly end: Value;
  /** Is there an activation on the way? */
  readonly active: boolean;
}

/** On through normalisation, bias and activations, those that gate a value with itself (x·sigmoid(x)) too. */
export function followChannelwise(graph: Graph, start: Value): Followed {
  const nodes: Node[] = [];
  let end = start;
  let active = false;
  for (;;) {
    const step = channelwiseStep(graph, end);
    const value = step?.at(-1)?.outputs[0];
    if (!step || !value) return { nodes, end, active };
    active ||= step.length > 1 || step.some((n) => !LINEAR.includes(n.op));
    nodes.push(...step);
    end = value;
  }
}

function channelwiseStep(graph: Graph, value: Value): readonly Node[] | undefined {
  const reader = soleReader(graph, value);
  if (reader) return isChannelwise(reader) && reader.outputs.length === 1 ? [reader] : undefined;
  return selfGate(graph, value);
}

/** The nodes of x·f(x), f element by element. */
function selfGate(graph: Graph, value: Value): readonly Node[] | undefined {
  if (value.uses.length !== 2 || graph.isOutput(value)) return undefined;
  const product = value.uses.map((u) => u.node).find((n) => isOp(n, 'Mul') && dataOperands(n).length === 2);
  let next = value.uses.map((u) => u.node).find((n) => n !== product);
  const nodes: Node[] = [];
  while (product && next && next !== product) {
    const [y] = next.outputs;
    if (!isChannelwise(next) || !y) return undefined;
    nodes.push(next);
    next = soleReader(graph, y);
  }
  return product && next === product ? [...nodes, product] : undefined;
}
