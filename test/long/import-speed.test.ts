import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { importOnnx } from '#compiler/import/onnx/index.ts';
import { withModels, zooModel } from '../support/collection.ts';
import { withWeightsInside } from '../support/inline.ts';

withModels.test('the 102 MB of ResNet-50 are imported in less than 0.2 s, and not copied', async () => {
  const { model: path, weights } = await zooModel('resnet50');
  const bytes = withWeightsInside(readFileSync(path), readFileSync(weights));
  expect(bytes.length).toBeGreaterThan(100e6);
  // the best of several: what else runs on the machine is not the question
  const times = Array.from({ length: 7 }, () => {
    const start = performance.now();
    importOnnx(bytes);
    return performance.now() - start;
  });
  const before = process.memoryUsage().arrayBuffers;
  const { graph } = importOnnx(bytes);
  const copied = process.memoryUsage().arrayBuffers - before;
  console.info(`${Math.min(...times).toFixed(0)} ms, ${(copied / 1024).toFixed(0)} KiB copied`);
  expect(graph.nodes.length).toBeGreaterThan(100);
  expect(copied).toBeLessThan(2 ** 20);
  expect(Math.min(...times)).toBeLessThan(200);
});
