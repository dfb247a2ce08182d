/** Convolutions as chains of cheaper ones, chosen to meet a budget, and fitted to data where there is some. */
import { cloneGraph } from '#ir/clone.ts';
import { fail } from '#ir/diagnostics.ts';
import type { Graph, Node, Value } from '#ir/graph.ts';
import { graphCost } from '#passes/analysis/cost.ts';
import { replaceByChain } from '#passes/factorize/apply.ts';
import { choose } from '#passes/factorize/choose.ts';
import { type Candidate, candidates, type FactorizationName, fitForm } from '#passes/factorize/family.ts';
import { type ConvLayer, chainCost, convLayer, type FactorCost, ownShape } from '#passes/factorize/layer.ts';
import { METHODS } from '#passes/factorize/methods.ts';
import { type Moments, weightMoments } from '#passes/factorize/moments.ts';
import { No } from '#passes/pattern.ts';
import { pause } from '../pause.ts';
import { MomentSums, ProductSums } from './moments.ts';
import { runnableNetwork, type Sample } from './network.ts';

export type BudgetQuantity = 'macs' | 'params';

export interface FactorizeOptions {
  readonly methods: readonly FactorizationName[];
  /** The most that the whole network may take, of MACs or parameters. */
  readonly budget: { readonly quantity: BudgetQuantity; readonly limit: number };
  /** Inputs that the network is fitted to; without any, errors are those of the weights. */
  readonly samples: readonly Sample[];
  readonly signal?: AbortSignal;
  readonly onProgress?: (what: string, fraction: number) => void;
}

/** What became of one convolution. */
export interface FactorizedLayer {
  readonly layer: string;
  readonly before: FactorCost;
  /** Undefined for a layer that stays as it is. */
  readonly form?: {
    readonly method: FactorizationName;
    readonly rank: string;
    readonly after: FactorCost;
    /** Mean square of what the outputs are off by, as part of their variance, when it was chosen. */
    readonly chosenError: number;
    /** The same after its last factor was fitted, behind layers that were rewritten already. */
    readonly error: number;
  };
  /** Why methods have no form for it, or why it stays. */
  readonly refusals: readonly { readonly method: FactorizationName | null; readonly reason: string }[];
}

export interface FactorizeResult {
  readonly graph: Graph;
  readonly layers: readonly FactorizedLayer[];
}

interface Considered {
  readonly layer: ConvLayer;
  readonly own: FactorCost;
  readonly candidates: readonly Candidate[];
  readonly refusals: FactorizedLayer['refusals'];
}

/** @throws CompileError `usage-invalid` for a budget that no choice of ranks meets */
export async function factorize(source: Graph, options: FactorizeOptions): Promise<FactorizeResult> {
  const { budget, samples } = options;
  const graph = cloneGraph(source);
  const layers = graph.nodes.flatMap((node) => {
    const layer = convLayer(node);
    return layer === undefined ? [] : [{ node, layer }];
  });
  const open = layers.flatMap(({ layer }) => (layer instanceof No ? [] : [layer]));
  const moments = await momentsOf(source, open, options);
  const considered = open.map((layer) =>
    consider(layer, moments.get(layer) ?? weightMoments(layer), options),
  );
  const total = totalOf(graph, budget.quantity);
  const own = considered.reduce((sum, c) => sum + quantityOf(c.own, budget.quantity), 0);
  const plan = choose(
    considered.map((c) => choicesOf(c, budget.quantity)),
    budget.limit - (total - own),
  );
  if (!plan) {
    fail(
      'usage-invalid',
      '--budget',
      `no choice of ranks has at most ${budget.limit} ${budget.quantity}`,
      'allow more',
    );
  }
  const chosen = new Map(considered.map((c, i) => [c.layer, plan.choices[i]?.candidate]));
  const outcomes = new Map<Node, FactorizedLayer>();
  let done = 0;
  for (const { layer, own: before, refusals } of considered) {
    const candidate = chosen.get(layer);
    const base = { layer: layer.node.name, before };
    done++;
    if (!candidate) {
      const reason = 'no form of it is worth its error';
      outcomes.set(layer.node, { ...base, refusals: [...refusals, { method: null, reason }] });
      continue;
    }
    options.onProgress?.('fit', done / considered.length);
    const error = await refit(source, graph, layer, candidate, samples, options);
    const { method } = candidate;
    const form = {
      method,
      rank: candidate.option.rank,
      after: candidate.cost,
      chosenError: candidate.error,
      error,
    };
    outcomes.set(layer.node, { ...base, form, refusals });
  }
  return {
    graph,
    layers: layers.map(({ node, layer }): FactorizedLayer => {
      const outcome = outcomes.get(node);
      if (outcome) return outcome;
      const reason = layer instanceof No ? layer.reason : '';
      return { layer: node.name, before: costOf(graph, node), refusals: [{ method: null, reason }] };
    }),
  };
}

function consider(layer: ConvLayer, moments: Moments, { methods }: FactorizeOptions): Considered {
  const own = chainCost(layer, [ownShape(layer)]);
  const refusals: { method: FactorizationName; reason: string }[] = [];
  const found = methods.flatMap((method): readonly Candidate[] => {
    const reason = METHODS[method].refuse(layer);
    const cheaper = reason === undefined ? candidates(METHODS[method], layer, moments) : [];
    if (cheaper.length === 0)
      refusals.push({ method, reason: reason ?? 'every rank costs more than the layer' });
    return cheaper;
  });
  return { layer, own, candidates: found, refusals };
}

interface CandidateChoice {
  readonly cost: number;
  readonly error: number;
  /** Undefined: the layer as it is. */
  readonly candidate?: Candidate;
}

const choicesOf = (
  { own, candidates: all }: Considered,
  quantity: BudgetQuantity,
): readonly CandidateChoice[] => [
  { cost: quantityOf(own, quantity), error: 0 },
  ...all.map((candidate) => ({
    cost: quantityOf(candidate.cost, quantity),
    error: lossOf(candidate.error),
    candidate,
  })),
];

/** What a product of parts that are kept is as a sum: errors of one layer after the other multiply (Zhang et al., 2015). */
const lossOf = (error: number): number => -Math.log(Math.max(1e-12, 1 - Math.min(1, error)));

const quantityOf = ({ macs, parameters }: FactorCost, quantity: BudgetQuantity): number =>
  quantity === 'macs' ? macs : parameters;

const totalOf = (graph: Graph, quantity: BudgetQuantity): number => {
  const { totals } = graphCost(graph);
  return quantity === 'macs' ? totals.macs : totals.parameters;
};

function costOf(graph: Graph, node: Node): FactorCost {
  const cost = graphCost(graph).nodes.get(node);
  return { macs: cost?.macs ?? 0, parameters: cost?.parameters ?? 0, moved: 0 };
}

/** Sums of several layers may take so many bytes at once. */
const MOST_BYTES = 2 ** 29;

/** Of each layer on its own inputs and outputs; none where there is no data. */
async function momentsOf(
  source: Graph,
  layers: readonly ConvLayer[],
  { samples, methods, onProgress, signal }: FactorizeOptions,
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

/**
 * Puts a form in the place of a layer, its features and its last factor fitted to the outputs that the layer had in the
 * original network, behind what is rewritten already (asymmetric reconstruction; Zhang et al., TPAMI 2016).
 */
async function refit(
  source: Graph,
  graph: Graph,
  layer: ConvLayer,
  candidate: Candidate,
  samples: readonly Sample[],
  { signal }: FactorizeOptions,
): Promise<number> {
  const moments = samples.length === 0 ? undefined : await behind(source, graph, layer, samples, signal);
  const fitted = fitForm(
    moments ? sameForm(candidate, layer, moments) : candidate,
    moments ?? weightMoments(layer),
  );
  replaceByChain(graph, layer, fitted);
  return fitted.error;
}

async function behind(
  source: Graph,
  graph: Graph,
  layer: ConvLayer,
  samples: readonly Sample[],
  signal: AbortSignal | undefined,
): Promise<Moments> {
  const sum = await MomentSums.of(layer, samples.length, new ProductSums());
  const original = await runnableNetwork(withOutputs(source, [layer.y.name]));
  const rewritten = await runnableNetwork(withOutputs(graph, [layer.x.name]));
  for (const [i, sample] of samples.entries()) {
    sum.add(numbersOf(rewritten.run(sample)[0]?.data), numbersOf(original.run(sample)[0]?.data));
    if (i % 16 === 0) await pause();
    signal?.throwIfAborted();
  }
  return sum.moments();
}

/** The same method and rank, its features chosen anew. */
function sameForm(
  { method, place: [index, rank], family, option }: Candidate,
  layer: ConvLayer,
  moments: Moments,
): Pick<Candidate, 'family' | 'option'> {
  const again = METHODS[method].families(layer, moments)[index]?.();
  const same = again?.options[rank];
  return again && same ? { family: again, option: same } : { family, option };
}

const numbersOf = (data: ArrayLike<number | bigint> | undefined): ArrayLike<number> =>
  (data ?? []) as ArrayLike<number>;

/** A copy whose only outputs are values of these names, in order. */
function withOutputs(source: Graph, names: readonly string[]): Graph {
  const graph = cloneGraph(source);
  const values = new Map<string, Value>(graph.values.map((v) => [v.name, v]));
  graph.setOutputs(
    names.flatMap((name, i) => {
      const value = values.get(name);
      return value ? [{ name: `${i}:${name}`, value }] : [];
    }),
  );
  return graph;
}
