/** Chooses the kernels of a network by measuring them, layer shape by layer shape, on the engine at hand. */
import type { Graph } from '#ir/graph.ts';
import type { EngineName } from '#runtime/engines.ts';
import type { Clock } from '../bench/measure.ts';
import type { CompileOptions } from '../compile-options.ts';
import { rejectUnknownOptions } from '../options.ts';
import { pause } from '../pause.ts';
import { importSizes, optimised } from '../prepare.ts';
import { parsePreprocess } from '../preprocess/options.ts';
import type { CostProfile } from '../targets/wasm/costs.ts';
import { variantsOf } from '../variant.ts';
import { type Candidate, candidatesOf } from './candidates.ts';
import { type LoneLayer, layerShapes, loneLayer } from './layer.ts';
import { costsOf } from './profile.ts';
import { CacheSweep, fastest, stopwatch, type Timed, timedLayer } from './timing.ts';
import {
  layersOn,
  type Machine,
  NO_TUNING,
  parseTuning,
  refuseSeveralSizes,
  type TunedLayer,
  type Tuning,
  withLayers,
} from './tuning.ts';

export interface TuneSettings {
  /** What the times are taken on, and what the result is filed under. */
  readonly machine: Machine;
  /** Whose kernels are timed: the fastest that is supported here. */
  readonly engine: EngineName;
  /** `performance.now` unless given; it must tell tens of microseconds apart. */
  readonly clock?: Clock;
  /** What was measured before, which is kept; layers that it has for this machine are not measured again. */
  readonly known?: Tuning;
  /** Ends after this long, in milliseconds, with the layers of the most work measured; ten minutes unless given. */
  readonly limitMs?: number;
  readonly signal?: AbortSignal;
  /** Told how far it is, from 0 to 1. */
  readonly onProgress?: (fraction: number) => void;
}

export interface TuneOptions
  extends TuneSettings,
    Pick<
      CompileOptions,
      'name' | 'outputs' | 'preprocess' | 'dims' | 'shapes' | 'specialisations' | 'externalData' | 'profile'
    > {}

export interface TuneResult extends TuneCounts {
  /** What was known and what was measured. */
  readonly tuning: Tuning;
  readonly measured: readonly TunedLayer[];
}

/** Layer shapes of the network that there is a choice for: measured now, known before, and left out. */
export interface TuneCounts {
  readonly measured: readonly Pick<TunedLayer, 'ms' | 'modelMs'>[];
  readonly known: number;
  /** They need too much memory, there was no time, or a device did not take or time them. */
  readonly left: number;
}

const TUNE_OPTIONS = [
  'machine',
  'engine',
  'clock',
  'known',
  'limitMs',
  'signal',
  'onProgress',
  'name',
  'outputs',
  'preprocess',
  'dims',
  'shapes',
  'specialisations',
  'externalData',
  'profile',
] as const;

/**
 * Measures the ways to compute each layer of a model that it will be compiled to with the same options. On a busy machine,
 * V8 may be late to optimise modules, and something else is timed: start the process with `--no-liftoff`, as the command does.
 * @throws CompileError as `compileModel`; the signal's reason if it is aborted
 */
export async function tuneModel(bytes: Uint8Array, options: TuneOptions): Promise<TuneResult> {
  rejectUnknownOptions(options, TUNE_OPTIONS, 'tuneModel');
  return tuneGraph(await graphToTune(bytes, options), options, costsOf(options.profile));
}

/** The model as `compile` lowers it. @throws CompileError as `compileModel`, and for several sizes */
export async function graphToTune(
  bytes: Uint8Array,
  options: Omit<TuneOptions, keyof TuneSettings> & Pick<TuneSettings, 'signal'>,
): Promise<Graph> {
  if ((options.specialisations ?? []).length > 1) refuseSeveralSizes();
  const models = importSizes(bytes, options);
  const preprocess = options.preprocess === undefined ? undefined : parsePreprocess(options.preprocess);
  const [variant, ...more] = variantsOf(
    models.map(({ graph }) => graph),
    options.outputs ?? [],
    preprocess,
  );
  if (!variant || more.length > 0) refuseSeveralSizes();
  return optimised(variant, options.signal ? { signal: options.signal } : {});
}

/** Memory that the candidates of one layer may take together, in bytes. */
const MOST_BYTES = 2 ** 30;
const LIMIT_MS = 600_000;

/** Makes the times of a layer's candidates comparable; replaced in tests. */
export type TimeLayer = (
  candidates: readonly Candidate[],
  usual: number,
  layer: LoneLayer,
) => Promise<readonly number[]>;

/** @param graph lowered as `compile` does, which is left as it is */
export async function tuneGraph(
  graph: Graph,
  settings: TuneSettings,
  costs: CostProfile,
  timeLayer: TimeLayer = timerFor(settings, costs),
): Promise<TuneResult> {
  const { machine, signal, onProgress, limitMs = LIMIT_MS, clock = () => performance.now() } = settings;
  const before = settings.known === undefined ? NO_TUNING : parseTuning(settings.known, 'known');
  const known = new Set(layersOn(before, machine).map(({ layer }) => layer));
  const shapes = layerShapes(graph);
  const fresh = shapes.filter(({ key }) => !known.has(key));
  const start = clock();
  const measured: TunedLayer[] = [];
  let left = 0;
  for (const [i, { key, node }] of fresh.entries()) {
    onProgress?.(i / fresh.length);
    await pause();
    signal?.throwIfAborted();
    if (clock() - start > limitMs) {
      left += fresh.length - i;
      break;
    }
    const layer = loneLayer(node);
    const { list, usual } = candidatesOf(layer, costs);
    if (list.length < 2) continue;
    if (memoryOf(list) > MOST_BYTES) {
      left++;
      continue;
    }
    const times = await timeLayer(list, usual, layer);
    const best = fastest(times, usual);
    measured.push({
      layer: key,
      choice: (list[best] as Candidate).choice,
      ms: rounded(times[best] ?? 0),
      modelMs: rounded(times[usual] ?? 0),
    });
  }
  onProgress?.(1);
  return {
    tuning: measured.length === 0 ? before : withLayers(before, machine, measured),
    measured,
    known: shapes.length - fresh.length,
    left,
  };
}

const memoryOf = (list: readonly Candidate[]): number =>
  list.reduce((sum, { program }) => sum + program.constantBytes + program.arenaBytes, 0);

/** Ten nanoseconds are more than a clock tells. */
const rounded = (ms: number): number => Number(ms.toFixed(5));

function timerFor(
  { engine, clock = () => performance.now(), signal }: TuneSettings,
  costs: CostProfile,
): TimeLayer {
  const sweep = new CacheSweep();
  const between = async () => {
    await pause();
    signal?.throwIfAborted();
  };
  const compare = stopwatch({ clock, between });
  return async (candidates, usual, { node }) => {
    const sides: Timed[] = [];
    for (const { program } of candidates) {
      sides.push(await timedLayer(program, node, { engine: costs.engines[engine], clock, sweep }));
    }
    return compare(sides, usual);
  };
}
