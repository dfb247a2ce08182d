/** The buffers that plans take, and the devices that have room for them. */
import type { GpuPlan } from './gpu-plan.ts';

export const HALF_FEATURE = 'shader-f16';
export const hasHalves = ({ features }: GPUDevice | GPUAdapter): boolean => features.has(HALF_FEATURE);

export const roundUp = (bytes: number, multiple: number): number => Math.ceil(bytes / multiple) * multiple;

/** Bytes of the buffer of halves, which are whole floats on a device without them. */
export const halvesBytes = ({ halves }: GpuPlan, on: GPUDevice | GPUAdapter): number =>
  halves === undefined ? 0 : roundUp(Math.max(8, halves) * (hasHalves(on) ? 2 : 4), 16);

/** Bytes of the largest buffer on a device or an adapter. */
export const largestBuffer = (plans: readonly GpuPlan[], on: GPUDevice | GPUAdapter): number =>
  Math.max(...plans.flatMap((plan) => [plan.arenaBytes, halvesBytes(plan, on), ...plan.banks]));

/** Why plans have no room on a device or an adapter. */
export function tooLarge(
  plans: readonly GpuPlan[],
  on: GPUDevice | GPUAdapter,
  name: string,
): string | undefined {
  const bytes = largestBuffer(plans, on);
  const limit = Math.min(on.limits.maxStorageBufferBindingSize, on.limits.maxBufferSize);
  return bytes > limit
    ? `the network needs a buffer of ${bytes} bytes; ${name} binds at most ${limit}`
    : undefined;
}
