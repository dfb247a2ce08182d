/**
 * What a bundle's files say to each other: the manifest, and the inputs of the self-test. Shared by the compiler, which
 * writes bundles, and the runtime inside them, which reads them.
 */
import type { EngineName } from './engines.ts';
import type { StoredPart } from './stored-weights.ts';

/** Raised whenever a runtime could not read an older manifest, or an older runtime a new one. */
export const ABI_VERSION = 3;

/** Element types, and the arrays that hold them; a bool is a byte, 0 or 1. */
export const ARRAYS = {
  f32: Float32Array,
  i8: Int8Array,
  u8: Uint8Array,
  i16: Int16Array,
  u16: Uint16Array,
  i32: Int32Array,
  u32: Uint32Array,
  i64: BigInt64Array,
  u64: BigUint64Array,
  bool: Uint8Array,
} as const;

export const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

export type ElementType = keyof typeof ARRAYS;
export type TensorArray = InstanceType<(typeof ARRAYS)[ElementType]>;

/** An input or output: dense, in row-major order (channels first). */
export interface ManifestTensor {
  readonly name: string;
  readonly dtype: ElementType;
  readonly shape: readonly number[];
  /** Where it begins in the module's memory, in bytes; absent where there is no module. */
  readonly address?: number;
  /** Where the size of an axis depends on data: where the i64 lies that says how many of its positions count. */
  readonly count?: { readonly axis: number; readonly address?: number };
  /** Of an input that is a picture: what its bytes are, and what the network makes of them. */
  readonly picture?: PictureInput;
}

/** A picture of u8 [N, height, width, channels of a pixel]; channel c becomes (x · scale − mean[c]) / std[c]. */
export interface PictureInput {
  readonly pixels: 'rgba' | 'rgb' | 'gray';
  /** What the network reads, in its order. */
  readonly channels: 'rgb' | 'bgr' | 'gray' | 'rgba';
  /** How the picture gets the network's size, where it has another. */
  readonly resize: 'stretch' | 'cover' | 'contain';
  /** The byte around a picture that is contained. */
  readonly pad: number;
  readonly scale: number;
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

export interface FileEntry {
  readonly bytes: number;
  /** Lower-case hexadecimal. */
  readonly sha256: string;
}

/** The part of the manifest that the runtime needs; `index.js` holds a copy, so that loading starts at once. */
export interface ProgramManifest {
  readonly abi: number;
  readonly name: string;
  /** The program that made the bundle, with its version. */
  readonly generator: string;
  readonly inputs: readonly ManifestTensor[];
  readonly outputs: readonly ManifestTensor[];
  /** Of the two parts a bundle has one at least. */
  readonly wasm?: WasmManifest;
  readonly webgpu?: WebgpuManifest;
  readonly cost: CostSummary;
  /** The same network at further sizes, over the same weights and in the same memory. */
  readonly further?: readonly Specialisation[];
}

/** The network at one set of input shapes. */
export interface Specialisation {
  /** The name of the module's export that runs it. */
  readonly run: string;
  readonly inputs: readonly ManifestTensor[];
  readonly outputs: readonly ManifestTensor[];
  readonly cost: CostSummary;
}

/** All of them; what the manifest says of the network itself is the first. */
export const specialisationsOf = ({
  inputs,
  outputs,
  cost,
  further = [],
}: Pick<ProgramManifest, 'inputs' | 'outputs' | 'cost' | 'further'>): readonly [
  Specialisation,
  ...Specialisation[],
] => [{ run: 'run', inputs, outputs, cost }, ...further];

/** Imports `convolith.memory`; exports `run()`, and a function for each further specialisation. */
export interface ModuleEntry extends FileEntry {
  readonly file: string;
  readonly engine: EngineName;
  /** For several threads, over a shared memory. */
  readonly threads?: true;
}

export interface WasmManifest {
  /** The same network for different engines, the fastest first; they read the same weights. */
  readonly modules: readonly ModuleEntry[];
  /** The most threads that may run the modules for several. */
  readonly mostThreads: number;
  /** Copied to `weightsAddress` before the first run. */
  readonly weights: FileEntry;
  /** Where the weights are stored otherwise than they lie in memory: their parts, and their bytes there. */
  readonly stored?: { readonly bytes: number; readonly parts: readonly StoredPart[] };
  readonly weightsAddress: number;
  /** Of the memory, whose size is fixed; whole pages. */
  readonly memoryBytes: number;
}

export interface WebgpuManifest {
  /** WGSL, an entry point for each kernel. */
  readonly kernels: FileEntry;
  /** The banks of constants, one after the other. */
  readonly weights: FileEntry;
  /**
   * Bytes of all buffers together but those of outputs, with halves where the bundle has them; of a network in parts, also of the
   * module's memory, and of buffers for what goes from parts on the GPU to others.
   */
  readonly memoryBytes: number;
  /** Where some layers have no kernel on a GPU. */
  readonly split?: SplitManifest;
}

/** A network in parts. What goes from one to another has a number; the inputs of the network are the first of these. */
export interface SplitManifest {
  /** What runs the parts on WebAssembly. */
  readonly wasm: WasmManifest;
  /** In the order of a run. */
  readonly parts: readonly SplitPart[];
  /** The numbers of the network's outputs. */
  readonly outputs: readonly number[];
  readonly copies: SplitCopies;
}

/** Values that a run copies between GPU and WebAssembly. */
export interface SplitCopies {
  readonly values: number;
  readonly bytes: number;
}

export interface SplitPart {
  /** The export that runs it on WebAssembly; absent for one on the GPU. */
  readonly run?: string;
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  readonly inputTensors: readonly ManifestTensor[];
  readonly outputTensors: readonly ManifestTensor[];
}

export interface CostSummary {
  /** Multiply-accumulates of one run, of the network as it was given. */
  readonly macs: number;
  readonly parameters: number;
  /** Memory for inputs, outputs and everything between. */
  readonly arenaBytes: number;
}

/** `manifest.json`. */
export interface Manifest extends ProgramManifest {
  /** Bound on the difference to the reference, relative to an output's largest magnitude. */
  readonly tolerance: number;
  readonly selfTest: SelfTest;
  /** Every file of the bundle but the manifest. */
  readonly files: Readonly<Record<string, FileEntry>>;
  /** SHA-256 of the manifest's text with this field empty. */
  readonly digest: string;
}

/**
 * Outputs on seeded inputs. Those of the baseline module are compared for equality: the module uses no instruction and no
 * function of the engine whose result may vary, the payload of a NaN apart. Devices may differ in the last bits of every sum.
 */
export interface SelfTest {
  readonly seed: number;
  /**
   * The expected elements of all outputs in order, those of one output together, little-endian; those of further
   * specialisations follow.
   */
  readonly file: string;
  readonly outputs: readonly SelfTestOutput[];
}

export interface SelfTestOutput {
  readonly name: string;
  /** How many elements are in the file: all, or those at `sampledIndices`. */
  readonly samples: number;
  /** `checksum` of the whole output. */
  readonly checksum: number;
}

/** Random 32-bit integers (mulberry32); a seed gives the same ones everywhere. */
export function randomIntegers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return (t ^ (t >>> 14)) >>> 0;
  };
}

/**
 * The self-test's value of the input at position `index`: floats uniform in [−1, 1), on a grid that f32 holds exactly;
 * bytes of their whole range; other integers and booleans 0 or 1, which are indices into anything of two elements.
 */
export function seededInput(
  { dtype, shape }: Pick<ManifestTensor, 'dtype' | 'shape'>,
  seed: number,
  index: number,
): TensorArray {
  const next = randomIntegers(seed + 0x9e3779b9 * (index + 1));
  const data = new ARRAYS[dtype](sizeOf(shape));
  for (let i = 0; i < data.length; i++) {
    const bits = next();
    if (data instanceof BigInt64Array || data instanceof BigUint64Array) data[i] = BigInt(bits >>> 31);
    else if (dtype === 'f32') data[i] = (bits >>> 8) / 2 ** 23 - 1;
    else data[i] = dtype === 'u8' || dtype === 'i8' ? bits : bits >>> 31;
  }
  return data;
}

/** Where an output of `total` elements is sampled, ascending: one element in each of `samples` equal parts. */
export function sampledIndices(total: number, samples: number, seed: number): number[] {
  if (samples >= total) return Array.from({ length: total }, (_, i) => i);
  const next = randomIntegers(seed);
  return Array.from({ length: samples }, (_, i) => {
    const start = Math.floor((i * total) / samples);
    const end = Math.floor(((i + 1) * total) / samples);
    return start + (next() % (end - start));
  });
}

/** FNV-1a over the 32-bit words of an array, every NaN taken as the same one. */
export function checksum(data: TensorArray): number {
  let hash = 0x811c9dc5;
  const mix = (word: number): void => {
    hash = Math.imul(hash ^ word, 0x01000193);
  };
  if (data instanceof Float32Array) {
    const bits = new Uint32Array(data.buffer, data.byteOffset, data.length);
    for (let i = 0; i < data.length; i++) mix(Number.isNaN(data[i]) ? 0x7fc00000 : (bits[i] ?? 0));
  } else {
    for (const byte of new Uint8Array(data.buffer, data.byteOffset, data.byteLength)) mix(byte);
  }
  return hash >>> 0;
}
