/** A bundle and onnxruntime-web's WebGPU provider in pages of headless Chromium, on its software adapter. */
import { readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Browser } from 'playwright-core';
import { writeBundle } from '#compiler/files/index.ts';
import { launchBrowser, type StaticServer, serve } from './browser.ts';
import { compileFile, temporaryFolder } from './bundles.ts';
import { zooModel } from './collection.ts';

/** What one page measured. */
export interface PageRun {
  /** From nothing loaded to the first result. */
  readonly firstResultMs: number;
  /** Dispatches of a run after that. */
  readonly dispatches: number;
  readonly output: readonly number[];
}

/** Pages that run networks of the collection; each run is in a page of its own, where nothing is kept. */
export class NetworkPages {
  readonly #browser: Browser;
  readonly #server: StaticServer;
  readonly #folder: string;

  private constructor(browser: Browser, server: StaticServer, folder: string) {
    this.#browser = browser;
    this.#server = server;
    this.#folder = folder;
  }

  static async open(): Promise<NetworkPages> {
    const folder = await temporaryFolder();
    const dist = new URL('../../node_modules/onnxruntime-web/dist/', import.meta.url);
    const names = [
      'ort.webgpu.min.mjs',
      'ort-wasm-simd-threaded.asyncify.mjs',
      'ort-wasm-simd-threaded.asyncify.wasm',
    ];
    for (const name of names) await writeFile(join(folder, name), await readFile(new URL(name, dist)));
    const server = await serve(folder, { files: { '/index.html': '<!doctype html><title>network</title>' } });
    return new NetworkPages(await launchBrowser({ args: ['--enable-unsafe-webgpu'] }), server, folder);
  }

  async close(): Promise<void> {
    await this.#browser.close();
    await this.#server.close();
  }

  /** Puts a network and its bundle where pages find them. */
  async add(name: string): Promise<Network> {
    const { model } = await zooModel(name);
    const { files, manifest } = await compileFile(model, { name, target: ['wasm', 'webgpu'] });
    await writeBundle(join(this.#folder, name), files);
    const weights = model.replace(/\.onnx$/, '.weights');
    for (const file of [model, weights])
      await writeFile(join(this.#folder, basename(file)), await readFile(file));
    const [input, output] = [manifest.inputs[0], manifest.outputs[0]];
    if (!input || !output) throw new Error(`${name} has an input and an output`);
    return { name, input: input.name, output: output.name, shape: input.shape };
  }

  convolith({ name, input, output, shape }: Network): Promise<PageRun> {
    return this.#run(
      shape,
      `
      const { load } = await import('/${name}/index.js');
      const model = await load({ backend: 'webgpu', warmup: false });
      const run = async () => (await model.run({ '${input}': data }))['${output}'];`,
    );
  }

  onnxruntime({ name, input, output, shape }: Network): Promise<PageRun> {
    return this.#run(
      shape,
      `
      const ort = await import('/ort.webgpu.min.mjs');
      ort.env.wasm.numThreads = 1;
      ort.env.logLevel = 'error';
      const session = await ort.InferenceSession.create('/${name}.onnx', {
        executionProviders: ['webgpu'],
        externalData: [{ path: '${name}.weights', data: '/${name}.weights' }],
      });
      const run = async () => {
        const results = await session.run({ '${input}': new ort.Tensor('float32', data, ${JSON.stringify(shape)}) });
        return results['${output}'].getData();
      };`,
    );
  }

  async #run(shape: readonly number[], setup: string): Promise<PageRun> {
    const context = await this.#browser.newContext();
    try {
      const page = await context.newPage();
      await page.goto(`${this.#server.url}/`);
      return (await page.evaluate(`(async () => {
        let dispatches = 0;
        for (const name of ['dispatchWorkgroups', 'dispatchWorkgroupsIndirect']) {
          const original = GPUComputePassEncoder.prototype[name];
          GPUComputePassEncoder.prototype[name] = function (...sizes) {
            dispatches++;
            return original.apply(this, sizes);
          };
        }
        const data = Float32Array.from({ length: ${shape.reduce((a, b) => a * b, 1)} }, (_, i) => Math.sin(i));
        const begin = performance.now();
        ${setup}
        const output = [...(await run())];
        const firstResultMs = performance.now() - begin;
        dispatches = 0;
        await run();
        return { firstResultMs, dispatches, output };
      })()`)) as PageRun;
    } finally {
      await context.close();
    }
  }
}

export interface Network {
  readonly name: string;
  readonly input: string;
  readonly output: string;
  readonly shape: readonly number[];
}
