/** The buffers that a program takes on a device. */
import type { KernelProgram } from '#compiler/schedule/program.ts';
import { banksOf } from './banks.ts';
import type { GpuKernel } from './kernels/index.ts';
import { HALF_BYTES, WORD_BYTES } from './words.ts';

export interface GpuMemory {
  /** Of the buffer for all that is computed, without floats in half precision; every element is a word. */
  readonly arenaBytes: number;
  /** Of the buffer of those floats, on a device with `shader-f16`. */
  readonly halvesBytes: number;
  /** Of each buffer of constants. */
  readonly banks: readonly number[];
}

export const memoryOf = (program: KernelProgram<GpuKernel>): GpuMemory => ({
  arenaBytes: program.arenaBytes,
  halvesBytes: (program.halvesBytes / WORD_BYTES) * HALF_BYTES,
  banks: banksOf(program).banks.map(({ bytes }) => bytes),
});
