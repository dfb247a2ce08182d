/** The layers of a program on a device: each dispatch is a pass of its own, timed by the clock of the device. */

import type { KernelProgram } from '../schedule/program.ts';
import { type GpuKernel, kernelLabel } from '../targets/webgpu/index.ts';
import { type EncodePass, GpuClock } from './gpu-clock.ts';
import { GpuPeak } from './gpu-peak.ts';
import { type KernelNames, type LayerClock, type LayerPass, type TimedLayer, timedLayers } from './layers.ts';

/** A program that is on a device. */
export interface LoadedProgram {
  readonly device: GPUDevice;
  /** Puts a call into a pass. */
  dispatch(pass: GPUComputePassEncoder, call: number): void;
}

export const GPU_KERNELS: KernelNames<GpuKernel> = { label: kernelLabel, doneMacs: () => undefined };

export class GpuLayerTimer implements LayerClock {
  readonly layers: readonly TimedLayer[];
  readonly #clock: GpuClock;
  readonly #peak: GpuPeak;
  readonly #passes: readonly EncodePass[];
  /** Of each layer, its calls. */
  readonly #calls: readonly (readonly number[])[];
  readonly #prepare: () => void;

  private constructor(
    {
      calls,
      layers,
    }: { readonly calls: readonly (readonly number[])[]; readonly layers: readonly TimedLayer[] },
    peak: GpuPeak,
    loaded: LoadedProgram,
    prepare: () => void,
  ) {
    const count = calls.reduce((n, own) => n + own.length, 0);
    this.layers = layers;
    this.#calls = calls;
    this.#clock = new GpuClock(loaded.device, count);
    this.#peak = peak;
    this.#passes = Array.from({ length: count }, (_, call) => (pass) => loaded.dispatch(pass, call));
    this.#prepare = prepare;
  }

  /** @param prepare puts the inputs into memory, which is used again once they have been read */
  static async load(
    program: KernelProgram<GpuKernel>,
    loaded: LoadedProgram,
    prepare: () => void,
  ): Promise<GpuLayerTimer> {
    const own = timedLayers(program, GPU_KERNELS);
    const callsOf = ({ step }: TimedLayer): number[] =>
      program.calls.flatMap(({ node }, k) => (node === step?.node ? [k] : []));
    const calls = own.map(callsOf);
    const layers = own.map((layer, i) => ({
      ...layer,
      dispatches: (calls[i] ?? []).flatMap((k) => {
        const call = program.calls[k];
        return call ? [kernelLabel(call.kernel)] : [];
      }),
    }));
    return new GpuLayerTimer({ calls, layers }, await GpuPeak.load(loaded.device), loaded, prepare);
  }

  async pass(): Promise<LayerPass> {
    const peak = await this.#peak.gflops();
    this.#prepare();
    const times = await this.#clock.time(this.#passes);
    const dispatches = this.#calls.map((own) => own.map((k) => times[k]));
    const sumOf = (own: readonly (number | undefined)[]) =>
      own.reduce((sum, ms) => (sum === undefined || ms === undefined ? undefined : sum + ms), 0);
    return { peak, dispatches, ms: dispatches.map(sumOf) };
  }

  dispose(): void {
    this.#clock.dispose();
    this.#peak.dispose();
  }
}
