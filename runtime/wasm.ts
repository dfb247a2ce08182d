/** Loads the WebAssembly module of a bundle and its weights; from the file system in Node, by fetch elsewhere. */
import type { FileEntry, ModuleEntry, WasmManifest } from './abi.ts';
import { type EngineName, supports } from './engines.ts';
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

export interface LoadContext {
  readonly signal: AbortSignal | undefined;
  readonly verify: boolean;
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
  const access = files.weights.protocol === 'file:' ? await fromFileSystem() : fromNetwork;
  // both files are on their way before either is waited for
  const pending = access.open(files.weights, wasm.weights, context);
  pending.catch(() => {});
  try {
    const module = await access.compile(files.modules[entry.file] as URL, entry, context);
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

/** What weights are read from. */
interface Source {
  /** Fills `target`, and tells how many bytes came since it last did. @throws Error where there are fewer, or more */
  read(target: Uint8Array<ArrayBuffer>, onBytes: (count: number) => void): Promise<void>;
  close(): Promise<void>;
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
  if (context.verify) await checkDigest('weights.bin', target, weights);
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

export const sizeError = (name: string, expected: number, got: number | string): Error =>
  new Error(`${name} has ${got} bytes; this bundle's has ${expected}: copy all files of the bundle again`);

export async function checkDigest(
  name: string,
  bytes: Uint8Array<ArrayBuffer>,
  entry: FileEntry,
): Promise<void> {
  if (!globalThis.crypto?.subtle) {
    throw new Error('verify: true needs crypto.subtle, which pages have over https and on localhost only');
  }
  // what is shared cannot be digested where it lies
  const own = bytes.buffer instanceof ArrayBuffer ? bytes : new Uint8Array(bytes);
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', own));
  const text = Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
  if (text !== entry.sha256) throw new Error(`${name} is corrupt: its SHA-256 is not that of this bundle`);
}

interface Access {
  open(url: URL, entry: FileEntry, context: LoadContext): Promise<Source>;
  compile(url: URL, entry: ModuleEntry, context: LoadContext): Promise<WebAssembly.Module>;
}

async function compileBytes(
  bytes: Uint8Array<ArrayBuffer>,
  entry: ModuleEntry,
  { verify }: LoadContext,
): Promise<WebAssembly.Module> {
  if (bytes.length !== entry.bytes) throw sizeError(entry.file, entry.bytes, bytes.length);
  if (verify) await checkDigest(entry.file, bytes, entry);
  return WebAssembly.compile(bytes);
}

const fromNetwork: Access = {
  async open(url, entry, context) {
    const response = await request(url, context);
    const reader = response.body?.getReader();
    if (!reader) throw new Error(`${url} came without content`);
    return {
      async read(target, onBytes) {
        let at = 0;
        for (;;) {
          const { value, done } = await reader.read();
          if (done) break;
          if (at + value.length > target.length) throw sizeError('weights.bin', entry.bytes, 'more');
          target.set(value, at);
          at += value.length;
          onBytes(value.length);
        }
        if (at < target.length) throw sizeError('weights.bin', entry.bytes, at);
      },
      close: () => reader.cancel(),
    };
  },
  async compile(url, entry, context) {
    const response = await request(url, context);
    const streams = response.headers.get('content-type') === 'application/wasm' && !context.verify;
    if (streams) return WebAssembly.compileStreaming(response);
    return compileBytes(new Uint8Array(await response.arrayBuffer()), entry, context);
  },
};

async function request(url: URL, { signal }: LoadContext): Promise<Response> {
  const response = await fetch(url, signal ? { signal } : {});
  if (!response.ok) throw new Error(`${url} cannot be loaded: HTTP ${response.status}`);
  return response;
}

interface FileSystem {
  readFile(path: URL): Promise<Uint8Array<ArrayBuffer>>;
  open(path: URL): Promise<{
    stat(): Promise<{ readonly size: number }>;
    read(
      target: Uint8Array,
      offset: number,
      length: number,
      position: number,
    ): Promise<{ readonly bytesRead: number }>;
    close(): Promise<void>;
  }>;
}

/** Files are read in parts, several at a time: most of it is finding memory, which more than one thread does faster. */
const READERS = 4;
const PART_BYTES = 1 << 20;

async function fromFileSystem(): Promise<Access> {
  // a name that bundlers do not see: in a page there is nothing to bundle
  const name = 'node:fs/promises';
  const fs = (await import(/* @vite-ignore */ /* webpackIgnore: true */ name)) as FileSystem;
  return {
    async open(url, entry) {
      const handle = await fs.open(url);
      const { size } = await handle.stat();
      if (size !== entry.bytes) {
        await handle.close();
        throw sizeError('weights.bin', entry.bytes, size);
      }
      return {
        async read(target, onBytes) {
          let next = 0;
          const readParts = async () => {
            while (next < target.length) {
              const at = next;
              next += PART_BYTES;
              const part = target.subarray(at, next);
              for (let done = 0; done < part.length; ) {
                const { bytesRead } = await handle.read(part, done, part.length - done, at + done);
                if (bytesRead === 0) throw sizeError('weights.bin', entry.bytes, at + done);
                done += bytesRead;
                onBytes(bytesRead);
              }
            }
          };
          await Promise.all(Array.from({ length: READERS }, readParts));
        },
        close: () => handle.close(),
      };
    },
    async compile(url, entry, context) {
      return compileBytes(await fs.readFile(url), entry, context);
    },
  };
}
