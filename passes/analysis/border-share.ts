/** Where a network sees padding, and where its field has outgrown the image. */
import type { Graph, Node, Value } from '#ir/graph.ts';
import { mapAt } from '#ir/window.ts';
import type { InputTrace, ReceptiveFields } from './receptive-field.ts';

export interface BorderShares {
  /** Per node whose first output has a moving field: the share of its positions whose field reaches beyond the image. */
  readonly shares: ReadonlyMap<Node, number>;
  /** The first node, in graph order, every position of which has a field as large as the image or larger. */
  readonly outgrown: Node | undefined;
}

/** In the first input that a node sees, gates left out; where an axis is seen only as a whole, the node is left out. */
export function borderShare(graph: Graph, { traces }: ReceptiveFields): BorderShares {
  const shares = new Map<Node, number>();
  let outgrown: Node | undefined;
  for (const node of graph.nodes) {
    const value = node.outputs[0];
    const trace = value && traces.get(value)?.[0];
    if (!value || !trace) continue;
    const axes = axesOf(value, trace);
    if (!axes) continue;
    shares.set(node, 1 - axes.reduce((inside, axis) => inside * axis.inside, 1));
    if (axes.every((axis) => axis.outgrown)) outgrown ??= node;
  }
  return { shares, outgrown };
}

interface AxisBorder {
  /** The share of positions whose field lies inside the image. */
  readonly inside: number;
  readonly outgrown: boolean;
}

function axesOf(value: Value, { input, axes }: InputTrace): readonly AxisBorder[] | undefined {
  const found = axes.flatMap(({ moving, inputAxis }): AxisBorder[] => {
    if (!moving) return [];
    const image = input.type.shape[inputAxis] ?? 0;
    const fields = Array.from({ length: value.type.shape[moving.axis] ?? 0 }, (_, o) => mapAt(moving.map, o));
    if (fields.length === 0) return [];
    const inside = fields.filter(([start, size]) => size === 0 || (start >= 0 && start + size <= image));
    return [{ inside: inside.length / fields.length, outgrown: fields.every(([, size]) => size >= image) }];
  });
  return found.length === axes.length && found.length > 0 ? found : undefined;
}
