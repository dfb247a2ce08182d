/** What `compile` is asked for and what it gives. */
import { CompileError, type Diagnostic, diagnostic, isError } from '#ir/diagnostics.ts';
import type { Manifest } from '#runtime/abi.ts';
import type { ImportOptions } from './import/onnx/index.ts';
import type { PreprocessOptions } from './preprocess/options.ts';
import { GPU_PRECISIONS, type GpuPrecision } from './targets/webgpu/words.ts';
import type { MachineProfile } from './tune/profile.ts';
import type { Tuning } from './tune/tuning.ts';
import { WEIGHT_FORMATS, type WeightFormat } from './weights/formats.ts';

export const COMPILE_STAGES = ['import', 'optimise', 'generate', 'check', 'bundle'] as const;
export type CompileStage = (typeof COMPILE_STAGES)[number];

export const COMPILE_TARGETS = ['wasm', 'webgpu'] as const;
export type CompileTarget = (typeof COMPILE_TARGETS)[number];

export interface CompileGraphOptions {
  /** The bundle's name; the graph's unless given. */
  readonly name?: string;
  /**
   * What to compile for; `['wasm']` unless given. With both, a bundle runs on WebAssembly where there is no GPU; one for
   * `['webgpu']` alone runs nowhere else.
   */
  readonly target?: readonly CompileTarget[];
  /** Values inside the network, by name, that the bundle gives as outputs too. */
  readonly outputs?: readonly string[];
  /** The bundle takes a picture, as bytes, where the network takes normalised floats; or the name of a normalisation. */
  readonly preprocess?: PreprocessOptions | string;
  /**
   * How the code is checked before there is a bundle. `sampled`: some output elements of every layer against the
   * reference. `full`: also all outputs against the reference of the whole network, which takes as long as that takes.
   */
  readonly check?: 'sampled' | 'full';
  /** The bundle has a module for engines with relaxed SIMD too, on which it is faster; true unless given. */
  readonly relaxed?: boolean;
  /** The bundle can run on so many threads, with modules of their own; 1 unless given. */
  readonly threads?: number;
  /**
   * How the weights are stored. `f32`: as they lie in memory. `raw`: before transforms that make them larger. `f16`, `i8`:
   * rounded to half precision, or to 8-bit integers with a scale per output channel; they are computed with as f32.
   * `f32` unless given.
   */
  readonly weights?: WeightFormat;
  /**
   * What floats on a GPU are kept as between layers. `f16`: half precision where the device has it, `f32` elsewhere; weights
   * are rounded to halves in both cases, inputs, outputs and sums are f32. `f32` unless given.
   */
  readonly gpuPrecision?: GpuPrecision;
  /** Kernels that were chosen by measuring, on one machine (`tuningFor`); a bundle of several sizes takes none. */
  readonly tuning?: Tuning;
  /** What the other kernels' times are estimated from, as `calibrate` measures it; built-in figures unless given. */
  readonly profile?: MachineProfile;
  readonly signal?: AbortSignal;
  /** Told what is under way, and how far it is, from 0 to 1. */
  readonly onProgress?: (stage: CompileStage, fraction: number) => void;
  /**
   * Told each file of the bundle, by name, as soon as it is final, so that it can be written meanwhile: large weights before
   * their kernels have been checked. Where compiling fails after all, none of them is of use.
   */
  readonly onFile?: (name: string, bytes: Uint8Array) => void;
}

export interface CompileOptions
  extends CompileGraphOptions,
    Pick<ImportOptions, 'dims' | 'shapes' | 'externalData'> {
  /** The bundle runs the network at each of these sizes, over one set of weights; `dims` and `shapes` hold for all. */
  readonly specialisations?: readonly Specialisation[];
}

export type Specialisation = Pick<ImportOptions, 'dims' | 'shapes'>;

/** What a run on a GPU copies between it and WebAssembly, where some layers have no kernel there. */
export interface SplitStats {
  readonly parts: number;
  /** Of values, in a run, either way. */
  readonly copies: number;
  readonly bytes: number;
}

export interface CompileStats {
  /** Of the first specialisation, as given. */
  readonly macs: number;
  readonly parameters: number;
  readonly specialisations: number;
  /** Calls per run, of all specialisations together, and the distinct functions that they call. */
  readonly calls: number;
  readonly kernels: number;
  /** Bytes of their code: of the baseline module, or, for WebGPU alone, of the WGSL. */
  readonly moduleBytes: number;
  readonly weightBytes: number;
  /** Bytes of `weights.bin`, or, for WebGPU alone, of `weights.webgpu.bin`. */
  readonly storedBytes: number;
  /** The largest difference that rounding the weights makes to an output, relative to its largest magnitude; null if none. */
  readonly weightsError: number | null;
  /** What the weights of all specialisations would take if they shared none. */
  readonly unsharedWeightBytes: number;
  readonly arenaBytes: number;
  /** No plan can be smaller. */
  readonly arenaLowerBound: number;
  readonly memoryBytes: number;
  /** Null where a GPU runs all, or nothing. */
  readonly split: SplitStats | null;
  /** How many output elements the check compared. */
  readonly checkedElements: number;
}

export interface CompiledBundle {
  /** The files of the bundle, by name. The weights are a view of the memory that the module was checked in. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly manifest: Manifest;
  /** Warnings and notes; errors are thrown. */
  readonly diagnostics: readonly Diagnostic[];
  readonly stats: CompileStats;
}

export const GRAPH_OPTIONS = [
  'name',
  'target',
  'outputs',
  'preprocess',
  'check',
  'relaxed',
  'threads',
  'weights',
  'gpuPrecision',
  'tuning',
  'profile',
  'signal',
  'onProgress',
  'onFile',
] as const;
export const MODEL_OPTIONS = [...GRAPH_OPTIONS, 'dims', 'shapes', 'specialisations', 'externalData'] as const;

/** @throws CompileError for values that are none of the options' */
export function checkOptions(options: CompileGraphOptions): void {
  const {
    target = ['wasm'],
    check = 'sampled',
    relaxed = true,
    threads = 1,
    weights = 'f32',
    profile,
    gpuPrecision = 'f32',
  } = options;
  const problems: Diagnostic[] = [];
  const unknown = target.filter((t) => !COMPILE_TARGETS.includes(t));
  if (unknown.length > 0 || target.length === 0) {
    const got = unknown.length > 0 ? unknown.join(', ') : 'none';
    problems.push(
      diagnostic('usage-invalid', 'target', `expected some of ${COMPILE_TARGETS.join(', ')}; got ${got}`),
    );
  }
  const onlyWasm = {
    relaxed: !relaxed,
    threads: threads !== 1,
    weights: weights !== 'f32',
    profile: profile !== undefined,
  };
  for (const [option, given] of target.includes('wasm') ? [] : Object.entries(onlyWasm)) {
    if (!given) continue;
    const message = 'this is for WebAssembly, of which the bundle has nothing';
    const hint = option === 'weights' ? 'give the target wasm,webgpu, or gpuPrecision f16' : WITH_WASM;
    problems.push(diagnostic('usage-invalid', option, message, hint));
  }
  if (check !== 'sampled' && check !== 'full') {
    problems.push(diagnostic('usage-invalid', 'check', `expected sampled or full; got ${String(check)}`));
  }
  if (!WEIGHT_FORMATS.includes(weights)) {
    const message = `expected one of ${WEIGHT_FORMATS.join(', ')}; got ${String(weights)}`;
    problems.push(diagnostic('usage-invalid', 'weights', message));
  }
  if (!GPU_PRECISIONS.includes(gpuPrecision)) {
    const message = `expected one of ${GPU_PRECISIONS.join(', ')}; got ${String(gpuPrecision)}`;
    problems.push(diagnostic('usage-invalid', 'gpuPrecision', message));
  }
  if (gpuPrecision !== 'f32' && !target.includes('webgpu')) {
    const message = 'there is nothing for a GPU in the bundle';
    problems.push(diagnostic('usage-invalid', 'gpuPrecision', message, WITH_WASM));
  }
  if (!Number.isInteger(threads) || threads < 1 || threads > MOST_THREADS) {
    const message = `expected a number from 1 to ${MOST_THREADS}; got ${String(threads)}`;
    problems.push(diagnostic('usage-invalid', 'threads', message));
  }
  throwAny(problems);
}

const WITH_WASM = 'give the target wasm,webgpu';

/** Each costs memory, and more gain little at the sizes of one picture. */
const MOST_THREADS = 16;

/** @throws CompileError with all of them, where one is an error */
export function throwAny(problems: readonly Diagnostic[]): void {
  if (problems.some(isError)) throw new CompileError(problems);
}
