/** A graph as a program on a device. */
import { CompileError, fail } from '#ir/diagnostics.ts';
import type { Graph } from '#ir/graph.ts';
import type { Tensor } from '#ir/tensor.ts';
import type { TensorArray } from '#runtime/abi.ts';
import { type GpuContent, GpuProgram } from '#runtime/gpu-program.ts';
import type { KernelProgram } from '../../schedule/program.ts';
import {
  bankBytes,
  emitProgram,
  type GpuCode,
  type GpuKernel,
  type GpuPrecision,
  lowerGraph,
  unsupported,
} from '../../targets/webgpu/index.ts';

export interface GpuNetwork {
  readonly program: KernelProgram<GpuKernel>;
  readonly content: GpuContent;
}

/** @param graph after the passes of a compile. @throws CompileError for nodes that the target lacks */
export function gpuNetwork(graph: Graph, precision: GpuPrecision = 'f32'): GpuNetwork {
  const refused = unsupported(graph, precision);
  if (refused.length > 0) throw new CompileError(refused);
  const program = lowerGraph(graph, precision);
  return { program, content: contentOf(program, emitProgram(program)) };
}

/** What a device is given of a program. */
export function contentOf(
  { graph, outputs }: KernelProgram<GpuKernel>,
  { wgsl, plan, banks }: GpuCode,
): GpuContent {
  return {
    plan,
    wgsl,
    banks: banks.map(bankBytes),
    inputs: graph.inputs.map(({ name, type }) => ({ name, ...type })),
    outputs: outputs.map(({ name, type }) => ({ name, dtype: type.dtype, shape: type.shape })),
  };
}

/** @throws CompileError `gpu-refused` where the device is too small, or refuses a kernel */
export const loadOn = (device: GPUDevice, { content }: GpuNetwork): Promise<GpuProgram> =>
  GpuProgram.create(device, content).catch(refused);

/** @throws CompileError `gpu-refused` where the device fails, as one that was lost */
export const runOn = (program: GpuProgram, given: readonly TensorArray[]): ReturnType<GpuProgram['run']> =>
  program.run(given).catch(refused);

const refused = (error: unknown): never =>
  fail('gpu-refused', 'webgpu', error instanceof Error ? error.message : String(error));

/** The data of inputs in the order of a network. */
export const dataOf = ({ content }: GpuNetwork, inputs: ReadonlyMap<string, Tensor>): TensorArray[] =>
  content.inputs.map(({ name }) => (inputs.get(name)?.data ?? new Float32Array()) as TensorArray);
