/** What the benchmark times: a compiled bundle, and onnxruntime-web where it is installed. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { InternalError } from '#ir/diagnostics.ts';
import type { Tensor } from '#ir/tensor.ts';
import type { TensorArray } from '#runtime/abi.ts';
import { type EngineName, supportedEngines } from '#runtime/engines.ts';
import { loader, type ShapedOutput } from '#runtime/session.ts';
import type { Contender } from '../bench/index.ts';
import type { CompiledBundle } from '../compile-options.ts';
import { NUMPY_TYPES } from '../files/array-hint.ts';
import { VERSION } from '../version.ts';
import { importInstalled } from './installed.ts';

/** Whose module a bundle's runtime takes here. */
export const fastestEngine = (): EngineName => supportedEngines()[0] ?? 'simd';

type Inputs = ReadonlyMap<string, Tensor>;

/** The runtime of bundles on this one, in a folder for the time of `use`. */
export async function withBundle<T>(
  { files, manifest }: CompiledBundle,
  inputs: Inputs,
  use: (contender: Contender) => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'convolith-bench-'));
  try {
    const weights = join(folder, 'weights.bin');
    await writeFile(weights, files.get('weights.bin') ?? new Uint8Array());
    const { wasm: base } = manifest;
    const entry = base?.modules.find(({ engine, threads }) => engine === fastestEngine() && !threads);
    if (!base || !entry) throw new InternalError('the bundle has no module for this engine');
    const given = Object.fromEntries([...inputs].map(([name, { data }]) => [name, data as TensorArray]));
    let serial = 0;
    let load: ReturnType<typeof loader> | undefined;
    return await use({
      name: 'convolith',
      version: VERSION,
      async prepare() {
        const bytes = distinctModule(files.get(entry.file) ?? new Uint8Array(), serial++);
        const file = `model-${serial}.wasm`;
        await writeFile(join(folder, file), bytes);
        const wasm = { ...base, modules: [{ ...entry, file, bytes: bytes.length }] };
        const modules = { [file]: pathToFileURL(join(folder, file)) };
        load = loader({ ...manifest, wasm }, { wasm: { modules, weights: pathToFileURL(weights) } });
      },
      async load() {
        const model = await load?.({ warmup: false });
        if (!model) throw new InternalError('a bundle is loaded before it is prepared');
        return {
          run: () => model.run(given),
          outputs: async () => {
            const shaped = Object.entries(await model.run(given, { shapes: true }));
            return new Map(shaped.map(([name, output]) => [name, (output as ShapedOutput).data]));
          },
          dispose: () => model.dispose(),
        };
      },
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The module with a custom section of its own at the end: engines keep the code of modules that they have seen. */
function distinctModule(module: Uint8Array, serial: number): Uint8Array<ArrayBuffer> {
  const name = new TextEncoder().encode(`bench${serial}`);
  const bytes = new Uint8Array(module.length + name.length + 3);
  bytes.set(module);
  bytes.set([0, name.length + 1, name.length, ...name], module.length);
  return bytes;
}

/** As much of onnxruntime-web as is used here. */
interface Onnxruntime {
  readonly env: {
    readonly wasm: { numThreads?: number };
    readonly versions: { readonly web?: string };
    logLevel?: string;
  };
  readonly Tensor: new (type: string, data: unknown, dims: readonly number[]) => object;
  readonly InferenceSession: {
    create(model: Uint8Array, options: object): Promise<OnnxruntimeSession>;
  };
}

interface OnnxruntimeSession {
  readonly inputNames: readonly string[];
  run(
    feeds: Readonly<Record<string, object>>,
  ): Promise<Readonly<Record<string, { readonly data: ArrayLike<number | bigint> }>>>;
  release(): Promise<void>;
}

export interface OnnxFiles {
  readonly bytes: Uint8Array;
  /** Files with weights, by the path that the model gives them. */
  readonly externalData: ReadonlyMap<string, Uint8Array>;
}

/** onnxruntime-web on one thread; or why there is none. */
export async function onnxruntimeWeb(
  { bytes, externalData }: OnnxFiles,
  inputs: Inputs,
): Promise<Contender | string> {
  const ort = await importOnnxruntime();
  if (ort === undefined)
    return 'onnxruntime-web is not installed here: npm install --save-dev onnxruntime-web';
  if (typeof ort === 'string') return ort;
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = 'fatal';
  const feeds = Object.fromEntries(
    [...inputs].map(([name, { type, data }]) => [
      name,
      // its names of types are NumPy's
      new ort.Tensor(NUMPY_TYPES[type.dtype], data, type.shape),
    ]),
  );
  const create = () =>
    ort.InferenceSession.create(bytes, {
      executionProviders: ['wasm'],
      externalData: [...externalData].map(([path, data]) => ({ path, data })),
    });
  const load = async () => {
    const session = await create();
    const own = Object.fromEntries(session.inputNames.map((name) => [name, feeds[name] as object]));
    return {
      run: () => session.run(own),
      outputs: async () =>
        new Map(Object.entries(await session.run(own)).map(([name, { data }]) => [name, data])),
      dispose: () => session.release(),
    };
  };
  return { name: 'onnxruntime-web', version: ort.env.versions.web ?? '', load };
}

async function importOnnxruntime(): Promise<Onnxruntime | string | undefined> {
  type Module = Onnxruntime & { readonly default?: Onnxruntime };
  const installed = await importInstalled<Module>('onnxruntime-web', { entry: './wasm' });
  if (installed === undefined || typeof installed === 'string') return installed;
  const { module } = installed;
  return module.InferenceSession ? module : module.default;
}
