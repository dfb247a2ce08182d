import { describe, expect, test } from 'vitest';
import { type ImportOptions, importOnnx } from '#compiler/import/onnx/index.ts';
import type { AttrValue } from '#ir/attrs.ts';
import {
  type AttributeValue,
  info,
  node,
  onnxModel,
  stored,
  storedInts,
  type TestModel,
} from '../../support/onnx.ts';
import { codesOf, diagnosticsOf } from './codes.ts';

type Attributes = Readonly<Record<string, AttributeValue>>;

/** A model of one node over inputs `x` and, as constants, whatever else is listed. */
function single(
  op: string,
  opset: number,
  shape: readonly number[],
  attributes: Attributes = {},
  constants: readonly (TestModel['initializers'] extends readonly (infer T)[] | undefined ? T : never)[] = [],
  more: { readonly inputs?: readonly string[]; readonly outputs?: readonly string[] } = {},
) {
  const outputs = more.outputs ?? ['y'];
  const inputs = more.inputs ?? ['x', ...constants.map((c) => c.name ?? '')];
  return onnxModel({
    opset,
    inputs: [info('x', shape)],
    outputs,
    initializers: constants,
    nodes: [node(op, inputs, outputs, attributes)],
  });
}

const nodesOf = (bytes: Uint8Array): [string, Readonly<Record<string, AttrValue>>][] =>
  importOnnx(bytes).graph.nodes.map((n) => [n.op, n.attrs as Readonly<Record<string, AttrValue>>]);
const only = (bytes: Uint8Array) => {
  const nodes = nodesOf(bytes);
  expect(nodes).toHaveLength(1);
  return nodes[0];
};
const floats = (name: string, values: readonly number[], dims: readonly number[] = [values.length]) =>
  stored(name, dims, Float32Array.from(values));
const zeros = (name: string, dims: readonly number[]) =>
  stored(name, dims, new Float32Array(dims.reduce((a, b) => a * b, 1)));
const INFINITE = Number.POSITIVE_INFINITY;

describe('what moved from attributes to inputs means the same on both sides', () => {
  test.each<[string, Uint8Array, Uint8Array]>([
    [
      'Clip at 11',
      single('Clip', 6, [2], { min: -1, max: 6 }),
      single('Clip', 11, [2], {}, [floats('min', [-1], []), floats('max', [6], [])]),
    ],
    [
      'Slice at 10',
      single('Slice', 1, [4, 4], { starts: [-3n], ends: [9223372036854775807n], axes: [1n] }),
      single('Slice', 10, [4, 4], {}, [storedInts('s', [-3]), storedInts('e', [100]), storedInts('a', [-1])]),
    ],
    [
      'Pad at 11',
      single('Pad', 2, [1, 4], { pads: [0n, 1n, 0n, 2n], value: 3 }),
      single('Pad', 11, [1, 4], {}, [storedInts('p', [0, 1, 0, 2]), floats('v', [3], [])]),
    ],
    [
      'axes of Pad at 18',
      single('Pad', 13, [1, 4], {}, [storedInts('p', [0, 1, 0, 2])]),
      single('Pad', 18, [1, 4], {}, [storedInts('p', [1, 2]), storedInts('a', [-1])], {
        inputs: ['x', 'p', '', 'a'],
      }),
    ],
    [
      'Squeeze at 13',
      single('Squeeze', 11, [1, 2, 1], { axes: [-1n] }),
      single('Squeeze', 13, [1, 2, 1], {}, [storedInts('a', [2])]),
    ],
    [
      'Unsqueeze at 13',
      single('Unsqueeze', 11, [2], { axes: [0n, -1n] }),
      single('Unsqueeze', 13, [2], {}, [storedInts('a', [2, 0])]),
    ],
    [
      'ReduceSum at 13',
      single('ReduceSum', 11, [2, 3], { axes: [-1n] }),
      single('ReduceSum', 13, [2, 3], {}, [storedInts('a', [1])]),
    ],
    [
      'ReduceMean at 18',
      single('ReduceMean', 13, [2, 3], { keepdims: 0n }),
      single('ReduceMean', 18, [2, 3], { keepdims: 0n }, [storedInts('a', [0, 1])]),
    ],
    [
      'Upsample at 9',
      single('Upsample', 7, [1, 1, 2, 2], { scales: [1, 1, 2, 2] }),
      single('Upsample', 9, [1, 1, 2, 2], {}, [floats('s', [1, 1, 2, 2])]),
    ],
    [
      'Upsample and Resize at 10',
      single('Upsample', 9, [1, 1, 2, 2], {}, [floats('s', [1, 1, 2, 2])]),
      single('Resize', 10, [1, 1, 2, 2], {}, [floats('s', [1, 1, 2, 2])]),
    ],
    [
      'Dropout at 7',
      single('Dropout', 6, [2], { is_test: 1n, ratio: 0.5 }),
      single('Dropout', 13, [2], {}, [floats('ratio', [0.5], [])]),
    ],
  ])('%s', (_, before, after) => {
    expect(nodesOf(after)).toEqual(nodesOf(before));
    expect(nodesOf(before)).toHaveLength(1);
  });

  test('Split at 13, and by number of outputs at 18', () => {
    const outputs = ['y', 'z'];
    const uneven = ['Split', { axis: 1, sizes: [3, 2] }];
    expect(only(single('Split', 11, [1, 5], { axis: 1n, split: [3n, 2n] }, [], { outputs }))).toEqual(uneven);
    expect(only(single('Split', 13, [1, 5], { axis: -1n }, [storedInts('s', [3, 2])], { outputs }))).toEqual(
      uneven,
    );
    expect(only(single('Split', 18, [1, 5], { axis: 1n, num_outputs: 2n }, [], { outputs }))).toEqual(uneven);
  });
});

describe('what changed its meaning', () => {
  test('Softmax before 13 takes everything from its axis on as one', () => {
    expect(nodesOf(single('Softmax', 11, [2, 3, 4])).map(([op, a]) => [op, a.shape ?? a.axis])).toEqual([
      ['Reshape', [2, 12]],
      ['Softmax', 1],
      ['Reshape', [2, 3, 4]],
    ]);
    expect(only(single('Softmax', 11, [2, 3]))).toEqual(['Softmax', { axis: 1 }]);
    expect(only(single('Softmax', 13, [2, 3, 4]))).toEqual(['Softmax', { axis: 2 }]);
  });

  test('broadcasting before 7 starts at an axis', () => {
    const model = single('Add', 6, [2, 3, 4], { axis: 1n, broadcast: 1n }, [floats('b', [1, 2, 3])]);
    const { graph } = importOnnx(model);
    expect(graph.nodes.map((n) => n.op)).toEqual(['Add']);
    expect(graph.nodes[0]?.operands[1]?.type.shape).toEqual([3, 1]);
  });

  test('the default of keeping an empty list of axes', () => {
    const noop = { noop_with_empty_axes: 1n };
    expect(only(single('ReduceMax', 18, [2, 3]))?.[1]).toMatchObject({ axes: [0, 1], keepDims: true });
    expect(only(single('ReduceMax', 18, [2, 3], noop))?.[1]).toMatchObject({ axes: [] });
  });

  test('batch normalisation in training mode is refused in every way it was ever asked for', () => {
    const statistics = ['s', 'b', 'm', 'v'].map((name) => floats(name, [1, 1]));
    const model = (opset: number, attributes: Attributes, outputs = ['y']) =>
      single('BatchNormalization', opset, [1, 2, 3], attributes, statistics, { outputs });
    expect(codesOf(() => importOnnx(model(14, { training_mode: 1n })))).toEqual(['op-unsupported-form']);
    expect(codesOf(() => importOnnx(model(9, {}, ['y', 'mean'])))).toEqual(['op-unsupported-form']);
    expect(codesOf(() => importOnnx(model(6, {})))).toEqual(['op-unsupported-form']);
    expect(codesOf(() => importOnnx(model(8, { spatial: 0n })))).toEqual(['op-unsupported-form']);
    expect(only(model(6, { is_test: 1n }))?.[0]).toBe('BatchNormalization');
    expect(only(model(15, { epsilon: 0.5 }))).toEqual(['BatchNormalization', { epsilon: 0.5 }]);
  });
});

describe('operator sets', () => {
  test('older than 6: what has not changed since is read, all else is refused, once for all nodes', () => {
    expect(only(single('Flatten', 1, [2, 3, 4]))?.[0]).toBe('Flatten');
    expect(only(single('Softplus', 5, [2]))?.[0]).toBe('Softplus');
    expect(only(single('Relu', 6, [2]))?.[0]).toBe('Relu');
    const nodes = [node('Relu', ['x'], ['a']), node('Relu', ['a'], ['b']), node('Tanh', ['b'], ['y'])];
    const model = onnxModel({ inputs: [info('x', [2])], nodes, opset: 5 });
    const found = diagnosticsOf(() => importOnnx(model));
    expect(found.map((d) => [d.code, d.subject])).toEqual([['opset-unsupported', 'op set 5']]);
    expect(found[0]?.message).toContain('Relu, Tanh');
  });

  test('newer than what is known: a warning', () => {
    const codes = (opset: number) => importOnnx(single('Relu', opset, [2])).diagnostics.map((d) => d.code);
    expect(codes(28)).toEqual([]);
    expect(codes(29)).toEqual(['opset-newer']);
  });
});

test('shapes that do not fit are blamed on given sizes only where some were given', () => {
  const model = onnxModel({
    inputs: [info('x', ['n', 3])],
    nodes: [node('MatMul', ['x', 'w'], ['y'])],
    initializers: [floats('w', Array(4).fill(1), [4, 1])],
  });
  const hint = (options: ImportOptions) => diagnosticsOf(() => importOnnx(model, options))[0]?.hint;
  expect(hint({})).not.toContain('--dim');
  expect(hint({ dims: { n: 2 } })).toContain('--dim or --shape');
});

describe('padding becomes explicit', () => {
  const weight = zeros('w', [1, 1, 3, 3]);
  const pads = (attributes: Attributes, size = 5) =>
    only(single('Conv', 11, [1, 1, size, size], attributes, [weight]))?.[1].pads;

  test('auto_pad', () => {
    expect(pads({})).toEqual([0, 0, 0, 0]);
    expect(pads({ auto_pad: 'VALID' })).toEqual([0, 0, 0, 0]);
    expect(pads({ auto_pad: 'NOTSET', pads: [1n, 2n, 3n, 4n] })).toEqual([1, 2, 3, 4]);
    expect(pads({ auto_pad: 'SAME_UPPER', strides: [2n, 2n] }, 6)).toEqual([0, 0, 1, 1]);
    expect(pads({ auto_pad: 'SAME_LOWER', strides: [2n, 2n] }, 6)).toEqual([1, 1, 0, 0]);
    expect(pads({ auto_pad: 'SAME_UPPER', dilations: [2n, 2n] })).toEqual([2, 2, 2, 2]);
  });

  test('output_shape of a transposed convolution', () => {
    const attributes = { strides: [2n, 2n], output_shape: [6n, 6n] };
    const found = only(single('ConvTranspose', 11, [1, 1, 3, 3], attributes, [weight]))?.[1];
    expect(found).toMatchObject({ pads: [1, 1, 0, 0], outputPadding: [0, 0] });
    const larger = only(
      single('ConvTranspose', 11, [1, 1, 3, 3], { ...attributes, output_shape: [8n, 8n] }, [weight]),
    )?.[1];
    expect(larger).toMatchObject({ pads: [0, 0, 0, 0], outputPadding: [1, 1] });
  });

  test('a kernel_shape that contradicts the weight, and lists of a wrong length, are refused', () => {
    for (const attributes of [
      { kernel_shape: [5n, 5n] },
      { strides: [1n] },
      { pads: [1n, 1n] },
      { strides: [0n, 1n] },
    ]) {
      const model = single('Conv', 11, [1, 1, 5, 5], attributes, [weight]);
      expect(codesOf(() => importOnnx(model))).toEqual(['shape-mismatch']);
    }
  });
});

describe('many operands and moving bounds', () => {
  test('Sum, Min and Max of many are chains, of one the value itself', () => {
    const three = (op: string) => single(op, 13, [2], {}, [], { inputs: ['x', 'x', 'x'] });
    expect(nodesOf(three('Sum')).map(([op]) => op)).toEqual(['Add', 'Add']);
    expect(nodesOf(three('Max')).map(([op]) => op)).toEqual(['Max', 'Max']);
    expect(nodesOf(single('Sum', 13, [2])).map(([op]) => op)).toEqual(['Identity']);
  });

  test('Clip with bounds that are computed is Max and Min', () => {
    const model = (inputs: string[]) => single('Clip', 13, [2], {}, [floats('low', [0], [])], { inputs });
    expect(nodesOf(model(['x', 'low', 'x'])).map(([op]) => op)).toEqual(['Max', 'Min']);
    expect(nodesOf(model(['x', '', 'x'])).map(([op]) => op)).toEqual(['Min']);
    expect(nodesOf(model(['x', 'x'])).map(([op]) => op)).toEqual(['Max']);
    expect(only(model(['x', 'low']))).toEqual(['Clip', { min: 0, max: INFINITE }]);
  });

  test('the largest float as a bound is none', () => {
    const model = single('Clip', 6, [2], { min: -3.4028234663852886e38, max: 3.4028234663852886e38 });
    expect(only(model)?.[1]).toEqual({ min: -INFINITE, max: INFINITE });
  });

  test('GlobalMaxPool is a reduction over the spatial axes', () => {
    expect(only(single('GlobalMaxPool', 1, [1, 2, 3, 4]))).toEqual([
      'ReduceMax',
      { axes: [2, 3], keepDims: true },
    ]);
  });

  test('the mask of a Dropout at inference is all true', () => {
    const { graph } = importOnnx(single('Dropout', 13, [2], {}, [], { outputs: ['y', 'mask'] }));
    expect(graph.outputs[1]?.value.type).toEqual({ dtype: 'bool', shape: [2] });
  });

  test('a step below zero takes the axis from its end', () => {
    const inputs = [
      storedInts('s', [-1]),
      storedInts('e', [-100]),
      storedInts('a', [0]),
      storedInts('step', [-2]),
    ];
    expect(only(single('Slice', 13, [5], {}, inputs))?.[1]).toEqual({ starts: [4], steps: [-2], sizes: [3] });
  });
});

test('malformed attributes are refused by name', () => {
  const weight = zeros('w', [1, 1, 3, 3]);
  const model = single('Conv', 11, [1, 1, 5, 5], { strides: 2n }, [weight]);
  expect(codesOf(() => importOnnx(model))).toEqual(['graph-invalid']);
  expect(() => importOnnx(model)).toThrow('attribute "strides" is an integer, not a list of integers');
});
