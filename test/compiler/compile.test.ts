import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { checkWhole } from '#compiler/check/full-check.ts';
import { compileGraph, compileModel } from '#compiler/compile.ts';
import type { CompileOptions } from '#compiler/compile-options.ts';
import { loadBundle } from '#compiler/files/index.ts';
import { importOnnx } from '#compiler/import/onnx/index.ts';
import { Builder } from '#ir/builder.ts';
import { CompileError } from '#ir/diagnostics.ts';
import { evaluateGraph } from '#ir/evaluate.ts';
import { f32 } from '#ir/tensor.ts';
import { printGraph } from '#ir/text.ts';
import { smallNet, write } from '../support/bundles.ts';
import { collectionFile, withModels } from '../support/collection.ts';
import { randomGraph, randomInputs, withoutWeights } from '../support/graphs.ts';

const problemsOf = async (promise: Promise<unknown>) => {
  const error = await promise.catch((e: unknown) => e);
  if (!(error instanceof CompileError)) throw new Error(`expected a CompileError, got ${String(error)}`);
  return error.diagnostics;
};

describe('options', () => {
  test.each([
    [{ optimise: true }, 'optimise'],
    [{ target: ['gpu'] }, 'target'],
    [{ target: [] }, 'target'],
    [{ check: 'none' }, 'check'],
    [{ outputs: ['nothing', 'second_out'] }, 'nothing'],
  ])('%j is refused', async (options, subject) => {
    const problems = await problemsOf(compileGraph(smallNet(), options as CompileOptions));
    expect(problems.map((d) => [d.code, d.subject])).toEqual([['usage-invalid', subject]]);
  });

  test('are refused before the model is read', async () => {
    const [problem] = await problemsOf(compileModel(new Uint8Array(0), { dimensions: {} } as CompileOptions));
    expect(problem?.code).toBe('usage-invalid');
  });

  test('name names the bundle', async () => {
    expect((await compileGraph(smallNet(), { name: 'net' })).manifest.name).toBe('net');
  });
});

test.each(['f32', 'raw', 'i8'] as const)(
  'each file is told once, as it is in the end, with weights as %s',
  async (weights) => {
    const told: [string, Uint8Array][] = [];
    const onFile = (name: string, bytes: Uint8Array) => void told.push([name, bytes.slice()]);
    const { files } = await compileGraph(smallNet(), { weights, onFile });
    expect(told.map(([name]) => name).sort()).toEqual([...files.keys()].sort());
    for (const [name, bytes] of told) expect(bytes, name).toEqual(files.get(name));
  },
);

test('the graph that was given stays as it is', async () => {
  const graph = smallNet();
  const before = printGraph(graph);
  await compileGraph(graph, { outputs: ['second_out'], check: 'full' });
  expect(printGraph(graph)).toBe(before);
});

test('values inside the network become outputs, also those that would be fused away', async () => {
  const graph = smallNet();
  const inner = graph.nodes.filter((n) => n.op === 'Conv').flatMap((n) => n.outputs);
  const names = inner.map((v) => v.name);
  const bundle = await compileGraph(graph, { outputs: names });
  expect(bundle.manifest.outputs.map((o) => o.name)).toEqual(['features', 'scores', ...names]);
  const model = await loadBundle(await write(bundle));
  const inputs = randomInputs(graph, 1);
  const outputs = await model.run({ image: inputs.get('image')?.data });
  const expected = evaluateGraph(graph, inputs, { keep: new Set(inner) });
  for (const value of inner) {
    const want = expected.get(value)?.data as Float32Array;
    want.forEach((x, i) => {
      expect(Number(outputs[value.name]?.[i])).toBeCloseTo(x, 4);
    });
  }
});

describe('what cannot be compiled', () => {
  test('weights that are missing, all of them', async () => {
    const problems = await problemsOf(compileGraph(withoutWeights(smallNet())));
    expect(new Set(problems.map((d) => d.code))).toEqual(new Set(['weights-missing']));
    expect(problems).toHaveLength(5);
  });

  test('every node that the target lacks', async () => {
    const b = new Builder('two');
    const x = b.input('x', [4, 4], 'u8');
    const once = b.op('Resize', [x], { scales: [2, 1], sizes: [8, 4] });
    b.output('a', b.op('Resize', [once], { scales: [1, 2], sizes: [8, 8] }));
    const problems = await problemsOf(compileGraph(b.graph));
    expect(problems.every((d) => d.code === 'target-unsupported')).toBe(true);
    expect(problems).toHaveLength(2);
  });
});

test.each(['sampled', 'full'] as const)('stages come in order and each to its end: %s', async (check) => {
  const seen: [string, number][] = [];
  await compileGraph(smallNet(), { check, onProgress: (stage, fraction) => seen.push([stage, fraction]) });
  const stages = [...new Set(seen.map(([stage]) => stage))];
  expect(stages).toEqual(['optimise', 'generate', 'check', 'bundle']);
  for (const stage of stages) {
    const fractions = seen.filter(([s]) => s === stage).map(([, f]) => f);
    expect([fractions[0], fractions.at(-1)]).toEqual([0, 1]);
    expect(fractions).toEqual([...fractions].sort((a, b) => a - b));
  }
});

test.each(['optimise', 'generate', 'check', 'bundle'])('an abort during %s ends it', async (during) => {
  const controller = new AbortController();
  const reason = new Error('enough');
  const onProgress = (stage: string) => {
    if (stage === during) controller.abort(reason);
  };
  await expect(compileGraph(smallNet(), { signal: controller.signal, onProgress })).rejects.toBe(reason);
});

test('an output that is an input, a constant, or given twice', async () => {
  const b = new Builder('odd');
  const x = b.input('x', [2, 3]);
  const y = b.relu(x);
  b.output('x again', x);
  b.output('numbers', b.constant('numbers', f32([2], [1, 2])));
  b.output('y1', y);
  b.output('y2', y);
  b.input('unused', [5]);
  const model = await loadBundle(await write(await compileGraph(b.graph)));
  const data = Float32Array.of(-1, 2, -3, 4, -5, 6);
  const positive = Float32Array.of(0, 2, 0, 4, 0, 6);
  expect(await model.run({ x: data, unused: new Float32Array(5) })).toEqual({
    'x again': data,
    numbers: Float32Array.of(1, 2),
    y1: positive,
    y2: positive,
  });
});

test('random networks compile, checked in full', async () => {
  for (let seed = 100; seed < 112; seed++) {
    const { stats } = await compileGraph(randomGraph(seed), { check: 'full' });
    expect(stats.checkedElements).toBeGreaterThan(0);
  }
});

withModels.test('an ONNX model: statistics, notes, and its own name', async () => {
  const bytes = new Uint8Array(readFileSync(collectionFile('models/mnist-vgg.onnx')));
  const bundle = await compileModel(bytes);
  expect(bundle.diagnostics.map((d) => d.code)).toEqual(['batch-assumed']);
  expect(bundle.stats).toMatchObject({ macs: 29_128_448, parameters: 287_722 });
  expect(bundle.manifest.inputs).toMatchObject([{ name: 'image', shape: [1, 1, 28, 28] }]);
  const four = await compileModel(bytes, { dims: { batch: 4 } });
  expect(four.manifest.outputs).toMatchObject([{ name: 'logits', shape: [4, 10] }]);
  expect(four.diagnostics).toEqual([]);
});

withModels.test('a whole network is checked in full, and a change in its output is found', async () => {
  const bytes = new Uint8Array(readFileSync(collectionFile('models/mnist-vgg-bn.onnx')));
  const { manifest } = await compileModel(bytes, { check: 'full' });
  expect(manifest.tolerance).toBe(1e-4);
  const { graph } = importOnnx(bytes);
  const outputs = [Float32Array.from({ length: 10 }, (_, i) => i)];
  expect(() => checkWhole(graph, outputs, 1)).toThrow('error[self-check-failed] logits: element 0');
});

withModels.test('external data that is not given is asked for by name', async () => {
  const bytes = new Uint8Array(readFileSync(collectionFile('zoo/mobilenet_v2.onnx')));
  const problems = await problemsOf(compileModel(bytes));
  expect(problems.map((d) => [d.code, d.subject])).toEqual([['external-missing', 'mobilenet_v2.weights']]);
});
