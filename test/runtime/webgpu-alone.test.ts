/** Bundles that have nothing for WebAssembly. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { formatManifest, MANIFEST_FILE, sealManifest } from '#compiler/bundle/manifest.ts';
import { verifyBundle } from '#compiler/bundle/verify.ts';
import { compileGraph } from '#compiler/compile.ts';
import type { CompiledBundle, CompileGraphOptions } from '#compiler/compile-options.ts';
import { folderReader } from '#compiler/files/bundle.ts';
import type { MachineProfile } from '#compiler/tune/profile.ts';
import { Builder } from '#ir/builder.ts';
import type { CompileError } from '#ir/diagnostics.ts';
import { evaluateGraph, outputTensor } from '#ir/evaluate.ts';
import type { Graph, Value } from '#ir/graph.ts';
import { f32 } from '#ir/tensor.ts';
import type { FileEntry, ManifestTensor } from '#runtime/abi.ts';
import { expectAlike, loadFrom, smallNet, write } from '../support/bundles.ts';
import { deviceOf, pretendGpu, provideGpu, withAdapter } from '../support/webgpu.ts';

const ALONE = ['webgpu'] as const;
const image = Float32Array.from({ length: 3 * 9 * 7 }, (_, i) => Math.sin(i));

let bundle: CompiledBundle;
let folder: string;
let undo: (() => void) | undefined;
beforeAll(async () => {
  bundle = await compileGraph(smallNet(), { target: ALONE });
  folder = await write(bundle);
});
afterEach(() => {
  undo?.();
  undo = undefined;
});

const reference = (): Record<string, unknown> => {
  const graph = smallNet();
  const values = evaluateGraph(graph, new Map([['image', f32([1, 3, 9, 7], image)]]));
  return Object.fromEntries(
    graph.outputs.map((output) => [
      output.name,
      outputTensor(output, (value) => values.get(value) as never).data,
    ]),
  );
};

const refusal = (options: CompileGraphOptions): Promise<string> =>
  compileGraph(smallNet(), { target: ALONE, ...options }).then(
    () => '',
    (error: CompileError) => error.message,
  );

describe('what is compiled', () => {
  test('has no file, and no word in the manifest, for WebAssembly', () => {
    const { files, manifest, stats } = bundle;
    expect([...files.keys()].sort()).toEqual([
      'demo.html',
      'index.d.ts',
      'index.js',
      'kernels.wgsl',
      'manifest.json',
      'package.json',
      'selftest.bin',
      'webgpu.js',
      'weights.webgpu.bin',
    ]);
    expect(manifest.wasm).toBeUndefined();
    expect(manifest.inputs).toEqual([{ name: 'image', dtype: 'f32', shape: [1, 3, 9, 7] }]);
    expect(stats.memoryBytes).toBe(manifest.webgpu?.memoryBytes);
    expect(stats.storedBytes).toBe(files.get('weights.webgpu.bin')?.length);
    expect(stats.checkedElements).toBeGreaterThan(0);
    expect(new TextDecoder().decode(files.get('index.d.ts'))).toContain('compiled to WebGPU.');
  });

  test('has the same kernels and weights as beside WebAssembly, and the same bytes each time', async () => {
    const both = await compileGraph(smallNet(), { target: ['wasm', 'webgpu'] });
    const again = await compileGraph(smallNet(), { target: ALONE, check: 'full' });
    for (const name of ['kernels.wgsl', 'weights.webgpu.bin', 'selftest.bin'])
      expect(bundle.files.get(name)).toEqual(both.files.get(name));
    expect(again.files).toEqual(bundle.files);
  });

  test('has inputs and outputs of the types that it has beside WebAssembly', async () => {
    const b = new Builder('types');
    const [found, count] = b.node('NonZero', [b.input('x', [2, 3], 'u8')], {}).outputs as [Value, Value];
    b.graph.addOutput('found', found, { axis: 1, value: count });
    const anything = (tensors: readonly ManifestTensor[]) =>
      tensors.map(({ address, count: counted, ...rest }) => [rest, counted?.axis]);
    for (const [graph, options] of [
      [b.graph as Graph, {}],
      [smallNet(), { preprocess: {} }],
    ] as const) {
      const one = (await compileGraph(graph, { target: ALONE, ...options })).manifest;
      const both = (await compileGraph(graph, { target: ['wasm', 'webgpu'], ...options })).manifest;
      for (const ports of ['inputs', 'outputs'] as const)
        expect(anything(one[ports])).toEqual(anything(both[ports]));
      expect(JSON.stringify(one)).not.toContain('"address"');
    }
  });

  test('is verified but for what takes a GPU', async () => {
    expect(await verifyBundle(folderReader(folder))).toEqual([]);
    const files = new Map(bundle.files);
    files.delete('kernels.wgsl');
    expect((await verifyBundle((name) => files.get(name))).map((d) => d.subject)).toEqual(['kernels.wgsl']);
  });

  test('a manifest that leaves out a file of the GPU, or says two things of it, is found', async () => {
    const verified = async (listed: (files: Record<string, FileEntry>) => void): Promise<string[]> => {
      const { digest, ...manifest } = structuredClone(bundle.manifest);
      listed(manifest.files as Record<string, FileEntry>);
      const text = formatManifest(await sealManifest(manifest));
      const files = new Map([...bundle.files, [MANIFEST_FILE, new TextEncoder().encode(text)] as const]);
      return (await verifyBundle((name) => files.get(name))).map(({ message }) => message);
    };
    expect(await verified(() => {})).toEqual([]);
    for (const name of ['kernels.wgsl', 'webgpu.js', 'weights.webgpu.bin', 'selftest.bin', 'index.js']) {
      expect(await verified((files) => Reflect.deleteProperty(files, name))).toEqual([
        `it does not list ${name}, which the bundle needs`,
      ]);
    }
    const [first] = await verified((files) => {
      files['kernels.wgsl'] = { ...(files['kernels.wgsl'] as FileEntry), sha256: '0'.repeat(64) };
    });
    expect(first).toBe('it says two things of kernels.wgsl');
  });

  test('refuses options of WebAssembly', async () => {
    const profile = {} as MachineProfile;
    for (const options of [{ threads: 2 }, { weights: 'i8' }, { relaxed: false }, { profile }] as const)
      expect(await refusal(options)).toContain('this is for WebAssembly, of which the bundle has nothing');
    expect(await refusal({ relaxed: true, threads: 1, weights: 'f32' })).toBe('');
  });
});

describe('load', () => {
  test('refuses WebAssembly and threads', async () => {
    await expect(loadFrom(folder, { backend: 'wasm' })).rejects.toThrow(
      'this bundle has "webgpu" (or "auto"), not "wasm"; compile it with --target wasm,webgpu for that',
    );
    await expect(loadFrom(folder, { threads: 2 })).rejects.toThrow('further threads are for WebAssembly');
  });

  test.each(['auto', 'webgpu'] as const)('without a GPU, %s says why and what to do', async (backend) => {
    await expect(loadFrom(folder, { backend })).rejects.toThrow(
      'WebGPU: this engine has no WebGPU; this bundle runs on a GPU alone: compile it with --target wasm,webgpu',
    );
    undo = pretendGpu({ requestAdapter: async () => null });
    await expect(loadFrom(folder, { backend })).rejects.toThrow('WebGPU: there is no adapter; this bundle');
  });

  withAdapter.test('what fails with a GPU is thrown as it is', async () => {
    const device = await deviceOf('vulkan');
    const enough = new TypeError('enough');
    const onProgress = () => {
      throw enough;
    };
    for (const backend of ['auto', 'webgpu'] as const)
      expect(await loadFrom(folder, { backend, device, onProgress }).catch((error) => error)).toBe(enough);
    const files = new Map([...bundle.files, ['kernels.wgsl', new Uint8Array(3)] as const]);
    const error = await loadFrom(await write({ ...bundle, files }), { device }).catch(
      ({ message }) => message,
    );
    expect(error).toMatch(
      /^kernels.wgsl has 3 bytes; this bundle's has \d+: copy all files of the bundle again$/,
    );
  });

  withAdapter.test('auto takes a software adapter, and says so', async () => {
    undo = await provideGpu();
    const model = await loadFrom(folder, { relaxed: false, verify: true });
    expect(model.info).toMatchObject({
      backend: 'webgpu',
      backendNote: expect.stringMatching(
        /^the adapter is software \(google swiftshader.*nothing for WebAssembly$/,
      ),
    });
    expectAlike(await model.run({ image }), reference());
    model.dispose();
    const asked = await loadFrom(folder, { backend: 'webgpu', warmup: false });
    expect(asked.info.backendNote).toBeUndefined();
    asked.dispose();
  });

  withAdapter.test('verify finds a device that computes something else', async () => {
    const broken = await write(bundle);
    const path = join(broken, 'kernels.wgsl');
    // of the same length, and another result
    writeFileSync(path, readFileSync(path, 'utf8').replace(/max\(/g, 'min('));
    const device = await deviceOf('vulkan');
    const load = (options: object) => loadFrom(broken, { device, warmup: false, ...options });
    (await load({})).dispose();
    await expect(load({ verify: true })).rejects.toThrow('kernels.wgsl is corrupt');
    // a device that adds up wrongly cannot be had; expected values that are others are the same to the test
    const other = await write({ ...bundle, files: await withOtherOutputs(bundle.files) });
    await expect(loadFrom(other, { device, verify: true })).rejects.toThrow(
      /the self-test fails on this device: output "features" is [\d.]+ of its size away/,
    );
  });
});

/** The bundle with other expected outputs, and their digest where `load` looks for it. */
async function withOtherOutputs(files: CompiledBundle['files']): Promise<Map<string, Uint8Array>> {
  const expected = new Float32Array(new Uint8Array(files.get('selftest.bin') ?? []).buffer);
  const bytes = new Uint8Array(expected.map((x) => x * 1.1).buffer);
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  const sha256 = Buffer.from(digest).toString('hex');
  const script = new TextDecoder().decode(files.get('webgpu.js'));
  const changed = script.replace(/("sha256":")[0-9a-f]{64}/, `$1${sha256}`);
  return new Map([...files, ['selftest.bin', bytes], ['webgpu.js', new TextEncoder().encode(changed)]]);
}
