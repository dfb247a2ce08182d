/** Measures on a device what its layers' times are estimated from. */
import { GpuPeak } from '../bench/gpu-peak.ts';
import { type Clock, median } from '../bench/measure.ts';
import { pause } from '../pause.ts';
import { dispatchProbe } from './probes/gpu-dispatch.ts';
import { GpuBandwidth } from './probes/gpu-memory.ts';
import { type GpuProfile, PROFILE_VERSION } from './profile.ts';

export interface CalibrateGpuOptions {
  readonly adapter: string;
  readonly software: boolean;
  /** `performance.now` unless given. */
  readonly clock?: Clock;
  readonly signal?: AbortSignal;
  /** Told how far it is, from 0 to 1. */
  readonly onProgress?: (fraction: number) => void;
}

/** 1 MiB to 64 MiB: from what caches hold to what none does. */
const WORKING_SETS = [1 << 20, 1 << 22, 1 << 24, 1 << 26];
/** All is measured in turn: what is said of one part is said relative to others. */
const ROUNDS = 5;

/**
 * @param device with `timestamp-query`
 * @throws CompileError `gpu-refused` where its clock is too coarse, or it fails; the signal's reason if it is aborted
 */
export async function calibrateGpu(device: GPUDevice, options: CalibrateGpuOptions): Promise<GpuProfile> {
  const { adapter, software, clock = () => performance.now(), signal, onProgress } = options;
  const peak = await GpuPeak.load(device);
  const memory = await GpuBandwidth.load(device, software);
  const dispatch = await dispatchProbe(device);
  const peaks: number[] = [];
  const overheads: number[] = [];
  const bandwidths = WORKING_SETS.map((): number[] => []);
  try {
    for (let round = 0; round < ROUNDS; round++) {
      peaks.push(await peak.gflops());
      overheads.push(await dispatch.ns(clock));
      for (const [i, bytes] of WORKING_SETS.entries())
        bandwidths[i]?.push(await memory.gigabytesPerSecond(bytes));
      onProgress?.((round + 1) / ROUNDS);
      await pause();
      signal?.throwIfAborted();
    }
  } finally {
    for (const probe of [peak, memory, dispatch]) probe.dispose();
  }
  return {
    version: PROFILE_VERSION,
    kind: 'webgpu',
    adapter,
    software,
    peakGflops: rounded(median(peaks)),
    bandwidth: WORKING_SETS.map((bytes, i) => ({
      bytes,
      gigabytesPerSecond: rounded(median(bandwidths[i] ?? [])),
    })),
    dispatchNs: rounded(median(overheads)),
  };
}

/** Four digits; a clock tells no more. */
const rounded = (x: number): number => Number(x.toPrecision(4));
