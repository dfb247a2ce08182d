import { describe, expect, test } from 'vitest';
import { type ImportOptions, importOnnx } from '#compiler/import/onnx/index.ts';
import { info, node, onnxModel } from '../../support/onnx.ts';
import { codesOf, diagnosticsOf } from './codes.ts';

type Shape = Parameters<typeof info>[1];
const model = (shape: Shape, more: readonly Shape[] = []) =>
  onnxModel({
    nodes: [node('Relu', ['x'], ['y'])],
    inputs: [info('x', shape), ...more.map((s, i) => info(`z${i}`, s))],
  });
const read = (shape: Shape, options: ImportOptions = {}, more: readonly Shape[] = []) =>
  importOnnx(model(shape, more), options);
const shapeOf = (shape: Shape, options?: ImportOptions) => read(shape, options).graph.inputs[0]?.type.shape;

describe('open dimensions', () => {
  test('a batch that was not given is 1, with a note', () => {
    const { graph, diagnostics, dims } = read(['N', 3]);
    expect(graph.inputs[0]?.type.shape).toEqual([1, 3]);
    expect(diagnostics.map((d) => [d.code, d.kind])).toEqual([['batch-assumed', 'note']]);
    expect(dims).toEqual([{ input: 'x', axis: 0, symbol: 'N', size: 1, assumed: true }]);
  });

  test('a batch that was given is that, without a note', () => {
    const { diagnostics, dims } = read(['N', 3], { dims: { N: 4 } });
    expect(diagnostics).toEqual([]);
    expect(dims).toEqual([{ input: 'x', axis: 0, symbol: 'N', size: 4, assumed: false }]);
  });

  test('nothing is assumed where the caller says so', () => {
    expect(codesOf(() => read(['N', 3], { assumeBatch: false }))).toEqual(['dimension-missing']);
  });

  test('every other dimension must be given; all that are missing are told', () => {
    const found = diagnosticsOf(() => read(['N', 3, 'height', null]));
    expect(found.map((d) => d.code)).toEqual(['dimension-missing', 'dimension-missing']);
    expect(found[0]?.message).toBe('axis 2 of input "x", "height", has no size');
    expect(found[0]?.hint).toContain('--dim height=SIZE or --shape x=Nx3xHEIGHT');
    expect(found[1]?.message).toBe('axis 3 of input "x" has no size');
  });

  test('a dimension without a symbol goes by input and axis, and −1 counts as one', () => {
    expect(shapeOf([2, null], { dims: { 'x.1': 7 } })).toEqual([2, 7]);
    expect(shapeOf([2, -1], { dims: { 'x.1': 7 } })).toEqual([2, 7]);
  });

  test('a shape binds its symbols in every input', () => {
    const { graph } = read(['N', 'L'], { shapes: { x: [2, 5] } }, [['N', 'L']]);
    expect(graph.inputs.map((v) => v.type.shape)).toEqual([
      [2, 5],
      [2, 5],
    ]);
  });

  test('an input of unknown rank takes the shape that is given', () => {
    expect(shapeOf(undefined, { shapes: { x: [1, 2, 3] } })).toEqual([1, 2, 3]);
    expect(codesOf(() => read(undefined))).toEqual(['dimension-missing']);
  });
});

describe('options that do not fit the model', () => {
  test('a size that is given wrongly is not said to be missing as well', () => {
    for (const dims of [{ H: 2 ** 40 }, { nope: 3 }]) {
      expect(codesOf(() => read([1, 3, 'H', 'W'], { dims }))).toEqual(['dimension-invalid']);
    }
  });

  test.each<[string, Shape, ImportOptions]>([
    ['an unknown dimension', ['N', 3], { dims: { M: 4 } }],
    ['an unknown input', ['N', 3], { shapes: { image: [1, 3] } }],
    ['another rank', ['N', 3], { shapes: { x: [1, 3, 4] } }],
    ['another fixed size', ['N', 3], { shapes: { x: [1, 4] } }],
    ['one symbol with two sizes', ['N', 'N'], { shapes: { x: [1, 4] } }],
    ['a size and a shape that disagree', ['N', 3], { dims: { N: 2 }, shapes: { x: [1, 3] } }],
    ['a size of zero', ['N', 3], { dims: { N: 0 } }],
    ['a negative size', ['N', 3], { shapes: { x: [-1, 3] } }],
    ['a fraction', ['N', 3], { dims: { N: 1.5 } }],
    ['a shape too large for any memory', ['a', 'b', 'c'], { dims: { a: 2 ** 30, b: 2 ** 30, c: 2 ** 30 } }],
  ])('%s is refused', (_, shape, options) => {
    expect(codesOf(() => read(shape, options))).toEqual(['dimension-invalid']);
  });

  test('an unknown name is answered with the names there are', () => {
    const [found] = diagnosticsOf(() => read(['N', 3], { dims: { batch: 1 } }));
    expect(found?.message).toContain('its dimensions are N');
  });
});

test('inputs that are not tensors, or of strings, are refused', () => {
  const strings = onnxModel({ nodes: [node('Relu', ['x'], ['y'])], inputs: [info('x', [1], 8)] });
  expect(codesOf(() => importOnnx(strings))).toEqual(['dtype-unsupported']);
  const sequence = onnxModel({
    nodes: [node('Relu', ['x'], ['y'])],
    inputs: [{ name: 'x', type: { sequenceType: { elemType: { tensorType: { elemType: 1 } } } } }],
  });
  expect(codesOf(() => importOnnx(sequence))).toEqual(['dtype-unsupported']);
});
