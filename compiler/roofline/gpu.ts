/**
 * Predicted time of each layer on a device: its dispatches, each the longer of its arithmetic at the peak and of its traffic
 * at the bandwidth of memory, and what it takes to dispatch it.
 */
import { nodeCost } from '#passes/analysis/cost.ts';
import type { KernelProgram, NodeStep } from '../schedule/program.ts';
import type { GpuKernel } from '../targets/webgpu/index.ts';
import { WORD_BYTES } from '../targets/webgpu/words.ts';
import type { GpuProfile } from '../tune/profile.ts';
import { bandwidthAt } from './bandwidth.ts';
import type { PredictedLayer } from './index.ts';

export interface GpuRates {
  /** 10⁹ f32 operations per second. */
  readonly gflops: number;
  /** Bytes per nanosecond where so many are gone through. */
  bandwidth(bytes: number): number;
  readonly dispatchNs: number;
}

export const gpuRatesOf = ({ peakGflops, bandwidth, dispatchNs }: GpuProfile): GpuRates => ({
  gflops: peakGflops,
  bandwidth: (bytes) => bandwidthAt(bandwidth, bytes),
  dispatchNs,
});

/** Every node that became dispatches, in order. */
export const predictGpuLayers = (
  program: KernelProgram<GpuKernel>,
  rates: GpuRates,
): readonly PredictedLayer[] =>
  program.steps.filter(({ callCount }) => callCount > 0).map((step) => predictStep(step, program, rates));

function predictStep(
  { node, firstCall, callCount }: NodeStep,
  { calls }: KernelProgram<GpuKernel>,
  { gflops, bandwidth, dispatchNs }: GpuRates,
): PredictedLayer {
  const kernels = calls.slice(firstCall, firstCall + callCount).map(({ kernel }) => kernel);
  const { flops, bytesRead, bytesWritten } = nodeCost(node);
  const bytes = bytesRead + bytesWritten;
  const own = bytes === 0 ? 0 : bytes / bandwidth(bytes);
  // beside the kernel that computes the node, others put operands into another order
  const alone = kernels.every(({ family }) => family === 'map');
  const movedNs = alone ? 0 : kernels.reduce((sum, kernel) => sum + moveNs(kernel, bandwidth), 0);
  const computeNs = flops / gflops;
  const memoryNs = own + movedNs;
  const work = Math.max(computeNs, own) + movedNs;
  const callNs = callCount * dispatchNs;
  const bound = callNs > work ? 'calls' : computeNs >= memoryNs ? 'compute' : 'memory';
  return { node, ns: work + callNs, computeNs, memoryNs, callNs, bound };
}

/** What a kernel reads and writes that takes elements as they lie. */
function moveNs(kernel: GpuKernel, bandwidth: GpuRates['bandwidth']): number {
  if (kernel.family !== 'map') return 0;
  const { loops, inputs } = kernel.params;
  const elements = loops.reduce((n, { count }) => n * count, 1);
  const bytes = elements * WORD_BYTES * (1 + inputs.length);
  return bytes / bandwidth(bytes);
}
