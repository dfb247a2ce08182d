/** What a graph costs, exactly: arithmetic, parameters and traffic of each node, and their totals. */
import { operationCount } from '#ir/expr.ts';
import { type Graph, type Node, opCost, opDef, producer, type Value } from '#ir/graph.ts';
import type { Cost, InputRole } from '#ir/op.ts';
import { byteSize, elementCount } from '#ir/types.ts';

/** Conventions of every number here, for whoever prints one. */
export const COST_CONVENTIONS = {
  macs: 'multiply-accumulates of convolutions and matrix products; products with zero padding count; a transposed convolution counts input elements × (output channels / groups) × taps',
  flops: '2 × macs, exactly',
  otherOps:
    'all other arithmetic (bias, normalisation, activation, pooling, elementwise), one per operation and element; in no other total',
  parameters:
    'elements of float constants used as weight, bias, scale or shift, each stored constant once; a scale or shift of one element is not a parameter',
  buffers: 'elements of running means and variances, each stored constant once',
  bytes:
    'bytes of all operands read and all results written once, at the element size of the model; a view moves none',
  intensity: 'flops / (bytesRead + bytesWritten), in FLOP per byte',
} as const;

export interface NodeCost {
  readonly macs: number;
  /** 2·macs. */
  readonly flops: number;
  readonly otherOps: number;
  /** Elements of parameters that no earlier node uses, so that these add up to the total. */
  readonly parameters: number;
  /** Elements of parameters that an earlier node uses too. */
  readonly sharedParameters: number;
  readonly buffers: number;
  readonly parameterBytes: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** FLOP per byte; 0 where nothing moves. */
  readonly intensity: number;
}

export interface GraphCost {
  readonly nodes: ReadonlyMap<Node, NodeCost>;
  readonly totals: NodeCost;
}

export function graphCost(graph: Graph): GraphCost {
  const counted = new Set<Value>();
  const nodes = new Map<Node, NodeCost>();
  for (const node of graph.nodes) nodes.set(node, nodeCost(node, counted));
  return { nodes, totals: sumCosts(nodes.values()) };
}

/** The MACs alone. */
export const graphMacs = (graph: Graph): number => sum(graph.nodes, (node) => opCost(node).macs);

/** The arithmetic of a node; an epilogue counts one operation per function and element. */
export function arithmetic(node: Node): Cost {
  const own = opCost(node);
  const [first] = node.outputs;
  if (!node.epilogue || !first) return own;
  const epilogue = operationCount(node.epilogue) * elementCount(first.type.shape);
  return { macs: own.macs, otherOps: own.otherOps + epilogue };
}

/** Parameters already in `counted` are shared; the node's own are added to it. */
export function nodeCost(node: Node, counted: Set<Value> = new Set()): NodeCost {
  const { macs, otherOps } = arithmetic(node);
  const { parameters, sharedParameters, buffers, parameterBytes } = storedConstants(node, counted);
  const moves = !opDef(node.op).traits.view;
  const bytes = (values: Iterable<Value | undefined>) => sum(values, (v) => (v ? byteSize(v.type) : 0));
  const bytesRead = moves ? bytes(new Set(node.operands)) : 0;
  const bytesWritten = moves ? bytes(node.outputs) : 0;
  return withDerived({
    macs,
    otherOps,
    parameters,
    sharedParameters,
    buffers,
    parameterBytes,
    bytesRead,
    bytesWritten,
  });
}

export function sumCosts(costs: Iterable<NodeCost>): NodeCost {
  const total = { ...ZERO };
  for (const cost of costs) for (const key of SUMMED) total[key] += cost[key];
  return withDerived(total);
}

type Summed = Omit<NodeCost, 'flops' | 'intensity'>;
const ZERO: { -readonly [K in keyof Summed]: number } = {
  macs: 0,
  otherOps: 0,
  parameters: 0,
  sharedParameters: 0,
  buffers: 0,
  parameterBytes: 0,
  bytesRead: 0,
  bytesWritten: 0,
};
const SUMMED = Object.keys(ZERO) as (keyof Summed)[];

function withDerived(cost: Summed): NodeCost {
  const bytes = cost.bytesRead + cost.bytesWritten;
  return { ...cost, flops: 2 * cost.macs, intensity: bytes === 0 ? 0 : (2 * cost.macs) / bytes };
}

function sum<T>(items: Iterable<T>, of: (item: T) => number): number {
  let total = 0;
  for (const item of items) total += of(item);
  return total;
}

/** The last input's role repeats; what an epilogue reads is a scale or shift. */
function roleOf(node: Node, slot: number): InputRole {
  const { inputs } = opDef(node.op);
  return slot >= node.arity ? 'affine' : ((inputs[slot] ?? inputs.at(-1))?.role ?? 'data');
}

function storedConstants(
  node: Node,
  counted: Set<Value>,
): Pick<NodeCost, 'parameters' | 'sharedParameters' | 'buffers' | 'parameterBytes'> {
  const result = { parameters: 0, sharedParameters: 0, buffers: 0, parameterBytes: 0 };
  const own: Value[] = [];
  node.operands.forEach((value, slot) => {
    const role = roleOf(node, slot);
    if (role === 'data') return;
    for (const constant of storedBehind(value)) {
      const size = elementCount(constant.type.shape);
      if (own.includes(constant) || constant.type.dtype !== 'f32' || (role === 'affine' && size <= 1))
        continue;
      own.push(constant);
      if (role === 'buffer') result.buffers += counted.has(constant) ? 0 : size;
      else if (counted.has(constant)) result.sharedParameters += size;
      else {
        result.parameters += size;
        result.parameterBytes += byteSize(constant.type);
      }
      counted.add(constant);
    }
  });
  return result;
}

/** The stored constants that a value is a copy of: itself, or through ops that only move elements. */
function storedBehind(value: Value | undefined, depth = 0): readonly Value[] {
  if (value?.source.kind === 'constant') return [value];
  const node = producer(value);
  if (!node || depth > 8 || !opDef(node.op).traits.movement) return [];
  const sources = node.operands.filter((v) => v !== undefined).map((v) => storedBehind(v, depth + 1));
  return sources.every((s) => s.length > 0) ? sources.flat() : [];
}
