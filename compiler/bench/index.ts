/** Times a compiled network layer by layer and as a whole, in turn with another way to run it. */
import type { Node } from '#ir/graph.ts';
import type { Tensor } from '#ir/tensor.ts';
import { BENCH_VERSION } from '../version.ts';
import { AGREEMENT, agreement, type Outputs } from './agreement.ts';
import type { LayerClock, LayerPass } from './layers.ts';
import { alternate, type Clock, median, medianTold, type Run, settle, spread } from './measure.ts';
import type { BenchGpu, BenchReport, BenchSide } from './report-schema.ts';

export type { Outputs } from './agreement.ts';
export { type LayerClock, LayerTimer } from './layers.ts';
export type { BenchGpu, BenchLayer, BenchReport, BenchSide } from './report-schema.ts';

/** A way to run the network on the inputs of the benchmark. */
export interface Contender {
  readonly name: string;
  readonly version: string;
  /** Before each load, outside of the time: what it takes that nothing compiled before is used again. */
  prepare?(): Promise<void>;
  load(): Promise<LoadedContender>;
}

export interface LoadedContender {
  readonly run: Run;
  /** What a run gives. */
  outputs(): Promise<Outputs>;
  dispose(): unknown;
}

export interface BenchOptions {
  readonly name: string;
  readonly rounds: number;
  readonly inputs: ReadonlyMap<string, Tensor>;
  /** Where it is a device's: what is said of that. */
  readonly gpu?: BenchGpu;
  /** Of all layers. */
  readonly macs: number;
  /** What times the layers; or why nothing does. */
  readonly layers: LayerClock | string;
  readonly ours: Contender;
  /** Or why there is none. */
  readonly other: Contender | string;
  /** Largest difference of the outputs of the two, relative to the largest; 10⁻³ unless given. */
  readonly tolerance?: number;
  /** Milliseconds that each node is predicted to take. */
  readonly predicted?: ReadonlyMap<Node, number>;
  /** And a run of ours, with what the layers are timed without. */
  readonly predictedRunMs?: number;
  /** `performance.now` unless given. */
  readonly clock?: Clock;
  /** Time limit of each warm-up, in milliseconds. */
  readonly settleMs?: number;
  readonly between?: () => Promise<void>;
  readonly onProgress?: (stage: 'load' | 'warm up' | 'measure', fraction: number) => void;
}

const BATCH_MS = 30;
const SETTLE_MS = 10_000;
const WITHIN = 0.08;
/** Fresh loads of ours; another runtime is started but once in a process. */
const LOADS = 3;

/** @throws CompileError `comparison-failed` where the two do not compute the same */
export async function bench(options: BenchOptions): Promise<BenchReport> {
  const {
    rounds,
    inputs,
    layers: timer,
    clock = () => performance.now(),
    settleMs = SETTLE_MS,
    between,
    onProgress,
  } = options;
  const timing = { clock, batchMs: BATCH_MS, ...(between && { between }) };
  onProgress?.('load', 0);
  const ours = await loaded(options.ours, LOADS, clock);
  const found = typeof options.other === 'string' ? options.other : await tried(options.other, clock);
  const [other, otherMissing] = typeof found === 'string' ? [undefined, found] : [found, null];
  try {
    const deviation = other
      ? agreement(
          [ours.facts.name, other.facts.name],
          await ours.outputs(),
          await other.outputs(),
          options.tolerance ?? AGREEMENT,
        )
      : 0;
    const passes: LayerPass[] = [];
    const byLayer: Run = async () => {
      if (typeof timer !== 'string') passes.push(await timer.pass());
    };
    const wholes = [ours.run, ...(other ? [other.run] : [])];
    const sides: readonly Run[] = typeof timer === 'string' ? wholes : [...wholes, byLayer];
    const settled: boolean[] = [];
    for (const [i, side] of sides.entries()) {
      onProgress?.('warm up', i / sides.length);
      settled.push(await settle(side, { ...timing, within: WITHIN, limitMs: settleMs }));
    }
    passes.length = 0;
    const onRound = (done: number) => onProgress?.('measure', done / rounds);
    const times = await alternate(sides, rounds, { ...timing, onRound });
    const [ourTimes = [], otherTimes = []] = times;
    return {
      version: BENCH_VERSION,
      name: options.name,
      backend: options.gpu ? 'webgpu' : 'wasm',
      ...(options.gpu ? { gpu: options.gpu } : {}),
      inputs: [...inputs].map(([name, { type }]) => ({ name, dtype: type.dtype, shape: [...type.shape] })),
      rounds,
      macs: options.macs,
      ours: {
        ...ours.facts,
        settled: settled[0] ?? false,
        runMs: spread(ourTimes),
        ...forecast(options.predictedRunMs),
      },
      other: other
        ? {
            ...other.facts,
            settled: settled[1] ?? false,
            runMs: spread(otherTimes),
            deviation,
            ratio: spread(otherTimes.map((time, i) => time / (ourTimes[i] ?? Number.NaN))),
          }
        : null,
      otherMissing,
      ...(typeof timer === 'string'
        ? { peakGflops: null, layers: [], layersMissing: timer, layersTotal: null }
        : layerReport(timer, passes, settled[wholes.length] ?? false, options.predicted)),
    };
  } finally {
    await ours.dispose();
    await other?.dispose();
  }
}

/** Another runtime, or how it failed on this model, which is no reason not to time ours. */
async function tried(contender: Contender, clock: Clock): Promise<TriedContender | string> {
  try {
    return await loaded(contender, 1, clock);
  } catch (error) {
    return `${contender.name} does not run this model: ${error instanceof Error ? error.message : String(error)}`;
  }
}

interface TriedContender extends LoadedContender {
  readonly facts: Pick<BenchSide, 'name' | 'version' | 'loadMs' | 'firstRunMs'>;
}

/** Loads and runs once, a few times; the last one stays. */
async function loaded(contender: Contender, times: number, clock: Clock): Promise<TriedContender> {
  const loads: number[] = [];
  const firstRuns: number[] = [];
  for (;;) {
    await contender.prepare?.();
    const start = clock();
    const side = await contender.load();
    const ready = clock();
    await side.run();
    firstRuns.push(clock() - ready);
    loads.push(ready - start);
    if (loads.length === times) {
      const { name, version } = contender;
      const facts = { name, version, loadMs: median(loads), firstRunMs: median(firstRuns) };
      return { ...side, facts };
    }
    await side.dispose();
  }
}

function layerReport(
  { layers }: LayerClock,
  passes: readonly LayerPass[],
  settled: boolean,
  predicted: ReadonlyMap<Node, number> | undefined,
): Pick<BenchReport, 'peakGflops' | 'layers' | 'layersMissing' | 'layersTotal'> {
  const told = layers.map((_, i) => withMedians(passes.map(({ ms }) => ms[i])));
  const silent = layers.filter((_, i) => told[i] === undefined);
  if (silent.length > 0) {
    const layersMissing = `the clock of the device is too coarse: it tells nothing of ${silent.map(({ name }) => name).join(', ')}`;
    return { peakGflops: null, layers: [], layersMissing, layersTotal: null };
  }
  const times = told.map((list) => list ?? []);
  const medians = times.map(median);
  const sum = medians.reduce((a, b) => a + b, 0);
  const totals = passes.map((_, k) => times.reduce((sum, list) => sum + (list[k] ?? 0), 0));
  const rates = (macs: number, doneMacs: number, ms: readonly number[]) => ({
    macs,
    doneMacs,
    gflops: gflops(macs, median(ms)),
    doneGflops: gflops(doneMacs, median(ms)),
    ofPeak:
      doneMacs === 0 ? null : median(passes.map(({ peak }, i) => (gflops(doneMacs, ms[i] ?? 0) ?? 0) / peak)),
  });
  const dispatchOf = (layer: number) => (kernel: string, k: number) => ({
    kernel,
    ms: medianTold(passes.map((pass) => pass.dispatches?.[layer]?.[k])) ?? 0,
  });
  const all = (of: 'macs' | 'doneMacs') => layers.reduce((n, layer) => n + layer[of], 0);
  return {
    peakGflops: spread(passes.map(({ peak }) => peak)),
    layers: layers.map(({ name, op, kind, shape, kernels, macs, doneMacs, step, dispatches }, i) => ({
      name,
      op,
      kind,
      shape: [...shape],
      kernels: [...kernels],
      ms: spread(times[i] ?? []),
      share: sum === 0 ? 0 : (medians[i] ?? 0) / sum,
      ...rates(macs, doneMacs, times[i] ?? []),
      ...forecast(step && predicted?.get(step.node)),
      ...(dispatches ? { dispatches: dispatches.map(dispatchOf(i)) } : {}),
    })),
    layersMissing: null,
    layersTotal: {
      settled,
      passes: passes.length,
      ms: spread(totals),
      ...rates(all('macs'), all('doneMacs'), totals),
      ...forecast(predicted && [...predicted.values()].reduce((sum, ms) => sum + ms, 0)),
    },
  };
}

/** What the clock did not tell is as the median; undefined where it told nothing. */
function withMedians(times: readonly (number | undefined)[]): number[] | undefined {
  const usual = medianTold(times);
  return usual === undefined ? undefined : times.map((ms) => ms ?? usual);
}

const forecast = (ms: number | undefined) => (ms === undefined ? {} : { predictedMs: ms });

/** 10⁹ operations per second; null where nothing is multiplied, or the clock is too coarse to say. */
const gflops = (macs: number, ms: number): number | null =>
  macs === 0 || ms === 0 ? null : (2 * macs) / ms / 1e6;
