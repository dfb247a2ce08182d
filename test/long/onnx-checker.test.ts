/** `onnx.checker.check_model` on what is exported: the zoo after the exact passes, factorised networks, weights beside. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { exportOnnx } from '#compiler/export/onnx/index.ts';
import { readModel } from '#compiler/files/index.ts';
import { importOnnx } from '#compiler/import/onnx/index.ts';
import { rewriteGraph } from '#compiler/rewrite/index.ts';
import { FACTORIZATIONS } from '#passes/factorize/family.ts';
import { runPipeline } from '#passes/pass.ts';
import { graphPipeline } from '#passes/pipeline.ts';
import { collectionFile, withModels, zooModel, zooNames } from '../support/collection.ts';
import { checkedOpset, checkModel, withChecker } from '../support/onnx-checker.ts';

withChecker.describe('the checker of onnx', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'convolith-checker-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const check = (model: Uint8Array, name: string, data?: Uint8Array): string => {
    const path = join(folder, `${name}.onnx`);
    writeFileSync(path, model);
    if (data) writeFileSync(`${path}.data`, data);
    return checkModel(path);
  };

  withModels.describe('has nothing against networks of the zoo', () => {
    for (const name of zooNames()) {
      test(name, async () => {
        const { model: path } = await zooModel(name);
        const { graph, opset } = await readModel(path, { requireWeights: true });
        runPipeline(graph, graphPipeline);
        const { model } = exportOnnx(graph, { opset });
        const written = importOnnx(model).opset;
        console.log(`${name}: opset ${opset} → ${written}`);
        expect(written).toBeGreaterThanOrEqual(Math.min(opset, 13));
        // one that needs ops which the checker is too old for is checked by onnxruntime alone
        if (written <= (checkedOpset ?? 0)) expect(check(model, name)).toBe('');
      }, 240_000);
    }
  });

  withModels.test(
    'has nothing against factorised networks, inside one file or with weights beside it',
    async () => {
      const path = collectionFile('models/mnist-vgg.onnx');
      const { graph, opset } = await readModel(path, { requireWeights: true });
      for (const method of FACTORIZATIONS.filter((m) => m !== 'cp')) {
        const limit = { quantity: 'macs', limit: { part: 0.6 } } as const;
        const { graph: rewritten } = await rewriteGraph(graph, { factorize: { methods: [method], limit } });
        const whole = exportOnnx(rewritten, { opset });
        expect(check(whole.model, method)).toBe('');
        const beside = exportOnnx(rewritten, { opset, dataFile: `${method}-beside.onnx.data` });
        expect(beside.data?.length).toBeGreaterThan(10_000);
        expect(check(beside.model, `${method}-beside`, beside.data)).toBe('');
      }
    },
  );
});
