/** Tuning for a compile: what its file has, and what is measured for it. */
import { fail } from '#ir/diagnostics.ts';
import type { Graph } from '#ir/graph.ts';
import { checkForGpuAlone } from '../compile-gpu.ts';
import { partsForGpu } from '../compile-split.ts';
import { checkProducts } from '../memory-limits.ts';
import { counted, grouped } from '../report/format.ts';
import { type AdapterKey, tuningForAdapter } from '../tune/adapters.ts';
import { graphToTune, type TuneCounts, type TuneOptions, tuneModel } from '../tune/index.ts';
import { type Tuning, tuningFor } from '../tune/tuning.ts';
import type { CompileArguments } from './commands/compile.ts';
import { fastestEngine } from './contenders.ts';
import { type NamedSource, underPath } from './load.ts';
import { machineAtHand } from './machine.ts';
import { readTuning, readTuningIfAny, writeTuning } from './measured-files.ts';
import type { CommandContext } from './program.ts';

/** What the file of --tune or --tuning has. */
export async function knownTuning({
  tune,
  tuning,
  tuneSoftware,
  target,
}: CompileArguments): Promise<Tuning | undefined> {
  if (tuneSoftware && (tune === undefined || !target.split(',').includes('webgpu'))) {
    const hint = 'give --tune FILE and --target wasm,webgpu too, or leave it out';
    fail('usage-invalid', '--tune-software', 'it is about measuring kernels for WebGPU', hint);
  }
  if (tune !== undefined && tuning !== undefined) {
    const message = '--tune measures what its file lacks, and --tuning nothing';
    fail('usage-invalid', '--tuning', message, 'give one of them');
  }
  if (tune !== undefined) return readTuningIfAny(tune);
  return tuning === undefined ? undefined : readTuning(tuning);
}

/**
 * Measures what is not known where that is asked for, and keeps it.
 * @returns what was measured on one machine and adapter, of the targets alone; where that leaves a choice, what is usual
 * @throws CompileError for a network that a target refuses, before anything is measured
 */
export async function tuned(
  known: Tuning | undefined,
  source: NamedSource<Uint8Array>,
  model: Pick<TuneOptions, 'name' | 'preprocess' | 'profile' | 'externalData' | 'specialisations'>,
  options: CompileArguments,
  context: CommandContext,
): Promise<Tuning | undefined> {
  if (!known) return undefined;
  const { tune, tuning, gpuPrecision: precision } = options;
  const target = options.target.split(',');
  const [onWasm, onGpu] = [target.includes('wasm'), target.includes('webgpu')];
  const ofTargets = ({ version, machines, adapters }: Tuning): Tuning => ({
    version,
    machines: onWasm ? machines : [],
    ...(onGpu && adapters && { adapters }),
  });
  const machine = machineAtHand();
  if (tune === undefined)
    return tuningForAdapter(tuningFor(ofTargets(known), machine, tuning), precision, undefined, tuning);
  const onSeveral = (kernels: string) => (message: string) =>
    context.terminal.note(`${tune}: ${message}; the usual ${kernels} are taken`);
  const graph = onGpu
    ? await graphToTune(source.bytes, { ...model, signal: context.signal }).catch((error: unknown) => {
        throw underPath(source, error);
      })
    : undefined;
  if (graph && !onWasm) checkForGpuAlone(graph, precision);
  else if (graph) {
    checkProducts(graph, precision);
    partsForGpu(graph, precision);
  }
  const all = onWasm ? await tunedHere(known, tune, source, model, context) : known;
  if (!graph) return tuningFor(ofTargets(all), machine, tune, onSeveral('kernels'));
  const { tuning: found, key } = await tunedOnGpu(all, graph, options, context);
  const own = tuningFor(ofTargets(found), machine, tune, onSeveral('kernels'));
  return tuningForAdapter(own, precision, key, tune, onSeveral('tiles'));
}

/** @returns what was known and what was measured on this machine, which is in the file too */
async function tunedHere(
  known: Tuning,
  file: string,
  source: NamedSource<Uint8Array>,
  model: Parameters<typeof tuned>[2],
  { terminal, signal }: CommandContext,
): Promise<Tuning> {
  const progress = terminal.progress('tune');
  const result = await tuneModel(source.bytes, {
    ...model,
    machine: machineAtHand(),
    engine: fastestEngine(),
    known,
    signal,
    onProgress: (fraction) => progress.update(fraction, 1),
  })
    .catch((error: unknown) => {
      throw underPath(source, error);
    })
    .finally(() => progress.end());
  if (result.measured.length > 0) await writeTuning(file, result.tuning);
  terminal.note(tuneNote('tuning', result));
  return result.tuning;
}

/** @returns what was known and what was measured on the adapter at hand, which is in the file too */
async function tunedOnGpu(
  known: Tuning,
  graph: Graph,
  { tune = '', tuneSoftware = false, gpuPrecision: precision }: CompileArguments,
  { terminal, signal }: CommandContext,
): Promise<{ readonly tuning: Tuning; readonly key?: AdapterKey }> {
  const progress = terminal.progress('tune for WebGPU');
  const { tuneOnGpu } = await import('./gpu/tune.ts');
  const found = await tuneOnGpu(graph, {
    precision,
    software: tuneSoftware,
    known,
    signal,
    onProgress: (fraction) => progress.update(fraction, 1),
  }).finally(() => progress.end());
  const result = typeof found === 'string' ? found : found.result;
  const key = typeof found === 'string' ? {} : { key: found.key };
  if (typeof result === 'string') {
    terminal.note(`tuning for WebGPU: nothing was measured: ${result}`);
    return { tuning: known, ...key };
  }
  if (result.measured.length > 0) await writeTuning(tune, result.tuning);
  terminal.note(tuneNote('tuning for WebGPU', result));
  return { tuning: result.tuning, ...key };
}

function tuneNote(what: string, { measured, known, left }: TuneCounts): string {
  const faster = measured.filter(({ ms, modelMs }) => ms < modelMs);
  const sum = (list: readonly number[]) => list.reduce((a, b) => a + b, 0).toFixed(2);
  const gain =
    faster.length === 0
      ? 'none is faster another way'
      : `${faster.length} of them ${faster.length === 1 ? 'is' : 'are'} faster another way: ` +
        `${sum(faster.map(({ modelMs }) => modelMs))} → ${sum(faster.map(({ ms }) => ms))} ms`;
  return [
    measured.length === 0
      ? `${what}: no layer shape was measured`
      : `${what}: ${counted(measured.length, 'layer shape')} measured, ${gain}`,
    ...(known > 0 ? [`${grouped(known)} known before`] : []),
    ...(left > 0
      ? [`${grouped(left)} left as they are, for lack of memory, time or a device that takes and times them`]
      : []),
  ].join('; ');
}
