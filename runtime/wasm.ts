/** Loads the WebAssembly module of a bundle and its weights. */
import type { ModuleEntry, WasmManifest } from './abi.ts';
import { type EngineName, supports } from './engines.ts';
import { checkDigest, openFile, type ReadContext, readFile, request, type Source } from './files.ts';
import type { expandWeights as expand } from './stored-weights.ts';
import type { Crew, CrewArguments } from './threads.ts';

/** What runs the network on each target that it was compiled for. */
export interface BundleFiles {
  readonly wasm?: WasmFiles;
  readonly webgpu?: GpuFiles;
}

export interface WasmFiles {
  /** By file name. */
  readonly modules: Readonly<Record<string, URL>>;
  readonly weights: URL;
  /** The script of further threads, where the bundle has it. */
  readonly worker?: URL;
  /** The script that expands weights which are stored in fewer bytes, where they are. */
  readonly expand?: URL;
}

export interface GpuFiles {
  readonly script: URL;
  readonly kernels: URL;
  readonly weights: URL;
  readonly selfTest: URL;
  /** The layers without a kernel on a GPU, where there are some. */
  readonly split?: WasmFiles;
}

export interface LoadContext extends ReadContext {
  /** The name of the file of the weights. */
  readonly weightsFile: string;
  /** The number of threads wanted. */
  readonly threads: number;
  /** Modules for relaxed SIMD may be taken. */
  readonly relaxed: boolean;
  /** Told how much of the weights has come. */
  readonly onWeights: (fraction: number) => void;
}

export interface WasmInstance {
  readonly engine: EngineName;
  readonly memory: WebAssembly.Memory;
  /** A function for each specialisation. */
  readonly exports: WebAssembly.Exports;
  /** Further threads, where there are any. */
  readonly crew?: Crew;
  /** Why there are fewer threads than were wanted. */
  readonly threadsNote?: string;
}

/**
 * Instantiates the module and fills its memory. The weights are written where they stay, as they arrive.
 * @throws Error where WebAssembly SIMD is missing, or a file is missing or of another size than the manifest says
 */
export async function loadWasm(
  wasm: WasmManifest,
  files: WasmFiles,
  context: LoadContext,
): Promise<WasmInstance> {
  const apart = context.threads > 1 && typeof SharedArrayBuffer !== 'function' ? NOT_ISOLATED : undefined;
  const together = context.threads > 1 && apart === undefined;
  const entry = wasm.modules.find(
    ({ engine, threads = false }) =>
      threads === together && (engine !== 'relaxed' || context.relaxed) && supports(engine),
  );
  if (!entry) {
    throw new Error(
      'this engine has no WebAssembly SIMD, which the model needs: use Chrome 91, Firefox 89, Safari 16.4, Node 16.4 or newer',
    );
  }
  // both files are on their way before either is waited for
  const pending = openFile(files.weights, context.weightsFile, wasm.weights, context);
  pending.catch(() => {});
  try {
    const module = await compiled(files.modules[entry.file] as URL, entry, context);
    context.signal?.throwIfAborted();
    const pages = wasm.memoryBytes / 65536;
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: together });
    const { exports } = await WebAssembly.instantiate(module, { convolith: { memory } });
    const [crew] = await Promise.all([
      together && files.worker
        ? crewOf(files.worker, module, memory, exports, context.threads).catch(
            (error: Error) => `threads do not start: ${error.message}`,
          )
        : apart,
      pending.then((source) => fill(source, memory, wasm, files, context)),
    ]);
    const own = { engine: entry.engine, memory, exports };
    if (crew === undefined) return own;
    return typeof crew === 'string' ? { ...own, threadsNote: crew } : { ...own, crew };
  } finally {
    await pending.then((source) => source.close()).catch(() => {});
  }
}

const NOT_ISOLATED =
  'the page is not cross-origin isolated: serve it with COOP: same-origin and COEP: require-corp';

async function crewOf(script: URL, ...others: CrewArguments): Promise<Crew> {
  const { hire } = await importScript<{ hire: (script: URL, ...others: CrewArguments) => Promise<Crew> }>(
    script,
  );
  return hire(script, ...others);
}

async function fill(
  source: Source,
  memory: WebAssembly.Memory,
  { weights, weightsAddress, stored }: WasmManifest,
  files: WasmFiles,
  context: LoadContext,
): Promise<void> {
  const { bytes } = weights;
  const target = stored ? new Uint8Array(bytes) : new Uint8Array(memory.buffer, weightsAddress, bytes);
  let done = 0;
  const reading = source.read(target, (count) => {
    context.signal?.throwIfAborted();
    done += count;
    context.onWeights(done / bytes);
  });
  // meanwhile the system finds memory for what the first run writes
  const end = weightsAddress + (stored?.bytes ?? bytes);
  new Uint8Array(memory.buffer, end).fill(0);
  await reading;
  if (context.verify) await checkDigest(context.weightsFile, target, weights);
  if (!stored || !files.expand) return;
  const { expandWeights } = await importScript<{ expandWeights: typeof expand }>(files.expand);
  expandWeights(
    target as Uint8Array<ArrayBuffer>,
    stored.parts,
    new Uint8Array(memory.buffer, weightsAddress, stored.bytes),
  );
}

/** A script of the bundle that most loads do without. */
export const importScript = <T>(script: URL): Promise<T> =>
  import(/* @vite-ignore */ /* webpackIgnore: true */ script.href) as Promise<T>;

async function compiled(url: URL, entry: ModuleEntry, context: LoadContext): Promise<WebAssembly.Module> {
  const response = url.protocol === 'file:' ? undefined : await request(url, context);
  return response && !context.verify && response.headers.get('content-type') === 'application/wasm'
    ? WebAssembly.compileStreaming(response)
    : WebAssembly.compile(await readFile(url, entry.file, entry, context, response));
}
