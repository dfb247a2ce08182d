/** The device that a network runs on: the caller's, or one of its own. */
import { adapterTraits } from './gpu-adapter.ts';
import { HALF_FEATURE, hasHalves, largestBuffer, tooLarge } from './gpu-memory.ts';
import type { GpuPlan } from './gpu-plan.ts';
import type { LoadOptions } from './model-types.ts';

export interface OpenDevice {
  readonly device: GPUDevice;
  readonly name: string;
  /** It computes on the processor. */
  readonly software: boolean;
}

/** What `requestDevice` gives unless asked for more. */
const USUAL = { maxStorageBufferBindingSize: 1 << 27, maxBufferSize: 1 << 28 } as const;

/**
 * @param anyAdapter also one that is software
 * @returns why there is none, where there is none
 */
export async function openDevice(
  plans: readonly GpuPlan[],
  { device: own }: LoadOptions,
  anyAdapter: boolean,
): Promise<OpenDevice | string> {
  if (own) return { device: own, name: 'a device of the caller', software: false };
  const { gpu } = navigator as { gpu?: GPU };
  const adapter = await gpu?.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) return 'there is no adapter';
  const { name, software } = adapterTraits(adapter);
  if (software && !anyAdapter) return `the adapter is software (${name})`;
  const problem = tooLarge(plans, adapter, name);
  if (problem) return problem;
  const half = plans.some(({ halves }) => halves !== undefined) && hasHalves(adapter);
  const bytes = largestBuffer(plans, adapter);
  const device = await adapter.requestDevice({
    requiredFeatures: half ? [HALF_FEATURE] : [],
    requiredLimits: {
      maxStorageBufferBindingSize: Math.max(bytes, USUAL.maxStorageBufferBindingSize),
      maxBufferSize: Math.max(bytes, USUAL.maxBufferSize),
    },
  });
  return { device, name, software };
}
