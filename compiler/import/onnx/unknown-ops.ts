import { type Diagnostic, diagnostic } from '#ir/diagnostics.ts';
import { REFUSED } from './refused.ts';
import { listed, printable } from './text.ts';

export interface UnknownOp {
  readonly op: string;
  readonly domain: string;
  readonly opset: number | undefined;
  readonly node: string;
}

/** Advice by operator. */
const ADVICE = new Map(REFUSED.flatMap(({ ops, instead }) => ops.map((op) => [op, instead] as const)));

function advice({ op, domain }: UnknownOp): string | undefined {
  if (domain.startsWith('com.microsoft')) {
    return 'this is an operator of onnxruntime: give the model as exported, before optimising it with onnxruntime';
  }
  return domain === '' ? ADVICE.get(op) : undefined;
}

/** One diagnostic per operator, naming the nodes. */
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
    const message = `operator ${printable(first.op)} (${where}) is not known${nodes}`;
    return [diagnostic('op-unknown', first.node, message, advice(first))];
  });
}
