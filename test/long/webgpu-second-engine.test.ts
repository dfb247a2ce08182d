/** Bundles on a second implementation of WebGPU: it accepts every kernel and gives what WebAssembly gives. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { compileGraph } from '#compiler/compile.ts';
import { loadBundle } from '#compiler/files/index.ts';
import { emitProgram, lowerGraph } from '#compiler/targets/webgpu/index.ts';
import type { Graph } from '#ir/graph.ts';
import { elementCount } from '#ir/types.ts';
import { ARRAYS, seededInput } from '#runtime/abi.ts';
import { compareOutputs, RELATIVE_BOUND } from '../support/agreement.ts';
import { write } from '../support/bundles.ts';
import { collectionFile, withModels } from '../support/collection.ts';
import { complaintsInDeno, floatsOf, runInDeno, type Shader, withDeno } from '../support/deno.ts';
import { mnistGraph, ocrClassifier, zooGraph } from '../support/networks.ts';
import { caseFolders, runCaseOnGpu } from '../support/onnx-cases.ts';

const SEED = 9;

const NETWORKS: readonly [name: string, graph: () => Promise<Graph>][] = [
  ['mnist-vgg', () => mnistGraph('mnist-vgg')],
  ['mnist-shufflenet', () => mnistGraph('mnist-shufflenet')],
  ['mobilenet_v2', () => zooGraph('mobilenet_v2', [64, 64])],
  ['squeezenet1_1', () => zooGraph('squeezenet1_1', [64, 64])],
  ['shufflenet_v1_g3', () => zooGraph('shufflenet_v1_g3')],
  ['resnet18', () => zooGraph('resnet18', [64, 64])],
  ['googlenet', () => zooGraph('googlenet', [64, 64])],
  ['efficientnet_b0', () => zooGraph('efficientnet_b0', [64, 64])],
  ['convnext_tiny', () => zooGraph('convnext_tiny', [64, 64])],
  ['densenet121', () => zooGraph('densenet121', [64, 64])],
  ['unet', () => zooGraph('unet', [64, 64])],
  ['espcn_x3', () => zooGraph('espcn_x3')],
  ['dcgan_generator', () => zooGraph('dcgan_generator')],
  ['wavenet1d', () => zooGraph('wavenet1d', [512])],
  ['r3d_18', () => zooGraph('r3d_18', [4, 32, 32])],
  ['PP-OCR cls', ocrClassifier],
];

withModels.describe('bundles in Deno', () => {
  withDeno().describe('give what WebAssembly gives', () => {
    test.each(NETWORKS)('%s', async (name, graph) => {
      const folder = await write(await compileGraph(await graph(), { target: ['wasm', 'webgpu'] }));
      const wasm = await loadBundle(folder, { backend: 'wasm', warmup: false });
      const inputs = wasm.info.inputs.map((tensor, i) => [
        tensor.name,
        seededInput(tensor as Parameters<typeof seededInput>[0], SEED, i),
      ]);
      const want = await wasm.run(Object.fromEntries(inputs));
      const got = await runInDeno(folder, SEED);
      expect(got).toMatchObject({ backend: 'webgpu', engine: expect.stringMatching(/swiftshader/i) });
      expect(Object.keys(got.outputs)).toEqual(Object.keys(want));
      for (const { name: output, shape } of wasm.info.outputs) {
        const { relative } = compareOutputs(
          want[output] as Float32Array,
          floatsOf(got.outputs[output]),
          shape,
        );
        console.log(`${name} ${output}: ${relative.toExponential(1)} off`);
        expect(relative).toBeLessThanOrEqual(RELATIVE_BOUND);
      }
    });
  });

  withDeno().test('accepts the kernels of every official case', async () => {
    const folder = collectionFile('onnx-node-tests');
    const shaders: Shader[] = [];
    for (const name of caseFolders(folder)) {
      await runCaseOnGpu(join(folder, name), async (graph) => {
        const { wgsl, plan } = emitProgram(lowerGraph(graph));
        shaders.push({ name, wgsl, kernels: plan.kernels });
        return graph.outputs.map(({ value }) => new ARRAYS[value.type.dtype](elementCount(value.type.shape)));
      });
    }
    console.log(`${shaders.length} programs, ${shaders.flatMap(({ kernels }) => kernels).length} kernels`);
    expect(shaders.length).toBeGreaterThan(0);
    expect(await complaintsInDeno(shaders)).toBe('');
    const broken = { name: 'broken', wgsl: 'fn f() { let x: i32 = 1.0; }', kernels: [] };
    expect(await complaintsInDeno([broken])).toMatch(/^broken: /);
  });
});
