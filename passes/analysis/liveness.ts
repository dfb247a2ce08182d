/** When the values of a graph are alive, and how much memory that takes by a real allocation plan. */
import { type Graph, type Node, opDef, operand, outputValues, result, type Value } from '#ir/graph.ts';
import { byteSize, type Shape, sameShape } from '#ir/types.ts';
import { type ArenaPlan, liveSizes, planArena } from './arena.ts';

export { type ArenaPlan, type ArenaRequest, liveSizes, planArena } from './arena.ts';

/** Memory that one or more values occupy in turn: through views, and through results written in place. */
export interface LiveBuffer {
  readonly id: number;
  readonly values: readonly Value[];
  readonly bytes: number;
  /** Indices into the graph's nodes, both included; an input is alive from 0. */
  readonly start: number;
  readonly end: number;
  readonly offset: number;
}

export interface GraphLiveness {
  /** Bytes of an arena that holds every activation: inputs, outputs and values between; not constants. */
  readonly peakBytes: number;
  /** The largest sum of bytes alive while one node runs; no plan needs less. */
  readonly liveBytes: number;
  /** The node that runs then; absent in a graph without nodes. */
  readonly peakNode: Node | undefined;
  /** Bytes alive while each node runs. */
  readonly timeline: readonly { readonly node: Node; readonly bytes: number }[];
  readonly buffers: readonly LiveBuffer[];
}

export interface LivenessOptions {
  /** Start of every buffer, in bytes. */
  readonly alignment?: number;
  /** Elementwise results may take over a dying operand's buffer; they do unless said. */
  readonly inPlace?: boolean;
  /** Operands of a Concat that nobody else reads are written where they stand in its result; they count apart unless said. */
  readonly concatBySlices?: boolean;
}

/**
 * Lifetimes with nodes run one by one in the graph's order. A value lives from the node that makes it to the last that
 * reads it; an input from the start, an output to the end. A view shares its input's buffer; an elementwise result
 * takes over that of an operand of its type that nobody reads later.
 */
export function graphLiveness(graph: Graph, options: LivenessOptions = {}): GraphLiveness {
  const buffers = assignBuffers(graph, options);
  const plan = placed(buffers, options);
  return {
    peakBytes: plan.size,
    liveBytes: plan.lowerBound,
    peakNode: graph.nodes[plan.peakAt],
    timeline: timeline(graph, buffers),
    buffers: buffers.map((b) => ({ ...b, offset: plan.offsets.get(b.id) ?? 0 })),
  };
}

/** The peak alone, as `graphLiveness` has it. */
export const peakBytes = (graph: Graph, options: LivenessOptions = {}): number =>
  placed(assignBuffers(graph, options), options).size;

const placed = (buffers: readonly OpenBuffer[], { alignment = 1 }: LivenessOptions): ArenaPlan<number> =>
  planArena(buffers.map(({ id, bytes, start, end }) => ({ id, bytes, start, end, alignment })));

interface OpenBuffer {
  id: number;
  values: Value[];
  bytes: number;
  start: number;
  end: number;
}

function assignBuffers(
  graph: Graph,
  { inPlace = true, concatBySlices = false }: LivenessOptions,
): readonly OpenBuffer[] {
  const last = lastReads(graph);
  const buffers: OpenBuffer[] = [];
  const of = new Map<Value, OpenBuffer>();
  const open = (value: Value, start: number): void => {
    const end = Math.max(start, last.get(value) ?? start);
    const buffer = { id: buffers.length, values: [value], bytes: byteSize(value.type), start, end };
    buffers.push(buffer);
    of.set(value, buffer);
  };
  const share = (value: Value, buffer: OpenBuffer): void => {
    buffer.values.push(value);
    buffer.end = Math.max(buffer.end, last.get(value) ?? buffer.end);
    of.set(value, buffer);
  };
  for (const input of graph.inputs) open(input, 0);
  graph.nodes.forEach((node, step) => {
    const host = sharedBuffer(node, of) ?? (inPlace ? inPlaceBuffer(node, step, of) : undefined);
    node.outputs.forEach((value, index) => {
      if (host && index === 0) share(value, host);
      else open(value, step);
    });
    if (concatBySlices && opDef(node.op).traits.joins) joinBuffers(node, step, of);
  });
  return buffers.filter(({ bytes }) => bytes > 0);
}

/** Operands that die here are parts of the result from their start on: only what they had besides is memory of theirs. */
function joinBuffers(node: Node, step: number, of: ReadonlyMap<Value, OpenBuffer>): void {
  const joined = of.get(result(node));
  const parts = new Set(node.operands.map((value) => value && of.get(value)));
  for (const part of parts) {
    if (!joined || !part || part.end !== step || part.values[0]?.source.kind === 'input') continue;
    joined.start = Math.min(joined.start, part.start);
    part.bytes = 0;
  }
}

/** The buffer that a view's result lies in. */
function sharedBuffer(node: Node, of: ReadonlyMap<Value, OpenBuffer>): OpenBuffer | undefined {
  return opDef(node.op).traits.view ? of.get(operand(node, 0)) : undefined;
}

/** The buffer of an operand that dies here and that an elementwise result may overwrite. */
function inPlaceBuffer(node: Node, step: number, of: ReadonlyMap<Value, OpenBuffer>): OpenBuffer | undefined {
  if (opDef(node.op).traits.layout !== 'pointwise') return undefined;
  const bytes = byteSize(result(node).type);
  for (const value of node.operands) {
    const buffer = value && of.get(value);
    if (!buffer || buffer.end !== step || buffer.bytes !== bytes || byteSize(value.type) !== bytes) continue;
    // a second, differently shaped view of the same memory would be read after it is overwritten
    const readings = node.operands.filter((other) => other && of.get(other) === buffer && other !== value);
    if (readings.length === 0 && sameElements(value, result(node))) return buffer;
  }
  return undefined;
}

/** Are both written in one order, element for element (no broadcasting)? */
const sameElements = ({ type: a }: Value, { type: b }: Value): boolean =>
  a.dtype === b.dtype && sameShape(withoutLeadingOnes(a.shape), withoutLeadingOnes(b.shape));

function withoutLeadingOnes(shape: Shape): Shape {
  let ones = 0;
  while (ones < shape.length - 1 && shape[ones] === 1) ones++;
  return shape.slice(ones);
}

/** The last step that reads each value; past the end for an output. */
function lastReads(graph: Graph): ReadonlyMap<Value, number> {
  const last = new Map<Value, number>();
  graph.nodes.forEach((node, step) => {
    for (const value of node.operands) if (value) last.set(value, step);
  });
  for (const value of graph.outputs.flatMap(outputValues)) last.set(value, graph.nodes.length);
  return last;
}

const timeline = (graph: Graph, buffers: readonly OpenBuffer[]): { node: Node; bytes: number }[] => {
  const live = liveSizes(buffers, graph.nodes.length + 1);
  return graph.nodes.map((node, step) => ({ node, bytes: live[step] ?? 0 }));
};
