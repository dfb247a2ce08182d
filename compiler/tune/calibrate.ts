/** Measures on synthetic shapes what the cost model estimates times from: no network's layers are in it. */
import type { EngineName } from '#runtime/engines.ts';
import type { Clock } from '../bench/measure.ts';
import { PeakProbe } from '../bench/peak.ts';
import { rejectUnknownOptions } from '../options.ts';
import { pause } from '../pause.ts';
import { ENGINES } from '../targets/wasm/engines.ts';
import type { TileSize } from '../targets/wasm/kernels/winograd/transforms.ts';
import { callProbe } from './probes/calls.ts';
import { depthwiseProbe, productProbe } from './probes/layers.ts';
import { leastTimes, type Probe } from './probes/least.ts';
import { BandwidthProbe } from './probes/memory.ts';
import { filteringProbes, weightProbes } from './probes/winograd.ts';
import { type EngineProfile, type MachineProfile, PROFILE_VERSION, peakOf } from './profile.ts';
import type { Machine } from './tuning.ts';

export interface CalibrateOptions {
  readonly machine: Machine;
  /** Those that are supported here. */
  readonly engines: readonly EngineName[];
  /** `performance.now` unless given. */
  readonly clock?: Clock;
  readonly signal?: AbortSignal;
  /** Told what is measured, and how much of all has been, from 0 to 1. */
  readonly onProgress?: (part: string, fraction: number) => void;
}

const WINDOWS = [3, 5].flatMap((kernel) => [1, 2].map((stride) => ({ kernel, stride })));
const KIB = 1024;
/** 16 KiB, four times as much, … 64 MiB. */
const WORKING_SETS = [4, 5, 6, 7, 8, 9, 10].map((power) => KIB * 4 ** (power - 2));

/** Takes less than a minute. @throws the signal's reason if it is aborted */
export async function calibrate(options: CalibrateOptions): Promise<MachineProfile> {
  rejectUnknownOptions(options, ['machine', 'engines', 'clock', 'signal', 'onProgress'], 'calibrate');
  const { machine, engines, clock = () => performance.now(), signal, onProgress } = options;
  const between = async () => {
    await pause();
    signal?.throwIfAborted();
  };
  let step = 0;
  const steps = (engines.includes('relaxed') ? 2 : 1) * 2 + 4;
  const least = (part: string, probes: readonly Probe[]) => {
    onProgress?.(part, step++ / steps);
    return leastTimes(probes, { clock, between });
  };

  const engineProfile = async (name: EngineName): Promise<EngineProfile> => {
    const engine = ENGINES[name];
    const peak = await PeakProbe.load(name);
    const products = await Promise.all(engine.tiles.map((tile) => productProbe(engine, tile)));
    const [peakMs = 0, ...tileMs] = await least(`${name} products`, [
      { run: () => peak.run(PEAK_PASSES) },
      ...products,
    ]);
    const windows = await Promise.all(WINDOWS.map((window) => depthwiseProbe(engine, window)));
    const windowMs = await least(`${name} windows`, windows);
    return {
      peakGflops: gflops(peak.flops(PEAK_PASSES), peakMs),
      tiles: engine.tiles.map(({ pixels, channels }, i) => ({
        pixels,
        channels,
        gflops: gflops(products[i]?.flops ?? 0, tileMs[i] ?? 0),
      })),
      windows: WINDOWS.map((window, i) => ({
        ...window,
        gflops: gflops(windows[i]?.flops ?? 0, windowMs[i] ?? 0),
      })),
    };
  };

  const simd = await engineProfile('simd');
  const relaxed = engines.includes('relaxed') ? await engineProfile('relaxed') : undefined;
  // 10⁹ floating-point operations per second are 10⁶ per millisecond, two for each multiply-add
  const macs = (ms: number): number => rounded((ms * peakOf(simd) * 1e6) / 2);

  const transform = async (outputs: TileSize) => {
    const probes = await filteringProbes(outputs);
    const [input = 0, output = 0] = await least(`F(${outputs}×${outputs})`, [probes.input, probes.output]);
    return { inputMacs: macs(input / probes.inputVectors), outputMacs: macs(output / probes.outputVectors) };
  };
  const winograd = { 2: await transform(2), 4: await transform(4) };

  const weights = await weightProbes();
  const [far = 0, near = 0] = await least('weights', [weights.far, weights.near]);

  const memory = await BandwidthProbe.load();
  const calls = await callProbe();
  const [callMs = 0, ...readMs] = await least('memory', [
    calls,
    ...WORKING_SETS.map((bytes) => memory.reading(bytes)),
  ]);
  onProgress?.('memory', 1);
  return {
    version: PROFILE_VERSION,
    engine: machine.engine,
    cpu: machine.cpu,
    engines: { simd, ...(relaxed && { relaxed }) },
    winograd,
    weightByteMacs: macs(Math.max(0, far - near) / weights.bytes),
    bandwidth: WORKING_SETS.map((bytes, i) => ({
      bytes,
      gigabytesPerSecond: rounded(memory.bytesRead(bytes) / (readMs[i] ?? 0) / 1e6),
    })),
    callNs: rounded((callMs * 1e6) / calls.calls),
  };
}

/** About half a millisecond. */
const PEAK_PASSES = 2048;

const gflops = (flops: number, ms: number): number => rounded(flops / ms / 1e6);

/** Four digits; a clock tells no more. */
const rounded = (x: number): number => Number(x.toPrecision(4));
