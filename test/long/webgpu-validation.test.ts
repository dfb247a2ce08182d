/** Every shader of the zoo and of PP-OCR passes the checks of Dawn with the limits that every device has, and with f16 if it uses it. */

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readModel } from '#compiler/files/index.ts';
import { emitProgram, lowerGraph } from '#compiler/targets/webgpu/index.ts';
import type { Graph } from '#ir/graph.ts';
import { withModels, zooModel, zooNames } from '../support/collection.ts';
import { ocrFolder } from '../support/networks.ts';
import { complaintsOf, optimisedForGpu, refusalsOf } from '../support/webgpu.ts';

/** What the checker says of a network's kernels, in whole and in half precision. */
async function problemsOf(graph: Graph): Promise<string[]> {
  const optimised = optimisedForGpu(graph);
  const refusals = refusalsOf(optimised);
  if (refusals.length > 0) return refusals;
  const code = emitProgram(lowerGraph(optimised));
  const halves = emitProgram(lowerGraph(optimised, 'f16'));
  for (const [name, { wgsl, plan }] of Object.entries({ f32: code, f16: halves })) {
    console.log(
      `${graph.name} ${name}: ${plan.calls.length} dispatches of ${plan.kernels.length} kernels, ${(wgsl.length / 1024).toFixed(0)} KiB of WGSL`,
    );
  }
  expect(halves.plan.calls).toHaveLength(code.plan.calls.length);
  return [...(await complaintsOf(code)), ...(await complaintsOf(halves, ['shader-f16']))];
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
