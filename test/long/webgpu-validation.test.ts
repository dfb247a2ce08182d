/** Every shader of the zoo and of PP-OCR passes the checks of Dawn with the limits that every device has. */

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readModel } from '#compiler/files/index.ts';
import { emitProgram, lowerGraph } from '#compiler/targets/webgpu/index.ts';
import type { Graph } from '#ir/graph.ts';
import { withModels, zooModel, zooNames } from '../support/collection.ts';
import { ocrFolder } from '../support/networks.ts';
import { deviceOf, optimisedForGpu, refusalsOf } from '../support/webgpu.ts';

/** What the checker says of a program's code and of each of its pipelines. */
async function problemsOf(graph: Graph): Promise<string[]> {
  const device = await deviceOf('null');
  const optimised = optimisedForGpu(graph);
  const refusals = refusalsOf(optimised);
  if (refusals.length > 0) return refusals;
  const program = lowerGraph(optimised);
  const { wgsl, plan } = emitProgram(program);
  device.pushErrorScope('validation');
  const module = device.createShaderModule({ code: wgsl });
  const { messages } = await module.getCompilationInfo();
  for (const entryPoint of plan.kernels) {
    device.createComputePipeline({ layout: 'auto', compute: { module, entryPoint } });
  }
  const error = await device.popErrorScope();
  console.log(
    `${graph.name}: ${plan.calls.length} dispatches of ${plan.kernels.length} kernels, ${(wgsl.length / 1024).toFixed(0)} KiB of WGSL`,
  );
  return [
    ...messages.map(({ lineNum, message }) => `${lineNum}: ${message}`),
    ...(error ? [error.message] : []),
  ];
}

withModels.describe('shaders of the zoo', () => {
  for (const name of zooNames()) {
    test(name, async () => {
      const { model } = await zooModel(name);
      expect(await problemsOf((await readModel(model, { requireWeights: true })).graph)).toEqual([]);
    });
  }
});

const OCR_SHAPES: Readonly<Record<string, readonly number[]>> = {
  det: [1, 3, 320, 320],
  rec: [1, 3, 48, 320],
  cls: [1, 3, 48, 192],
};
for (const file of readdirSync(ocrFolder).filter((f) => f.endsWith('.onnx'))) {
  const kind = Object.keys(OCR_SHAPES).find((k) => file.includes(k)) ?? 'det';
  test(`shaders of ${file}`, async () => {
    const { graph } = await readModel(join(ocrFolder, file), {
      requireWeights: true,
      shapes: { x: [...(OCR_SHAPES[kind] ?? [])] },
    });
    expect(await problemsOf(graph)).toEqual([]);
  });
}
