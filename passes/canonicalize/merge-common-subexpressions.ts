/**
 * Before      y = f(x), z = f(x); constants c and d of one type and equal bytes
 * After       y for both; c for both
 * Conditions  same op, attributes, epilogue and operands, in either order where the op commutes; constants whose data is
 *             missing are never equal
 */
import { exprKey } from '#ir/expr.ts';
import {
  epilogueOperands,
  type Graph,
  type Node,
  opDef,
  ownInputs,
  tensorOf,
  type Value,
} from '#ir/graph.ts';
import { bytesOfData, type Tensor } from '#ir/tensor.ts';
import { formatType } from '#ir/types.ts';
import { redirect } from '../edit.ts';
import { type Application, definePass } from '../pass.ts';

export const mergeCommonSubexpressions = definePass({
  name: 'mergeCommonSubexpressions',
  summary: 'Computes equal things once, and keeps equal constants once',
  requires: [],
  ensures: [],
  run(graph, { signal }) {
    const applications = mergeConstants(graph);
    const known = new Map<string, Node>();
    for (const node of graph.nodes) {
      signal?.throwIfAborted();
      const key = keyOf(node);
      const first = known.get(key);
      if (!first) {
        known.set(key, node);
        continue;
      }
      applications.push(merged(node));
      node.outputs.forEach((value, i) => {
        const same = first.outputs[i];
        if (same) redirect(graph, value, same);
      });
    }
    return { changes: applications.length, applications, refusals: [] };
  },
});

const merged = ({ name }: Node | Value): Application => ({ rule: 'mergeCommonSubexpressions', node: name });

/** Equal for nodes that compute the same; producers come first, so their merging shows in the operands. */
function keyOf(node: Node): string {
  const ids = ownInputs(node).map((v) => v?.id ?? -1);
  if (opDef(node.op).traits.commutative) ids.sort((a, b) => a - b);
  return JSON.stringify([
    node.op,
    // JSON has no infinities
    Object.entries(node.attrs).map(([name, value]) => [name, typeof value, String(value)]),
    ids,
    node.epilogue ? exprKey(node.epilogue) : '',
    epilogueOperands(node).map((v) => v?.id ?? -1),
  ]);
}

function mergeConstants(graph: Graph): Application[] {
  const known = new Map<string, { value: Value; tensor: Tensor }[]>();
  const applications: Application[] = [];
  for (const value of graph.values) {
    const tensor = tensorOf(value);
    if (!tensor) continue;
    const key = fingerprint(tensor);
    const alike = known.get(key) ?? [];
    const same = alike.find((k) => sameBytes(k.tensor, tensor));
    if (same) {
      applications.push(merged(value));
      graph.replaceUses(value, same.value);
    } else {
      alike.push({ value, tensor });
      known.set(key, alike);
    }
  }
  return applications;
}

/** The type and a few bytes spread over the data: enough to tell most constants apart without reading all of them. */
function fingerprint({ type, data }: Tensor): string {
  const bytes = bytesOfData(data);
  const step = Math.max(1, Math.floor(bytes.length / 16));
  let key = formatType(type);
  for (let i = 0; i < bytes.length; i += step) key += `.${bytes[i]}`;
  return key;
}

export function sameBytes(a: Tensor, b: Tensor): boolean {
  if (a.data === b.data) return true;
  const [x, y] = [bytesOfData(a.data), bytesOfData(b.data)];
  for (let i = 0; i < x.length; i++) if (x[i] !== y[i]) return false;
  return x.length === y.length;
}
