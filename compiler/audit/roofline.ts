/** The roofline section of a report: what each layer of the compiled network is predicted to take. */
import type { Graph, Node } from '#ir/graph.ts';
import { graphCost, type NodeCost } from '#passes/analysis/cost.ts';
import { partsForGpu } from '../compile-split.ts';
import { planGraph, planProgram } from '../plan.ts';
import { type Device, DISPATCH_US } from '../roofline/devices.ts';
import { type GpuRates, gpuRatesOf, predictGpuLayers } from '../roofline/gpu.ts';
import { type Bound, predictLayers } from '../roofline/index.ts';
import { freeChoices } from '../targets/wasm/index.ts';
import { lowerGraph as lowerOnGpu } from '../targets/webgpu/index.ts';
import {
  costsOf,
  type GpuProfile,
  type MachineProfile,
  type Profile,
  peakOf,
  profileTitle,
} from '../tune/profile.ts';
import type { AuditRoofline } from './schema.ts';

/** A machine or an adapter as it was measured, or a device as its data sheet has it. */
export type RooflineDevice =
  | { readonly kind: 'measured'; readonly profile: Profile }
  | { readonly kind: 'dataSheet'; readonly device: Device };

/** The name of what times are predicted for. */
export const deviceTitle = (on: RooflineDevice): string =>
  on.kind === 'measured' ? profileTitle(on.profile) : on.device.title;

/**
 * Of the graph after the passes of `compile`, whose kernels are those that it chooses by the profile. Weights are not needed.
 * @throws CompileError for nodes that cannot be compiled
 */
export function rooflineOf(graph: Graph, on: RooflineDevice): AuditRoofline {
  if (on.kind === 'dataSheet') return byDataSheet(graph, on.device);
  const { profile } = on;
  return profile.kind === 'webgpu' ? measuredGpu(graph, profile) : measured(graph, profile);
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
  return report(profileTitle(profile), source, roof, layers);
}

const INSTRUCTIONS = { simd: 'baseline SIMD', relaxed: 'relaxed SIMD' } as const;

const measuredGpu = (graph: Graph, profile: GpuProfile): AuditRoofline =>
  onGpu(graph, profileTitle(profile), 'measured by convolith calibrate, WebGPU', gpuRatesOf(profile));

function byDataSheet(
  graph: Graph,
  { title, source, gflops, gigabytesPerSecond, api }: Device,
): AuditRoofline {
  const us = DISPATCH_US[api];
  const rates = { gflops, bandwidth: () => gigabytesPerSecond, dispatchNs: us * 1e3 };
  const assumed = `${us} µs for each dispatch are taken, the least of what was measured of WebGPU on ${api}`;
  return onGpu(graph, title, `not measured: ${source}; ${assumed}`, rates);
}

/** By the dispatches of the program for WebGPU, in f32; of a network that is cut, by those of its parts there. */
function onGpu(source: Graph, device: string, said: string, rates: GpuRates): AuditRoofline {
  const graph = planGraph(source);
  const parts = partsForGpu(graph)?.parts;
  const onDevice = parts ? parts.flatMap((part) => (part.onDevice ? [part.graph] : [])) : [graph];
  const layers = onDevice.flatMap((part) => {
    const { nodes } = graphCost(part);
    return predictGpuLayers(lowerOnGpu(part), rates).map(({ node, ...times }) =>
      layerOf(node, nodes.get(node), times),
    );
  });
  const { gflops } = rates;
  const roof = { gflops, gigabytesPerSecond: rates.bandwidth(Number.POSITIVE_INFINITY) };
  const predicted = report(device, said, roof, layers);
  if (!parts) return predicted;
  const elsewhere = parts.flatMap((part) => (part.onDevice ? [] : part.graph.nodes.map(({ name }) => name)));
  return { ...predicted, elsewhere };
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
