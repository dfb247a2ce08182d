/** A change that should leave generated code as it is leaves these digests as they are. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { test } from 'vitest';
import { readModel } from '#compiler/files/index.ts';
import { wasmTarget } from '#compiler/targets/wasm/index.ts';
import { runPipeline } from '#passes/pass.ts';
import { graphPipeline, lowerPipeline } from '#passes/pipeline.ts';
import { repositoryFolder, withModels, zooModel } from '../support/collection.ts';
import { expectGolden } from '../support/golden.ts';
import { functionBodies } from '../support/wasm-binary.ts';

async function expectDigests(name: string, path: string): Promise<void> {
  const { graph } = await readModel(path, { requireWeights: true });
  runPipeline(graph, graphPipeline);
  runPipeline(graph, lowerPipeline);
  const { bytes, kernels } = wasmTarget.emit(wasmTarget.lower(graph));
  // the kernels come first, in this order
  const bodies = functionBodies(bytes);
  const lines = kernels.map((label, i) => {
    const digest = createHash('sha256').update(bodies[i] ?? new Uint8Array());
    return `${digest.digest('hex').slice(0, 16)}  ${bodies[i]?.length} B  ${label}`;
  });
  expectGolden(`kernels/${name}.txt`, `${lines.join('\n')}\n`);
}

test.each(['mnist-vgg', 'mnist-shufflenet'])('kernels of %s', async (name) => {
  await expectDigests(name, join(repositoryFolder, `examples/mnist/models/${name}.onnx`));
});

withModels.test('kernels of mobilenet_v2', async () => {
  const { model } = await zooModel('mobilenet_v2');
  await expectDigests('mobilenet_v2', model);
});
