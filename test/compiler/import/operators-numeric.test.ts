/** Normalisation, quantisation and activations as exporters of every op set write them. */
import { describe, expect, test } from 'vitest';
import { importOnnx } from '#compiler/import/onnx/index.ts';
import { evaluateGraph } from '#ir/evaluate.ts';
import { type Tensor, tensor } from '#ir/tensor.ts';
import { type AttributeValue, info, node, onnxModel, stored } from '../../support/onnx.ts';
import { noise, values } from '../../support/op.ts';
import { diagnosticsOf } from './codes.ts';

type Stored = ReturnType<typeof stored>;

/** A model of one node over an input `x` and constants, in order. */
function model(
  op: string,
  opset: number,
  shape: readonly number[],
  attributes: Readonly<Record<string, AttributeValue>> = {},
  constants: readonly Stored[] = [],
  outputs: readonly string[] = ['y'],
): Uint8Array {
  return onnxModel({
    opset,
    inputs: [info('x', shape)],
    outputs: [...outputs],
    initializers: constants,
    nodes: [node(op, ['x', ...constants.map((c) => c.name ?? '')], outputs, attributes)],
  });
}

function run(bytes: Uint8Array, x: Tensor): Tensor[] {
  const { graph } = importOnnx(bytes);
  const results = evaluateGraph(graph, new Map([['x', x]]));
  return graph.outputs.map((o) => results.get(o.value) as Tensor);
}

const opsOf = (bytes: Uint8Array) => importOnnx(bytes).graph.nodes.map((n) => n.op);
const floats = (name: string, list: readonly number[], dims: readonly number[] = [list.length]) =>
  stored(name, dims, Float32Array.from(list));

describe('before opset 13 everything from the axis on is one axis', () => {
  test.each(['Softmax', 'LogSoftmax', 'Hardmax'])('%s', (op) => {
    const x = noise([2, 3, 4]);
    const [old] = run(model(op, 11, [2, 3, 4]), x);
    const flat = tensor('f32', [2, 12], x.data);
    const [now] = run(model(op, 13, [2, 12], { axis: -1n }), flat);
    expect(old?.data).toEqual(now?.data);
    expect(old?.type.shape).toEqual([2, 3, 4]);
    expect(opsOf(model(op, 13, [2, 3, 4], { axis: 1n }))).toEqual([op]);
  });
});

test('GroupNormalization had scale and bias per group before opset 21', () => {
  const x = noise([1, 4, 3]);
  const old = model('GroupNormalization', 18, [1, 4, 3], { num_groups: 2n }, [
    floats('scale', [2, 3]),
    floats('bias', [0.5, -1]),
  ]);
  const now = model('GroupNormalization', 21, [1, 4, 3], { num_groups: 2n }, [
    floats('scale', [2, 2, 3, 3]),
    floats('bias', [0.5, 0.5, -1, -1]),
  ]);
  expect(run(old, x)[0]?.data).toEqual(run(now, x)[0]?.data);
  expect(opsOf(old)).toEqual(['GroupNormalization']);
});

test('LayerNormalization gives mean and inverse deviation where they are read', () => {
  const bytes = model(
    'LayerNormalization',
    17,
    [2, 2],
    { epsilon: 0 },
    [floats('s', [1, 1])],
    ['y', 'm', 'd'],
  );
  const [y, mean, inverse] = run(bytes, tensor('f32', [2, 2], [1, 3, 0, 4]));
  expect(values(y as Tensor)).toEqual([-1, 1, -1, 1]);
  expect(mean).toEqual(tensor('f32', [2, 1], [2, 2]));
  expect(inverse).toEqual(tensor('f32', [2, 1], [1, 0.5]));
});

test('PRelu before opset 7 has a list of slopes for the channels', () => {
  const x = tensor('f32', [1, 2, 2], [-1, 1, -2, 2]);
  const old = model('PRelu', 6, [1, 2, 2], {}, [floats('slope', [0.5, 0.25])]);
  const now = model('PRelu', 16, [1, 2, 2], {}, [floats('slope', [0.5, 0.25], [2, 1])]);
  expect(values(run(old, x)[0] as Tensor)).toEqual([-0.5, 1, -0.5, 2]);
  expect(run(now, x)[0]?.data).toEqual(run(old, x)[0]?.data);
});

test('pools by a norm: over windows and over everything', () => {
  const x = tensor('f32', [1, 1, 4], [3, -4, 0, 12]);
  const window = { kernel_shape: [2n], strides: [2n], auto_pad: 'VALID' };
  expect(values(run(model('LpPool', 18, [1, 1, 4], window), x)[0] as Tensor)).toEqual([5, 12]);
  expect(values(run(model('LpPool', 6, [1, 1, 4], { ...window, p: 1n }), x)[0] as Tensor)).toEqual([7, 12]);
  const whole = (p: bigint) => values(run(model('GlobalLpPool', 6, [1, 1, 4], { p }), x)[0] as Tensor)[0];
  expect(whole(1n)).toBe(19);
  expect(whole(2n)).toBe(13);
  expect(whole(3n)).toBeCloseTo((27 + 64 + 1728) ** (1 / 3), 4);
});

test('the type of a quantised result: of its zero point, as said, or u8', () => {
  const quantize = (attributes: Readonly<Record<string, AttributeValue>>, constants: readonly Stored[]) =>
    run(model('QuantizeLinear', 21, [2], attributes, constants), tensor('f32', [2], [-1, 1]))[0]?.type.dtype;
  const scale = floats('scale', [1], []);
  expect(quantize({}, [scale])).toBe('u8');
  expect(quantize({ output_dtype: 3n }, [scale])).toBe('i8');
  expect(quantize({}, [scale, stored('zero', [], Int16Array.of(0))])).toBe('i16');
});

test('powers of mixed types have the type of the base', () => {
  const pow = (base: Tensor['data'], exponent: Tensor['data']) => {
    const bytes = onnxModel({
      opset: 15,
      inputs: [],
      outputs: ['y'],
      initializers: [stored('b', [1], base), stored('e', [1], exponent)],
      nodes: [node('Pow', ['b', 'e'], ['y'])],
    });
    return run(bytes, noise([1]))[0];
  };
  expect(pow(Int32Array.of(4), Float32Array.of(0.5))).toEqual(tensor('i32', [1], [2]));
  expect(pow(Float32Array.of(2), BigInt64Array.of(-2n))).toEqual(tensor('f32', [1], [0.25]));
  expect(pow(Int32Array.of(3), BigInt64Array.of(4n))).toEqual(tensor('i32', [1], [81]));
  expect(pow(BigInt64Array.of(3n), BigInt64Array.of(39n))?.data).toEqual(BigInt64Array.of(3n ** 39n));
});

test('bounds of 64-bit integers that are no doubles are kept', () => {
  const bound = 2n ** 60n + 1n;
  const bytes = onnxModel({
    opset: 13,
    inputs: [],
    outputs: ['y'],
    initializers: [
      stored('v', [1], BigInt64Array.of(2n ** 62n)),
      stored('min', [], BigInt64Array.of(0n)),
      stored('max', [], BigInt64Array.of(bound)),
    ],
    nodes: [node('Clip', ['v', 'min', 'max'], ['y'])],
  });
  expect(run(bytes, noise([1]))[0]?.data).toEqual(BigInt64Array.of(bound));
});

test.each<[string, string, Uint8Array]>([
  ['size', 'LRN has no size', model('LRN', 13, [1, 2, 3])],
  [
    'num_groups',
    'has no num_groups',
    model('GroupNormalization', 21, [1, 2, 3], {}, [floats('s', [1, 1]), floats('b', [0, 0])]),
  ],
  [
    'direction',
    'direction "UP" is not known',
    model('BitShift', 11, [1], { direction: 'UP' }, [floats('y0', [1])]),
  ],
  ['approximation', 'approximation "fast" is not known', model('Gelu', 20, [1], { approximate: 'fast' })],
  ['equation', 'Einsum has no equation', model('Einsum', 12, [1])],
  ['old form', 'before opset 9', model('MeanVarianceNormalization', 8, [1, 2, 3, 3])],
])('what is missing or unknown is told: %s', (_, message, bytes) => {
  expect(
    diagnosticsOf(() => importOnnx(bytes))
      .map((d) => d.message)
      .join(),
  ).toContain(message);
});
