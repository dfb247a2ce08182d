/** The files that a bundle has by what it says of its targets. */
import type { FileEntry, ProgramManifest, WasmManifest } from '#runtime/abi.ts';
import { SELF_TEST_FILE } from './self-test.ts';

export const WEIGHTS_FILE = 'weights.bin';
export const SPLIT_WEIGHTS_FILE = 'split.bin';
export const WORKER_FILE = 'worker.js';
export const EXPAND_FILE = 'expand.js';
export const GPU_FILES = {
  script: 'webgpu.js',
  kernels: 'kernels.wgsl',
  weights: 'weights.webgpu.bin',
  selfTest: SELF_TEST_FILE,
} as const;

/** By name; with its entry where the part of a target has one. */
export function requiredFiles({
  wasm,
  webgpu,
}: Pick<ProgramManifest, 'wasm' | 'webgpu'>): Map<string, FileEntry | undefined> {
  const modulesOf = (part: WasmManifest, weights: string): [string, FileEntry | undefined][] => [
    ...part.modules.map(({ file, bytes, sha256 }): [string, FileEntry] => [file, { bytes, sha256 }]),
    [weights, part.weights],
    ...(part.modules.some(({ threads }) => threads)
      ? [[WORKER_FILE, undefined] satisfies [string, undefined]]
      : []),
    ...(part.stored ? [[EXPAND_FILE, undefined] satisfies [string, undefined]] : []),
  ];
  return new Map([
    ['index.js', undefined],
    [SELF_TEST_FILE, undefined],
    ...(wasm ? modulesOf(wasm, WEIGHTS_FILE) : []),
    ...(webgpu
      ? ([
          [GPU_FILES.script, undefined],
          [GPU_FILES.kernels, webgpu.kernels],
          [GPU_FILES.weights, webgpu.weights],
        ] satisfies [string, FileEntry | undefined][])
      : []),
    ...(webgpu?.split ? modulesOf(webgpu.split.wasm, SPLIT_WEIGHTS_FILE) : []),
  ]);
}
