/** `webgpu.js` of a bundle. */
import type { GpuPlan } from '#runtime/gpu-plan.ts';
import { WEBGPU_SOURCE } from './generated/webgpu-source.ts';

export const gpuScript = (plan: GpuPlan): string =>
  `const GPU_PLAN = ${JSON.stringify(plan)};\n${WEBGPU_SOURCE}`;
