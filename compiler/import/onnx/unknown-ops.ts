import { type Diagnostic, diagnostic } from '#ir/diagnostics.ts';
import { REFUSED } from './refused.ts';
import { listed, printable } from './text.ts';

export interface UnknownOp {
  readonly op: string;
  readonly domain: string;
  readonly opset: number | undefined;
  readonly node: string;
}

/** Why operators of the standard are refused, by operator. */
const GROUPS = new Map(REFUSED.flatMap((group) => group.ops.map((op) => [op, group] as const)));

const OF_ONNXRUNTIME =
  'this is an operator of onnxruntime: give the model as exported, before optimising it with onnxruntime';

/** One diagnostic per operator, naming the nodes: `op-refused` for those of the standard, `op-unknown` for others. */
export function unknownOps(found: readonly UnknownOp[]): Diagnostic[] {
  const groups = new Map<string, UnknownOp[]>();
  for (const entry of found) {
    const key = `${entry.domain}:${entry.op}`;
    const group = groups.get(key);
    if (group) group.push(entry);
    else groups.set(key, [entry]);
  }
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (!first) return [];
    const where = `${first.domain ? printable(first.domain) : 'ai.onnx'}${first.opset === undefined ? '' : ` ${first.opset}`}`;
    // the subject names the only node
    const nodes = group.length === 1 ? '' : `; ${group.length} nodes: ${listed(group.map((e) => e.node))}`;
    const operator = `operator ${printable(first.op)} (${where})`;
    const refused = first.domain === '' ? GROUPS.get(first.op) : undefined;
    if (refused) {
      const why = refused.what === 'others' ? '' : `, as all that is for ${refused.what}`;
      return [diagnostic('op-refused', first.node, `${operator} is refused${why}${nodes}`, refused.instead)];
    }
    const advice = first.domain.startsWith('com.microsoft') ? OF_ONNXRUNTIME : undefined;
    return [diagnostic('op-unknown', first.node, `${operator} is not known${nodes}`, advice)];
  });
}
