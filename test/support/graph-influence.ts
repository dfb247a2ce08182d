/** What positions of a graph's values are said to see against what its values do when inputs are disturbed. */
import { evaluateGraph } from '#ir/evaluate.ts';
import type { Graph, Value } from '#ir/graph.ts';
import { allocate, type Tensor } from '#ir/tensor.ts';
import { type Box, seenAt } from '#passes/analysis/seen-at.ts';
import { randomInputs } from './graphs.ts';
import { positions } from './op.ts';

export interface Influence {
  /** One line for each element that depends on what it is said not to see. */
  readonly errors: readonly string[];
  /** Disturbances that reached an element, and those of them where not all of the input is said to be seen. */
  readonly reached: number;
  readonly bounded: number;
}

/** Disturbs elements of every input, one at a time, at most `most` of each, and looks at every value. */
export function influenceErrors(graph: Graph, seed: number, most = 24): Influence {
  const inputs = randomInputs(graph, seed);
  const values = [...new Set(graph.nodes.flatMap((node) => node.outputs))];
  const run = (given: ReadonlyMap<string, Tensor>) =>
    evaluateGraph(graph, given, { keep: new Set(values), anyData: true });
  const base = run(inputs);
  const boxes = values.map((value) =>
    positions(value.type.shape).map((place) =>
      seenAt(
        graph,
        value,
        place.map((p) => ({ start: p, end: p + 1 })),
      ),
    ),
  );
  const errors: string[] = [];
  let [reached, bounded] = [0, 0];
  for (const input of graph.inputs) {
    const all = positions(input.type.shape);
    const step = Math.max(1, all.length / most);
    for (let k = 0; k < all.length; k += step) {
      const at = all[Math.floor(k)] ?? [];
      const changed = run(new Map(inputs).set(input.name, raised(inputs, input, Math.floor(k))));
      values.forEach((value, v) => {
        const [before, after] = [base.get(value)?.data, changed.get(value)?.data];
        boxes[v]?.forEach((seen, i) => {
          if (!before || !after || Object.is(before[i], after[i])) return;
          const box = seen.get(input);
          reached++;
          if (box?.some(({ start, end }, axis) => end - start < (input.type.shape[axis] ?? 0))) bounded++;
          const wrong = outside(box, at);
          if (wrong !== undefined)
            errors.push(`${value.name}[${i}] depends on ${input.name} at ${at}: ${wrong}`);
        });
      });
    }
  }
  return { errors, reached, bounded };
}

function raised(inputs: ReadonlyMap<string, Tensor>, input: Value, index: number): Tensor {
  const given = inputs.get(input.name);
  if (!given) throw new Error(`no values for ${input.name}`);
  const { type } = given;
  const data = allocate(type.dtype, given.data.length);
  for (let i = 0; i < data.length; i++) data[i] = given.data[i] ?? 0;
  const value = data[index] ?? 0;
  data[index] =
    typeof value === 'bigint'
      ? value + 1n
      : type.dtype === 'bool'
        ? 1 - value
        : value + (type.dtype === 'f32' ? 37 : 1);
  return { type, data };
}

function outside(box: Box | undefined, at: readonly number[]): string | undefined {
  if (!box) return 'it is said to see nothing';
  const axis = box.findIndex(({ start, end }, i) => (at[i] ?? 0) < start || (at[i] ?? 0) >= end);
  return axis < 0
    ? undefined
    : `along axis ${axis} it is said to see ${box[axis]?.start}…${(box[axis]?.end ?? 0) - 1}`;
}
