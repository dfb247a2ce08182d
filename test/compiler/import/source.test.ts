/** Models of which only what is asked for is read. */
import { describe, expect, test } from 'vitest';
import { audit } from '#compiler/audit/index.ts';
import { ModelProto } from '#compiler/import/onnx/generated/onnx-proto.js';
import { importOnnx } from '#compiler/import/onnx/index.ts';
import { CompileError, fail } from '#ir/diagnostics.ts';
import { tensorOf } from '#ir/graph.ts';
import { external, info, node, onnxModel, stored } from '../../support/onnx.ts';
import { countedSource } from '../../support/source.ts';

/** Longer than a window, so that its data is left where it is. */
const COUNT = 9000;
const floats = Float32Array.from({ length: COUNT }, (_, i) => Math.sin(i));

/** What reading a model gives: its values, or what is wrong with it. */
function outcome(model: Parameters<typeof importOnnx>[0]): unknown {
  try {
    const { graph } = importOnnx(model);
    return graph.values.map((value) => [value.name, value.type, tensorOf(value)?.data]);
  } catch (error) {
    if (error instanceof CompileError) return error.diagnostics;
    throw error;
  }
}

/** A network with 64 MB of weights in its last layers, as VGG has. */
function heavy(): Uint8Array<ArrayBuffer> {
  return onnxModel({
    inputs: [info('x', [1, 3, 32, 32])],
    initializers: [
      stored('w1', [16, 3, 3, 3], new Float32Array(16 * 27).fill(0.1)),
      stored('w2', [32, 16, 3, 3], new Float32Array(32 * 16 * 9).fill(0.1)),
      stored('w3', [256, 32768], new Float32Array(256 * 32768)),
      stored('w4', [32768, 256], new Float32Array(32768 * 256)),
    ],
    nodes: [
      node('Conv', ['x', 'w1'], ['a'], { pads: [1n, 1n, 1n, 1n] }),
      node('Conv', ['a', 'w2'], ['b'], { pads: [1n, 1n, 1n, 1n] }),
      node('Flatten', ['b'], ['c']),
      node('Gemm', ['c', 'w3'], ['d'], { transB: 1n }),
      node('Gemm', ['d', 'w4'], ['y'], { transB: 1n }),
    ],
  });
}

test('an audit reads less than 2 MB of a file with 64 MB of weights', () => {
  const bytes = heavy();
  expect(bytes.length).toBeGreaterThan(64e6);
  const source = countedSource(bytes);
  const report = audit(importOnnx(source).graph);
  expect(source.bytesRead).toBeLessThan(2e6);
  expect(report.totals.parameters).toBe(16 * 27 + 32 * 144 + 2 * 256 * 32768);
  expect(report).toEqual(audit(importOnnx(bytes).graph));
});

test('of a file beside the model no byte is read', () => {
  const model = onnxModel({
    initializers: [external('w', [COUNT, 2], 'w.bin', { offset: '64' })],
    inputs: [info('x', [1, COUNT])],
    nodes: [node('MatMul', ['x', 'w'], ['y'])],
  });
  const file = countedSource(new Uint8Array(64 + COUNT * 8));
  const { graph } = importOnnx(model, { externalData: () => file });
  expect(file.bytesRead).toBe(0);
  expect(tensorOf(graph.nodes[0]?.operands[1])?.data).toHaveLength(2 * COUNT);
  expect(file.bytesRead).toBe(COUNT * 8);
});

describe('data that is asked for is what is in the file', () => {
  test.each([
    ['raw_data', stored('w', [COUNT], floats)],
    [
      'raw_data of 16 bits',
      stored(
        'w',
        [COUNT],
        Uint16Array.from(floats, (v) => 0x3c00 + 99 * v),
        10,
      ),
    ],
    ['raw_data of doubles', stored('w', [COUNT], Float64Array.from(floats))],
    [
      'raw_data of 64-bit integers',
      stored(
        'w',
        [COUNT],
        BigInt64Array.from(floats, (v) => BigInt(Math.round(1e9 * v))),
      ),
    ],
    ['float_data', { name: 'w', dims: [COUNT], dataType: 1, floatData: floats }],
    ['double_data', { name: 'w', dims: [COUNT], dataType: 11, doubleData: floats }],
    [
      'int32_data',
      { name: 'w', dims: [COUNT], dataType: 6, int32Data: Int32Array.from(floats, (v) => 1e9 * v) },
    ],
    [
      'int64_data',
      { name: 'w', dims: [COUNT], dataType: 7, int64Data: Array.from(floats, (v) => Math.round(1e12 * v)) },
    ],
    ['too few floats', { name: 'w', dims: [COUNT + 1], dataType: 1, floatData: floats }],
    ['too few bytes', stored('w', [COUNT + 1], floats)],
    ['floats of another type', { name: 'w', dims: [COUNT], dataType: 6, floatData: floats }],
    ['a long name', stored('w'.repeat(40000), [2], Float32Array.of(1, 2))],
  ])('%s', (_, tensor) => {
    const model = onnxModel({
      initializers: [tensor],
      outputs: [tensor.name ?? ''],
      inputs: [info('x', [1])],
    });
    expect(outcome(countedSource(model))).toEqual(outcome(model));
  });

  test('floats in several runs, and bytes given twice', () => {
    const tensor = (...fields: number[][]) => field(5, fields.flat());
    const head = [...field(8, [...Buffer.from('w')]), 8, ...varint(COUNT), 16, 1];
    const bytesOf = (list: Float32Array) => [...new Uint8Array(list.buffer)];
    const halves = [floats.slice(0, COUNT / 2), floats.slice(COUNT / 2)].map((half) =>
      field(4, bytesOf(half)),
    );
    const output = field(12, field(1, [...Buffer.from('w')]));
    const raw = [field(9, bytesOf(floats.map((v) => -v))), field(9, bytesOf(floats))];
    for (const data of [halves, raw]) {
      const graph = field(7, [...tensor(head, ...data), ...output]);
      const model = Uint8Array.from([8, 8, ...graph, ...field(8, [16, 17])]);
      expect(outcome(countedSource(model))).toEqual(outcome(model));
      expect(outcome(model)).toEqual([['w', { dtype: 'f32', shape: [COUNT] }, floats]]);
    }
  });
});

const varint = (n: number): number[] => (n < 128 ? [n] : [(n % 128) + 128, ...varint(Math.floor(n / 128))]);
const field = (number: number, content: readonly number[]): number[] => [
  8 * number + 2,
  ...varint(content.length),
  ...content,
];

describe('what is wrong with a file is told in the same words', () => {
  const small = onnxModel({
    initializers: [stored('w', [2, 3, 1, 1], new Float32Array(6))],
    inputs: [info('x', ['N', 3, 4, 4])],
    nodes: [node('Conv', ['x', 'w'], ['y'], { strides: [1n, 1n] })],
  });
  /** Beyond one window, with long tensors, and nodes that lie across windows. */
  const large = onnxModel({
    initializers: [
      stored('w', [COUNT], floats),
      { name: 'v', dims: [COUNT], dataType: 1, floatData: floats },
      { name: 'i', dims: [COUNT], dataType: 7, int64Data: Array.from(floats, (v) => Math.round(1e12 * v)) },
    ],
    inputs: [info('x', [COUNT])],
    nodes: Array.from({ length: 700 }, (_, i) =>
      node('Add', [i === 0 ? 'x' : `y${i}`, i % 2 === 0 ? 'v' : 'w'], [i === 699 ? 'y' : `y${i + 1}`]),
    ),
  });

  test('where it is cut, anywhere', () => {
    for (let length = 0; length < small.length; length++) {
      const cut = small.subarray(0, length);
      expect(outcome(countedSource(cut))).toEqual(outcome(cut));
      expect(outcome(cut)).toMatchObject([{ code: 'onnx-truncated' }]);
    }
  });

  test('where the graph inside is cut, anywhere', () => {
    const { graph } = ModelProto.decode(small);
    expect(graph).not.toBeNull();
    const content = [...small];
    const end = content.length;
    for (let length = 0; length < end; length++) {
      // the outermost framing is whole, what is in it is not
      const model = Uint8Array.from([8, 8, ...field(7, content.slice(0, length)), ...field(8, [16, 17])]);
      expect(outcome(countedSource(model))).toEqual(outcome(model));
    }
  });

  test('where bytes of it are others', () => {
    let state = 1;
    const random = (n: number) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * n);
    };
    let refused = 0;
    for (let round = 0; round < 60; round++) {
      const damaged = large.slice();
      // nodes, then the heads of tensors, which are as good as never met
      const places = [random(damaged.length), large.length - 1 - random(400), random(30000)];
      const at = places[round % 3] ?? 0;
      damaged[at] = random(256);
      const expected = outcome(damaged);
      expect(outcome(countedSource(damaged))).toEqual(expected);
      if (Array.isArray(expected) && expected[0] && 'code' in expected[0]) refused++;
    }
    expect(refused).toBeGreaterThan(5);
  });
});

test('a source that fails says why, not that the model is malformed', () => {
  const model = onnxModel({ inputs: [info('y', [1])] });
  const source = {
    size: model.length,
    read: () => fail('file-unreadable', 'model.onnx', 'the disk is gone'),
  };
  expect(() => importOnnx(source)).toThrow('the disk is gone');
});
