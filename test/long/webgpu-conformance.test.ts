/**
 * The ONNX project's operator cases on a WebGPU adapter. What passes is listed, and the list may only grow: a case that is
 * claimed and fails is an error, and so is one that passes and is not claimed.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { collectionFile, withModels } from '../support/collection.ts';
import { expectGolden } from '../support/golden.ts';
import { type CaseResult, caseFolders, runCaseOnGpu } from '../support/onnx-cases.ts';
import { withAdapter } from '../support/webgpu.ts';

const CLAIMS = 'webgpu/claims.txt';

/** Computed by kernels: not answered by constant folding because every input had to become a constant. */
const isClaim = (result: CaseResult): boolean =>
  result.status === 'passed' &&
  result.compiled !== undefined &&
  result.compiled.nodes > 0 &&
  result.compiled.constants < result.compiled.inputs;

withModels.describe('official cases', () => {
  withAdapter.test('pass on WebGPU where they are claimed', async () => {
    const folders = ['onnx-node-tests', 'onnx-pytorch-tests'].map(collectionFile);
    const cases = folders.flatMap((folder) => caseFolders(folder).map((name) => ({ folder, name })));
    const claims: string[] = [];
    const wrong: string[] = [];
    for (const { folder, name } of cases) {
      const result = await runCaseOnGpu(join(folder, name));
      if (isClaim(result)) claims.push(name);
      if (result.status === 'wrong' && !Object.hasOwn(WRONG, name)) wrong.push(`${name}: ${result.why}`);
    }
    expect(wrong).toEqual([]);
    console.log(`${claims.length} of ${cases.length} cases are computed by kernels on WebGPU`);
    const golden = join(import.meta.dirname, '../golden', CLAIMS);
    const before = existsSync(golden) ? readFileSync(golden, 'utf8').trim().split('\n') : [];
    expect(
      before.filter((name) => !claims.includes(name)),
      'what is claimed stays',
    ).toEqual([]);
    expectGolden(CLAIMS, `${claims.join('\n')}\n`);
    expect(claims.length / cases.length).toBeGreaterThanOrEqual(0.8);
  });
});

/** Cases that fail, with the reason. */
const WRONG: Readonly<Record<string, string>> = {
  test_resize_downsample_scales_cubic_align_corners:
    'the case counts with the scale, where exporters and runtimes count with the sizes; as on every backend here',
  test_resize_downsample_scales_linear_align_corners: 'likewise',
};
