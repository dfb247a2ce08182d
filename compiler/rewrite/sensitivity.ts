/** How much of an error in one layer's outputs arrives at the network's: not all layers matter alike. */
import { cloneGraph } from '#ir/clone.ts';
import type { Graph } from '#ir/graph.ts';
import type { Tensor } from '#ir/tensor.ts';
import { graphCost } from '#passes/analysis/cost.ts';
import { replaceByChain } from '#passes/factorize/apply.ts';
import { type Candidate, fitForm } from '#passes/factorize/family.ts';
import { type ConvLayer, convLayer } from '#passes/factorize/layer.ts';
import type { Moments } from '#passes/factorize/moments.ts';
import { No } from '#passes/pattern.ts';
import { pause } from '../pause.ts';
import { type Network, runnableNetwork, type Sample } from './network.ts';

/** An error that is neither lost in rounding nor the end of the network. */
const PROBED_ERROR = 0.01;
/** MACs that finding out may take, and samples that it takes at least and at most. */
const MOST_MACS = 2e12;
const [LEAST_SAMPLES, MOST_SAMPLES] = [4, 128];

export interface ProbedLayer {
  readonly layer: ConvLayer;
  readonly candidates: readonly Candidate[];
  readonly moments: Moments;
}

/**
 * For each layer, the mean square that the network's outputs are off by, per mean square that the layer's are, both as
 * parts of their variance; by putting a form in its place alone. Undefined where there is nothing to put.
 */
export async function sensitivities(
  source: Graph,
  layers: readonly ProbedLayer[],
  samples: readonly Sample[],
  signal?: AbortSignal,
): Promise<readonly (number | undefined)[]> {
  const affordable = Math.floor(MOST_MACS / Math.max(1, layers.length * graphCost(source).totals.macs));
  const count = Math.min(samples.length, Math.max(LEAST_SAMPLES, Math.min(MOST_SAMPLES, affordable)));
  const probes = Array.from(
    { length: count },
    (_, i) => samples[Math.floor((i * samples.length) / count)] ?? [],
  );
  const original = await runnableNetwork(source);
  const wanted = probes.map((sample) => original.run(sample));
  const found: (number | undefined)[] = [];
  for (const { layer, candidates, moments } of layers) {
    const distance = ({ error }: Candidate) => Math.abs(Math.log(Math.max(error, 1e-9) / PROBED_ERROR));
    const [candidate] = [...candidates].sort((a, b) => distance(a) - distance(b));
    if (!candidate || candidate.error === 0) {
      found.push(undefined);
      continue;
    }
    const graph = cloneGraph(source);
    const same = graph.nodes
      .map(convLayer)
      .find((l) => l && !(l instanceof No) && l.node.name === layer.node.name);
    if (!same || same instanceof No) {
      found.push(undefined);
      continue;
    }
    replaceByChain(graph, same, fitForm(candidate, moments));
    found.push(partOff(await runnableNetwork(graph), probes, wanted) / candidate.error);
    await pause();
    signal?.throwIfAborted();
  }
  return found;
}

function partOff(
  network: Network,
  samples: readonly Sample[],
  wanted: readonly (readonly Tensor[])[],
): number {
  let [off, sum, squares, count] = [0, 0, 0, 0];
  samples.forEach((sample, i) => {
    const got = network.run(sample);
    wanted[i]?.forEach((tensor, k) => {
      for (let j = 0; j < tensor.data.length; j++) {
        const [w, g] = [Number(tensor.data[j]), Number(got[k]?.data[j])];
        off += (w - g) ** 2;
        sum += w;
        squares += w * w;
        count++;
      }
    });
  });
  const variance = squares - (sum * sum) / Math.max(1, count);
  return variance > 0 ? off / variance : 0;
}
