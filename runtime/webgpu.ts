/** The entry of `webgpu.js` in a bundle: the compiler writes the plan before the text of this module. */
import { ARRAYS, type ElementType, type FileEntry, type ProgramManifest, type TensorArray } from './abi.ts';
import type { GpuPlan } from './gpu-plan.ts';
import { GpuProgram } from './gpu-program.ts';
import type { LoadOptions } from './model-types.ts';
import type { Runner } from './session.ts';
import { checkDigest, type GpuFiles, sizeError } from './wasm.ts';

declare const GPU_PLAN: GpuPlan;

export type OpenGpu = typeof open;

/**
 * The network on a GPU, or why it is better off on WebAssembly.
 * @throws Error where a GPU was asked for by name and there is none, or it refuses the network
 */
export async function open(
  manifest: ProgramManifest,
  files: GpuFiles,
  options: LoadOptions,
): Promise<Runner | string> {
  const { backend = 'auto', warmup = true, onProgress, signal } = options;
  const found = options.device
    ? { device: options.device as GPUDevice, name: 'a device of the caller' }
    : await deviceFor(backend === 'webgpu', largestOf(GPU_PLAN));
  if (typeof found === 'string') return found;
  const { webgpu } = manifest;
  if (!webgpu) return 'this bundle was compiled without it';
  const [kernels, weights] = await Promise.all([
    fetched(files.kernels, 'kernels.wgsl', webgpu.kernels, options),
    fetched(files.weights, 'weights.webgpu.bin', webgpu.weights, options),
  ]);
  signal?.throwIfAborted();
  onProgress?.('weights', 1);
  const content = {
    plan: GPU_PLAN,
    wgsl: new TextDecoder().decode(kernels),
    banks: banksOf(weights, GPU_PLAN),
    inputs: manifest.inputs,
    outputs: manifest.outputs,
  };
  let current = { ...found, program: await programOn(found.device, content, backend) };
  if (typeof current.program === 'string') return current.program;
  let lost = watch(current.device);
  const alive = async (): Promise<GpuProgram> => {
    // a device that was lost takes everything with it: what is needed is made again, on a new one
    if (lost.reason !== undefined) {
      if (options.device)
        throw new Error(`the device was lost (${lost.reason}): load the model on a new one`);
      const next = await deviceFor(true, largestOf(GPU_PLAN));
      if (typeof next === 'string') throw new Error(`the device was lost (${lost.reason}): ${next}`);
      current = { ...next, program: await GpuProgram.create(next.device, content) };
      lost = watch(next.device);
    }
    return current.program as GpuProgram;
  };
  if (warmup) {
    onProgress?.('warmup', 0);
    await (await alive()).run(manifest.inputs.map(zeros));
    onProgress?.('warmup', 1);
  }
  return {
    info: { backend: 'webgpu', engine: found.name, threads: 1, memoryBytes: webgpu.memoryBytes },
    async run({ inputs, outputs }, given) {
      const arrays = given.map((data, i) => typed(inputs[i]?.dtype ?? 'f32', data));
      const results = await (await alive()).run(arrays);
      return outputs.map(({ shape }, i) => ({ data: results[i] as TensorArray, shape: [...shape] }));
    },
    dispose() {
      if (typeof current.program !== 'string') current.program.dispose();
      if (!options.device) current.device.destroy();
    },
  };
}

/** The program, or why `auto` does without; a device that was asked for by name has to say so itself. */
async function programOn(
  device: GPUDevice,
  content: Parameters<typeof GpuProgram.create>[1],
  backend: string,
): Promise<GpuProgram | string> {
  try {
    return await GpuProgram.create(device, content);
  } catch (error) {
    if (backend === 'webgpu') throw error;
    return (error as Error).message;
  }
}

const largestOf = ({ arenaBytes, banks }: GpuPlan): number => Math.max(arenaBytes, ...banks);

/** Why the device is gone, once it is. */
function watch(device: GPUDevice): { reason?: string } {
  const state: { reason?: string } = {};
  device.lost.then(({ reason, message }) => {
    state.reason = message || reason;
  });
  return state;
}

/** Adapters that compute on the processor: there WebAssembly is faster. */
const SOFTWARE = /swiftshader|llvmpipe|lavapipe|software|basic render/i;

async function deviceFor(
  software: boolean,
  bytes: number,
): Promise<{ readonly device: GPUDevice; readonly name: string } | string> {
  const { gpu } = navigator as { gpu?: GPU };
  const adapter = await gpu?.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) return 'there is no adapter';
  const { description, vendor, architecture, isFallbackAdapter } = adapter.info;
  const name = description || [vendor, architecture].filter(Boolean).join(' ') || 'unnamed adapter';
  if (!software && (isFallbackAdapter || SOFTWARE.test(`${name} ${vendor}`)))
    return `the adapter is software (${name})`;
  const { maxStorageBufferBindingSize, maxBufferSize } = adapter.limits;
  const limit = Math.min(maxStorageBufferBindingSize, maxBufferSize);
  if (bytes > limit) return `the network needs a buffer of ${bytes} bytes; ${name} binds at most ${limit}`;
  const device = await adapter.requestDevice({
    requiredLimits: {
      maxStorageBufferBindingSize: Math.max(bytes, 1 << 27),
      maxBufferSize: Math.max(bytes, 1 << 28),
    },
  });
  return { device, name };
}

function banksOf(weights: Uint8Array<ArrayBuffer>, { banks }: GpuPlan): Uint8Array<ArrayBuffer>[] {
  let at = 0;
  return banks.map((bytes) => {
    at += bytes;
    return weights.subarray(at - bytes, at);
  });
}

/** @throws Error for a file that is missing, of another size or, where asked, of another digest than the manifest says */
async function fetched(
  url: URL,
  name: string,
  entry: FileEntry,
  { signal, verify = false }: LoadOptions,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes =
    url.protocol === 'file:' ? await fromDisk(url) : await fromNetwork(url, signal ? { signal } : {});
  if (bytes.length !== entry.bytes) throw sizeError(name, entry.bytes, bytes.length);
  if (verify) await checkDigest(name, bytes, entry);
  return bytes;
}

async function fromDisk(url: URL): Promise<Uint8Array<ArrayBuffer>> {
  // a name that bundlers do not see: in a page there is nothing to bundle
  const name = 'node:fs/promises';
  const { readFile } = (await import(/* @vite-ignore */ /* webpackIgnore: true */ name)) as {
    readFile(url: URL): Promise<Uint8Array<ArrayBuffer>>;
  };
  return new Uint8Array(await readFile(url));
}

async function fromNetwork(url: URL, init: RequestInit): Promise<Uint8Array<ArrayBuffer>> {
  const response = await fetch(url, init);
  if (!response.ok) throw new Error(`${url} cannot be loaded: HTTP ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** Checked data as an array of an element type. */
function typed(dtype: ElementType, data: unknown): TensorArray {
  const type = ARRAYS[dtype];
  return data instanceof type ? (data as TensorArray) : new (type as typeof Float32Array)(data as number[]);
}

const zeros = ({
  dtype,
  shape,
}: {
  readonly dtype: ElementType;
  readonly shape: readonly number[];
}): TensorArray => new ARRAYS[dtype](shape.reduce((a, b) => a * b, 1));
