/** What the compiled program for WebGPU says to the runtime. */

/** Kernel, bank of constants, workgroups in x and y, and where each argument begins, in words. */
export type GpuCall = readonly number[];

export interface GpuPlan {
  /** Of the buffer that holds all that is computed. */
  readonly arenaBytes: number;
  /** Bytes of each buffer of constants. */
  readonly banks: readonly number[];
  /** Entry points. */
  readonly kernels: readonly string[];
  /** In order. */
  readonly calls: readonly GpuCall[];
  /** Where each input and output begins, in words; every element is one. */
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
}
