/** `load()` and the model that it gives: options, inputs and outputs checked, runs one after the other. */
import {
  ABI_VERSION,
  type ManifestTensor,
  type ProgramManifest,
  type Specialisation,
  specialisationsOf,
  type TensorArray,
  type WasmManifest,
} from './abi.ts';
import type { ShapedOutput } from './counted.ts';
import { readFile } from './files.ts';
import { choose, type Foreign, partsOf } from './inputs.ts';
import type {
  DeviceInput,
  DeviceTensor,
  LoadOptions,
  Model,
  ModelInfo,
  PictureSource,
  TensorInfo,
} from './model-types.ts';
import { type BundleFiles, importScript, loadWasm, type WasmFiles, type WasmInstance } from './wasm.ts';
import { outputOf, view } from './wasm-memory.ts';
import type { OpenGpu } from './webgpu.ts';

export type { ShapedOutput } from './counted.ts';
export type { LoadOptions, LoadStage, ModelInfo, SpecialisationInfo, TensorInfo } from './model-types.ts';

export interface RunOptions {
  /** Give each output as `{ data, shape }`, which those whose size depends on data are always. */
  readonly shapes?: boolean;
}

/** Flat, in row-major order (channels first): the typed array of the input's element type, or a plain array. */
export type InputArray = TensorArray | Uint8ClampedArray | readonly number[] | readonly bigint[];

/** An ImageData is a picture with its shape. */
export type InputData =
  | InputArray
  | { readonly data: InputArray; readonly shape: readonly number[] }
  | { readonly data: InputArray; readonly width: number; readonly height: number }
  | DeviceInput
  | PictureSource;

/** Outputs by name that go into buffers of the caller. */
interface RunOnDeviceOptions {
  readonly into?: Readonly<Record<string, object | undefined>>;
}

/** Outputs by name, in arrays of their own. */
type Results = Record<string, unknown>;

/** A model whose inputs and outputs are known when it is loaded. */
export type AnyModel = Model<Readonly<Record<string, InputData>>, Results, Results>;

/** The `load` of one bundle. */
export const loader =
  (manifest: ProgramManifest, files: BundleFiles) =>
  async (options: LoadOptions = {}): Promise<AnyModel> => {
    checkLoadOptions(manifest, options);
    const { backend = 'auto', signal } = options;
    signal?.throwIfAborted();
    const gpu = backend === 'wasm' ? undefined : await onGpu(manifest, files, options);
    if (typeof gpu === 'object') return new LoadedModel(manifest, gpu);
    if (!manifest.wasm || !files.wasm) throw new Error(`WebGPU: ${gpu}; ${GPU_ALONE}`);
    if (backend === 'webgpu') throw new Error(`WebGPU: ${gpu}`);
    const runner = await onWasm(manifest, manifest.wasm, files.wasm, options);
    return new LoadedModel(manifest, {
      ...runner,
      info: { ...runner.info, ...(gpu && { backendNote: gpu }) },
    });
  };

const GPU_ALONE =
  'this bundle runs on a GPU alone: compile it with --target wasm,webgpu for where there is none';

const OPTIONS: readonly (keyof LoadOptions)[] = [
  'backend',
  'device',
  'threads',
  'relaxed',
  'warmup',
  'verify',
  'signal',
  'onProgress',
];

function checkLoadOptions({ abi, wasm, webgpu }: ProgramManifest, options: LoadOptions): void {
  checkKeys(options, OPTIONS, 'load');
  const { backend = 'auto', device, threads = 1, relaxed = true, warmup = true, verify = false } = options;
  if (abi !== ABI_VERSION) throw new Error(`the manifest has version ${abi}, the runtime ${ABI_VERSION}`);
  const known = ['auto', ...(wasm ? ['wasm'] : []), ...(webgpu ? ['webgpu'] : [])];
  if (!known.includes(backend)) {
    const list = known.slice(1).map((name) => JSON.stringify(name));
    const hint = /^(webgpu|wasm)$/.test(backend) ? '; compile it with --target wasm,webgpu for that' : '';
    throw new Error(
      `backend: this bundle has ${list.join(' and ')} (or "auto"), not ${JSON.stringify(backend)}${hint}`,
    );
  }
  // an adapter has limits too
  const isDevice = device?.queue && 'lost' in device && 'limits' in device;
  if (device !== undefined && (!isDevice || backend === 'wasm'))
    throw new Error('device: expected a GPUDevice, for the backend "webgpu" or "auto"');
  const { mostThreads = 1 } = wasm ?? {};
  if (!Number.isInteger(threads) || threads < 1 || threads > mostThreads) {
    const most = mostThreads === 1 ? '1 thread' : `1 to ${mostThreads} threads`;
    const hint = wasm ? 'compile it with --threads for more' : 'further threads are for WebAssembly';
    throw new Error(`threads: this bundle runs on ${most}, not ${String(threads)}; ${hint}`);
  }
  for (const [name, value] of Object.entries({ relaxed, warmup, verify })) {
    if (typeof value !== 'boolean') throw new Error(`${name}: expected true or false, got ${String(value)}`);
  }
}

/** The network on a GPU; why not, where it is not; undefined where the bundle has no code for one. */
async function onGpu(
  manifest: ProgramManifest,
  files: BundleFiles,
  options: LoadOptions,
): Promise<Runner | string | undefined> {
  if (!manifest.webgpu || !files.webgpu) return undefined;
  if (options.device === undefined && !(globalThis.navigator as { gpu?: unknown } | undefined)?.gpu)
    return 'this engine has no WebGPU';
  try {
    const { open } = await importScript<{ open: OpenGpu }>(files.webgpu.script);
    return await open(manifest, files.webgpu, options, { loadWasm, readFile });
  } catch (error) {
    options.signal?.throwIfAborted();
    if (options.backend === 'webgpu' || !manifest.wasm) throw error;
    return (error as Error).message;
  }
}

async function onWasm(
  manifest: ProgramManifest,
  wasm: WasmManifest,
  files: WasmFiles,
  options: LoadOptions,
): Promise<Runner> {
  const { threads = 1, relaxed = true, warmup = true, verify = false, signal, onProgress } = options;
  const instance = await loadWasm(wasm, files, {
    weightsFile: 'weights.bin',
    signal,
    verify,
    threads,
    relaxed,
    onWeights: (fraction) => onProgress?.('weights', fraction),
  });
  const all = specialisationsOf(manifest);
  for (const [i, one] of warmup ? all.entries() : []) {
    await warmUp(instance, one, signal, (fraction) => onProgress?.('warmup', (i + fraction) / all.length));
  }
  signal?.throwIfAborted();
  return wasmRunner(instance, warmup ? fewerThreads(instance, all[0]) : undefined);
}

/** What runs a network: it is given one array for each input, checked, and gives each output as a copy. */
export interface Runner {
  readonly info: Omit<ModelInfo, keyof NetworkInfo>;
  run(
    specialisation: Specialisation,
    inputs: readonly unknown[],
  ): readonly ShapedOutput[] | Promise<readonly ShapedOutput[]>;
  dispose(): void;
  /** On a device: which one, and what it takes beside data. */
  readonly device?: GPUDevice;
  readonly foreign?: Foreign;
  runOnDevice?(
    specialisation: Specialisation,
    inputs: readonly unknown[],
    into: readonly unknown[],
  ): Promise<readonly DeviceTensor<ShapedOutput>[]>;
}

class LoadedModel implements AnyModel {
  readonly #specialisations: readonly Specialisation[];
  readonly #network: NetworkInfo;
  readonly #runner: Runner;
  #disposed = false;

  constructor(manifest: ProgramManifest, runner: Runner) {
    this.#specialisations = specialisationsOf(manifest);
    this.#network = networkInfo(manifest);
    this.#runner = runner;
  }

  get info(): ModelInfo {
    return { ...this.#network, ...this.#runner.info };
  }

  get device(): GPUDevice | undefined {
    return this.#disposed ? undefined : this.#runner.device;
  }

  async run(inputs: Readonly<Record<string, InputData>>, options: RunOptions = {}) {
    checkKeys(options, ['shapes'], 'run');
    const { runner, chosen, data } = this.#fitting(inputs);
    const results = runner.run(chosen, data);
    const shaped = results instanceof Promise ? await results : results;
    return byName(chosen, (tensor, i) =>
      options.shapes || tensor.count ? shaped[i] : shaped[i]?.data,
    ) as Results;
  }

  async runOnDevice(inputs: Readonly<Record<string, InputData>>, options: RunOnDeviceOptions = {}) {
    checkKeys(options, ['into'], 'runOnDevice');
    const { into = {} } = options;
    const { runner, chosen, data } = this.#fitting(inputs);
    if (!runner.runOnDevice) {
      const { backendNote: why } = this.info;
      throw new Error(`runOnDevice needs WebGPU; this model runs on WebAssembly${why ? `: ${why}` : ''}`);
    }
    const outputs = chosen.outputs.map(({ name }) => name);
    checkKeys(into, outputs, 'into', 'output');
    const tensors = await runner.runOnDevice(
      chosen,
      data,
      outputs.map((name) => (Object.hasOwn(into, name) ? into[name] : undefined)),
    );
    return byName(chosen, (_, i) => tensors[i]) as Record<string, DeviceTensor<ShapedOutput>>;
  }

  /** The inputs in order, once they fit. @throws Error where they do not */
  #fitting(inputs: Readonly<Record<string, InputData>>) {
    const runner = this.#runner;
    if (this.#disposed) throw new Error(`model "${this.#network.name}" was disposed of; load it again`);
    const given = inputs ?? {};
    const names = this.#network.inputs.map((t) => t.name);
    checkKeys(given, names, 'run', 'input');
    const parts = Object.fromEntries(
      names.map((name) => [name, partsOf(Object.hasOwn(given, name) ? given[name] : undefined)]),
    );
    const chosen = choose(this.#specialisations, parts, runner.foreign);
    return { runner, chosen, data: chosen.inputs.map(({ name }) => parts[name]?.data) };
  }

  dispose(): void {
    if (!this.#disposed) this.#runner.dispose();
    this.#disposed = true;
  }
}

function byName(
  { outputs }: Specialisation,
  of: (tensor: ManifestTensor, index: number) => unknown,
): Record<string, unknown> {
  const named: Record<string, unknown> = Object.create(null);
  outputs.forEach((tensor, i) => {
    named[tensor.name] = of(tensor, i);
  });
  return named;
}

/** Between reading the inputs and copying the outputs nothing is awaited, so no two runs can mix. */
const wasmRunner = (instance: WasmInstance, alone: string | undefined): Runner => {
  const note = alone ?? instance.threadsNote;
  return {
    info: {
      backend: 'wasm',
      engine: instance.engine,
      threads: alone === undefined ? (instance.crew?.threads ?? 1) : 1,
      ...(note === undefined ? {} : { threadsNote: note }),
      memoryBytes: instance.memory.buffer.byteLength,
    },
    run(specialisation, inputs) {
      specialisation.inputs.forEach((tensor, i) => {
        view(instance, tensor).set(inputs[i] as never);
      });
      start(instance, specialisation);
      return specialisation.outputs.map((tensor) => outputOf(instance, tensor));
    },
    dispose: () => instance.crew?.dismiss(),
  };
};

/** What is known of a network wherever it runs. */
type NetworkInfo = Pick<
  ModelInfo,
  'name' | 'inputs' | 'outputs' | 'macs' | 'specialisations' | 'parameters' | 'generator'
>;

const networkInfo = (manifest: ProgramManifest): NetworkInfo => ({
  name: manifest.name,
  inputs: manifest.inputs.map(infoOf),
  outputs: manifest.outputs.map(infoOf),
  macs: manifest.cost.macs,
  specialisations: specialisationsOf(manifest).map(({ inputs, outputs, cost: { macs } }) => ({
    inputs: inputs.map(infoOf),
    outputs: outputs.map(infoOf),
    macs,
  })),
  parameters: manifest.cost.parameters,
  generator: manifest.generator,
});

const infoOf = ({ name, dtype, shape, picture }: ManifestTensor): TensorInfo => ({
  name,
  dtype,
  shape: [...shape],
  ...(picture ? { pixels: picture.pixels } : {}),
});

/** Runs the network on what is in the memory. */
const start = ({ exports }: WasmInstance, { run }: Specialisation): void => (exports[run] as () => void)();

function checkKeys(given: object, known: readonly string[], where: string, what = 'option'): void {
  for (const key of Object.keys(given)) {
    if (!known.includes(key)) {
      const list = known.map((name) => JSON.stringify(name)).join(', ') || 'none';
      throw new Error(`${where}: there is no ${what} ${JSON.stringify(key)}; there is ${list}`);
    }
  }
}

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));

/**
 * Engines start with quick code and compile the fast one in the background, function by function, once it has been run a
 * little. So: two runs at least, four at most, no more once a run is not faster than the one before or a second is over.
 */
async function warmUp(
  instance: WasmInstance,
  specialisation: Specialisation,
  signal: AbortSignal | undefined,
  onProgress: (fraction: number) => void,
): Promise<void> {
  const mostRuns = specialisation.cost.macs > 1e10 ? 1 : 4;
  const since = performance.now();
  let before = Number.POSITIVE_INFINITY;
  for (let i = 1; i <= mostRuns; i++) {
    const begin = performance.now();
    start(instance, specialisation);
    const time = performance.now() - begin;
    onProgress(i / mostRuns);
    await pause();
    signal?.throwIfAborted();
    if (i > 1 && (time > before * 0.9 || performance.now() - since > 1000)) break;
    before = time;
  }
}

const TRIES = 3;

/** Keeps all threads if a run is faster with them; otherwise one, and says why. */
function fewerThreads(instance: WasmInstance, specialisation: Specialisation): string | undefined {
  const { crew } = instance;
  if (!crew) return undefined;
  const best = (threads: number): number => {
    crew.use(threads);
    const times = Array.from({ length: TRIES }, () => {
      const begin = performance.now();
      start(instance, specialisation);
      return performance.now() - begin;
    });
    return Math.min(...times);
  };
  const [one, all] = [best(1), best(crew.threads)];
  if (all <= one) return undefined;
  crew.use(1);
  return `${crew.threads} threads were not faster here: ${all.toFixed(1)} ms, and ${one.toFixed(1)} ms on one`;
}
