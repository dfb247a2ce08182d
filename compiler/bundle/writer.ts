/** The files of a bundle. The same program gives the same bytes. */
import {
  type FileEntry,
  type Manifest,
  type ProgramManifest,
  specialisationsOf,
  type TensorArray,
} from '#runtime/abi.ts';
import type { EngineName } from '#runtime/engines.ts';
import type { GpuPlan } from '#runtime/gpu-plan.ts';
import { demoPage } from './demo.ts';
import { sha256 } from './digest.ts';
import { EXPAND_SOURCE } from './generated/expand-source.ts';
import { RUNTIME_SOURCE } from './generated/runtime-source.ts';
import { WORKER_SOURCE } from './generated/worker-source.ts';
import { gpuScript } from './gpu-script.ts';
import { formatManifest, MANIFEST_FILE, sealManifest } from './manifest.ts';
import { makeSelfTest } from './self-test.ts';
import type { StoredWeights } from './stored-weights.ts';
import { typings } from './typings.ts';

/** The name of a module's file. */
export const moduleFile = (engine: EngineName, threads: boolean): string =>
  `model${engine === 'relaxed' ? '.relaxed' : ''}${threads ? '.threads' : ''}.wasm`;

export const WEIGHTS_FILE = 'weights.bin';

export interface BundleModule {
  readonly engine: EngineName;
  /** For several threads. */
  readonly threads: boolean;
  readonly file: string;
  readonly bytes: Uint8Array;
}

export interface BundleContent {
  readonly program: Omit<ProgramManifest, 'wasm' | 'webgpu'> & {
    readonly wasm: Omit<ProgramManifest['wasm'], 'modules' | 'weights'>;
  };
  /** The fastest first; one of them is the baseline. */
  readonly modules: readonly BundleModule[];
  /** As they lie in memory. */
  readonly weights: Uint8Array;
  /** How they are stored, where that is another way. */
  readonly stored?: StoredWeights;
  /** The network for WebGPU, where it was compiled for that. */
  readonly webgpu?: BundleGpu;
  /** The module's outputs on the seeded inputs, in order, those of each specialisation after the other. */
  readonly seededOutputs: readonly TensorArray[];
}

export interface BundleGpu {
  readonly plan: GpuPlan;
  readonly wgsl: string;
  /** The banks of constants, one after the other. */
  readonly weights: Uint8Array;
}

const GPU_FILES = { script: 'webgpu.js', kernels: 'kernels.wgsl', weights: 'weights.webgpu.bin' } as const;

/**
 * Sums of f32 in another order differ by about 2⁻²⁴ per step, as its square root over a layer's thousands of terms and
 * its tens of layers: 10⁻⁵ where values stay of one size. Ten times that is still far below what a wrong kernel does.
 */
const TOLERANCE = 1e-4;

export interface Bundle {
  readonly files: Map<string, Uint8Array>;
  readonly manifest: Manifest;
}

export async function makeBundle(content: BundleContent): Promise<Bundle> {
  const { program: given, modules, stored, webgpu: gpu } = content;
  const weights = stored?.bytes ?? content.weights;
  const entries = await Promise.all(
    modules.map(async ({ file, engine, threads, bytes }) => ({
      file,
      engine,
      ...(threads ? { threads } : {}),
      ...(await entryOf(bytes)),
    })),
  );
  const wasm = {
    modules: entries,
    weights: await entryOf(weights),
    ...(stored ? { stored: { bytes: content.weights.byteLength, parts: stored.parts } } : {}),
  };
  const program: ProgramManifest = {
    ...given,
    wasm: { ...given.wasm, ...wasm },
    ...(gpu ? { webgpu: await gpuEntry(gpu) } : {}),
  };
  const selfTest = makeSelfTest(
    specialisationsOf(program).flatMap(({ outputs }) => outputs.map((o) => o.name)),
    content.seededOutputs,
  );
  const together = modules.some(({ threads }) => threads);
  const files = new Map<string, Uint8Array>([
    ['index.js', utf8(script(program))],
    ['index.d.ts', utf8(typings(program))],
    ...modules.map(({ file, bytes }) => [file, bytes] as const),
    ...(together ? [['worker.js', utf8(WORKER_SOURCE)] as const] : []),
    ...(stored ? [['expand.js', utf8(EXPAND_SOURCE)] as const] : []),
    [WEIGHTS_FILE, weights],
    ...(gpu ? gpuFiles(gpu) : []),
    [selfTest.selfTest.file, selfTest.bytes],
    ['package.json', utf8(packageJson(program))],
    ['demo.html', utf8(demoPage(program))],
  ]);
  const listed: Record<string, FileEntry> = {};
  for (const [name, bytes] of files) {
    listed[name] = bytes === weights ? wasm.weights : await entryOf(bytes);
  }
  const manifest = await sealManifest({
    ...program,
    tolerance: TOLERANCE,
    selfTest: selfTest.selfTest,
    files: listed,
  });
  files.set(MANIFEST_FILE, utf8(formatManifest(manifest)));
  return { files, manifest };
}

const gpuFiles = ({ plan, wgsl, weights }: BundleGpu): [string, Uint8Array][] => [
  [GPU_FILES.script, utf8(gpuScript(plan))],
  [GPU_FILES.kernels, utf8(wgsl)],
  [GPU_FILES.weights, weights],
];

async function gpuEntry({ plan, wgsl, weights }: BundleGpu): Promise<NonNullable<ProgramManifest['webgpu']>> {
  return {
    kernels: await entryOf(utf8(wgsl)),
    weights: await entryOf(weights),
    memoryBytes: plan.arenaBytes + 2 * (plan.halves ?? 0) + weights.byteLength,
  };
}

const entryOf = async (bytes: Uint8Array): Promise<FileEntry> => ({
  bytes: bytes.byteLength,
  sha256: await sha256(bytes),
});

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** The URLs are spelled out where they are used: so bundlers find the files and move them along. */
const script = (program: ProgramManifest): string => `const BUNDLE_MANIFEST = ${JSON.stringify(program)};
const BUNDLE_FILES = {
  modules: {
${program.wasm.modules.map(({ file }) => `    '${file}': new URL('./${file}', import.meta.url),\n`).join('')}  },
  weights: new URL('./${WEIGHTS_FILE}', import.meta.url),
${program.wasm.mostThreads > 1 ? "  worker: new URL('./worker.js', import.meta.url),\n" : ''}${
  program.wasm.stored ? "  expand: new URL('./expand.js', import.meta.url),\n" : ''
}${program.webgpu ? GPU_URLS : ''}};
${RUNTIME_SOURCE}`;

const GPU_URLS = `  webgpu: {
${Object.entries(GPU_FILES)
  .map(([what, file]) => `    ${what}: new URL('./${file}', import.meta.url),\n`)
  .join('')}  },
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
