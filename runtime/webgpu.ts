/** The entry of `webgpu.js` in a bundle: the compiler writes the plan before the text of this module. */
import {
  ARRAYS,
  type ElementType,
  type ProgramManifest,
  seededInput,
  sizeOf,
  type TensorArray,
} from './abi.ts';
import type { readFile } from './files.ts';
import { type OpenDevice, openDevice } from './gpu-device.ts';
import { deviceProblem, sourceOf } from './gpu-inputs.ts';
import { Lasting, type Loaded } from './gpu-lasting.ts';
import { hasHalves } from './gpu-memory.ts';
import { type GpuPlan, MODULE_BREAK } from './gpu-plan.ts';
import { type GpuContent, GpuProgram } from './gpu-program.ts';
import { type StoredSelfTest, selfTestProblem } from './gpu-self-test.ts';
import { type GpuNetwork, SplitNetwork } from './gpu-split.ts';
import type { LoadOptions } from './model-types.ts';
import type { Runner } from './session.ts';
import type { GpuFiles, loadWasm, WasmInstance } from './wasm.ts';

/** Of each part that runs on the device; one where that is the whole network. */
declare const GPU_PLANS: readonly GpuPlan[];
declare const GPU_SELF_TEST: StoredSelfTest;

export type OpenGpu = typeof open;

/** What `index.js` has, and this module need not have again. */
export interface Loading {
  readonly loadWasm: typeof loadWasm;
  readonly readFile: typeof readFile;
}

/**
 * The network on a GPU, or why it is better off on WebAssembly.
 * @throws Error where a file is missing, or the device refuses the network
 */
export async function open(
  manifest: ProgramManifest,
  files: GpuFiles,
  options: LoadOptions,
  { loadWasm, readFile }: Loading,
): Promise<Runner | string> {
  const { backend = 'auto', warmup = true, verify = false, onProgress, signal } = options;
  const { webgpu, wasm } = manifest;
  if (!webgpu) return 'this bundle was compiled without it';
  const foreign = options.device !== undefined;
  const device = () => openDevice(GPU_PLANS, options, backend === 'webgpu' || !wasm);
  const found = await device();
  if (typeof found === 'string') return found;
  const context = { signal, verify };
  let content: Content | undefined;
  const network = async (on: OpenDevice): Promise<Loaded> => {
    content ??= await read();
    const made = await networkOn(on.device, content);
    try {
      if (verify) await selfTest(made, manifest, await expected());
    } catch (error) {
      made.dispose();
      throw error;
    }
    return { network: made, info: infoOf(on, manifest, options) };
  };
  const expected = () => readFile(files.selfTest, GPU_SELF_TEST.file, GPU_SELF_TEST, context);
  const read = async (): Promise<Content> => {
    const [kernels, weights, split] = await Promise.all([
      readFile(files.kernels, 'kernels.wgsl', webgpu.kernels, context),
      readFile(files.weights, 'weights.webgpu.bin', webgpu.weights, context),
      webgpu.split && files.split
        ? loadWasm(webgpu.split.wasm, files.split, { ...ALONE, ...context })
        : undefined,
    ]);
    signal?.throwIfAborted();
    onProgress?.('weights', 1);
    return { manifest, wasm: split, parts: contentsOf(manifest, new TextDecoder().decode(kernels), weights) };
  };
  const lasting = await Lasting.on(found, { foreign, device, network });
  try {
    if (warmup) {
      onProgress?.('warmup', 0);
      await lasting.use((one) => one.runAndRead(one.readInputs(manifest.inputs.map(zeros))));
      onProgress?.('warmup', 1);
    }
    signal?.throwIfAborted();
  } catch (error) {
    lasting.dispose();
    throw error;
  }
  return runnerOf(lasting);
}

/** @throws Error where the device does not compute what the compiler expected */
async function selfTest(
  network: GpuNetwork,
  { inputs, outputs }: ProgramManifest,
  expected: Uint8Array<ArrayBuffer>,
): Promise<void> {
  const seeded = inputs.map((input, i) => seededInput(input, GPU_SELF_TEST.seed, i));
  const got = await network.runAndRead(network.readInputs(seeded));
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

function runnerOf(lasting: Lasting): Runner {
  // read before anything is awaited: the caller may fill its arrays anew
  const read: (...of: Parameters<Runner['run']>) => ReturnType<GpuNetwork['readInputs']> = (
    { inputs },
    given,
  ) =>
    lasting.network.readInputs(
      given.map((data, i) => sourceOf(data) ?? typed(inputs[i]?.dtype ?? 'f32', data)),
    );
  return {
    get info() {
      return lasting.info;
    },
    get device() {
      return lasting.network.device;
    },
    foreign: deviceProblem,
    run(one, given) {
      const inputs = read(one, given);
      return lasting.use((network) => network.runAndRead(inputs));
    },
    runOnDevice(one, given, into) {
      const inputs = read(one, given);
      return lasting.use((network) => network.runOnDevice(inputs, into), true);
    },
    dispose: () => lasting.dispose(),
  };
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
const ALONE = { weightsFile: 'split.bin', threads: 1, relaxed: false, onWeights: () => {} } as const;

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

/** Floats that are kept in half precision, of all parts. */
const HALVES = GPU_PLANS.reduce((sum, { halves = 0 }) => sum + halves, 0);
const inHalves = GPU_PLANS.some(({ halves }) => halves !== undefined);

/** Checked data as an array of an element type. */
function typed(dtype: ElementType, data: unknown): TensorArray {
  const type = ARRAYS[dtype];
  return data instanceof type ? (data as TensorArray) : new (type as typeof Float32Array)(data as number[]);
}

const zeros = ({ dtype, shape }: ProgramManifest['inputs'][number]): TensorArray =>
  new ARRAYS[dtype](sizeOf(shape));
