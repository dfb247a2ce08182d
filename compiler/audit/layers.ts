/** The layers of a report. */
import { classifyConv } from '#ir/conv-kind.ts';
import type { Node } from '#ir/graph.ts';
import { sumCosts } from '#passes/analysis/cost.ts';
import { type Facts, share, sizedCosts, tensorOf } from './facts.ts';
import { fieldOf } from './fields.ts';
import type { AuditLayer } from './schema.ts';

export function layerOf(
  node: Node,
  { cost, counted, fields, live, compositeOf, sizeKnown }: Facts,
): AuditLayer {
  const own = cost.nodes.get(node) ?? sumCosts([]);
  const total = cost.totals.macs;
  const conv = classifyConv(node);
  const first = node.outputs[0];
  const units = counted.nodes.get(node) ?? 0;
  return {
    name: node.name,
    op: node.op,
    kind: conv?.kind ?? node.op,
    label: conv?.label ?? node.op,
    composite: compositeOf.get(node)?.id ?? null,
    module: modulePath(node.name),
    // none at one size is none at every size
    macs: sizeKnown || own.macs === 0 ? own.macs : null,
    macsShare: sizeKnown || own.macs === 0 ? share(own.macs, total) : null,
    counted: sizeKnown || units === 0 ? units : null,
    ...sizedCosts(own, sizeKnown),
    flops: sizeKnown || own.macs === 0 ? own.flops : null,
    parameters: own.parameters,
    sharedParameters: own.sharedParameters,
    buffers: own.buffers,
    parameterBytes: own.parameterBytes,
    liveBytes: sizeKnown ? (live.get(node) ?? 0) : null,
    inputs: node.operands.flatMap((v) => (v && v.source.kind !== 'constant' ? [v.name] : [])),
    outputs: node.outputs.map(tensorOf),
    outputShape: [...(first?.type.shape ?? [])],
    ...fieldOf(node, fields),
  };
}

/**
 * Exporters join modules by slashes, a member of a container with the container's name before it, and end with the op:
 * `/features/features.1/conv/conv.0/conv.0.0/Conv` is in `features.1.conv.0.0`.
 */
export function modulePath(name: string): string {
  const path: string[] = [];
  for (const module of name.split('/').slice(0, -1)) {
    const last = path.at(-1);
    if (last !== undefined && module.startsWith(`${last}.`)) path.pop();
    if (module !== '') path.push(module);
  }
  return path.join('.');
}
