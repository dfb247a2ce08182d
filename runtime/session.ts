/** `load()` and the model that it gives: options, inputs and outputs checked, runs one after the other. */
import {
  ABI_VERSION,
  ARRAYS,
  type ManifestTensor,
  type ProgramManifest,
  type Specialisation,
  specialisationsOf,
  type TensorArray,
} from './abi.ts';
import type { LoadOptions, Model, ModelInfo, TensorInfo } from './model-types.ts';
import { type BundleFiles, loadWasm, type WasmInstance } from './wasm.ts';

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
  | { readonly data: InputArray; readonly width: number; readonly height: number };

export interface ShapedOutput {
  readonly data: TensorArray;
  readonly shape: readonly number[];
}

/** Outputs by name, in arrays of their own. */
type Results = Record<string, unknown>;

/** A model whose inputs and outputs are known when it is loaded. */
export type AnyModel = Model<Readonly<Record<string, InputData>>, Results, Results>;

/** The `load` of one bundle. */
export const loader =
  (manifest: ProgramManifest, files: BundleFiles) =>
  async (options: LoadOptions = {}): Promise<AnyModel> => {
    checkKeys(options, ['backend', 'threads', 'relaxed', 'warmup', 'verify', 'signal', 'onProgress'], 'load');
    const { backend = 'auto', threads = 1, relaxed = true, warmup = true, verify = false } = options;
    const { signal, onProgress } = options;
    if (manifest.abi !== ABI_VERSION) {
      throw new Error(`the manifest has version ${manifest.abi}, the runtime ${ABI_VERSION}`);
    }
    if (backend !== 'auto' && backend !== 'wasm') {
      throw new Error(`backend: this bundle has "wasm" (or "auto"), not ${JSON.stringify(backend)}`);
    }
    const { mostThreads } = manifest.wasm;
    if (!Number.isInteger(threads) || threads < 1 || threads > mostThreads) {
      const most = mostThreads === 1 ? '1 thread' : `1 to ${mostThreads} threads`;
      const hint = 'compile it with --threads for more';
      throw new Error(`threads: this bundle runs on ${most}, not ${String(threads)}; ${hint}`);
    }
    for (const [name, value] of Object.entries({ relaxed, warmup, verify })) {
      if (typeof value !== 'boolean')
        throw new Error(`${name}: expected true or false, got ${String(value)}`);
    }
    signal?.throwIfAborted();
    const instance = await loadWasm(manifest, files, {
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
    const note = warmup ? fewerThreads(instance, all[0]) : undefined;
    return new WasmModel(manifest, instance, note);
  };

class WasmModel implements AnyModel {
  readonly info: ModelInfo;
  readonly #specialisations: readonly Specialisation[];
  #instance: WasmInstance | undefined;

  constructor(manifest: ProgramManifest, instance: WasmInstance, alone: string | undefined) {
    const { name, generator, cost } = manifest;
    this.#specialisations = specialisationsOf(manifest);
    const specialisations = this.#specialisations.map(({ inputs, outputs, cost: { macs } }) => ({
      inputs: inputs.map(infoOf),
      outputs: outputs.map(infoOf),
      macs,
    }));
    this.#instance = instance;
    const note = alone ?? instance.threadsNote;
    this.info = {
      name,
      backend: 'wasm',
      engine: instance.engine,
      threads: alone === undefined ? (instance.crew?.threads ?? 1) : 1,
      ...(note === undefined ? {} : { threadsNote: note }),
      memoryBytes: instance.memory.buffer.byteLength,
      inputs: manifest.inputs.map(infoOf),
      outputs: manifest.outputs.map(infoOf),
      macs: cost.macs,
      specialisations,
      parameters: cost.parameters,
      generator,
    };
  }

  // from reading the inputs to copying the outputs nothing is awaited, so no two runs can mix
  async run(inputs: Readonly<Record<string, InputData>>, options: RunOptions = {}) {
    const instance = this.#instance;
    if (!instance) throw new Error(`model "${this.info.name}" was disposed of; load it again`);
    checkKeys(options, ['shapes'], 'run');
    const given = inputs ?? {};
    const names = this.info.inputs.map((t) => t.name);
    checkKeys(given, names, 'run', 'input');
    const parts = Object.fromEntries(
      names.map((name) => [name, partsOf(Object.hasOwn(given, name) ? given[name] : undefined)]),
    );
    const chosen = choose(this.#specialisations, parts);
    for (const tensor of chosen.inputs) view(instance, tensor).set(parts[tensor.name]?.data as never);
    start(instance, chosen);
    const outputs: Record<string, unknown> = Object.create(null);
    for (const tensor of chosen.outputs) {
      const output = tensor.count ? counted(instance, tensor, tensor.count) : whole(instance, tensor);
      outputs[tensor.name] = options.shapes || tensor.count ? output : output.data;
    }
    return outputs;
  }

  dispose(): void {
    this.#instance?.crew?.dismiss();
    this.#instance = undefined;
  }
}

const infoOf = ({ name, dtype, shape, picture }: ManifestTensor): TensorInfo => ({
  name,
  dtype,
  shape: [...shape],
  ...(picture ? { pixels: picture.pixels } : {}),
});

const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

const view = ({ memory }: WasmInstance, { dtype, shape, address }: ManifestTensor): TensorArray =>
  new ARRAYS[dtype](memory.buffer, address, sizeOf(shape));

/** Runs the network on what is in the memory. */
const start = ({ exports }: WasmInstance, { run }: Specialisation): void => (exports[run] as () => void)();

const whole = (instance: WasmInstance, tensor: ManifestTensor): ShapedOutput => ({
  data: view(instance, tensor).slice(),
  shape: [...tensor.shape],
});

/** A copy of the positions that count, of an output whose size depends on data. */
function counted(
  instance: WasmInstance,
  tensor: ManifestTensor,
  { axis, address }: { readonly axis: number; readonly address: number },
): ShapedOutput {
  const length = tensor.shape[axis] ?? 0;
  const size = Math.min(length, Number(new BigInt64Array(instance.memory.buffer, address, 1)[0]));
  const shape = tensor.shape.map((s, i) => (i === axis ? size : s));
  const inner = sizeOf(tensor.shape.slice(axis + 1));
  const rows = sizeOf(tensor.shape.slice(0, axis));
  const from = view(instance, tensor);
  const data = from.slice(0, rows * size * inner);
  for (let row = 1; row < rows; row++) {
    const start = row * length * inner;
    data.set(from.subarray(start, start + size * inner) as never, row * size * inner);
  }
  return { data, shape };
}

function checkKeys(given: object, known: readonly string[], where: string, what = 'option'): void {
  for (const key of Object.keys(given)) {
    if (!known.includes(key)) {
      const list = known.map((name) => JSON.stringify(name)).join(', ') || 'none';
      throw new Error(`${where}: there is no ${what} ${JSON.stringify(key)}; there is ${list}`);
    }
  }
}

interface Given {
  readonly data: unknown;
  /** Undefined for data alone. */
  readonly shape: readonly number[] | undefined;
}

function partsOf(given: unknown): Given {
  if (typeof given === 'object' && given !== null && 'data' in given) {
    const { data, shape, width, height } = given as Record<string, unknown>;
    if (Array.isArray(shape)) return { data, shape };
    if (typeof width === 'number' && typeof height === 'number')
      return { data, shape: [1, height, width, 4] };
  }
  return { data: given, shape: undefined };
}

/** The specialisation that the inputs fit. @throws Error where that is none, or not just one */
function choose(all: readonly Specialisation[], given: Readonly<Record<string, Given>>): Specialisation {
  const problems = all.map(({ inputs }) => {
    for (const tensor of inputs) {
      const problem = problemOf(tensor, given[tensor.name]);
      if (problem) return { tensor, problem };
    }
    return undefined;
  });
  const fitting = all.filter((_, i) => !problems[i]);
  const [chosen] = fitting;
  if (chosen && fitting.length === 1) return chosen;
  const [first] = problems;
  if (first && all.length === 1) {
    const { name, dtype, shape } = first.tensor;
    throw new Error(
      `input ${JSON.stringify(name)}: expected a ${ARRAYS[dtype].name} of ${sizeOf(shape)} elements (${layoutOf(shape)}); ${first.problem}`,
    );
  }
  const list = (among: readonly Specialisation[]) =>
    among
      .map(({ inputs }) =>
        inputs.map((t) => `${JSON.stringify(t.name)} ${t.dtype} ${layoutOf(t.shape)}`).join(', '),
      )
      .join('; or ');
  throw new Error(
    chosen
      ? `the inputs fit several specialisations: ${list(fitting)}; give { data, shape }`
      : `the inputs fit no specialisation: there is ${list(all)}; ${describe(given)}`,
  );
}

const layoutOf = (shape: readonly number[]): string => shape.join('×') || 'a scalar';

const describe = (given: Readonly<Record<string, Given>>): string =>
  Object.entries(given)
    .map(([name, { data, shape }]) => {
      const length = (data as { readonly length?: number } | undefined)?.length;
      const size = shape ? layoutOf(shape) : length === undefined ? '' : `${length} elements`;
      return `${JSON.stringify(name)}: got ${data?.constructor?.name ?? 'nothing'}${size && ` of ${size}`}`;
    })
    .join(', ');

/** Plain arrays are taken, as nothing about them can be misread; a typed array of another type is likely a mistake. */
function problemOf({ dtype, shape }: ManifestTensor, given: Given | undefined): string {
  const type = ARRAYS[dtype];
  const { data, shape: own } = given ?? {};
  if (data === undefined || data === null) return 'nothing was given';
  if (Array.isArray(data)) {
    const wanted = dtype === 'i64' || dtype === 'u64' ? 'bigint' : 'number';
    const odd = data.findIndex((x) => typeof x !== wanted);
    if (odd >= 0) {
      return `got an array whose element ${odd} is no ${wanted}${Array.isArray(data[odd]) ? ': flatten it' : ''}`;
    }
  } else if (!(data instanceof type) && !(dtype === 'u8' && data instanceof Uint8ClampedArray)) {
    return `got ${data.constructor?.name ?? typeof data}`;
  }
  const { length } = data as TensorArray;
  if (length !== sizeOf(shape)) return `got ${length} elements`;
  return own && own.join() !== shape.join() ? `got ${layoutOf(own)}` : '';
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
