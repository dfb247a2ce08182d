/** WebGPU by wgpu and naga, the implementation in Firefox, through Deno: a second reading of every kernel beside Dawn's. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { compileGraph } from '#compiler/compile.ts';
import type { CompileGraphOptions } from '#compiler/compile-options.ts';
import { loadBundle } from '#compiler/files/index.ts';
import type { Graph } from '#ir/graph.ts';
import { seededInput } from '#runtime/abi.ts';
import { compareOutputs } from './agreement.ts';
import { write } from './bundles.ts';
import { repositoryFolder } from './collection.ts';
import { gate } from './requirement.ts';
import { SWIFTSHADER, vulkanEnvironment } from './webgpu.ts';

const deno = join(repositoryFolder, 'node_modules/.bin/deno');

/** Mesa's software adapter, which has shader-f16. */
export const LAVAPIPE =
  ['x86_64', 'aarch64']
    .map((machine) => `/usr/share/vulkan/icd.d/lvp_icd.${machine}.json`)
    .find((path) => existsSync(path)) ?? '/usr/share/vulkan/icd.d/lvp_icd.x86_64.json';

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
const runInDeno = async (folder: string, seed: number, driver = SWIFTSHADER): Promise<GpuAnswer> =>
  JSON.parse(await scriptOutput('run-bundle.ts', [folder, String(seed)], driver)) as GpuAnswer;

/** What a bundle gives in Deno for a picture in each way that it can be given, and what it says against a destroyed buffer. */
export const onDeviceInDeno = async (
  folder: string,
): Promise<{ results: Record<string, number[][]>; refusal: string }> =>
  JSON.parse(await scriptOutput('run-on-device.ts', [folder], SWIFTSHADER));

/** What a bundle of `smallNet` says in Deno where its device is lost during a run, and what it gives before and after. */
export const lossInDeno = async (
  folder: string,
): Promise<{ messages: string[]; results: readonly number[][] }> =>
  JSON.parse(await scriptOutput('lose-device.ts', [folder], SWIFTSHADER));

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
    env: { ...process.env, ...vulkanEnvironment(driver) },
    maxBuffer: 2 ** 28,
  });
  running.child.stdin?.end(input);
  return (await running).stdout;
}

/**
 * A network compiled for both, run in Deno and, on the same inputs, on WebAssembly here: what Deno says of it, and the largest
 * difference of any output, relative to the output's largest magnitude.
 */
export async function differenceInDeno(
  graph: Graph,
  options: CompileGraphOptions = {},
  driver = SWIFTSHADER,
): Promise<GpuAnswer & { readonly relative: number }> {
  const folder = await write(await compileGraph(graph, { ...options, target: ['wasm', 'webgpu'] }));
  const wasm = await loadBundle(folder, { backend: 'wasm', warmup: false });
  const inputs = wasm.info.inputs.map((tensor, i) => [
    tensor.name,
    seededInput(tensor as Parameters<typeof seededInput>[0], SEED, i),
  ]);
  const want = await wasm.run(Object.fromEntries(inputs));
  const answer = await runInDeno(folder, SEED, driver);
  const differences = wasm.info.outputs.map(
    ({ name, shape }) =>
      compareOutputs(want[name] as Float32Array, floatsOf(answer.outputs[name]), shape).relative,
  );
  return { ...answer, relative: Math.max(...differences) };
}

const SEED = 9;

const floatsOf = (base64: string | undefined): Float32Array => {
  const bytes = Buffer.from(base64 ?? '', 'base64');
  return new Float32Array(Uint8Array.from(bytes).buffer);
};
