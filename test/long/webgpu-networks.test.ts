/** Whole networks on a WebGPU adapter against the reference: within 1e-4 of the largest magnitude of each output. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { emitProgram, lowerGraph } from '#compiler/targets/webgpu/index.ts';
import { evaluateGraph } from '#ir/evaluate.ts';
import type { Graph } from '#ir/graph.ts';
import { compareOutputs } from '../support/agreement.ts';
import { smallNet } from '../support/bundles.ts';
import { withModels } from '../support/collection.ts';
import { mnistGraph, ocrClassifier, zooGraph } from '../support/networks.ts';
import { noise } from '../support/op.ts';
import {
  deviceOf,
  optimisedForGpu,
  programOf,
  refusalsOf,
  runOnGpu,
  withAdapter,
} from '../support/webgpu.ts';

const BOUND = 1e-4;

/** Networks of the zoo, with the spatial sizes of the input where they are others than the file's. */
const NETWORKS: readonly [name: string, ...size: number[]][] = [
  ['mobilenet_v2'],
  ['squeezenet1_1'],
  ['shufflenet_v1_g3'],
  ['resnet18', 64, 64],
  ['unet', 64, 64],
  ['espcn_x3'],
  ['dcgan_generator'],
  ['wavenet1d', 512],
  ['r3d_18', 4, 32, 32],
];

async function expectAgreement(graph: Graph): Promise<void> {
  const inputs = graph.inputs.map(({ type }, i) => noise(type.shape, i + 1));
  const values = evaluateGraph(
    graph,
    new Map(graph.inputs.map(({ name }, i) => [name, inputs[i] ?? noise([])])),
  );
  const optimised = optimisedForGpu(graph);
  expect(refusalsOf(optimised)).toEqual([]);
  const outputs = await runOnGpu(optimised, inputs);
  graph.outputs.forEach(({ name, value }, i) => {
    const want = values.get(value)?.data as Float32Array;
    const { relative } = compareOutputs(want, outputs[i]?.data as Float32Array, value.type.shape);
    console.log(`${graph.name} ${name}: ${relative.toExponential(1)} off`);
    expect(relative).toBeLessThanOrEqual(BOUND);
  });
}

withModels.describe('networks on WebGPU', () => {
  withAdapter.describe('agree with the reference', () => {
    for (const [name, ...size] of NETWORKS) {
      test(`${name} ${size.join('×')}`.trim(), async () => {
        await expectAgreement(await zooGraph(name, size));
      });
    }
    test('PP-OCR cls', async () => {
      await expectAgreement(await ocrClassifier());
    });
    for (const name of ['mnist-vgg', 'mnist-shufflenet']) {
      test(name, async () => {
        await expectAgreement(await mnistGraph(name));
      });
    }
  });
});

/** After what nobody refers to is collected. */
function heapUsed(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed;
}

withModels.describe('what a run takes', () => {
  test.each(['mobilenet_v2', 'resnet50'])('%s: a dispatch for each layer, and no other', async (name) => {
    const graph = optimisedForGpu(await zooGraph(name));
    const layers = graph.nodes.filter(({ op }) => /^(Conv|Gemm)$|Pool$/.test(op));
    const { calls } = emitProgram(lowerGraph(graph)).plan;
    console.log(`${name}: ${calls.length} dispatches for ${layers.length} layers`);
    expect(calls.length).toBeLessThanOrEqual(layers.length + 2);
  });

  withAdapter.test('1,000 runs make no buffer and give the same bits', async () => {
    const device = await deviceOf('vulkan');
    let buffers = 0;
    const createBuffer = device.createBuffer.bind(device);
    device.createBuffer = (descriptor) => {
      buffers++;
      return createBuffer(descriptor);
    };
    const graph = optimisedForGpu(smallNet());
    const program = await programOf(graph, device);
    const input = [noise([1, 3, 9, 7]).data as Float32Array<ArrayBuffer>];
    const first = await program.run(input);
    const [made, heap] = [buffers, heapUsed()];
    let different = 0;
    for (let run = 1; run < 1000; run++) {
      const again = await program.run(input);
      if (again.some(({ data }, i) => data.some((x, k) => x !== first[i]?.data[k]))) different++;
    }
    expect(different).toBe(0);
    expect(buffers).toBe(made);
    expect(heapUsed() - heap).toBeLessThan(8e6);
    program.dispose();
  });
});
