/** `rewrite`: a model becomes a cheaper one, with what each change saves, costs and rests on. */
import { cloneGraph } from '#ir/clone.ts';
import { CompileError, diagnostic, fail } from '#ir/diagnostics.ts';
import type { Graph } from '#ir/graph.ts';
import { graphCost } from '#passes/analysis/cost.ts';
import { peakBytes } from '#passes/analysis/liveness.ts';
import type { FactorizationName } from '#passes/factorize/family.ts';
import { METHODS } from '#passes/factorize/methods.ts';
import { type PassTrace, type Pipeline, passNames, runPipeline, type Step } from '#passes/pass.ts';
import { graphPipelineWith, OPTIONAL_PASSES } from '#passes/pipeline.ts';
import type { RooflineDevice } from '../audit/roofline.ts';
import { didYouMean } from '../suggest.ts';
import { REWRITE_VERSION } from '../version.ts';
import { type FactorizeResult, factorize } from './factorize.ts';
import type { Sample } from './network.ts';
import type { Limit } from './plan.ts';
import { type BudgetQuantity, networkCost, quantityOf } from './quantities.ts';
import type { RewriteReport } from './schema.ts';
import { noiseSamples, verifyRewrite } from './verify.ts';

export type { Sample } from './network.ts';
export type { BudgetQuantity } from './quantities.ts';
export type { RewriteReport } from './schema.ts';

export interface RewriteOptions {
  readonly name?: string;
  /** Exact passes that are left out, by name. */
  readonly skip?: readonly string[];
  /** Optional passes, which trade one cost for another. */
  readonly also?: readonly string[];
  /** Replace convolutions by chains of cheaper ones, so far as is said. */
  readonly factorize?: {
    readonly methods: readonly FactorizationName[];
    readonly limit: RewriteLimit;
  };
  /** For which times are predicted: of all, and of each form of a layer. */
  readonly device?: RooflineDevice;
  /** Inputs of the network: forms are chosen and fitted on these, and the result is compared on them. */
  readonly samples?: readonly Sample[];
  readonly signal?: AbortSignal;
  readonly onProgress?: (what: string, fraction: number) => void;
}

/** So that the network takes at most so much, or takes the least while what it keeps of all variance is at least 1 − error. */
export type RewriteLimit =
  | RewriteBudget
  | { readonly error: number; readonly quantity: BudgetQuantity }
  /** Each layer takes the rank that its weights give evidence for (variational Bayes), where that is cheaper. */
  | { readonly ranks: 'vbmf' };

export interface RewriteBudget {
  readonly quantity: BudgetQuantity;
  /** A part of what the network takes after the exact passes, or a number. */
  readonly limit: { readonly part: number } | { readonly most: number };
}

export interface RewriteResult {
  readonly graph: Graph;
  readonly report: RewriteReport;
}

/** Samples of noise that an exact rewrite is compared on, and samples of data that any is. */
const NOISE_SAMPLES = 2;
const MOST_COMPARED = 64;

/**
 * Rewrites a graph, which is left as it is.
 * @throws CompileError `weights-missing`; `usage-invalid` for passes and budgets that there are not; `rewrite-inexact`
 * where exact passes change results by more than rounding does
 */
export async function rewriteGraph(source: Graph, options: RewriteOptions = {}): Promise<RewriteResult> {
  const { samples = [], signal, device } = options;
  refuseMissing(source);
  const exact = cloneGraph(source);
  const traces = runPipeline(exact, pipelineOf(options), signal ? { signal } : {});
  const watched = {
    ...(signal && { signal }),
    ...(options.onProgress && { onProgress: options.onProgress }),
  };
  const factorized = options.factorize && {
    ...(await factorize(exact, {
      methods: options.factorize.methods,
      limit: limitOf(exact, options.factorize, device),
      samples,
      ...(device && { device }),
      ...watched,
    })),
  };
  const graph = factorized?.graph ?? exact;
  const compared = samples.length > 0 ? samples.slice(0, MOST_COMPARED) : noiseSamples(source, NOISE_SAMPLES);
  options.onProgress?.('verify', 0);
  const verification = await verifyRewrite(source, graph, compared, {
    exact: factorized === undefined,
    ...(signal && { signal }),
  });
  const { bound } = verification;
  const beyond = verification.outputs.find(({ largest }) => bound !== null && !(largest <= bound));
  if (beyond) {
    fail(
      'rewrite-inexact',
      beyond.output,
      `exact passes change it by ${beyond.largest.toExponential(1)} of its largest magnitude; rounding explains ${(bound ?? 0).toExponential(1)}`,
    );
  }
  return {
    graph,
    report: {
      version: REWRITE_VERSION,
      model: options.name ?? source.name,
      before: totalsOf(source, device),
      after: totalsOf(graph, device),
      device: device ? deviceTitle(device) : null,
      passes: traces.filter((t) => t.changes > 0).map(passEntry),
      applications: traces.flatMap(({ applications }) => applications.map((a) => ({ ...a }))),
      refusals: lastRefusals(traces),
      ...(factorized ? factorizedPart(factorized, options) : {}),
      ...(samples.length > 0 ? { calibration: { samples: samples.length } } : {}),
      verification: {
        ...verification,
        outputs: [...verification.outputs],
        noise: samples.length === 0,
      },
    },
  };
}

function refuseMissing(graph: Graph): void {
  const problems = graph.values.flatMap(({ name, source }) =>
    source.kind === 'constant' && 'missing' in source.constant
      ? [diagnostic('weights-missing', name, source.constant.missing)]
      : [],
  );
  if (problems.length > 0) throw new CompileError(problems);
}

/** @throws CompileError `usage-invalid` for names that no pass has */
function pipelineOf({ skip = [], also = [] }: RewriteOptions): Pipeline {
  const names = OPTIONAL_PASSES.map(({ pass }) => pass.name);
  const unknown = also.find((name) => !names.includes(name));
  if (unknown !== undefined) {
    const hint = didYouMean(unknown, names) ?? `there is ${names.join(', ')}`;
    fail('usage-invalid', `--also ${unknown}`, 'there is no such optional pass', hint);
  }
  return without(graphPipelineWith(also), skip);
}

/** @throws CompileError `usage-invalid` for names that no pass has */
function without(pipeline: Pipeline, skip: readonly string[]): Pipeline {
  const names = passNames(pipeline);
  const unknown = skip.find((name) => !names.includes(name));
  if (unknown !== undefined) {
    fail(
      'usage-invalid',
      `--skip ${unknown}`,
      'there is no such pass',
      didYouMean(unknown, names) ?? 'convolith ir --passes lists them',
    );
  }
  const kept = ({ pass }: { readonly pass: { readonly name: string } }) => !skip.includes(pass.name);
  const steps = pipeline.steps.flatMap((step): readonly Step[] => {
    if (!('repeat' in step)) return kept(step) ? [step] : [];
    const repeat = step.repeat.filter(kept);
    return repeat.length > 0 ? [{ ...step, repeat }] : [];
  });
  return { ...pipeline, steps };
}

/** @throws CompileError `usage-invalid` for methods without such ranks */
function evidence(ranks: string, methods: readonly FactorizationName[]): Limit {
  if (ranks !== 'vbmf') fail('usage-invalid', '--ranks', `expected vbmf; got ${ranks}`);
  const without = methods.find((method) => !METHODS[method].evident);
  if (without !== undefined)
    fail('usage-invalid', '--ranks', `${without} has no such ranks`, 'it goes with --factorize tucker');
  return { kind: 'evidence', quantity: 'macs' };
}

function limitOf(
  graph: Graph,
  { limit, methods }: NonNullable<RewriteOptions['factorize']>,
  device: RooflineDevice | undefined,
): Limit {
  if ('ranks' in limit) return evidence(limit.ranks, methods);
  const { quantity } = limit;
  if ('error' in limit) return { kind: 'error', quantity, most: limit.error };
  if ('most' in limit.limit) return { kind: 'budget', quantity, most: limit.limit.most };
  const whole = quantityOf(networkCost(graph, device), quantity);
  return { kind: 'budget', quantity, most: limit.limit.part * whole };
}

function totalsOf(graph: Graph, device: RooflineDevice | undefined): RewriteReport['before'] {
  const { totals } = graphCost(graph);
  return {
    nodes: graph.nodes.length,
    macs: totals.macs,
    parameters: totals.parameters,
    parameterBytes: totals.parameterBytes,
    movedBytes: totals.bytesRead + totals.bytesWritten,
    peakActivationBytes: peakBytes(graph),
    us: networkCost(graph, device).us,
  };
}

const deviceTitle = (on: RooflineDevice): string =>
  on.kind === 'measured' ? `${on.profile.engine} on ${on.profile.cpu}` : on.device.title;

const factorizedPart = (
  { layers, curve, chosen }: FactorizeResult,
  { factorize: asked }: RewriteOptions,
) => ({
  layers: layers.map((l) => ({ ...l, refusals: [...l.refusals] })),
  curve: {
    quantity: asked && 'quantity' in asked.limit ? asked.limit.quantity : 'macs',
    points: [...curve],
    chosen,
  },
});

const passEntry = ({ pass, changes, before, after }: PassTrace) => ({
  pass,
  changes,
  nodes: before.nodes - after.nodes,
  macs: before.macs - after.macs,
  otherOps: before.otherOps - after.otherOps,
});

/** A rule is asked again and again: what its last run refused. */
function lastRefusals(traces: readonly PassTrace[]): RewriteReport['refusals'] {
  const last = new Map(traces.map((trace) => [trace.pass, trace.refusals]));
  const distinct = new Map([...last.values()].flat().map((r) => [`${r.rule} ${r.node} ${r.reason}`, r]));
  return [...distinct.values()].map((r) => ({ ...r }));
}
