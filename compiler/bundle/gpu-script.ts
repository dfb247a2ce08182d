/** `webgpu.js` of a bundle. */
import type { FileEntry, SelfTest } from '#runtime/abi.ts';
import type { GpuPlan } from '#runtime/gpu-plan.ts';
import { WEBGPU_SOURCE } from './generated/webgpu-source.ts';

/** @param selfTest where outputs are that a load can compare */
export const gpuScript = (plans: readonly GpuPlan[], selfTest: (SelfTest & FileEntry) | null): string =>
  `${constants({ GPU_PLANS: plans, GPU_SELF_TEST: selfTest })}${WEBGPU_SOURCE}`;

/** Declarations in front of the text of a module. */
export const constants = (values: Readonly<Record<string, unknown>>): string =>
  Object.entries(values)
    .map(([name, value]) => `const ${name} = ${JSON.stringify(value)};\n`)
    .join('');
