import { describe, expect, test } from 'vitest';
import { importOnnx } from '#compiler/import/onnx/index.ts';
import { constantOf } from '#ir/graph.ts';
import type { TensorData } from '#ir/tensor.ts';
import { halfToFloat } from '#runtime/stored-weights.ts';
import { external, info, node, onnxModel, stored, type TestModel } from '../../support/onnx.ts';
import { codesOf, diagnosticsOf } from './codes.ts';

type Stored = NonNullable<TestModel['initializers']>[number];

/** A model whose output is the stored tensor `w`. */
const model = (w: Stored) => onnxModel({ initializers: [w], outputs: ['w'], inputs: [info('x', [1])] });
const read = (w: Stored, files: Readonly<Record<string, Uint8Array>> = {}) =>
  importOnnx(model(w), { externalData: (location) => files[location] });
const constant = (w: Stored, files?: Readonly<Record<string, Uint8Array>>) =>
  constantOf(read(w, files).graph.outputs[0]?.value);

describe('stored data', () => {
  test.each<[string, TensorData, string, number?]>([
    ['float32', Float32Array.of(1.5, -2), 'f32'],
    ['uint8', Uint8Array.of(1, 255), 'u8'],
    ['int8', Int8Array.of(1, -128), 'i8'],
    ['uint16', Uint16Array.of(1, 65535), 'u16'],
    ['int16', Int16Array.of(1, -32768), 'i16'],
    ['int32', Int32Array.of(1, -2147483648), 'i32'],
    ['int64', BigInt64Array.of(1n, -(2n ** 63n)), 'i64'],
    ['uint32', Uint32Array.of(1, 4294967295), 'u32'],
    ['uint64', BigUint64Array.of(1n, 2n ** 64n - 1n), 'u64'],
    ['bool', Uint8Array.of(1, 0), 'bool', 9],
  ])('%s in raw_data comes out as it is', (_, data, dtype, code) => {
    expect(constant(stored('w', [2], data, code))).toEqual({ type: { dtype, shape: [2] }, data });
  });

  test.each<[string, Stored, TensorData]>([
    ['float_data', { dataType: 1, floatData: [1, 2] }, Float32Array.of(1, 2)],
    ['double_data', { dataType: 11, doubleData: [1, 0.1] }, Float32Array.of(1, 0.1)],
    ['int32_data of int8', { dataType: 3, int32Data: [1, -1] }, Int8Array.of(1, -1)],
    ['int32_data of bool', { dataType: 9, int32Data: [0, 3] }, Uint8Array.of(0, 1)],
    ['int32_data of float16', { dataType: 10, int32Data: [0x3c00, 0xc000] }, Float32Array.of(1, -2)],
    ['int64_data', { dataType: 7, int64Data: [1, -1] }, BigInt64Array.of(1n, -1n)],
    ['uint64_data of uint32', { dataType: 12, uint64Data: [1, 4294967295] }, Uint32Array.of(1, 4294967295)],
  ])('%s is read', (_, fields, data) => {
    expect(constant({ name: 'w', dims: [2], ...fields })?.data).toEqual(data);
  });

  test('a view of the file where alignment allows, a copy on the first reading where not', () => {
    const data = Float32Array.from({ length: 5000 }, (_, i) => i);
    for (const name of ['w', 'ww', 'www', 'wwww']) {
      const bytes = onnxModel({
        initializers: [stored(name, [5000], data)],
        outputs: [name],
        inputs: [info('x', [1])],
      });
      const found = constantOf(importOnnx(bytes).graph.outputs[0]?.value);
      expect(found?.data).toEqual(data);
      expect(found?.data).toBe(found?.data);
    }
  });

  test('f16 and f64 become f32, with one note for the model', () => {
    const half = new Uint16Array([0x3555, 0x7c00, 0xfc00, 0x0001]);
    const { diagnostics, graph } = read(stored('w', [4], half, 10));
    expect(diagnostics.map((d) => d.code)).toEqual(['dtype-converted']);
    const expected = Float32Array.of(
      0.333251953125,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      2 ** -24,
    );
    expect(constantOf(graph.outputs[0]?.value)?.data).toEqual(expected);
    expect(constant(stored('w', [1], Float64Array.of(0.1)))?.data).toEqual(Float32Array.of(0.1));
  });

  test('halves decode exactly', () => {
    expect([0x0000, 0x8000, 0x03ff, 0x0400, 0x7bff].map(halfToFloat)).toEqual([
      0,
      -0,
      1023 * 2 ** -24,
      2 ** -14,
      65504,
    ]);
    expect(halfToFloat(0x7e00)).toBeNaN();
  });
});

describe('data that does not fit', () => {
  test.each<[string, Stored]>([
    ['too few bytes', stored('w', [3], Float32Array.of(1, 2))],
    ['too many bytes', stored('w', [1], Float32Array.of(1, 2))],
    ['too few values', { name: 'w', dims: [3], dataType: 1, floatData: [1] }],
    ['no data at all', { name: 'w', dims: [3], dataType: 1 }],
    ['a negative size', { name: 'w', dims: [-1], dataType: 1, floatData: [1] }],
    ['a huge shape', { name: 'w', dims: [2 ** 40, 2 ** 12], dataType: 1, rawData: new Uint8Array(8) }],
    [
      'a shape of very high rank',
      { name: 'w', dims: new Array<number>(40).fill(1), dataType: 1, floatData: [1] },
    ],
  ])('%s is refused', (_, w) => {
    expect(codesOf(() => read(w))).toEqual(['tensor-size']);
  });

  test.each([
    ['string', 8],
    ['complex64', 14],
    ['bfloat16', 16],
    ['float8e4m3fn', 17],
    ['int4', 22],
    ['number 99', 99],
  ])('%s is not supported, and named', (name, dataType) => {
    const [found] = diagnosticsOf(() => read({ name: 'w', dims: [1], dataType, rawData: new Uint8Array(2) }));
    expect(found).toMatchObject({ code: 'dtype-unsupported', subject: 'w' });
    expect(found?.message).toContain(name);
  });

  test('a tensor that nobody reads may be anything', () => {
    const bytes = onnxModel({
      initializers: [{ name: 'label', dims: [1], dataType: 8 }],
      inputs: [info('x', [1])],
      nodes: [node('Relu', ['x'], ['y'])],
    });
    expect(importOnnx(bytes).graph.nodes).toHaveLength(1);
  });
});

describe('external data', () => {
  const file = new Uint8Array(Float32Array.of(0, 1, 2, 3).buffer);

  test('is read by offset and length, without a copy', () => {
    const found = constant(external('w', [2], './sub/../w.bin', { offset: '8', length: '8' }), {
      'w.bin': file,
    });
    expect(found?.data).toEqual(Float32Array.of(2, 3));
    expect(found?.data?.buffer).toBe(file.buffer);
  });

  test('is copied where it is not aligned, from a Buffer too', () => {
    const odd = Buffer.concat([Buffer.of(0), file]);
    expect(constant(external('w', [2], 'w.bin', { offset: '5' }), { 'w.bin': odd })?.data).toEqual(
      Float32Array.of(1, 2),
    );
    const long = Buffer.concat([
      Buffer.of(0),
      new Uint8Array(Float32Array.from({ length: 5000 }, (_, i) => i).buffer),
    ]);
    expect(constant(external('w', [5000], 'w.bin', { offset: '1' }), { 'w.bin': long })?.data?.[4999]).toBe(
      4999,
    );
  });

  test('offset and length may be left out', () => {
    expect(constant(external('w', [2], 'w.bin'), { 'w.bin': file })?.data).toEqual(Float32Array.of(0, 1));
  });

  test('that is not there leaves a constant without data, and its file’s name', () => {
    const { graph, missingFiles } = read(external('w', [2, 3], 'w.bin'));
    expect(missingFiles).toEqual(['w.bin']);
    expect(constantOf(graph.outputs[0]?.value)).toMatchObject({ type: { shape: [2, 3] }, data: null });
  });

  test.each([
    ['an absolute path', '/etc/passwd'],
    ['a drive', 'C:\\weights.bin'],
    ['a network path', '\\\\server\\share\\w.bin'],
    ['".." out of the folder', '../w.bin'],
    ['".." out of the folder, later', 'a/../../w.bin'],
    ['".." with backslashes', 'a\\..\\..\\w.bin'],
    ['a URL', 'file:///etc/passwd'],
    ['a NUL character', 'w.bin\0.txt'],
    ['the folder itself', '.'],
  ])('%s is refused, and nothing is read', (_, location) => {
    const asked: string[] = [];
    const externalData = (file: string): undefined => {
      asked.push(file);
    };
    const run = () => importOnnx(model(external('w', [1], location)), { externalData });
    expect(codesOf(run)).toEqual(['external-outside']);
    expect(asked).toEqual([]);
  });

  test.each<[string, Readonly<Record<string, string>>]>([
    ['past the end of the file', { offset: '12', length: '8' }],
    ['of another length than the shape needs', { length: '12' }],
    ['at a negative offset', { offset: '-4' }],
    ['at an offset that is no number', { offset: '1e1' }],
    ['at an inexact offset', { offset: '99999999999999999999' }],
  ])('data %s is refused', (_, entries) => {
    expect(codesOf(() => read(external('w', [2], 'w.bin', entries), { 'w.bin': file }))).toEqual([
      'tensor-size',
    ]);
  });
});
