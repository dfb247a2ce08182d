/** The layers of a report. */
import { convLabel } from '#ir/conv-kind.ts';
import type { Node } from '#ir/graph.ts';
import { sumCosts } from '#passes/analysis/cost.ts';
import { type Facts, share, tensorOf } from './facts.ts';
import { fieldOf } from './fields.ts';
import type { AuditLayer } from './schema.ts';

export function layerOf(
  node: Node,
  { cost, preset, fields, live, classes, compositeOf, sizeKnown }: Facts,
): AuditLayer {
  const own = cost.nodes.get(node) ?? sumCosts([]);
  const total = cost.totals.macs;
  const conv = classes.get(node);
  const first = node.outputs[0];
  const units = preset.count(node, own.macs);
  const sized = (n: number): number | null => (sizeKnown ? n : null);
  // none at one size is none at every size
  const ofMacs = (n: number): number | null => (own.macs === 0 ? n : sized(n));
  return {
    name: node.name,
    op: node.op,
    kind: conv?.kind ?? node.op,
    label: conv ? convLabel(conv) : node.op,
    composite: compositeOf.get(node)?.id ?? null,
    module: modulePath(node.name),
    macs: ofMacs(own.macs),
    macsShare: ofMacs(share(own.macs, total)),
    counted: units === 0 ? 0 : sized(units),
    flops: ofMacs(own.flops),
    otherOps: sized(own.otherOps),
    bytesRead: sized(own.bytesRead),
    bytesWritten: sized(own.bytesWritten),
    intensity: sized(own.intensity),
    parameters: own.parameters,
    sharedParameters: own.sharedParameters,
    buffers: own.buffers,
    parameterBytes: own.parameterBytes,
    liveBytes: sized(live.get(node) ?? 0),
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
