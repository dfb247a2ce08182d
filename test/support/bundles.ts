/** Small networks as bundles on disk, in folders that go when the test file is done. */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, expect } from 'vitest';
import { compileGraph, compileModel } from '#compiler/compile.ts';
import type { CompiledBundle, CompileOptions } from '#compiler/compile-options.ts';
import { writeBundle } from '#compiler/files/index.ts';
import { Builder } from '#ir/builder.ts';
import type { Graph } from '#ir/graph.ts';
import type { LoadOptions } from '#runtime/model-types.ts';
import type { AnyModel } from '#runtime/session.ts';
import { Random } from './graphs.ts';

export interface SmallNetOptions {
  readonly name?: string;
  readonly input?: string;
  readonly outputs?: readonly [string, string];
  readonly seed?: number;
}

/** Two convolutions and a Gemm: an input of 1×3×9×7, outputs of 1×8×9×7 and 1×5. */
export function smallNet(options: SmallNetOptions = {}): Graph {
  const { name = 'small', input = 'image', outputs = ['features', 'scores'], seed = 1 } = options;
  const random = new Random(seed);
  const b = new Builder(name);
  const weight = (...shape: number[]) => b.constant('w', random.tensor(shape, -0.5, 0.5));
  const x = b.input(input, [1, 3, 9, 7]);
  const first = b.relu(b.conv(x, weight(8, 3, 3, 3), { pads: [1, 1, 1, 1], bias: weight(8), name: 'first' }));
  const second = b.conv(first, weight(8, 1, 3, 3), { group: 8, strides: [2, 2], name: 'second' });
  const flat = b.op('Flatten', [b.op('GlobalAveragePool', [second], {})], {});
  b.output(outputs[0], first);
  b.output(outputs[1], b.op('Gemm', [flat, weight(8, 5), weight(5)], {}));
  return b.graph;
}

/** A folder of the running test file's own. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'convolith-'));
  folders.push(folder);
  return folder;
}

const folders: string[] = [];
afterAll(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

/** Compiles a graph into a new folder. */
export async function bundleFolder(graph: Graph): Promise<string> {
  return write(await compileGraph(graph));
}

/** Compiles a model file, with its weights beside it. */
export const compileFile = (path: string, options: CompileOptions = {}): Promise<CompiledBundle> =>
  compileModel(new Uint8Array(readFileSync(path)), {
    externalData: (location) => new Uint8Array(readFileSync(join(dirname(path), location))),
    ...options,
  });

/** What `load` of a bundle gives. */
export async function loadFrom(folder: string, options: LoadOptions): Promise<AnyModel> {
  const { load } = (await import(pathToFileURL(join(folder, 'index.js')).href)) as {
    load: (options: LoadOptions) => Promise<AnyModel>;
  };
  return load(options);
}

/** Outputs of floats by name, relative to the largest of each. */
export function expectAlike(
  got: Readonly<Record<string, unknown>>,
  want: Readonly<Record<string, unknown>>,
  bound = 1e-5,
): void {
  for (const [name, data] of Object.entries(want)) {
    const expected = data as Float32Array;
    const scale = Math.max(...expected.map(Math.abs));
    expected.forEach((x, i) => {
      expect(Math.abs(x - ((got[name] as Float32Array)[i] ?? Number.NaN)) / scale).toBeLessThan(bound);
    });
  }
}

export async function write({
  files,
}: Pick<CompiledBundle, 'files'> & Partial<CompiledBundle>): Promise<string> {
  const folder = join(await temporaryFolder(), 'bundle');
  await writeBundle(folder, files);
  return folder;
}
