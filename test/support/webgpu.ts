/** WebGPU in Node: Dawn on the software adapter that comes with Chromium, and Dawn's null backend, which checks and does nothing. */
import { existsSync } from 'node:fs';
import {
  bankBytes,
  emitProgram,
  type GpuChoices,
  type GpuCode,
  type GpuPrecision,
  lowerGraph,
  unsupported,
} from '#compiler/targets/webgpu/index.ts';
import { cloneGraph } from '#ir/clone.ts';
import type { Graph } from '#ir/graph.ts';
import type { Tensor } from '#ir/tensor.ts';
import { runPipeline } from '#passes/pass.ts';
import { graphPipeline, lowerPipeline } from '#passes/pipeline.ts';
import type { TensorArray } from '#runtime/abi.ts';
import type { ShapedOutput } from '#runtime/counted.ts';
import { GpuProgram } from '#runtime/gpu-program.ts';
import { gate } from './requirement.ts';

/** The software adapter that comes with Chromium. */
export const SWIFTSHADER = '/usr/lib/chromium/vk_swiftshader_icd.json';
const missing = existsSync(SWIFTSHADER)
  ? undefined
  : `no software adapter at ${SWIFTSHADER}; run npm run setup:browser`;

/** For tests that run kernels: skipped loudly without an adapter, failing where CONVOLITH_REQUIRE_BROWSER is set. */
export const withAdapter = gate(missing, 'CONVOLITH_REQUIRE_BROWSER');

/** Makes Vulkan use a driver; the layer of Mesa that chooses among several would look for a display, and say so. */
export const vulkanEnvironment = (driver: string) => ({ VK_ICD_FILENAMES: driver, NODEVICE_SELECT: '1' });

const devices = new Map<string, Promise<GPUDevice>>();
/** Collecting one while its devices live ends the process. */
const instances: GPU[] = [];

/** The device of a backend, made once. */
export function deviceOf(backend: 'vulkan' | 'null', features: GPUFeatureName[] = []): Promise<GPUDevice> {
  const key = [backend, ...features].join();
  const known = devices.get(key);
  if (known) return known;
  const made = makeDevice(backend, features);
  devices.set(key, made);
  return made;
}

/** A device that the test may destroy. */
export async function makeDevice(
  backend: 'vulkan' | 'null' = 'vulkan',
  requiredFeatures: GPUFeatureName[] = [],
): Promise<GPUDevice> {
  Object.assign(process.env, vulkanEnvironment(SWIFTSHADER));
  const { create, globals } = await import('webgpu');
  Object.assign(globalThis, globals);
  const gpu = create([`backend=${backend}`]);
  instances.push(gpu);
  const adapter = await gpu.requestAdapter();
  if (!adapter) throw new Error(`there is no adapter for ${backend}`);
  const { maxStorageBufferBindingSize, maxBufferSize } = adapter.limits;
  return adapter.requestDevice({
    requiredFeatures,
    ...(backend === 'vulkan' ? { requiredLimits: { maxStorageBufferBindingSize, maxBufferSize } } : {}),
  });
}

/** What Dawn says against a program's code and its pipelines, with the limits that every device has. */
export async function complaintsOf(
  { wgsl, plan }: Pick<GpuCode, 'wgsl' | 'plan'>,
  features: GPUFeatureName[] = [],
): Promise<string[]> {
  const device = await deviceOf('null', features);
  device.pushErrorScope('validation');
  const module = device.createShaderModule({ code: wgsl });
  const { messages } = await module.getCompilationInfo();
  for (const entryPoint of plan.kernels) {
    device.createComputePipeline({ layout: 'auto', compute: { module, entryPoint } });
  }
  const error = await device.popErrorScope();
  return [
    ...messages.map(({ lineNum, message }) => `${lineNum}: ${message}`),
    ...(error ? [error.message] : []),
  ];
}

/** `navigator.gpu` of Node, as a page has it; undone by what this returns. */
export async function provideGpu(backend: 'vulkan' | 'null' = 'vulkan'): Promise<() => void> {
  await deviceOf(backend);
  const { create } = await import('webgpu');
  const gpu = create([`backend=${backend}`]);
  instances.push(gpu);
  return pretendGpu(gpu);
}

/** Anything as `navigator.gpu`; undone by what this returns. */
export function pretendGpu(gpu: object): () => void {
  const before = Object.getOwnPropertyDescriptor(globalThis, 'navigator');
  Object.defineProperty(globalThis, 'navigator', { value: { gpu }, configurable: true });
  return () => {
    if (before) Object.defineProperty(globalThis, 'navigator', before);
    else Reflect.deleteProperty(globalThis, 'navigator');
  };
}

/** The graph after the passes of a compile. */
export function optimisedForGpu(source: Graph): Graph {
  const graph = cloneGraph(source);
  runPipeline(graph, graphPipeline);
  runPipeline(graph, lowerPipeline);
  return graph;
}

/** Why the target refuses a graph. */
export const refusalsOf = (graph: Graph, precision?: GpuPrecision): string[] =>
  unsupported(graph, precision).map(({ subject, message }) => `${subject}: ${message}`);

/** A graph, after its passes, as a program on a device. */
export async function programOf(
  graph: Graph,
  device: GPUDevice,
  precision?: GpuPrecision,
  choices?: GpuChoices,
): Promise<GpuProgram> {
  const program = lowerGraph(graph, precision, choices);
  const { wgsl, plan, banks } = emitProgram(program);
  return GpuProgram.create(device, {
    plan,
    wgsl,
    banks: banks.map(bankBytes),
    inputs: graph.inputs.map(({ name, type }) => ({ name, ...type })),
    outputs: graph.outputs.map(({ name, value }) => ({ name, ...value.type })),
  });
}

/** The outputs of a graph on a device. */
export async function runOnGpu(
  graph: Graph,
  inputs: readonly Tensor[],
  precision?: GpuPrecision,
  choices?: GpuChoices,
): Promise<ShapedOutput[]> {
  const program = await programOf(graph, await deviceOf('vulkan'), precision, choices);
  try {
    return await program.run(inputs.map(({ data }) => data as TensorArray));
  } finally {
    program.dispose();
  }
}
