/** Convolutions as chains of cheaper ones, chosen to meet a limit, and fitted to data where there is some. */
import { cloneGraph } from '#ir/clone.ts';
import { fail, InternalError } from '#ir/diagnostics.ts';
import type { Graph, Node } from '#ir/graph.ts';
import { graphCost } from '#passes/analysis/cost.ts';
import { replaceByChain } from '#passes/factorize/apply.ts';
import {
  type Candidate,
  type FactorizationName,
  type Fitted,
  familiesOf,
  fitForm,
  type RankChoice,
} from '#passes/factorize/family.ts';
import { type ConvLayer, convLayer } from '#passes/factorize/layer.ts';
import { METHODS } from '#passes/factorize/methods.ts';
import { type Moments, weightMoments } from '#passes/factorize/moments.ts';
import { foldChannelPermutations } from '#passes/fuse/fold-channel-permutations.ts';
import { runPass } from '#passes/pass.ts';
import { No } from '#passes/pattern.ts';
import { pause } from '../pause.ts';
import { type FormOptions, type FormRefusal, formsOf, type LayerForms, ofMethods } from './forms.ts';
import { MomentSums, ProductSums } from './moments.ts';
import { numbersOf, runnableNetwork, type Sample, withOutputs } from './network.ts';
import {
  type BoundedLimit,
  type CurvePoint,
  type LayerPlan,
  type Limit,
  paretoCurve,
  planForms,
  pointOf,
} from './plan.ts';
import { type LayerCost, networkCost, quantityOf } from './quantities.ts';

export interface FactorizeOptions extends Omit<FormOptions, 'ranks'> {
  readonly limit: Limit;
  /** As `formsOf` gives them, for these methods at least; found unless given. */
  readonly forms?: ReadonlyMap<string, LayerForms>;
}

/** What became of one convolution. */
export interface FactorizedLayer {
  readonly layer: string;
  readonly before: LayerCost;
  /** Undefined for a layer that stays as it is. */
  readonly form?: {
    readonly method: FactorizationName;
    readonly rank: string;
    readonly after: LayerCost;
    /** Sum of squares of what the weights are off by before they are fitted to data, as part of theirs. */
    readonly weightError: number;
    /** Mean square of what the outputs are off by, as part of their variance, when it was chosen. */
    readonly chosenError: number;
    /** The same after its last factor was fitted, behind layers that were rewritten already. */
    readonly error: number;
  };
  /** Why methods have no form for it, or why it stays. */
  readonly refusals: readonly FormRefusal[];
}

export interface FactorizeResult {
  readonly graph: Graph;
  readonly layers: readonly FactorizedLayer[];
  /** What the network can reach, of what is limited. */
  readonly curve: readonly CurvePoint[];
  readonly chosen: CurvePoint;
}

/** @throws CompileError `usage-invalid` for a limit that no choice of ranks meets */
export async function factorize(source: Graph, options: FactorizeOptions): Promise<FactorizeResult> {
  const { limit, methods } = options;
  const graph = cloneGraph(source);
  const ranks: RankChoice = limit.kind === 'evidence' ? 'evidence' : 'search';
  if (ranks === 'evidence' && options.forms)
    throw new InternalError('forms of other ranks were found before');
  const searched: FormOptions = { ...options, ranks };
  const all = options.forms ?? (await formsOf(source, searched));
  const layers = graph.nodes.flatMap((node) => {
    const layer = convLayer(node);
    return layer === undefined ? [] : [{ node, layer }];
  });
  const open = layers.flatMap(({ node, layer }) => {
    const forms = all.get(node.name);
    return layer instanceof No || !forms ? [] : [{ layer, forms: ofMethods(forms, methods) }];
  });
  const forms = open.map((o) => o.forms);
  const total = networkCost(source, options.device);
  const plan =
    limit.kind === 'evidence'
      ? forms.map((layer): LayerPlan => ({ form: layer.forms[0] }))
      : (planForms(forms, quantityOf(total, limit.quantity), limit) ?? refuseLimit(limit));
  const outcomes = new Map<Node, FactorizedLayer>();
  for (const [i, { layer, forms: considered }] of open.entries()) {
    const form = plan[i]?.form;
    const base = { layer: layer.node.name, before: considered.own };
    if (!form) {
      const dear = { method: null, reason: 'no form of it is worth its error' };
      const refusals = ranks === 'search' ? [...considered.refusals, dear] : considered.refusals;
      outcomes.set(layer.node, { ...base, refusals });
      continue;
    }
    options.onProgress?.('fit', i / open.length);
    const fitted = await refit(source, layer, form, graph, searched);
    replaceByChain(graph, layer, fitted);
    outcomes.set(layer.node, {
      ...base,
      form: {
        method: form.method,
        rank: form.option.rank,
        after: form.costs,
        weightError: fitForm(form, weightMoments(layer)).error,
        chosenError: form.error,
        error: fitted.error,
      },
      refusals: considered.refusals,
    });
  }
  // an order of channels goes into a neighbour without groups; else it stays, and costs what it costs
  if (plan.some(({ form }) => form?.method === 'group')) runPass(graph, foldChannelPermutations);
  return {
    graph,
    layers: layers.map(({ node, layer }): FactorizedLayer => {
      const outcome = outcomes.get(node);
      if (outcome) return outcome;
      const reason = layer instanceof No ? layer.reason : 'it was not looked at';
      return { layer: node.name, before: costOf(source, node.name), refusals: [{ method: null, reason }] };
    }),
    curve: paretoCurve(forms, total, limit.quantity),
    chosen: pointOf(forms, plan, total),
  };
}

function refuseLimit({ quantity, most }: BoundedLimit): never {
  const message = `no choice of ranks has at most ${most} of ${quantity}`;
  return fail('usage-invalid', '--budget', message, 'allow more');
}

function costOf(graph: Graph, name: string): LayerCost {
  const node = graph.nodes.find((n) => n.name === name);
  const cost = node && graphCost(graph).nodes.get(node);
  const bytes = (cost?.bytesRead ?? 0) + (cost?.bytesWritten ?? 0);
  return { macs: cost?.macs ?? 0, parameters: cost?.parameters ?? 0, bytes, us: null };
}

/**
 * The form of a layer, its features and its last factor fitted to the outputs that the layer had in the original network,
 * behind what is rewritten already (asymmetric reconstruction; Zhang et al., TPAMI 2016).
 */
async function refit(
  source: Graph,
  layer: ConvLayer,
  form: Candidate,
  rewritten: Graph,
  { samples, ranks, signal }: FormOptions,
): Promise<Fitted> {
  if (samples.length === 0) return fitForm(form, weightMoments(layer));
  const moments = await behind(source, rewritten, layer, samples, signal);
  return fitForm(sameForm(form, layer, moments, ranks), moments);
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
  ranks: RankChoice | undefined,
): Pick<Candidate, 'family' | 'option'> {
  if (family.ofWeights) return { family, option };
  const again = familiesOf(METHODS[method], layer, moments, ranks)[index]?.make();
  const same = again?.options[rank];
  return again && same ? { family: again, option: same } : { family, option };
}
