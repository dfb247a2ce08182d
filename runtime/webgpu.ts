/** The entry of `webgpu.js` in a bundle: the compiler writes the plan before the text of this module. */
import {
  ARRAYS,
  type ElementType,
  type FileEntry,
  type ProgramManifest,
  type Specialisation,
  seededInput,
  type TensorArray,
} from './abi.ts';
import { adapterTraits } from './gpu-adapter.ts';
import { deviceProblem, sourceOf } from './gpu-inputs.ts';
import { type GpuPlan, MODULE_BREAK } from './gpu-plan.ts';
import { type GpuContent, GpuProgram, largestBuffer } from './gpu-program.ts';
import { type StoredSelfTest, selfTestProblem } from './gpu-self-test.ts';
import { type GpuNetwork, SplitNetwork } from './gpu-split.ts';
import type { LoadOptions } from './model-types.ts';
import type { Runner } from './session.ts';
import { checkDigest, type GpuFiles, type loadWasm, sizeError, type WasmInstance } from './wasm.ts';

/** Of each part that runs on the device; one where that is the whole network. */
declare const GPU_PLANS: readonly GpuPlan[];
declare const GPU_SELF_TEST: StoredSelfTest;

export type OpenGpu = typeof open;

/**
 * The network on a GPU, or why it is better off on WebAssembly.
 * @throws Error where a file is missing, or the device refuses the network
 */
export async function open(
  manifest: ProgramManifest,
  files: GpuFiles,
  options: LoadOptions,
  loadModule: typeof loadWasm,
): Promise<Runner | string> {
  const { backend = 'auto', warmup = true, verify = false, onProgress, signal } = options;
  const { webgpu, wasm } = manifest;
  if (!webgpu) return 'this bundle was compiled without it';
  const found = await deviceOf(options, backend === 'webgpu' || !wasm);
  if (typeof found === 'string') return found;
  let content: Content | undefined;
  let current: OpenProgram | undefined;
  try {
    const [kernels, weights, wasm] = await Promise.all([
      fetched(files.kernels, 'kernels.wgsl', webgpu.kernels, options),
      fetched(files.weights, 'weights.webgpu.bin', webgpu.weights, options),
      webgpu.split && files.split
        ? loadModule(webgpu.split.wasm, files.split, { ...ALONE, signal, verify })
        : undefined,
    ]);
    signal?.throwIfAborted();
    onProgress?.('weights', 1);
    content = { manifest, wasm, parts: contentsOf(manifest, new TextDecoder().decode(kernels), weights) };
    current = await programOn(found, content);
    if (warmup) {
      onProgress?.('warmup', 0);
      await current.program.runWords(current.program.wordsOf(manifest.inputs.map(zeros)));
      onProgress?.('warmup', 1);
    }
    if (verify) await selfTest(current.program, manifest, files, options);
    signal?.throwIfAborted();
  } catch (error) {
    current?.program.dispose();
    if (!options.device) found.device.destroy();
    throw error;
  }
  const lasting = new Lasting(content, current, options);
  return runnerOf(lasting, infoOf(current, manifest, options));
}

/** @throws Error where the device does not compute what the compiler expected */
async function selfTest(
  program: GpuNetwork,
  { inputs, outputs }: ProgramManifest,
  files: GpuFiles,
  options: LoadOptions,
): Promise<void> {
  const expected = await fetched(files.selfTest, GPU_SELF_TEST.file, GPU_SELF_TEST, options);
  const seeded = inputs.map((input, i) => seededInput(input, GPU_SELF_TEST.seed, i));
  const got = await program.runWords(program.wordsOf(seeded));
  const problem = selfTestProblem(GPU_SELF_TEST, expected, outputs, got, inHalves);
  if (problem) throw new Error(`the self-test fails on this device: ${problem}`);
}

function infoOf(
  { device, name, software }: OpenDevice,
  { webgpu, wasm }: ProgramManifest,
  { backend = 'auto' }: LoadOptions,
): Runner['info'] {
  const whole = inHalves && !hasHalves(device);
  const notes = [
    ...(software && backend === 'auto' && !wasm
      ? [`the adapter is software (${name}), and the bundle has nothing for WebAssembly`]
      : []),
    ...(whole ? ['the device has no shader-f16: half precision is for the weights alone'] : []),
  ];
  return {
    backend: 'webgpu',
    engine: name,
    threads: 1,
    memoryBytes: (webgpu?.memoryBytes ?? 0) + (whole ? 2 * HALVES : 0),
    ...(webgpu?.split ? { copies: webgpu.split.copies } : {}),
    ...(notes.length > 0 ? { backendNote: notes.join('; ') } : {}),
  };
}

function runnerOf(lasting: Lasting, info: Runner['info']): Runner {
  // read before anything is awaited: the caller may fill its arrays anew
  const wordsOf = ({ inputs }: Specialisation, given: readonly unknown[]) =>
    lasting.program.wordsOf(given.map((data, i) => sourceOf(data) ?? typed(inputs[i]?.dtype ?? 'f32', data)));
  // a frame of a video is only good for as long as nothing is awaited
  const alive = async <T>(use: (program: GpuNetwork) => Promise<T>): Promise<T> => {
    const program = lasting.alive();
    return use(program instanceof Promise ? await program : program);
  };
  return {
    info,
    get device() {
      return lasting.program.device;
    },
    foreign: deviceProblem,
    run(one, given) {
      const words = wordsOf(one, given);
      return alive((program) => program.runWords(words));
    },
    runOnDevice(one, given, into) {
      const words = wordsOf(one, given);
      return alive((program) => program.runOnDevice(words, into));
    },
    dispose: () => lasting.dispose(),
  };
}

interface OpenDevice {
  readonly device: GPUDevice;
  readonly name: string;
  /** It computes on the processor. */
  readonly software: boolean;
}

interface OpenProgram extends OpenDevice {
  readonly program: GpuNetwork;
  /** Why the device is gone, once it is. */
  readonly lost: { reason?: string };
}

/** A program that outlives its device: a device that was lost takes everything with it, and all is made again on a new one. */
class Lasting {
  readonly #content: Content;
  readonly #options: LoadOptions;
  #current: OpenProgram;
  #renewal: Promise<void> | undefined;
  #disposed = false;

  constructor(content: Content, current: OpenProgram, options: LoadOptions) {
    this.#content = content;
    this.#current = current;
    this.#options = options;
  }

  get program(): GpuNetwork {
    return this.#current.program;
  }

  /** @throws Error where there is no new device, or the lost one is the caller's */
  alive(): GpuNetwork | Promise<GpuNetwork> {
    const { lost, program } = this.#current;
    if (lost.reason === undefined) return program;
    this.#renewal ??= this.#renew(lost.reason).finally(() => {
      this.#renewal = undefined;
    });
    return this.#renewal.then(() => this.#current.program);
  }

  async #renew(reason: string): Promise<void> {
    if (this.#options.device) throw new Error(`the device was lost (${reason}): load the model on a new one`);
    const next = await deviceOf(this.#options, true);
    if (typeof next === 'string') throw new Error(`the device was lost (${reason}): ${next}`);
    try {
      this.#current = await programOn(next, this.#content);
    } catch (error) {
      next.device.destroy();
      throw error;
    }
    if (this.#disposed) this.dispose();
  }

  dispose(): void {
    this.#disposed = true;
    this.#current.program.dispose();
    if (!this.#options.device) this.#current.device.destroy();
  }
}

async function programOn(found: OpenDevice, content: Content): Promise<OpenProgram> {
  const lost: OpenProgram['lost'] = {};
  found.device.lost.then(({ reason, message }) => {
    lost.reason = message || reason;
  });
  return { ...found, lost, program: await networkOn(found.device, content) };
}

async function networkOn(device: GPUDevice, { manifest, wasm, parts }: Content): Promise<GpuNetwork> {
  const { split } = manifest.webgpu ?? {};
  const programs: GpuProgram[] = [];
  try {
    for (const part of parts) programs.push(await GpuProgram.create(device, part));
  } catch (error) {
    for (const program of programs) program.dispose();
    throw error;
  }
  const [only] = programs;
  if (split && wasm) return new SplitNetwork(device, programs, wasm, split, manifest.inputs);
  if (!only) throw new Error('the bundle has no program for a GPU');
  return only;
}

/** What a device is not asked for twice. */
interface Content {
  readonly manifest: ProgramManifest;
  /** What runs the layers that have no kernel. */
  readonly wasm: WasmInstance | undefined;
  readonly parts: readonly GpuContent[];
}

/** For layers between others threads do not pay. */
const ALONE = { threads: 1, relaxed: false, onWeights: () => {} } as const;

/** Kernels and constants of each part on the device, which lie in the files one after the other. */
function contentsOf(
  { inputs, outputs, webgpu }: ProgramManifest,
  wgsl: string,
  weights: Uint8Array<ArrayBuffer>,
): GpuContent[] {
  const modules = wgsl.split(MODULE_BREAK);
  const parts = webgpu?.split?.parts.filter(({ run }) => run === undefined);
  let at = 0;
  return GPU_PLANS.map((plan, k) => {
    const { inputTensors = inputs, outputTensors = outputs } = parts?.[k] ?? {};
    return {
      plan,
      wgsl: modules.splice(0, plan.picture ? 3 : 1).join(MODULE_BREAK),
      banks: plan.banks.map((bytes) => {
        at += bytes;
        return weights.subarray(at - bytes, at);
      }),
      inputs: inputTensors,
      outputs: outputTensors,
    };
  });
}

const FEATURE = 'shader-f16';
const hasHalves = ({ features }: GPUDevice | GPUAdapter): boolean => features.has(FEATURE);

/** Floats that are kept in half precision, of all parts. */
const HALVES = GPU_PLANS.reduce((sum, { halves = 0 }) => sum + halves, 0);
const inHalves = GPU_PLANS.some(({ halves }) => halves !== undefined);

/** The caller's device, or one of its own; why there is none. */
async function deviceOf({ device: own }: LoadOptions, anyAdapter: boolean): Promise<OpenDevice | string> {
  if (own) return { device: own as GPUDevice, name: 'a device of the caller', software: false };
  const { gpu } = navigator as { gpu?: GPU };
  const adapter = await gpu?.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) return 'there is no adapter';
  const { name, software } = adapterTraits(adapter);
  if (software && !anyAdapter) return `the adapter is software (${name})`;
  const half = inHalves && hasHalves(adapter);
  const bytes = Math.max(...GPU_PLANS.map((plan) => largestBuffer(plan, half)));
  const { maxStorageBufferBindingSize, maxBufferSize } = adapter.limits;
  const limit = Math.min(maxStorageBufferBindingSize, maxBufferSize);
  if (bytes > limit) return `the network needs a buffer of ${bytes} bytes; ${name} binds at most ${limit}`;
  const device = await adapter.requestDevice({
    requiredFeatures: half ? [FEATURE] : [],
    requiredLimits: {
      maxStorageBufferBindingSize: Math.max(bytes, 1 << 27),
      maxBufferSize: Math.max(bytes, 1 << 28),
    },
  });
  return { device, name, software };
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
