/** What the compiled program for WebGPU says to the runtime. */

/** Kernel, bank of constants, workgroups in x and y, and where each argument begins, in elements. */
export type GpuCall = readonly number[];

export interface GpuPlan {
  /** Of the buffer that holds all that is computed. */
  readonly arenaBytes: number;
  /** Floats in the buffer of those that are kept in half precision where the device has shader-f16; absent without it. */
  readonly halves?: number;
  /** Bytes of each buffer of constants. */
  readonly banks: readonly number[];
  /** Entry points. */
  readonly kernels: readonly string[];
  /** In order. */
  readonly calls: readonly GpuCall[];
  /** Where each input and output begins, in words; every element is one. */
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  /** Of outputs whose size depends on data: where, in words, it stands how many positions of which axis count. */
  readonly counts?: readonly (GpuCount | null)[];
  /** Where an input is a picture: a module reads a texture into it, and one more a frame of a video. */
  readonly picture?: GpuPicture;
}

/** Stands in `kernels.wgsl` between modules: of all kernels, and, where an input is a picture, those that read one. */
export const MODULE_BREAK = '\n// ---------- another module ----------\n';

/** An input that is a picture, of pixels. */
export interface GpuPicture {
  readonly width: number;
  readonly height: number;
}

export interface GpuCount {
  readonly axis: number;
  readonly at: number;
}
