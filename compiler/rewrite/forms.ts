/** The forms that convolutions of a network can take, with what each costs and is off by. */
import type { Graph } from '#ir/graph.ts';
import { paretoFront } from '#passes/factorize/choose.ts';
import {
  type Candidate,
  candidates,
  type FactorizationName,
  type RankChoice,
} from '#passes/factorize/family.ts';
import { type ConvLayer, chainCost, convLayer, ownShape } from '#passes/factorize/layer.ts';
import { METHODS } from '#passes/factorize/methods.ts';
import { type Moments, weightMoments } from '#passes/factorize/moments.ts';
import { No } from '#passes/pattern.ts';
import type { RooflineDevice } from '../audit/roofline.ts';
import { pause } from '../pause.ts';
import { MomentSums, ProductSums } from './moments.ts';
import { numbersOf, runnableNetwork, type Sample, withOutputs } from './network.ts';
import { costOfForm, type LayerCost } from './quantities.ts';

export interface FormOptions {
  readonly methods: readonly FactorizationName[];
  /** Inputs of the network; without any, errors are those of the weights. */
  readonly samples: readonly Sample[];
  /** Which ranks there are forms of; many of each method unless given. */
  readonly ranks?: RankChoice;
  /** For which times are predicted. */
  readonly device?: RooflineDevice;
  readonly signal?: AbortSignal;
  readonly onProgress?: (what: string, fraction: number) => void;
}

export interface Form extends Candidate {
  readonly costs: LayerCost;
}

export interface FormRefusal {
  readonly method: FactorizationName | null;
  readonly reason: string;
}

export interface LayerForms {
  readonly own: LayerCost;
  readonly forms: readonly Form[];
  /** Why methods have no form for it. */
  readonly refusals: readonly FormRefusal[];
}

/** By the names of the nodes of convolutions; why there is none, of those that cannot be factorised. */
export async function formsOf(source: Graph, options: FormOptions): Promise<ReadonlyMap<string, LayerForms>> {
  const layers = source.nodes.flatMap((node) => {
    const layer = convLayer(node);
    return layer === undefined || layer instanceof No ? [] : [layer];
  });
  const moments = await momentsOf(source, layers, options);
  const result = new Map<string, LayerForms>();
  for (const [i, layer] of layers.entries()) {
    options.onProgress?.('factorise', i / layers.length);
    await pause();
    options.signal?.throwIfAborted();
    result.set(layer.node.name, formsOfLayer(layer, moments.get(layer) ?? weightMoments(layer), options));
  }
  return result;
}

const NO_FORM: Readonly<Record<RankChoice, string>> = {
  search: 'every rank costs more than the layer',
  evidence: 'the ranks that its weights give evidence for are none, or cost more than the layer',
};

function formsOfLayer(
  layer: ConvLayer,
  moments: Moments,
  { methods, ranks = 'search', device }: FormOptions,
): LayerForms {
  const refusals: FormRefusal[] = [];
  const found = methods.flatMap((method): readonly Candidate[] => {
    const reason = METHODS[method].refuse(layer);
    const cheaper = reason === undefined ? candidates(METHODS[method], layer, moments, ranks) : [];
    if (cheaper.length === 0) refusals.push({ method, reason: reason ?? NO_FORM[ranks] });
    return worthATime(cheaper, device);
  });
  return {
    own: costOfForm(layer, chainCost(layer, [ownShape(layer)]), undefined, device),
    forms: found.map((form) => ({ ...form, costs: costOfForm(layer, form.cost, form, device) })),
    refusals,
  };
}

/** A prediction takes long: only of forms that nothing of their method beats in error and in one of what is counted. */
function worthATime(all: readonly Candidate[], device: RooflineDevice | undefined): readonly Candidate[] {
  if (!device) return all;
  const front = (of: (c: Candidate) => number) =>
    paretoFront(all.map((candidate) => ({ candidate, cost: of(candidate), error: candidate.error }))).map(
      ({ candidate }) => candidate,
    );
  const kept = [front((c) => c.cost.macs), front((c) => c.cost.parameters), front((c) => c.cost.moved)];
  return [...new Set(kept.flat())];
}

/** Those of some methods only. */
export const ofMethods = ({ own, forms, refusals }: LayerForms, methods: readonly string[]): LayerForms => ({
  own,
  forms: forms.filter(({ method }) => methods.includes(method)),
  refusals: refusals.filter(({ method }) => method !== null && methods.includes(method)),
});

/** Sums of several layers may take so many bytes at once. */
const MOST_BYTES = 2 ** 29;

/** Of each layer on its own inputs and outputs; none where there is no data. */
async function momentsOf(
  source: Graph,
  layers: readonly ConvLayer[],
  { samples, methods, onProgress, signal }: FormOptions,
): Promise<ReadonlyMap<ConvLayer, Moments>> {
  const result = new Map<ConvLayer, Moments>();
  if (samples.length === 0) return result;
  const products = new ProductSums();
  const wanted = layers.filter((layer) => methods.some((m) => METHODS[m].refuse(layer) === undefined));
  for (let from = 0; from < wanted.length; ) {
    const sums: MomentSums[] = [];
    for (let bytes = 0; from < wanted.length; from++) {
      const layer = wanted[from];
      if (!layer) break;
      bytes += MomentSums.bytes(layer);
      if (sums.length > 0 && bytes > MOST_BYTES) break;
      sums.push(await MomentSums.of(layer, samples.length, products));
    }
    const names = sums.flatMap(({ layer }) => [layer.x.name, layer.y.name]);
    const network = await runnableNetwork(withOutputs(source, names));
    for (const [i, sample] of samples.entries()) {
      const outputs = network.run(sample);
      sums.forEach((sum, k) => {
        sum.add(numbersOf(outputs[2 * k]?.data), numbersOf(outputs[2 * k + 1]?.data));
      });
      if (i % 16 === 0) await pause();
      signal?.throwIfAborted();
      onProgress?.(
        'measure',
        (from - sums.length + (sums.length * (i + 1)) / samples.length) / wanted.length,
      );
    }
    for (const sum of sums) result.set(sum.layer, sum.moments());
  }
  return result;
}
