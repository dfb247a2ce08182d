/** Measures on synthetic shapes what the cost model estimates times from: no network's layers are in it. */
import type { EngineName } from '#runtime/engines.ts';
import type { Clock } from '../bench/measure.ts';
import { PeakProbe } from '../bench/peak.ts';
import { rejectUnknownOptions } from '../options.ts';
import { pause } from '../pause.ts';
import { ENGINES } from '../targets/wasm/engines.ts';
import type { Tile } from '../targets/wasm/tiles.ts';
import { callProbe } from './probes/calls.ts';
import { depthwiseProbe, type LayerProbe, productProbe } from './probes/layers.ts';
import { leastTimes, type Probe } from './probes/least.ts';
import { BandwidthProbe } from './probes/memory.ts';
import { type FilteringProbes, filteringProbes, weightProbes } from './probes/winograd.ts';
import { type EngineProfile, type MachineProfile, PROFILE_VERSION, peakOf } from './profile.ts';
import type { Machine } from './tuning.ts';

export interface CalibrateOptions {
  readonly machine: Machine;
  /** Those that are supported here. */
  readonly engines: readonly EngineName[];
  /** `performance.now` unless given. */
  readonly clock?: Clock;
  readonly signal?: AbortSignal;
  /** Told how far it is, from 0 to 1. */
  readonly onProgress?: (fraction: number) => void;
}

const WINDOWS = [3, 5].flatMap((kernel) => [1, 2].map((stride) => ({ kernel, stride })));
const KIB = 1024;
/** 16 KiB, four times as much, … 64 MiB. */
const WORKING_SETS = [4, 5, 6, 7, 8, 9, 10].map((power) => KIB * 4 ** (power - 2));

/**
 * Takes less than a minute. All is measured round by round in turn: a machine that is shared changes its pace, and what is
 * said of one part is said relative to others.
 * @throws the signal's reason if it is aborted
 */
export async function calibrate(options: CalibrateOptions): Promise<MachineProfile> {
  rejectUnknownOptions(options, ['machine', 'engines', 'clock', 'signal', 'onProgress'], 'calibrate');
  const { machine, engines, clock = () => performance.now(), signal, onProgress } = options;
  const simd = await engineProbes('simd');
  const relaxed = engines.includes('relaxed') ? await engineProbes('relaxed') : undefined;
  const transforms = { 2: await filteringProbes(2), 4: await filteringProbes(4) };
  const weights = await weightProbes();
  const memory = await BandwidthProbe.load();
  const reading = WORKING_SETS.map((bytes) => memory.reading(bytes));
  const calls = await callProbe();
  const probes: readonly Probe[] = [
    ...allOf(simd),
    ...(relaxed ? allOf(relaxed) : []),
    ...[transforms[2], transforms[4]].flatMap(({ input, output }) => [input, output]),
    weights.far,
    weights.near,
    ...reading,
    calls,
  ];
  const between = async () => {
    await pause();
    signal?.throwIfAborted();
  };
  const times = await leastTimes(probes, { clock, between, ...(onProgress && { onProgress }) });
  const byProbe = new Map(probes.map((probe, i) => [probe, times[i] ?? 0]));
  const msOf = (probe: Probe): number => byProbe.get(probe) ?? 0;

  const simdProfile = engineProfile(simd, msOf);
  // 10⁹ floating-point operations per second are 10⁶ per millisecond, two for each multiply-add
  const macs = (ms: number): number => rounded((ms * peakOf(simdProfile) * 1e6) / 2);
  const transform = ({ input, output, vectors }: FilteringProbes) => ({
    inputMacs: macs(msOf(input) / vectors),
    outputMacs: macs(msOf(output) / vectors),
  });
  return {
    version: PROFILE_VERSION,
    engine: machine.engine,
    cpu: machine.cpu,
    engines: { simd: simdProfile, ...(relaxed && { relaxed: engineProfile(relaxed, msOf) }) },
    winograd: { 2: transform(transforms[2]), 4: transform(transforms[4]) },
    weightByteMacs: macs(Math.max(0, msOf(weights.far) - msOf(weights.near)) / weights.bytes),
    bandwidth: WORKING_SETS.map((bytes, i) => ({
      bytes,
      gigabytesPerSecond: rounded(memory.bytesRead(bytes) / msOf(reading[i] as Probe) / 1e6),
    })),
    callNs: rounded((msOf(calls) * 1e6) / calls.calls),
  };
}

interface EngineProbes {
  readonly peak: LayerProbe;
  readonly tiles: readonly (LayerProbe & { readonly tile: Tile })[];
  readonly windows: readonly (LayerProbe & { readonly window: (typeof WINDOWS)[number] })[];
}

const allOf = ({ peak, tiles, windows }: EngineProbes): readonly Probe[] => [peak, ...tiles, ...windows];

/** About half a millisecond. */
const PEAK_PASSES = 2048;

async function engineProbes(name: EngineName): Promise<EngineProbes> {
  const engine = ENGINES[name];
  const peak = await PeakProbe.load(name);
  return {
    peak: { run: () => peak.run(PEAK_PASSES), flops: peak.flops(PEAK_PASSES) },
    tiles: await Promise.all(
      engine.tiles.map(async (tile) => ({ tile, ...(await productProbe(engine, tile)) })),
    ),
    windows: await Promise.all(
      WINDOWS.map(async (window) => ({ window, ...(await depthwiseProbe(engine, window)) })),
    ),
  };
}

function engineProfile(
  { peak, tiles, windows }: EngineProbes,
  msOf: (probe: Probe) => number,
): EngineProfile {
  const gflops = (probe: LayerProbe): number => rounded(probe.flops / msOf(probe) / 1e6);
  return {
    peakGflops: gflops(peak),
    tiles: tiles.map((probe) => ({
      pixels: probe.tile.pixels,
      channels: probe.tile.channels,
      gflops: gflops(probe),
    })),
    windows: windows.map((probe) => ({ ...probe.window, gflops: gflops(probe) })),
  };
}

/** Four digits; a clock tells no more. */
const rounded = (x: number): number => Number(x.toPrecision(4));
