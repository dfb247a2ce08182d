import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { demoPage } from '#compiler/bundle/demo.ts';
import { verifyBundle } from '#compiler/bundle/verify.ts';
import { compileGraph } from '#compiler/compile.ts';
import { Builder } from '#ir/builder.ts';
import { smallNet, write } from '../support/bundles.ts';
import { repositoryFolder } from '../support/collection.ts';

const NAMES = [
  'index.js',
  'index.d.ts',
  'model.relaxed.wasm',
  'model.wasm',
  'weights.bin',
  'selftest.bin',
  'package.json',
  'demo.html',
  'manifest.json',
];
const text = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes);
const readerOf = (files: ReadonlyMap<string, Uint8Array>) => (name: string) => files.get(name);

describe('the files of a bundle', () => {
  test('are these, and the manifest lists them', async () => {
    const { files, manifest } = await compileGraph(smallNet());
    expect([...files.keys()]).toEqual(NAMES);
    expect(Object.keys(manifest.files)).toEqual(NAMES.filter((name) => name !== 'manifest.json'));
    expect(JSON.parse(text(files.get('manifest.json')))).toEqual(JSON.parse(JSON.stringify(manifest)));
    expect(await verifyBundle(readerOf(files))).toEqual([]);
  });

  test('have the same bytes each time', async () => {
    const [one, two] = [await compileGraph(smallNet()), await compileGraph(smallNet())];
    expect([...one.files]).toEqual([...two.files]);
  });

  test('code is small, evaluates no text and reads no other address', async () => {
    const { files } = await compileGraph(smallNet());
    const script = text(files.get('index.js'));
    // the manifest of this network, the loader, and what asks for a GPU where the bundle has code for one
    expect(script.length).toBeLessThan(12_500);
    expect(script).not.toMatch(/\beval\b|new Function|https?:|\bprocess\b/);
    expect(text(files.get('demo.html'))).not.toMatch(/https?:|\beval\b|innerHTML/);
  });

  test('package.json has a name that npm accepts, and exports', async () => {
    const named = async (name: string) =>
      JSON.parse(text((await compileGraph(smallNet(), { name })).files.get('package.json')));
    expect((await named('My Net/v2 (é)')).name).toBe('my-net-v2');
    expect((await named('')).name).toBe('model');
    expect(await named('net')).toMatchObject({ type: 'module', exports: { '.': { default: './index.js' } } });
  });

  test('demo.html escapes the name', () => {
    const page = demoPage({ name: '</title><script>alert(1)</script>&"' } as never);
    expect(page).not.toContain('<script>alert');
    expect(page).toContain('&#60;/title&#62;&#60;script&#62;alert(1)&#60;/script&#62;&#38;&#34;');
  });
});

test('the types are those of the network', async () => {
  const graph = smallNet({ name: 'x */ boom', input: 'my image', outputs: ['features', 'a"b\u2028'] });
  const folder = await write(await compileGraph(graph));
  const use = `
import { load } from './index.js';
const model = await load({ backend: 'wasm', warmup: false });
const { features, 'a"b\\u2028': scores } = await model.run({ 'my image': new Float32Array(189) });
const sum: number = features.length + (scores[0] ?? 0);
const shaped = await model.run({ 'my image': [1, 2] }, { shapes: true });
const [n, c]: readonly [1, 8, 9, 7] = shaped.features.shape;
// @ts-expect-error not an input
model.run({ image: new Float32Array(1) });
// @ts-expect-error another element type
model.run({ 'my image': new Uint8Array(1) });
// @ts-expect-error not an output
(await model.run({ 'my image': [] })).logits;
// @ts-expect-error not an option
load({ warmUp: true });
export { sum, n, c };
`;
  expect(typeErrors(folder, use)).toBe('');
});

test('pictures have their types, and several sizes theirs', async () => {
  const source = [
    { width: 7, height: 9 },
    { width: 30, height: 20 },
  ];
  const folder = await write(await compileGraph(smallNet(), { preprocess: { source } }));
  const use = `
import { load } from './index.js';
const model = await load();
declare const image: ImageData;
model.run({ image });
model.run({ image: image.data });
model.run({ image: { data: new Uint8Array(2400), shape: [1, 20, 30, 4] } });
const { scores } = await model.run({ image }, { shapes: true });
const shape: readonly [1, 5] = scores.shape;
const pixels: 'rgba' | 'rgb' | 'gray' | undefined = model.info.specialisations[1]?.inputs[0]?.pixels;
// @ts-expect-error the network's own type
model.run({ image: new Float32Array(189) });
export { shape, pixels };
`;
  expect(typeErrors(folder, use)).toBe('');
});

describe('what is on a device has types', () => {
  const both = (preprocess?: string) =>
    compileGraph(smallNet(), { target: ['wasm', 'webgpu'], ...(preprocess ? { preprocess } : {}) });

  test('without those of the web', async () => {
    const use = `declare global { interface AbortSignal { aborted: boolean } }
import { load } from './index.js';
const model = await load();
const { scores } = await model.runOnDevice({ image: [1] });
const word: 'f32' | 'i32' | 'u32' = scores.word;
const buffer: object = scores.buffer;
const shape: readonly [1, 5] = (await scores.read()).shape;
model.run({ image: scores });
// @ts-expect-error another element type
model.run({ image: new Uint8Array(1) });
// @ts-expect-error not an output
(await model.runOnDevice({ image: [] })).logits;
export { word, buffer, shape };
`;
    expect(typeErrors(await write(await both()), use, 'es2022')).toBe('');
  });

  test('with those of the web', async () => {
    const use = `
import { load } from './index.js';
declare const canvas: HTMLCanvasElement;
declare const frame: VideoFrame;
declare const texture: GPUTexture;
const model = await load();
const device: GPUDevice | undefined = model.device;
const { features } = await model.runOnDevice({ image: canvas }, { into: { scores: {} as GPUBuffer } });
const buffer: GPUBuffer = features.buffer;
for (const image of [canvas, frame, texture, buffer]) model.run({ image });
model.run({ image: { buffer, offset: 4 } });
// @ts-expect-error not a buffer
model.run({ image: { buffer: canvas } });
// @ts-expect-error not an output
model.runOnDevice({ image: canvas }, { into: { logits: buffer } });
export { device };
`;
    expect(typeErrors(await write(await both('imagenet')), use)).toBe('');
    // a network without preprocessing takes no pictures
    const plain = `
import { load } from './index.js';
declare const canvas: HTMLCanvasElement;
// @ts-expect-error
(await load()).run({ image: canvas });
`;
    expect(typeErrors(await write(await both()), plain)).toBe('');
  });
});

/** What the TypeScript compiler says of a module beside a bundle's. */
function typeErrors(folder: string, use: string, lib = 'es2022,dom'): string {
  writeFileSync(join(folder, 'use.ts'), use);
  const options = `--noEmit --strict --target es2022 --module nodenext --lib ${lib} --types`.split(' ');
  const tsc = join(repositoryFolder, 'node_modules/.bin/tsc');
  const result = spawnSync(tsc, [...options, '', 'use.ts', 'index.d.ts'], { cwd: folder, encoding: 'utf8' });
  return result.stdout + result.stderr;
}

describe('verify', () => {
  test('finds another byte anywhere', async () => {
    const { files } = await compileGraph(smallNet());
    const missed: string[] = [];
    let tried = 0;
    for (const [name, bytes] of files) {
      // a prime step visits every kind of place in the larger files; the manifest is read byte by byte
      const step = name === 'manifest.json' ? 1 : Math.max(1, Math.floor(bytes.length / 53));
      for (let at = 0; at < bytes.length; at += step) {
        const changed = bytes.slice();
        changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8));
        const problems = await verifyBundle(readerOf(new Map([...files, [name, changed]])));
        tried++;
        if (problems[0]?.code !== 'bundle-corrupt') missed.push(`${name}[${at}]`);
      }
    }
    expect(missed).toEqual([]);
    expect(tried).toBeGreaterThan(1000);
  });

  test('finds files that are missing, longer or shorter, all at once', async () => {
    const { files } = await compileGraph(smallNet());
    const broken = new Map(files);
    broken.delete('index.d.ts');
    broken.set('weights.bin', new Uint8Array(3));
    const problems = await verifyBundle(readerOf(broken));
    expect(problems.map((d) => `${d.subject}: ${d.message}`)).toEqual([
      'index.d.ts: this file is missing',
      expect.stringMatching(/^weights\.bin: it has 3 bytes; the manifest says \d+$/),
    ]);
    broken.delete('manifest.json');
    expect((await verifyBundle(readerOf(broken))).map((d) => d.subject)).toEqual(['manifest.json']);
  });

  test.each([
    ['{', 'not JSON'],
    ['[]', 'not the manifest'],
    ['{"abi":99}', 'it has version 99; this convolith reads 3'],
    ['{"abi":3}', 'fields are missing'],
  ])('refuses the manifest %s', async (manifest, message) => {
    const [problem] = await verifyBundle(() => new TextEncoder().encode(manifest));
    expect(problem?.message).toContain(message);
  });

  test('asks only for names in the folder', async () => {
    const { files, manifest } = await compileGraph(smallNet());
    const evil = { ...manifest, files: { ...manifest.files, '../secret': { bytes: 1, sha256: '' } } };
    const asked: string[] = [];
    const [problem] = await verifyBundle((name) => {
      asked.push(name);
      return name === 'manifest.json' ? new TextEncoder().encode(JSON.stringify(evil)) : files.get(name);
    });
    expect(problem?.message).toContain('fields are missing or ill-typed');
    expect(asked).toEqual(['manifest.json']);
  });
});

test('of a large output, a part and a checksum are kept', async () => {
  const b = new Builder('large');
  b.output('y', b.relu(b.input('x', [1, 1, 400, 400])));
  const { files, manifest } = await compileGraph(b.graph);
  expect(manifest.selfTest.outputs).toMatchObject([{ name: 'y', samples: 4096 }]);
  expect(files.get('selftest.bin')).toHaveLength(4 * 4096);
  expect(await verifyBundle(readerOf(files))).toEqual([]);
});
