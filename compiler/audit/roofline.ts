/** The roofline section of a report: what each layer of the compiled network is predicted to take. */
import type { Graph, Node } from '#ir/graph.ts';
import { graphCost, type NodeCost } from '#passes/analysis/cost.ts';
import { planProgram } from '../plan.ts';
import type { Device } from '../roofline/devices.ts';
import { type Bound, predictLayers } from '../roofline/index.ts';
import { freeChoices } from '../targets/wasm/index.ts';
import { costsOf, type MachineProfile, peakOf } from '../tune/profile.ts';
import type { AuditRoofline } from './schema.ts';

/** A machine as it was measured, or a device as its data sheet has it. */
export type RooflineDevice =
  | { readonly kind: 'measured'; readonly profile: MachineProfile }
  | { readonly kind: 'dataSheet'; readonly device: Device };

/**
 * Of the graph after the passes of `compile`, whose kernels are those that it chooses by the profile. Weights are not needed.
 * @throws CompileError for nodes that cannot be compiled
 */
export function rooflineOf(graph: Graph, on: RooflineDevice): AuditRoofline {
  return on.kind === 'measured' ? measured(graph, on.profile) : byDataSheet(graph, on.device);
}

function measured(graph: Graph, profile: MachineProfile): AuditRoofline {
  const program = planProgram(graph, { choices: freeChoices(costsOf(profile)) });
  const { nodes } = graphCost(program.graph);
  // calibrate measures what the runtime there supports, which takes the fastest
  const engine = profile.engines.relaxed ? 'relaxed' : 'simd';
  const layers = predictLayers(program, profile, engine).map(({ node, ns, computeNs, memoryNs, bound }) =>
    layerOf(node, nodes.get(node), { ns, computeNs, memoryNs, bound }),
  );
  const source = `measured by convolith calibrate, ${INSTRUCTIONS[engine]}, one thread`;
  const [memory] = [...profile.bandwidth].sort((a, b) => b.bytes - a.bytes);
  const roof = {
    gflops: peakOf(profile.engines[engine] ?? profile.engines.simd),
    gigabytesPerSecond: memory?.gigabytesPerSecond ?? 1,
  };
  return report(`${profile.engine} on ${profile.cpu}`, source, roof, layers);
}

const INSTRUCTIONS = { simd: 'baseline SIMD', relaxed: 'relaxed SIMD' } as const;

function byDataSheet(graph: Graph, { title, source, gflops, gigabytesPerSecond }: Device): AuditRoofline {
  const program = planProgram(graph);
  const { nodes } = graphCost(program.graph);
  const layers = program.graph.nodes.flatMap((node) => {
    const cost = nodes.get(node);
    if (!cost || cost.bytesWritten === 0) return [];
    const computeNs = cost.flops / gflops;
    const memoryNs = (cost.bytesRead + cost.bytesWritten) / gigabytesPerSecond;
    const bound = computeNs >= memoryNs ? 'compute' : 'memory';
    return [layerOf(node, cost, { ns: Math.max(computeNs, memoryNs), computeNs, memoryNs, bound })];
  });
  return report(title, `not measured: ${source}`, { gflops, gigabytesPerSecond }, layers);
}

interface Times {
  readonly ns: number;
  readonly computeNs: number;
  readonly memoryNs: number;
  readonly bound: Bound;
}

type Layer = AuditRoofline['layers'][number];

const layerOf = (
  node: Node,
  cost: NodeCost | undefined,
  { ns, computeNs, memoryNs, bound }: Times,
): Layer => ({
  layer: node.name,
  us: ns / 1e3,
  computeUs: computeNs / 1e3,
  memoryUs: memoryNs / 1e3,
  bound,
  gflops: ns === 0 || !cost ? 0 : cost.flops / ns,
  intensity: cost?.intensity ?? null,
});

const report = (
  device: string,
  source: string,
  roof: AuditRoofline['roof'],
  layers: readonly Layer[],
): AuditRoofline => ({
  device,
  source,
  roof,
  totalUs: layers.reduce((sum, { us }) => sum + us, 0),
  layers: [...layers],
});
