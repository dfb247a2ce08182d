/** WebGPU by wgpu and naga, the implementation in Firefox, through Deno: a second reading of every kernel beside Dawn's. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { repositoryFolder } from './collection.ts';
import { gate } from './requirement.ts';
import { SWIFTSHADER } from './webgpu.ts';

const deno = join(repositoryFolder, 'node_modules/.bin/deno');

const missingFor = (driver: string): string | undefined => {
  if (!existsSync(deno)) return `no Deno for this platform at ${deno}`;
  return existsSync(driver) ? undefined : `no Vulkan driver at ${driver}; run npm run setup:browser`;
};

/** For tests that run kernels in Deno on a driver: skipped loudly without, failing where CONVOLITH_REQUIRE_BROWSER is set. */
export const withDeno = (driver: string = SWIFTSHADER) =>
  gate(missingFor(driver), 'CONVOLITH_REQUIRE_BROWSER');

/** What a bundle gives in Deno. */
export interface GpuAnswer {
  readonly backend: string;
  readonly engine: string;
  readonly note?: string;
  /** The elements of each output as base64. */
  readonly outputs: Readonly<Record<string, string>>;
}

/** Runs a bundle on WebGPU in Deno, on the inputs of a seed. @throws Error with what the engine says against a kernel */
export const runInDeno = async (folder: string, seed: number, driver = SWIFTSHADER): Promise<GpuAnswer> =>
  JSON.parse(await scriptOutput('run-bundle.ts', [folder, String(seed)], driver)) as GpuAnswer;

/** The text of a program, and its entry points. */
export interface Shader {
  readonly name: string;
  readonly wgsl: string;
  readonly kernels: readonly string[];
}

/** What the engine says against programs; empty where it accepts all. */
export const complaintsInDeno = (shaders: readonly Shader[], driver = SWIFTSHADER): Promise<string> =>
  scriptOutput('check-shaders.ts', [], driver, shaders.map((shader) => JSON.stringify(shader)).join('\n'));

async function scriptOutput(
  script: string,
  args: readonly string[],
  driver: string,
  input = '',
): Promise<string> {
  const flags = ['--no-config', '--no-lock', '--no-remote', '--no-check', '--allow-all', '--quiet'];
  const path = join(import.meta.dirname, script);
  const running = promisify(execFile)(deno, ['run', ...flags, path, ...args], {
    env: { ...process.env, VK_ICD_FILENAMES: driver },
    maxBuffer: 2 ** 28,
  });
  running.child.stdin?.end(input);
  return (await running).stdout;
}

/** An output of an answer as floats. */
export const floatsOf = (base64: string | undefined): Float32Array => {
  const bytes = Buffer.from(base64 ?? '', 'base64');
  return new Float32Array(Uint8Array.from(bytes).buffer);
};
