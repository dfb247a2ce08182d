/** WebGPU in Node: Dawn on the software adapter that comes with Chromium, and Dawn's null backend, which checks and does nothing. */
import { existsSync } from 'node:fs';
import { emitProgram, lowerGraph, webgpuTarget } from '#compiler/targets/webgpu/index.ts';
import { cloneGraph } from '#ir/clone.ts';
import type { Graph } from '#ir/graph.ts';
import type { Tensor } from '#ir/tensor.ts';
import { runPipeline } from '#passes/pass.ts';
import { graphPipeline, lowerPipeline } from '#passes/pipeline.ts';
import type { TensorArray } from '#runtime/abi.ts';
import { GpuProgram } from '#runtime/gpu-program.ts';
import { gate } from './requirement.ts';

/** The software adapter that comes with Chromium. */
export const SWIFTSHADER = '/usr/lib/chromium/vk_swiftshader_icd.json';
const missing = existsSync(SWIFTSHADER)
  ? undefined
  : `no software adapter at ${SWIFTSHADER}; run npm run setup:browser`;

/** For tests that run kernels: skipped loudly without an adapter, failing where CONVOLITH_REQUIRE_BROWSER is set. */
export const withAdapter = gate(missing, 'CONVOLITH_REQUIRE_BROWSER');

const devices = new Map<string, Promise<GPUDevice>>();
/** Collecting one while its devices live ends the process. */
const instances: GPU[] = [];

/** The device of a backend, made once. */
export function deviceOf(backend: 'vulkan' | 'null'): Promise<GPUDevice> {
  const known = devices.get(backend);
  if (known) return known;
  const made = makeDevice(backend);
  devices.set(backend, made);
  return made;
}

async function makeDevice(backend: 'vulkan' | 'null'): Promise<GPUDevice> {
  process.env.VK_ICD_FILENAMES = SWIFTSHADER;
  const { create, globals } = await import('webgpu');
  Object.assign(globalThis, globals);
  const gpu = create([`backend=${backend}`]);
  instances.push(gpu);
  const adapter = await gpu.requestAdapter();
  if (!adapter) throw new Error(`there is no adapter for ${backend}`);
  const { maxStorageBufferBindingSize, maxBufferSize } = adapter.limits;
  return adapter.requestDevice(
    backend === 'vulkan' ? { requiredLimits: { maxStorageBufferBindingSize, maxBufferSize } } : {},
  );
}

/** `navigator.gpu` of Node, as a page has it; undone by what this returns. */
export async function provideGpu(backend: 'vulkan' | 'null' = 'vulkan'): Promise<() => void> {
  const before = Object.getOwnPropertyDescriptor(globalThis, 'navigator');
  await deviceOf(backend);
  const { create } = await import('webgpu');
  const gpu = create([`backend=${backend}`]);
  instances.push(gpu);
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
export const refusalsOf = (graph: Graph): string[] =>
  webgpuTarget.unsupported(graph).map(({ subject, message }) => `${subject}: ${message}`);

/** A graph, after its passes, as a program on a device. */
export async function programOf(graph: Graph, device: GPUDevice): Promise<GpuProgram> {
  const program = lowerGraph(graph);
  const { wgsl, plan, banks } = emitProgram(program);
  return GpuProgram.create(device, {
    plan,
    wgsl,
    banks: banks.map(({ bytes, parts }) => {
      const data = new Uint8Array(bytes);
      for (const part of parts) part.write(data.subarray(part.offset, part.offset + part.bytes));
      return data;
    }),
    inputs: graph.inputs.map(({ name, type }) => ({ name, ...type })),
    outputs: graph.outputs.map(({ name, value }) => ({ name, ...value.type })),
  });
}

/** The outputs of a graph on a device. */
export async function runOnGpu(graph: Graph, inputs: readonly Tensor[]): Promise<TensorArray[]> {
  const program = await programOf(graph, await deviceOf('vulkan'));
  try {
    return await program.run(inputs.map(({ data }) => data as TensorArray));
  } finally {
    program.dispose();
  }
}
