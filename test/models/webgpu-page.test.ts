/** Pages that run a bundle on WebGPU, in headless Chromium with its software adapter, and pages that cannot. */
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadBundle, writeBundle } from '#compiler/files/index.ts';
import { seededInput } from '#runtime/abi.ts';
import { launchBrowser, type StaticServer, serve, withBrowser } from '../support/browser.ts';
import { compileFile, temporaryFolder } from '../support/bundles.ts';
import { collectionFile, withModels, zooModel } from '../support/collection.ts';

const NETWORKS = [
  ['mnist-vgg', 'image', 'logits'],
  ['mobilenet_v2', 'input', 'output'],
] as const;

interface Answer {
  readonly backend: string;
  readonly note: string | null;
  readonly engine: string;
  readonly data: number[];
}

withModels.describe('bundles on WebGPU', () => {
  withBrowser.describe('in Chromium', () => {
    let root: string;
    let server: StaticServer;
    const browsers: Browser[] = [];
    const codeBytes = new Map<string, (part: RegExp) => number>();

    beforeAll(async () => {
      root = await temporaryFolder();
      for (const [name] of NETWORKS) {
        const path =
          name === 'mnist-vgg' ? collectionFile(`models/${name}.onnx`) : (await zooModel(name)).model;
        const { files } = await compileFile(path, { name, target: ['wasm', 'webgpu'] });
        codeBytes.set(name, (part: RegExp) =>
          [...files].reduce((sum, [file, bytes]) => sum + (part.test(file) ? bytes.length : 0), 0),
        );
        await writeBundle(join(root, name), files);
      }
      const alone = await compileFile(collectionFile('models/mnist-vgg.onnx'), { target: ['webgpu'] });
      await writeBundle(join(root, 'gpu-alone'), alone.files);
      const files = { '/index.html': '<!doctype html><title>bundles</title>' };
      server = await serve(root, { files });
    }, 120_000);
    afterAll(async () => {
      for (const browser of browsers) await browser.close();
      await server?.close();
    });

    async function openPage(args: readonly string[]): Promise<Page> {
      const browser = await launchBrowser({ args });
      browsers.push(browser);
      const page = await browser.newPage();
      await page.goto(`${server.url}/`);
      return page;
    }

    const answer = (
      page: Page,
      name: string,
      backend: string,
      input: string,
      output: string,
      data: Float32Array,
    ) =>
      page.evaluate(`(async () => {
        const { load } = await import('/${name}/index.js');
        const model = await load({ backend: '${backend}', warmup: false });
        const outputs = await model.run({ ${input}: new Float32Array(${JSON.stringify([...data])}) });
        const { backend, backendNote: note = null, engine } = model.info;
        return { backend, note, engine, data: [...outputs.${output}] };
      })()`) as Promise<Answer>;

    const inputOf = (model: Awaited<ReturnType<typeof loadBundle>>) =>
      seededInput({ dtype: 'f32', shape: model.info.inputs[0]?.shape ?? [] }, 9, 0) as Float32Array;

    test.each(NETWORKS)('%s gives the answer of WebAssembly in Node', async (name, input, output) => {
      const page = await openPage(['--enable-unsafe-webgpu']);
      const model = await loadBundle(join(root, name), { backend: 'wasm' });
      const data = inputOf(model);
      const want = (await model.run({ [input]: data }))[output] as Float32Array;
      const got = await answer(page, name, 'webgpu', input, output, data);
      expect(got).toMatchObject({ backend: 'webgpu', note: null });
      expect(got.data).toHaveLength(want.length);
      const scale = Math.max(...want.map(Math.abs));
      const worst = Math.max(...got.data.map((x, i) => Math.abs(x - (want[i] ?? Number.NaN))));
      expect(worst / scale).toBeLessThan(1e-4);
    });

    test('a device that is lost during a run is named and replaced', async () => {
      const page = await openPage(['--enable-unsafe-webgpu']);
      const { messages, before, after } = (await page.evaluate(`(async () => {
        const { load } = await import('/mnist-vgg/index.js');
        const model = await load({ backend: 'webgpu', warmup: false });
        const image = new Float32Array(784).map((_, i) => Math.sin(i));
        const run = async () => [...(await model.run({ image })).logits];
        const before = await run();
        const messages = [];
        for (const kind of ['run', 'runOnDevice']) {
          const running = model[kind]({ image });
          model.device.destroy();
          messages.push(await running.then(() => 'no error', (error) => error.message));
          await run();
        }
        model.device.destroy();
        messages.push(await model.runOnDevice({ image }).then(() => 'no error', (error) => error.message));
        return { messages, before, after: await run() };
      })()`)) as { messages: string[]; before: number[]; after: number[] };
      for (const message of messages)
        expect(message).toMatch(/^the device was lost during this run \(.+\); run again$/);
      expect(messages).toHaveLength(3);
      expect(after).toEqual(before);
    });

    test('code is a hundred kilobytes, and twice that for both backends', () => {
      const bytes = codeBytes.get('mobilenet_v2');
      const [gpu, all] = [bytes?.(/\.(js|wgsl)$/), bytes?.(/\.(js|wgsl|wasm)$/)];
      console.info(`mobilenet_v2: js and wgsl ${gpu} bytes, with every wasm ${all} bytes`);
      expect(gpu).toBeLessThan(120_000);
      expect(all).toBeLessThan(250_000);
    });

    test('a page without an adapter falls back and says so', async () => {
      const page = await openPage([]);
      const model = await loadBundle(join(root, 'mnist-vgg'), { backend: 'wasm' });
      const data = inputOf(model);
      const got = await answer(page, 'mnist-vgg', 'auto', 'image', 'logits', data);
      expect(got.backend).toBe('wasm');
      expect(got.note).toMatch(/no WebGPU|no adapter|software/);
      await expect(answer(page, 'mnist-vgg', 'webgpu', 'image', 'logits', data)).rejects.toThrow(/WebGPU/);
    });

    /** What a bundle's own page shows of a network with ten outputs, on inputs that chance would choose. */
    async function demo(name: string) {
      const page = await openPage(['--enable-unsafe-webgpu']);
      const errors: string[] = [];
      page.on('pageerror', (error) => errors.push(error.message));
      await page.addInitScript(
        '{ let n = 1; Math.random = () => (n = (16807 * n) % 2147483647) / 2147483647; }',
      );
      await page.goto(`${server.url}/${name}/demo.html`);
      await page.waitForFunction(
        'Number(document.body.dataset.runs) > 0 || !document.querySelector("#problem").hidden',
      );
      expect(errors).toEqual([]);
      const bars = await page.locator('#outputs .bar span:last-child').allTextContents();
      return { facts: (await page.locator('#facts').textContent()) ?? '', values: bars.map(Number) };
    }

    test('the pages of the bundles themselves run, and show the same on a GPU and on WebAssembly', async () => {
      // a software adapter is left alone where there is WebAssembly too
      const [both, alone] = [await demo('mnist-vgg'), await demo('gpu-alone')];
      expect(both.facts).toMatch(/^wasm · /);
      expect(alone.facts).toMatch(/^webgpu · /);
      expect(both.values).toHaveLength(10);
      const scale = Math.max(...both.values.map(Math.abs));
      // a page shows five digits
      both.values.forEach((x, i) => {
        expect(Math.abs(x - (alone.values[i] ?? Number.NaN)) / scale).toBeLessThan(1e-4);
      });
    });
  });
});
