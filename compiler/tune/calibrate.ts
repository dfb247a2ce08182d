/** Measures on synthetic shapes what the cost model estimates times from: no network's layers are in it. */
import type { EngineName } from '#runtime/engines.ts';
import type { Clock } from '../bench/measure.ts';
import { PeakProbe } from '../bench/peak.ts';
import { rejectUnknownOptions } from '../options.ts';
import { pause } from '../pause.ts';
import { ENGINES } from '../targets/wasm/engines.ts';
import type { Tile } from '../targets/wasm/tiles.ts';
import { callProbe } from './probes/calls.ts';
import {
  ELEMENT_FUNCTIONS,
  type ElementFunction,
  type ElementProbe,
  elementProbe,
  poolProbe,
  transposeProbe,
} from './probes/elements.ts';
import { depthwiseProbe, type LayerProbe, productProbe } from './probes/layers.ts';
import { leastTimes, type Probe } from './probes/least.ts';
import { BandwidthProbe } from './probes/memory.ts';
import { type StreamProbes, streamProbes } from './probes/weights.ts';
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
  const streams = { oneRow: await streamProbes(1), fourRows: await streamProbes(4) };
  const memory = await BandwidthProbe.load();
  const reading = WORKING_SETS.map((bytes) => memory.reading(bytes));
  const calls = await callProbe();
  const elements = await elementProbes();
  const probes: readonly Probe[] = [
    ...allOf(simd),
    ...(relaxed ? allOf(relaxed) : []),
    ...[transforms[2], transforms[4]].flatMap(({ input, output }) => [input, output]),
    weights.far,
    weights.near,
    ...[streams.oneRow, streams.fourRows].flatMap(({ far, near }) => [far, near]),
    ...reading,
    calls,
    ...elements.functions.values(),
    elements.pool,
    elements.transpose,
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
  const waited = ({ far, near, part, bytes }: StreamProbes) =>
    rounded((Math.max(0, msOf(far) - msOf(near) / part) * 1e6) / bytes);
  return {
    version: PROFILE_VERSION,
    kind: 'wasm',
    engine: machine.engine,
    cpu: machine.cpu,
    engines: { simd: simdProfile, ...(relaxed && { relaxed: engineProfile(relaxed, msOf) }) },
    elements: elementTimes(elements, msOf),
    winograd: { 2: transform(transforms[2]), 4: transform(transforms[4]) },
    weightByteMacs: macs(Math.max(0, msOf(weights.far) - msOf(weights.near)) / weights.bytes),
    streamedByteNs: { oneRow: waited(streams.oneRow), fourRows: waited(streams.fourRows) },
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

interface ElementProbes {
  readonly functions: ReadonlyMap<ElementFunction, ElementProbe>;
  readonly pool: ElementProbe;
  readonly transpose: ElementProbe;
}

async function elementProbes(): Promise<ElementProbes> {
  const functions = new Map<ElementFunction, ElementProbe>();
  for (const name of ELEMENT_FUNCTIONS) functions.set(name, await elementProbe(name));
  return { functions, pool: await poolProbe(), transpose: await transposeProbe() };
}

/** Hard swish is three operations more than a change of sign. */
const FURTHER_OPERATIONS = 3;
/** Of times that are differences: no clock tells less. */
const LEAST_NS = 0.001;

function elementTimes(
  { functions, pool, transpose }: ElementProbes,
  msOf: (probe: Probe) => number,
): MachineProfile['elements'] {
  const nsOf = (probe: ElementProbe): number => (msOf(probe) * 1e6) / probe.elements;
  const named = (name: ElementFunction): number => nsOf(functions.get(name) as ElementProbe);
  const moved = named('neg');
  const beside = (name: ElementFunction, parts = 1) =>
    rounded(Math.max(LEAST_NS, (named(name) - moved) / parts));
  return {
    moved: rounded(moved),
    operation: beside('hardSwish', FURTHER_OPERATIONS),
    exp: beside('exp'),
    log: beside('log'),
    tanh: beside('tanh'),
    erf: beside('erf'),
    logistic: beside('logistic'),
    pooled: rounded(nsOf(pool)),
    transposed: rounded(nsOf(transpose)),
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
