/** Bundles on a second implementation of WebGPU: it accepts every kernel and gives what WebAssembly gives. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { compileGraph } from '#compiler/compile.ts';
import { emitProgram, lowerGraph } from '#compiler/targets/webgpu/index.ts';
import type { Graph } from '#ir/graph.ts';
import { elementCount } from '#ir/types.ts';
import { ARRAYS } from '#runtime/abi.ts';
import { RELATIVE_BOUND } from '../support/agreement.ts';
import { smallNet, write } from '../support/bundles.ts';
import { collectionFile, withModels } from '../support/collection.ts';
import {
  complaintsInDeno,
  differenceInDeno,
  LAVAPIPE,
  lossInDeno,
  onDeviceInDeno,
  type Shader,
  withDeno,
} from '../support/deno.ts';
import { randomGraph } from '../support/graphs.ts';
import { mnistGraph, ocrClassifier, zooGraph } from '../support/networks.ts';
import { caseFolders, runCaseOnGpu } from '../support/onnx-cases.ts';
import { optimisedForGpu, refusalsOf } from '../support/webgpu.ts';

/** Eleven bits for every weight and every value between layers. */
const HALF_BOUND = 5e-3;

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

const IN_HALVES = NETWORKS.filter(([name]) =>
  ['mnist-vgg', 'mobilenet_v2', 'resnet18', 'squeezenet1_1', 'efficientnet_b0', 'PP-OCR cls'].includes(name),
);

withModels.describe('bundles in Deno', () => {
  withDeno().describe('give what WebAssembly gives', () => {
    test.each(NETWORKS)('%s', async (name, graph) => {
      const { backend, engine, relative } = await differenceInDeno(await graph());
      console.log(`${name}: ${relative.toExponential(1)} off`);
      expect(backend).toBe('webgpu');
      expect(engine).toMatch(/swiftshader/i);
      expect(relative).toBeLessThanOrEqual(RELATIVE_BOUND);
    });
  });

  withDeno(LAVAPIPE).describe('in half precision', () => {
    test.each(IN_HALVES)('%s', async (name, graph) => {
      const options = { gpuPrecision: 'f16' } as const;
      const { engine, note, relative } = await differenceInDeno(await graph(), options, LAVAPIPE);
      console.log(`${name} in halves: ${relative.toExponential(1)} off`);
      expect(engine).toMatch(/llvmpipe/i);
      // it would say why not
      expect(note).toBeUndefined();
      expect(relative).toBeLessThanOrEqual(HALF_BOUND);
    });

    test('random networks are accepted', async () => {
      const shaders = Array.from({ length: 60 }, (_, seed) => optimisedForGpu(randomGraph(seed)))
        .filter((graph) => refusalsOf(graph, 'f16').length === 0)
        .map((graph): Shader => {
          const { wgsl, plan } = emitProgram(lowerGraph(graph, 'f16'));
          return { name: graph.name, wgsl, kernels: plan.kernels };
        });
      expect(shaders.length).toBeGreaterThan(0);
      expect(await complaintsInDeno(shaders, LAVAPIPE)).toBe('');
    });
  });

  withDeno().test('inputs and outputs may be on the device', async () => {
    const bundle = await compileGraph(smallNet(), { target: ['webgpu'], preprocess: {} });
    const { results, refusal } = await onDeviceInDeno(await write(bundle));
    const { bytes, ...others } = results;
    expect(Object.keys(others)).toHaveLength(5);
    for (const [name, outputs] of Object.entries(others)) expect(outputs, name).toEqual(bytes);
    expect(refusal).toContain('the device refuses this run, which reads "image" on the device');
  });

  withDeno().test('a device that is lost during a run is named and replaced', async () => {
    const bundle = await compileGraph(smallNet(), { target: ['webgpu'] });
    const { messages, results } = await lossInDeno(await write(bundle));
    expect(messages).toHaveLength(2);
    expect(messages[0]).toMatch(/^the device was lost during this run \(.+\); run again$/);
    expect(messages[1]).toMatch(/the device was lost( during this run)? \(.+\)/);
    for (const after of results) expect(after).toEqual(results[0]);
  });

  withDeno().test('accepts the kernels of every official case', async () => {
    const folders = ['onnx-node-tests', 'onnx-pytorch-tests'].map(collectionFile);
    const shaders: Shader[] = [];
    for (const [folder, name] of folders.flatMap((f) => caseFolders(f).map((n) => [f, n] as const))) {
      await runCaseOnGpu(join(folder, name), async (graph) => {
        const { wgsl, plan } = emitProgram(lowerGraph(graph));
        shaders.push({ name, wgsl, kernels: plan.kernels });
        return graph.outputs.map(({ value: { type } }) => ({
          data: new ARRAYS[type.dtype](elementCount(type.shape)),
          shape: type.shape,
        }));
      });
    }
    console.log(`${shaders.length} programs, ${shaders.flatMap(({ kernels }) => kernels).length} kernels`);
    expect(shaders.length).toBeGreaterThan(0);
    expect(await complaintsInDeno(shaders)).toBe('');
    const broken = { name: 'broken', wgsl: 'fn f() { let x: i32 = 1.0; }', kernels: [] };
    expect(await complaintsInDeno([broken])).toMatch(/^broken: /);
  });
});
