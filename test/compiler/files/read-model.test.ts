import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { audit } from '#compiler/audit/index.ts';
import { readModel } from '#compiler/files/index.ts';
import { CompileError } from '#ir/diagnostics.ts';
import { tensorOf } from '#ir/graph.ts';
import { external, info, node, onnxModel, stored } from '../../support/onnx.ts';

const root = mkdtempSync(join(tmpdir(), 'convolith-read-'));
afterAll(() => rmSync(root, { recursive: true }));

const weights = new Uint8Array(Float32Array.of(1, 2).buffer);
writeFileSync(join(root, 'secret.bin'), weights);
mkdirSync(join(root, 'model/sub'), { recursive: true });
writeFileSync(join(root, 'model/sub/w.bin'), weights);
symlinkSync(join(root, 'secret.bin'), join(root, 'model/link.bin'));
symlinkSync(root, join(root, 'model/up'));
symlinkSync('sub/w.bin', join(root, 'model/inner.bin'));
symlinkSync(join(root, 'model'), join(root, 'alias'));

function modelWith(location: string, folder = 'model'): string {
  const path = join(root, folder, `${location.replaceAll(/\W/g, '_')}.onnx`);
  writeFileSync(
    path,
    onnxModel({ initializers: [external('w', [2], location)], outputs: ['w'], inputs: [info('x', [1])] }),
  );
  return path;
}

const codes = (path: string, options = {}): Promise<readonly string[]> =>
  readModel(path, options).then(
    () => [],
    (error: unknown) => {
      if (error instanceof CompileError) return error.diagnostics.map((d) => d.code);
      throw error;
    },
  );

describe('external data', () => {
  test.each(['sub/w.bin', './sub/w.bin', 'sub/../inner.bin'])('%s is read', async (location) => {
    const { graph } = await readModel(modelWith(location));
    expect(tensorOf(graph.outputs[0]?.value)?.data).toEqual(Float32Array.of(1, 2));
  });

  test('is found where the folder itself is reached by a link', async () => {
    modelWith('sub/w.bin');
    expect(await codes(join(root, 'alias/sub_w_bin.onnx'))).toEqual([]);
  });

  test.each(['link.bin', 'up/secret.bin', '../secret.bin', join(root, 'secret.bin')])(
    '%s leaves the folder and is refused',
    async (location) => {
      expect(await codes(modelWith(location))).toEqual(['external-outside']);
    },
  );

  test('that is not there is told, and an error only where weights are required', async () => {
    const path = modelWith('gone.bin');
    expect((await readModel(path)).missingFiles).toEqual(['gone.bin']);
    expect(await codes(path, { requireWeights: true })).toEqual(['external-missing']);
  });

  test('that is a folder cannot be read', async () => {
    expect(await codes(modelWith('sub'))).toEqual(['file-unreadable']);
  });
});

test('a model that is not there, or is a folder, cannot be read', async () => {
  expect(await codes(join(root, 'none.onnx'))).toEqual(['file-unreadable']);
  expect(await codes(root)).toEqual(['file-unreadable']);
});

test('the graph goes by the name of the file', async () => {
  expect((await readModel(modelWith('sub/w.bin'))).graph.name).toBe('sub_w_bin');
});

describe('weights inside the file', () => {
  const kernel = Float32Array.from({ length: 64 * 64 * 9 }, (_, i) => Math.sin(i));
  const conv = {
    inputs: [info('x', ['N', 64, 8, 8])],
    nodes: [node('Conv', ['x', 'w'], ['y'], { pads: [1n, 1n, 1n, 1n] })],
  };
  const inside = join(root, 'model/inside.onnx');
  const beside = join(root, 'model/beside.onnx');
  writeFileSync(join(root, 'model/kernel.bin'), kernel);
  writeFileSync(inside, onnxModel({ ...conv, initializers: [stored('w', [64, 64, 3, 3], kernel)] }));
  writeFileSync(beside, onnxModel({ ...conv, initializers: [external('w', [64, 64, 3, 3], 'kernel.bin')] }));

  test('give the report that weights beside it give', async () => {
    const reports = [inside, beside].map(async (path) =>
      audit((await readModel(path)).graph, { name: 'conv' }),
    );
    const [first, second] = await Promise.all(reports);
    expect(first?.totals.parameters).toBe(kernel.length);
    expect(first).toEqual(second);
  });

  test.each([false, true])('are those of the file, required or not: %s', async (requireWeights) => {
    for (const path of [inside, beside]) {
      const { graph } = await readModel(path, { requireWeights });
      expect(tensorOf(graph.nodes[0]?.operands[1])?.data).toEqual(kernel);
    }
  });

  test('are refused where the file is another by the time they are read, unless they were required', async () => {
    const path = join(root, 'model/changing.onnx');
    const write = (more: string) =>
      writeFileSync(
        path,
        onnxModel({
          ...conv,
          initializers: [stored('w', [64, 64, 3, 3], kernel), stored(more, [1], kernel.slice(0, 1))],
        }),
      );
    write('a');
    const [late, early] = [await readModel(path), await readModel(path, { requireWeights: true })];
    write('another');
    expect(() => tensorOf(late.graph.nodes[0]?.operands[1])?.data).toThrow(
      'it has changed since it was opened',
    );
    expect(tensorOf(early.graph.nodes[0]?.operands[1])?.data).toEqual(kernel);
    rmSync(path);
    expect(() => tensorOf(late.graph.nodes[0]?.operands[1])?.data).toThrow('no such file');
  });
});
