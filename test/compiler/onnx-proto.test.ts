import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  AttributeProto,
  ModelProto,
  ProtobufError,
  TensorProto,
  TypeProto,
} from '#compiler/import/onnx/generated/onnx-proto.js';
import { repositoryFolder } from '../support/collection.ts';

const weights = new Float32Array(1000).map((_, index) => Math.sin(index));
const model = ModelProto.encode({
  irVersion: 8,
  opsetImport: [{ domain: '', version: 17 }],
  graph: {
    name: 'g',
    node: [
      { opType: 'Conv', input: ['x', 'w'], output: ['y'], attribute: [{ name: 'group', type: 2, i: 1 }] },
    ],
    initializer: [{ name: 'w', dims: [10, 100], dataType: 1, rawData: new Uint8Array(weights.buffer) }],
  },
});
const initializerOf = (bytes: Uint8Array) => ModelProto.decode(bytes).graph?.initializer[0];

test('protobufjs, unmodified and with its own schema code, reads what we write', () => {
  const { onnx } = createRequire(import.meta.url)('onnx-proto');
  const { graph, opsetImport } = onnx.ModelProto.decode(model);
  expect(Number(opsetImport[0].version)).toBe(17);
  expect(graph.node[0].attribute[0].name).toBe('group');
  expect(new Float32Array(new Uint8Array(graph.initializer[0].rawData).buffer)).toEqual(weights);
  expect(new Uint8Array(onnx.ModelProto.encode(onnx.ModelProto.decode(model)).finish())).toEqual(model);
});

test('bytes are views of the input, never a Buffer', () => {
  for (const input of [model, Buffer.from(model.buffer)]) {
    const raw = initializerOf(input)?.rawData;
    expect(raw?.buffer).toBe(model.buffer);
    expect(raw?.constructor).toBe(Uint8Array);
  }
});

test('an absent field reads as its default and is not an own property', () => {
  const { graph } = ModelProto.decode(model);
  expect(graph?.docString).toBe('');
  expect(Object.hasOwn(graph ?? {}, 'docString')).toBe(false);
  expect(AttributeProto.decode(new Uint8Array())).toMatchObject({ i: 0, t: null, ints: [] });
});

test('typed data comes out as typed arrays, packed or not', () => {
  const packed = TensorProto.decode(
    TensorProto.encode({
      floatData: weights,
      doubleData: [0.1, Number.NaN],
      int32Data: [-1, 300],
      uint64Data: [2n ** 64n - 1n],
    }),
  );
  expect(packed.floatData).toEqual(weights);
  expect(packed.doubleData).toEqual(Float64Array.of(0.1, Number.NaN));
  expect(packed.int32Data).toEqual(Int32Array.of(-1, 300));
  expect(packed.uint64Data).toEqual(BigUint64Array.of(2n ** 64n - 1n));
  // float_data: 1 alone, then a packed run of 2 and 3; int64_data: 5 alone
  const mixed = [0x25, 0, 0, 0x80, 0x3f, 0x22, 8, 0, 0, 0, 0x40, 0, 0, 0x40, 0x40, 0x38, 5];
  const unpacked = TensorProto.decode(Uint8Array.from(mixed));
  expect(unpacked.floatData).toEqual(Float32Array.of(1, 2, 3));
  expect(unpacked.int64Data).toEqual(BigInt64Array.of(5n));
});

describe('64-bit integers', () => {
  const limits = [2n ** 63n - 1n, -(2n ** 63n)];
  test('are exact: numbers where safe, else bigints', () => {
    const ints = [0, -1, 2 ** 53 - 1, 2n ** 53n, ...limits];
    expect(AttributeProto.decode(AttributeProto.encode({ ints })).ints).toEqual(ints);
    const { int64Data } = TensorProto.decode(TensorProto.encode({ int64Data: limits }));
    expect(int64Data).toEqual(BigInt64Array.from(limits));
  });
  test('that are sizes are numbers, or an error', () => {
    expect(TensorProto.decode(TensorProto.encode({ dims: [3, -1] })).dims).toEqual([3, -1]);
    const dims = Uint8Array.of(0x08, ...Array<number>(8).fill(0x80), 0x10); // 2^60
    expect(() => TensorProto.decode(dims)).toThrow(ProtobufError);
  });
  test('are not written from an inexact number', () => {
    expect(() => TensorProto.encode({ dims: [2 ** 60] })).toThrow(RangeError);
  });
});

describe('hostile bytes', () => {
  test('cut short anywhere throw', () => {
    const small = TensorProto.encode({
      name: 'weights',
      dims: [1, 2],
      floatData: [1, 2],
      rawData: new Uint8Array(9),
    });
    const whole = (bytes: Uint8Array) =>
      ModelProto.encode({ graph: { initializer: [TensorProto.decode(bytes)] } });
    const bytes = whole(small);
    for (let length = 1; length < bytes.length; length++) {
      expect(() => ModelProto.decode(bytes.subarray(0, length)), `${length} bytes`).toThrow(ProtobufError);
    }
  });
  test('nested deeply throw instead of exhausting the stack', () => {
    const nested = (levels: number) => {
      let bytes: Uint8Array = new Uint8Array();
      for (let level = 0; level < levels; level++) bytes = wrapped(wrapped(bytes, 1), 4);
      return bytes;
    };
    expect(() => TypeProto.decode(nested(49))).not.toThrow();
    expect(() => TypeProto.decode(nested(50))).toThrow(/nested more than 100/);
    expect(() => TypeProto.decode(nested(5000))).toThrow(/nested more than 100/);
  });
  test('with a message longer than its container throw', () => {
    // a graph of 2 bytes whose node claims 10 of the 11 that follow
    const bytes = [0x3a, 2, 0x0a, 10, 0x12, 1, 65, 0x12, 1, 65, 0x12, 1, 65, 0, 0];
    expect(() => ModelProto.decode(Uint8Array.from(bytes))).toThrow(/past its container/);
  });
  test('with fields of a newer schema are read without them', () => {
    // fields 200, a varint; 201, of 64 bits; 202, a string; 203, of 32 bits; then the name
    const newer = [0xc0, 12, 7, 0xc9, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0xd2, 12, 1, 65, 0xdd, 12, 0, 0, 0, 0];
    expect(TensorProto.decode(Uint8Array.of(...newer, 0x42, 1, 66)).name).toBe('B');
  });
});

test('the generated code has no eval and no require', () => {
  const code = readFileSync(join(repositoryFolder, 'compiler/import/onnx/generated/onnx-proto.js'), 'utf8');
  expect(code).not.toMatch(/\beval\b|\bFunction\(|\brequire\(|^import /m);
});

/** A message as a field of another. */
function wrapped(bytes: Uint8Array, field: number): Uint8Array {
  const length: number[] = [];
  for (let rest = bytes.length; rest > 0 || length.length === 0; rest >>>= 7)
    length.push((rest & 127) | (rest > 127 ? 128 : 0));
  return Buffer.concat([Uint8Array.of((field << 3) | 2, ...length), bytes]);
}
