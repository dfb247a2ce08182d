/** How fast a machine does each kind of work, as a profile says. */
import type { EngineName } from '#runtime/engines.ts';
import type { CostProfile } from '../targets/wasm/index.ts';
import { costsOf, type EngineProfile, type MachineProfile, peakOf } from '../tune/profile.ts';
import { bandwidthAt } from './bandwidth.ts';

export interface Rates {
  /** Multiply-adds per nanosecond at the peak of baseline SIMD, by which costs of tiles and transforms are relative. */
  readonly peak: number;
  readonly costs: CostProfile;
  readonly engine: EngineName;
  readonly elements: MachineProfile['elements'];
  /** Multiply-adds per nanosecond of a depthwise convolution. */
  window(kernel: number, stride: number): number;
  /** Bytes per nanosecond where so many are gone through again and again. */
  bandwidth(bytes: number): number;
  /** What a product of so many rows waits for one byte of weights that comes from main memory. */
  streamed(rows: number): number;
  readonly callNs: number;
}

export function ratesOf(profile: MachineProfile, engine: EngineName): Rates {
  const own = profile.engines[engine] ?? profile.engines.simd;
  return {
    peak: peakOf(own) / 2,
    costs: costsOf(profile),
    engine: profile.engines[engine] ? engine : 'simd',
    elements: profile.elements,
    window: (kernel, stride) => windowRate(own, kernel, stride),
    bandwidth: (bytes) => bandwidthAt(profile.bandwidth, bytes),
    streamed: (rows) => {
      const { oneRow, fourRows } = profile.streamedByteNs;
      return oneRow + (fourRows - oneRow) * Math.min(1, (rows - 1) / 3);
    },
    callNs: profile.callNs,
  };
}

/** Of the measured window that is closest in size, among those of its stride. */
function windowRate({ windows, peakGflops }: EngineProfile, kernel: number, stride: number): number {
  const distance = (w: EngineProfile['windows'][number]) =>
    100 * Math.abs(w.stride - Math.min(stride, 2)) + Math.abs(w.kernel - kernel);
  const [first, ...rest] = windows;
  if (!first) return peakGflops / 2;
  return rest.reduce((best, one) => (distance(one) < distance(best) ? one : best), first).gflops / 2;
}
