import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { verifyBundle } from '#compiler/bundle/verify.ts';
import type { CompiledBundle } from '#compiler/compile-options.ts';
import { folderReader, loadBundle, writeBundle } from '#compiler/files/index.ts';
import { seededInput } from '#runtime/abi.ts';
import { launchBrowser, type StaticServer, serve, withBrowser } from '../support/browser.ts';
import { compileFile, temporaryFolder } from '../support/bundles.ts';
import { collectionFile, repositoryFolder, withModels, zooModel } from '../support/collection.ts';
import { Random } from '../support/graphs.ts';
import { runOnnxruntime } from '../support/onnxruntime.ts';

const MNIST = ['mnist-vgg', 'mnist-shufflenet'];
const mnist = (name: string) => collectionFile(`models/${name}.onnx`);

/** Every bundle of these tests, by name, under one folder. */
let root: string;
const bundles = new Map<string, CompiledBundle>();
const bundle = (name: string): CompiledBundle => {
  const known = bundles.get(name);
  if (!known) throw new Error(`no bundle ${name}`);
  return known;
};

async function prepare(): Promise<void> {
  root = await temporaryFolder();
  const paths = MNIST.map((name) => [name, mnist(name)] as const);
  for (const [name, path] of [...paths, ['mobilenet_v2', (await zooModel('mobilenet_v2')).model] as const]) {
    const compiled = await compileFile(path, { name });
    bundles.set(name, compiled);
    await writeBundle(join(root, name), compiled.files);
  }
}

/** In the page: outputs of the bundle as plain arrays of bits, on the input that the seed stands for. */
const inPage = (name: string, input: string, values: number[], options: object = { relaxed: false }) => `
  const { load } = await import('/${name}/index.js');
  const model = await load(${JSON.stringify(options)});
  const outputs = await model.run({ ${JSON.stringify(input)}: new Float32Array(${JSON.stringify(values)}) });
  return Object.fromEntries(Object.entries(outputs).map(([k, v]) => [k, [...new Uint32Array(v.buffer)]]));
`;

const bitsOf = (outputs: Record<string, ArrayBufferView>) =>
  Object.fromEntries(
    Object.entries(outputs).map(([name, data]) => [
      name,
      [...new Uint32Array(data.buffer, data.byteOffset, data.byteLength / 4)],
    ]),
  );

withModels.describe('bundles of whole networks', () => {
  beforeAll(prepare, 120_000);

  test.each([...MNIST, 'mobilenet_v2'])('%s verifies, and runs as onnxruntime does', async (name) => {
    expect(await verifyBundle(folderReader(join(root, name)))).toEqual([]);
    const model = await loadBundle(join(root, name));
    const [input] = model.info.inputs;
    const { data } = new Random(3).tensor(input?.shape ?? []);
    const outputs = await model.run({ [input?.name ?? '']: data });
    const path = name === 'mobilenet_v2' ? (await zooModel(name)).model : mnist(name);
    const expected = await runOnnxruntime(path, {
      [input?.name ?? '']: { data: data as Float32Array, shape: input?.shape ?? [] },
    });
    for (const [output, { data: want }] of Object.entries(expected)) {
      const scale = Math.max(...Array.from(want as Float32Array, Math.abs));
      const got = outputs[output] as Float32Array;
      const worst = got.reduce((w, x, i) => Math.max(w, Math.abs(x - Number(want[i]))), 0);
      expect(worst / scale).toBeLessThan(1e-4);
    }
  });

  test('the module for relaxed SIMD verifies on an engine that has it', () => {
    const flags = ['--experimental-wasm-relaxed-simd', '--experimental-wasm-memory64'];
    const cli = join(repositoryFolder, 'dist/cli.js');
    const verify = [...flags, cli, 'verify', join(root, 'mobilenet_v2')];
    const { status, stdout, stderr } = spawnSync(process.execPath, verify, { encoding: 'utf8' });
    expect({ status, problems: stderr.includes('error') }).toEqual({ status: 0, problems: false });
    expect(stdout).toContain('mobilenet_v2');
  });

  test('code is tens of kilobytes, memory is weights, arena and less than a megabyte', () => {
    for (const { files, stats } of bundles.values()) {
      const script = files.get('index.js')?.length ?? Number.NaN;
      expect(script + stats.moduleBytes).toBeLessThan(150_000);
      expect(stats.memoryBytes).toBeLessThanOrEqual(stats.weightBytes + stats.arenaBytes + 2 ** 20);
    }
    const { stats, files } = bundle('mobilenet_v2');
    console.info(
      `mobilenet_v2: index.js ${files.get('index.js')?.length} bytes, model.wasm ${stats.moduleBytes} bytes`,
    );
  });

  test.each(MNIST)('%s: a batch of 8 is eight batches of 1', async (name) => {
    const eight = await compileFile(mnist(name), { dims: { batch: 8 } });
    const folder = join(root, `${name}-8`);
    await writeBundle(folder, eight.files);
    const [one, all] = [await loadBundle(join(root, name)), await loadBundle(folder)];
    const images = seededInput({ dtype: 'f32', shape: [8, 784] }, 5, 0) as Float32Array;
    const { logits } = await all.run({ image: images });
    const scale = Math.max(...Array.from(logits as Float32Array, Math.abs));
    for (let i = 0; i < 8; i++) {
      const single = await one.run({ image: images.slice(784 * i, 784 * (i + 1)) });
      const part = (logits as Float32Array).subarray(10 * i, 10 * (i + 1));
      // kernels of another shape add in another order
      part.forEach((x, k) => {
        expect(Math.abs(x - Number(single.logits?.[k]))).toBeLessThan(1e-5 * scale);
      });
    }
  });
});

const canBrowse = (title: string, body: () => void) =>
  withModels.describe(title, () => withBrowser.describe('in Chromium', body));

canBrowse('bundles and compiler', () => {
  let server: StaticServer;
  let browser: Browser;
  let page: Page;
  let close: () => Promise<void>;

  beforeAll(async () => {
    await prepare();
    const files = {
      '/index.html': '<!doctype html><title>bundles</title>',
      '/compiler.js': await compilerScript(),
    };
    const policy =
      "default-src 'self'; script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval'; connect-src 'self'";
    server = await serve(root, { files, headers: { 'content-security-policy': policy } });
    browser = await launchBrowser();
    page = await browser.newPage();
    await page.goto(`${server.url}/`);
    close = async () => {
      await browser.close();
      await server.close();
    };
  }, 120_000);
  afterAll(() => close?.());

  /** Runs the body of an async function in the page: text, as the test runner rewrites import() in functions. */
  const run = (body: string) => page.evaluate(`(async () => {${body}})()`);

  test.each([
    ['mnist-vgg', 'image'],
    ['mnist-shufflenet', 'image'],
    ['mobilenet_v2', 'input'],
  ])('%s gives the same bits as in Node', async (name, input) => {
    const model = await loadBundle(join(root, name), { relaxed: false });
    const data = seededInput(
      { dtype: 'f32', shape: model.info.inputs[0]?.shape ?? [] },
      9,
      0,
    ) as Float32Array;
    const before = server.requests.length;
    const got = await run(inPage(name, input, [...data]));
    expect(got).toEqual(bitsOf(await model.run({ [input]: data })));
    // its own files, each once, and nothing else; no eval, which the content security policy would have stopped
    expect(server.requests.slice(before).sort()).toEqual(
      ['index.js', 'model.wasm', 'weights.bin'].map((file) => `/${name}/${file}`),
    );
  });

  test('the module for relaxed SIMD differs from the baseline in rounding only', async () => {
    const model = await loadBundle(join(root, 'mobilenet_v2'), { relaxed: false });
    const [{ name: input = '', shape = [] } = {}] = model.info.inputs;
    const data = seededInput({ dtype: 'f32', shape }, 9, 0) as Float32Array;
    const before = server.requests.length;
    const got = (await run(inPage('mobilenet_v2', input, [...data], {}))) as Record<string, number[]>;
    expect(server.requests.slice(before)).toContain('/mobilenet_v2/model.relaxed.wasm');
    for (const [name, want] of Object.entries(await model.run({ [input]: data })) as [
      string,
      Float32Array,
    ][]) {
      const values = new Float32Array(Uint32Array.from(got[name] ?? []).buffer);
      const scale = Math.max(...want.map(Math.abs));
      const worst = want.reduce((w, x, i) => Math.max(w, Math.abs(x - (values[i] ?? Number.NaN))), 0);
      // a bundle's own tolerance is ten times as much
      expect(worst / scale).toBeLessThan(1e-5);
      expect(values).not.toEqual(want);
    }
  });

  test('a worker gives the same bits too', async () => {
    const data = seededInput({ dtype: 'f32', shape: [784] }, 9, 0) as Float32Array;
    await writeWorker(inPage('mnist-vgg', 'image', [...data]));
    const got = await run(`
      const worker = new Worker('/worker.js', { type: 'module' });
      return new Promise((resolve, reject) => {
        worker.onmessage = (event) => resolve(event.data);
        worker.onerror = (event) => reject(new Error(event.message));
      });`);
    const model = await loadBundle(join(root, 'mnist-vgg'), { relaxed: false });
    expect(got).toEqual(bitsOf(await model.run({ image: data })));
  });

  test('files that are missing are named', async () => {
    await writeBundle(join(root, 'broken'), bundle('mnist-vgg').files);
    const { rm } = await import('node:fs/promises');
    await rm(join(root, 'broken/weights.bin'));
    const message = await run(
      "const { load } = await import('/broken/index.js'); return load().catch((e) => e.message);",
    );
    expect(message).toMatch(/\/broken\/weights\.bin cannot be loaded: HTTP 404/);
  });

  test('loading reports progress, verifies, and can be aborted', async () => {
    const result = await run(`
      const { load } = await import('/mobilenet_v2/index.js');
      const seen = [];
      const model = await load({ verify: true, onProgress: (stage, fraction) => seen.push([stage, fraction]) });
      const controller = new AbortController();
      const aborted = load({ signal: controller.signal, onProgress: () => controller.abort() }).then(() => 'loaded', (e) => e.name);
      return [seen.filter(([stage]) => stage === 'weights').length, seen.at(-1)[0], model.info.memoryBytes, await aborted];`);
    const [chunks, last, memory, aborted] = result as [number, string, number, string];
    expect(chunks).toBeGreaterThan(1);
    expect([last, aborted]).toEqual(['warmup', 'AbortError']);
    expect(memory).toBe(bundle('mobilenet_v2').stats.memoryBytes);
  });

  test('the demo page runs the network', async () => {
    const demo = await browser.newPage();
    const errors: string[] = [];
    demo.on('pageerror', (error) => errors.push(error.message));
    await demo.goto(`${server.url}/mnist-vgg/demo.html`);
    await demo.locator('body[data-runs]').waitFor({ state: 'attached' });
    await demo.click('text=Run 20 times');
    await demo.getByText('ms on average').waitFor();
    expect(await demo.locator('.bar').count()).toBe(10);
    expect(await demo.locator('#problem').isVisible()).toBe(false);
    expect(errors).toEqual([]);
    await demo.close();
  });

  test('the demo page gives pictures as bytes to a network that takes them', async () => {
    const preprocess = {
      mean: 0.1307,
      std: 0.3081,
      source: { width: 60, height: 40 },
      resize: 'cover',
    } as const;
    const compiled = await compileFile(mnist('mnist-vgg'), { name: 'pictures', preprocess });
    await writeBundle(join(root, 'pictures'), compiled.files);
    const demo = await browser.newPage();
    await demo.goto(`${server.url}/pictures/demo.html`);
    await demo.locator('body[data-runs]').waitFor({ state: 'attached' });
    expect(await demo.locator('canvas.pad').evaluate((c: HTMLCanvasElement) => [c.width, c.height])).toEqual([
      60, 40,
    ]);
    expect(await demo.locator('.bar').count()).toBe(10);
    expect(await demo.locator('#problem').isVisible()).toBe(false);
    await demo.close();
    // an ImageData as it is, in the page; its bytes, here
    const logits = await run(`
      const { load } = await import('/pictures/index.js');
      const image = new ImageData(60, 40);
      image.data.forEach((_, i) => { image.data[i] = i % 251; });
      return [...(await (await load({ relaxed: false })).run({ image })).logits];`);
    const model = await loadBundle(join(root, 'pictures'), { relaxed: false });
    const data = Uint8Array.from({ length: 9600 }, (_, i) => i % 251);
    expect(logits).toEqual([...((await model.run({ image: data })).logits as Float32Array)]);
  });

  test('the compiler in a tab writes the same bytes as in Node', async () => {
    await writeFileAt('mnist-vgg.onnx', new Uint8Array(readFileSync(mnist('mnist-vgg'))));
    const digests = await run(`
      const { compileModel, verifyBundle } = await import('/compiler.js');
      const bytes = new Uint8Array(await (await fetch('/mnist-vgg.onnx')).arrayBuffer());
      const { files, manifest } = await compileModel(bytes, { name: 'mnist-vgg' });
      const problems = await verifyBundle((name) => files.get(name));
      return [[...files].map(([name, content]) => [name, content.length]), manifest, problems];`);
    const { files, manifest } = bundle('mnist-vgg');
    // the manifest has the SHA-256 of every file, and its own
    expect(digests).toEqual([[...files].map(([name, content]) => [name, content.length]), manifest, []]);
  });

  const writeFileAt = async (name: string, content: string | Uint8Array) => {
    const { writeFile } = await import('node:fs/promises');
    await writeFile(join(root, name), content);
  };
  const writeWorker = (body: string) =>
    writeFileAt('worker.js', `(async () => {${body}})().then((result) => postMessage(result));`);
});

/** The public API as one module, as a page would get it from a bundler. */
async function compilerScript(): Promise<string> {
  const { outputFiles } = await build({
    absWorkingDir: repositoryFolder,
    entryPoints: ['compiler/index.ts'],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    logLevel: 'error',
  });
  return outputFiles[0]?.text ?? '';
}
