import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { launchBrowser, serve, withBrowser } from '../support/browser.ts';
import { collectionFile, repositoryFolder, withModels, zooModel, zooNames } from '../support/collection.ts';
import { runOnnxruntime } from '../support/onnxruntime.ts';

withModels.describe('the model collection', () => {
  withModels.test('onnxruntime runs a model from a file and from bytes', async () => {
    const file = collectionFile('models/mnist-vgg.onnx');
    const image = { data: new Float32Array(2 * 28 * 28).fill(0.5), shape: [2, 1, 28, 28] };
    const { logits } = await runOnnxruntime(file, { image });
    expect(logits?.shape).toEqual([2, 10]);
    expect(await runOnnxruntime(readFileSync(file), { image })).toEqual({ logits });
  });

  withModels.test('a zoo network gets its weights once and runs with them', async () => {
    expect(zooNames()).toContain('mobilenet_v2');
    const [network, again] = await Promise.all([zooModel('mobilenet_v2'), zooModel('mobilenet_v2')]);
    expect(again).toEqual(network);
    const size = network.inputShape.reduce((product, extent) => product * extent, 1);
    const feeds = { input: { data: new Float32Array(size).fill(0.5), shape: network.inputShape } };
    const { output } = await runOnnxruntime(network.model, feeds, { optimization: 'disabled' });
    expect(output).toMatchObject({ shape: [1, 1000], type: 'float32' });
    expect([...(output?.data ?? [])].every(Number.isFinite)).toBe(true);
  });
});

withBrowser.test('the browser loads modules from the file server, isolated where asked', async () => {
  const files = { '/index.html': '<!doctype html><title>support</title>' };
  const server = await serve(repositoryFolder, { crossOriginIsolated: true, files });
  const browser = await launchBrowser();
  try {
    const page = await browser.newPage();
    await page.goto(`${server.url}/`);
    // text, not functions: the test runner rewrites import() in functions
    expect(await page.evaluate('crossOriginIsolated')).toBe(true);
    const codec = '/compiler/import/onnx/generated/onnx-proto.js';
    expect(await page.evaluate(`import('${codec}').then(Object.keys)`)).toContain('ModelProto');
    expect(await page.evaluate("fetch('/..%2f..%2fetc/passwd').then((answer) => answer.status)")).toBe(404);
    expect(server.requests).toContain(codec);
  } finally {
    await browser.close();
    await server.close();
  }
});
