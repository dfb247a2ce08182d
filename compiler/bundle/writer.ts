/** The files of a bundle. The same program gives the same bytes. */
import { elementCount } from '#ir/types.ts';
import {
  type FileEntry,
  type Manifest,
  type ProgramManifest,
  type SelfTest,
  type SplitManifest,
  specialisationsOf,
  type TensorArray,
  type WasmManifest,
  type WebgpuManifest,
} from '#runtime/abi.ts';
import type { EngineName } from '#runtime/engines.ts';
import type { GpuPlan } from '#runtime/gpu-plan.ts';
import { WORD_BYTES } from '../targets/webgpu/words.ts';
import { demoPage } from './demo.ts';
import { sha256 } from './digest.ts';
import { EXPAND_SOURCE } from './generated/expand-source.ts';
import { RUNTIME_SOURCE } from './generated/runtime-source.ts';
import { WORKER_SOURCE } from './generated/worker-source.ts';
import { constants, gpuScript } from './gpu-script.ts';
import { formatManifest, MANIFEST_FILE, sealManifest } from './manifest.ts';
import {
  EXPAND_FILE,
  GPU_FILES,
  requiredFiles,
  SPLIT_WEIGHTS_FILE,
  WEIGHTS_FILE,
  WORKER_FILE,
} from './required-files.ts';
import { makeSelfTest } from './self-test.ts';
import type { StoredWeights } from './stored-weights.ts';
import { typings } from './typings.ts';

/** The name of a module's file. */
export const moduleFile = (engine: EngineName, threads: boolean): string =>
  `model${engine === 'relaxed' ? '.relaxed' : ''}${threads ? '.threads' : ''}.wasm`;

export interface BundleModule {
  readonly engine: EngineName;
  /** For several threads. */
  readonly threads: boolean;
  readonly file: string;
  readonly bytes: Uint8Array;
}

export interface BundleContent {
  readonly program: Omit<ProgramManifest, 'wasm' | 'webgpu'>;
  /** The network for each target that it was compiled for. */
  readonly wasm?: BundleWasm;
  readonly webgpu?: BundleGpu;
  /** The outputs on the seeded inputs, in order, those of each specialisation after the other. */
  readonly seededOutputs: readonly TensorArray[];
}

export interface BundleWasm {
  readonly place: Omit<WasmManifest, 'modules' | 'weights' | 'stored'>;
  /** The fastest first; one of them is the baseline. */
  readonly modules: readonly BundleModule[];
  /** As they lie in memory. */
  readonly weights: Uint8Array;
  /** How they are stored, where that is another way. */
  readonly stored?: StoredWeights;
}

export interface BundleGpu {
  /** Of each part that runs on the GPU; one where that is the whole network. */
  readonly plans: readonly GpuPlan[];
  readonly wgsl: string;
  /** The banks of constants, one after the other. */
  readonly weights: Uint8Array;
  readonly split?: BundleSplit;
}

/** The parts of a network in parts, and the module of those on WebAssembly. */
export interface BundleSplit extends Omit<SplitManifest, 'wasm'> {
  readonly wasm: BundleWasm;
}

/**
 * Sums of f32 in another order differ by about 2⁻²⁴ per step, as its square root over a layer's thousands of terms and
 * its tens of layers: 10⁻⁵ where values stay of one size. Ten times that is still far below what a wrong kernel does.
 */
const TOLERANCE = 1e-4;

export interface Bundle {
  readonly files: Map<string, Uint8Array>;
  readonly manifest: Manifest;
}

export async function makeBundle({
  program: given,
  wasm,
  webgpu,
  seededOutputs,
}: BundleContent): Promise<Bundle> {
  const program: ProgramManifest = {
    ...given,
    ...(wasm ? { wasm: await wasmEntry(wasm) } : {}),
    ...(webgpu ? { webgpu: await gpuEntry(webgpu) } : {}),
  };
  const { selfTest, bytes: expected } = makeSelfTest(
    specialisationsOf(program).flatMap(({ outputs }) => outputs.map((o) => o.name)),
    seededOutputs,
  );
  const files = new Map<string, Uint8Array>([
    ['index.js', utf8(script(program))],
    ['index.d.ts', utf8(typings(program))],
    ...(wasm ? wasmFiles(wasm) : []),
    ...(webgpu ? gpuFiles(webgpu, { ...selfTest, ...(await entryOf(expected)) }) : []),
    [selfTest.file, expected],
    ['package.json', utf8(packageJson(program))],
    ['demo.html', utf8(demoPage(program))],
  ]);
  const listed: Record<string, FileEntry> = {};
  // digests of large files are made once
  const known = requiredFiles(program);
  for (const [name, bytes] of files) listed[name] = known.get(name) ?? (await entryOf(bytes));
  const manifest = await sealManifest({ ...program, tolerance: TOLERANCE, selfTest, files: listed });
  files.set(MANIFEST_FILE, utf8(formatManifest(manifest)));
  return { files, manifest };
}

const wasmFiles = ({ modules, weights, stored }: BundleWasm): [string, Uint8Array][] => [
  ...modules.map(({ file, bytes }): [string, Uint8Array] => [file, bytes]),
  ...(modules.some(({ threads }) => threads)
    ? [[WORKER_FILE, utf8(WORKER_SOURCE)] satisfies [string, Uint8Array]]
    : []),
  ...(stored ? [[EXPAND_FILE, utf8(EXPAND_SOURCE)] satisfies [string, Uint8Array]] : []),
  [WEIGHTS_FILE, stored?.bytes ?? weights],
];

const splitFiles = ({ wasm: { modules, weights } }: BundleSplit): [string, Uint8Array][] => [
  ...modules.map(({ file, bytes }): [string, Uint8Array] => [file, bytes]),
  [SPLIT_WEIGHTS_FILE, weights],
];

async function wasmEntry({ place, modules, weights, stored }: BundleWasm): Promise<WasmManifest> {
  const entries = await Promise.all(
    modules.map(async ({ file, engine, threads, bytes }) => ({
      file,
      engine,
      ...(threads ? { threads } : {}),
      ...(await entryOf(bytes)),
    })),
  );
  return {
    ...place,
    modules: entries,
    weights: await entryOf(stored?.bytes ?? weights),
    ...(stored ? { stored: { bytes: weights.byteLength, parts: stored.parts } } : {}),
  };
}

const gpuFiles = (
  { plans, wgsl, weights, split }: BundleGpu,
  selfTest: SelfTest & FileEntry,
): [string, Uint8Array][] => [
  [GPU_FILES.script, utf8(gpuScript(plans, selfTest))],
  [GPU_FILES.kernels, utf8(wgsl)],
  [GPU_FILES.weights, weights],
  ...(split ? splitFiles(split) : []),
];

async function gpuEntry({ plans, wgsl, weights, split }: BundleGpu): Promise<WebgpuManifest> {
  const buffers = plans.map(
    ({ arenaBytes, halves = 0, picture }) =>
      arenaBytes + 2 * halves + (picture ? 4 * picture.width * picture.height : 0),
  );
  const memory = [...buffers, weights.byteLength, split ? splitBytes(split) : 0];
  return {
    kernels: await entryOf(utf8(wgsl)),
    weights: await entryOf(weights),
    memoryBytes: memory.reduce((sum, bytes) => sum + bytes, 0),
    ...(split ? { split: { ...split, wasm: await wasmEntry(split.wasm) } } : {}),
  };
}

/** Of the memory of the module, and of buffers for what goes from parts on the device to others. */
const splitBytes = ({ wasm, parts, outputs }: BundleSplit): number =>
  parts
    .flatMap((part) =>
      part.run === undefined
        ? part.outputTensors.filter((_, i) => !outputs.includes(part.outputs[i] ?? -1))
        : [],
    )
    .reduce((sum, { shape }) => sum + WORD_BYTES * elementCount(shape), wasm.place.memoryBytes);

const entryOf = async (bytes: Uint8Array): Promise<FileEntry> => ({
  bytes: bytes.byteLength,
  sha256: await sha256(bytes),
});

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** The URLs are spelled out where they are used: so bundlers find the files and move them along. */
const script = (
  program: ProgramManifest,
): string => `${constants({ BUNDLE_MANIFEST: program })}const BUNDLE_FILES = {
${program.wasm ? wasmUrls('wasm', program.wasm, WEIGHTS_FILE) : ''}${program.webgpu ? gpuUrls(program.webgpu) : ''}};
${RUNTIME_SOURCE}`;

const wasmUrls = (
  key: string,
  { modules, mostThreads, stored }: WasmManifest,
  weights: string,
): string => `  ${key}: {
    modules: {
${modules.map(({ file }) => url(file, file, 6)).join('')}    },
${url('weights', weights)}${mostThreads > 1 ? url('worker', WORKER_FILE) : ''}${
  stored ? url('expand', EXPAND_FILE) : ''
}  },
`;

const url = (key: string, file: string, indentation = 4): string =>
  `${' '.repeat(indentation)}'${key}': new URL('./${file}', import.meta.url),\n`;

const gpuUrls = ({ split }: WebgpuManifest): string => `  webgpu: {
${Object.entries(GPU_FILES)
  .map(([what, file]) => url(what, file))
  .join('')}${split ? wasmUrls('split', split.wasm, SPLIT_WEIGHTS_FILE) : ''}  },
`;

function packageJson({ name }: ProgramManifest): string {
  const description = {
    name: packageName(name),
    version: '1.0.0',
    type: 'module',
    sideEffects: false,
    exports: {
      '.': { types: './index.d.ts', default: './index.js' },
      './*': './*',
    },
    types: './index.d.ts',
  };
  return `${JSON.stringify(description, null, 2)}\n`;
}

/** A name that npm accepts. */
const packageName = (name: string): string =>
  name
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^[._-]+|[._-]+$/g, '')
    .slice(0, 200) || 'model';
