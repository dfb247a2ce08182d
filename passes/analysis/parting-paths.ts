/** The layers of two paths that meet, from where they part. */
import type { Graph, Node, Value } from '#ir/graph.ts';
import { dataOperands } from './paths.ts';
import type { Misalignment } from './receptive-field.ts';

export interface PartingPaths {
  /** The last value that both depend on; undefined where it is too far back to be looked for. */
  readonly from: Value | undefined;
  /** Nodes in order, without the one where they meet; a shortcut has none. Of several ways, the one along first operands. */
  readonly paths: readonly (readonly Node[])[];
}

/** Values looked at on the way back. */
const FARTHEST = 4096;

/** For one graph, a function that follows misaligned paths back to where they part. */
export function partingPaths(graph: Graph): (at: Misalignment) => PartingPaths {
  const order = new Map(graph.nodes.map((node, i) => [node, i]));
  const place: Place = (v) => (v.source.kind === 'node' ? (order.get(v.source.node) ?? -1) : -1);
  return ({ paths }) => {
    const ends = paths.map(({ via }) => via);
    const from = nearestCommon(ends, place);
    return { from, paths: ends.map((to) => wayFrom(from, to, place)) };
  };
}

/** Where a value stands in the order of the graph. */
type Place = (value: Value) => number;

/** The last value that all of several depend on, or are. */
function nearestCommon(ends: readonly Value[], place: Place): Value | undefined {
  const reaches = new Map<Value, ReadonlySet<Value>>();
  const reach = (value: Value, more: Iterable<Value>) =>
    reaches.set(value, new Set([...(reaches.get(value) ?? []), ...more]));
  for (const end of ends) reach(end, [end]);
  const open = new Set(ends);
  for (let looked = 0; open.size > 0 && looked < FARTHEST; looked++) {
    const last = [...open].reduce((a, b) => (place(b) > place(a) ? b : a));
    const reached = reaches.get(last) ?? new Set();
    if (reached.size === new Set(ends).size) return last;
    open.delete(last);
    for (const operand of operandsOf(last)) {
      reach(operand, reached);
      open.add(operand);
    }
  }
  return undefined;
}

function wayFrom(from: Value | undefined, to: Value, place: Place): readonly Node[] {
  const dead = new Set<Value>();
  const way = [to];
  for (let at = way.at(-1); at && at !== from && dead.size < FARTHEST; at = way.at(-1)) {
    const operands = operandsOf(at);
    if (from === undefined && operands.length === 0) break;
    const next = operands.find((v) => !dead.has(v) && (from === undefined || place(v) >= place(from)));
    if (next) way.push(next);
    else dead.add(at) && way.pop();
  }
  return way.flatMap((v) => (v !== from && v.source.kind === 'node' ? [v.source.node] : [])).reverse();
}

const operandsOf = ({ source }: Value): readonly Value[] =>
  source.kind === 'node' ? dataOperands(source.node) : [];
