/** The rules of each preset on single layers, by hand. */
import { describe, expect, test } from 'vitest';
import { Builder } from '#ir/builder.ts';
import type { OpAttrsInput, OpName } from '#ir/graph.ts';
import { graphCost } from '#passes/analysis/cost.ts';
import {
  PRESETS,
  type PresetName,
  presetNamed,
  presetOf,
  presetTotal,
} from '#passes/analysis/presets/index.ts';
import { absent } from './networks.ts';

/** The counts of a network that is one node: constants of the shapes given after its input. */
function counts<K extends OpName>(
  op: K,
  x: readonly number[],
  attrs: OpAttrsInput<K>,
  ...constants: (readonly number[])[]
): Record<PresetName, number> {
  const b = new Builder();
  const inputs = constants.map((shape, i) => b.constant(`c${i}`, absent(shape)));
  b.output('y', b.op(op, [b.input('x', x), ...inputs], attrs));
  return Object.fromEntries(
    PRESETS.map((preset) => [preset.name, presetTotal(graphCost(b.graph), preset)]),
  ) as Record<PresetName, number>;
}

const TORCH = (macs: number) => ({
  convolith: macs,
  torchvision: macs,
  fvcore: macs,
  torch: 2 * macs,
  papers: macs,
  multiplications: macs,
});
const NONE = {
  ...TORCH(0),
  thop: 0,
  'onnx-tool': 0,
  'tf-profiler': 0,
};
const plane = { strides: [1, 1], dilations: [1, 1], pads: [0, 0, 0, 0] };

test('a preset has a name of its own, and is found by it', () => {
  expect(new Set(PRESETS.map((p) => p.name)).size).toBe(PRESETS.length);
  for (const preset of PRESETS) expect(presetOf(preset.name)).toBe(preset);
  expect(presetNamed('ptflops')).toBeUndefined();
});

describe('convolutions', () => {
  const window = { ...plane, pads: [1, 1, 1, 1] };
  test('with bias', () => {
    const macs = 8 * 16 * 3 * 9;
    expect(counts('Conv', [1, 3, 4, 4], window, [8, 3, 3, 3], [8])).toEqual({
      ...TORCH(macs),
      thop: macs,
      'onnx-tool': macs + 8 * 16,
      'tf-profiler': 2 * macs + 8 * 16,
    });
  });
  test('depthwise, without bias', () => {
    const macs = 6 * 16 * 9;
    expect(counts('Conv', [1, 6, 4, 4], { ...window, group: 6 }, [6, 1, 3, 3])).toEqual({
      ...TORCH(macs),
      thop: macs,
      'onnx-tool': macs,
      'tf-profiler': 2 * macs,
    });
  });
});

interface Transposed {
  readonly x: readonly number[];
  readonly cout: number;
  readonly k: number;
  readonly stride?: number;
  readonly pad?: number;
  readonly outputPadding?: number;
  readonly group?: number;
  readonly thop: number;
  readonly onnxTool: number;
  readonly tf: number;
}

// MACs are input elements × (Cout/groups) × taps; thop multiplies the output with (Cin/groups) × taps, onnx-tool with
// (Cout/groups) × taps, TensorFlow divides the former by stride² and doubles it
describe('transposed convolutions, where counters differ', () => {
  test.each<[number, Transposed]>([
    [288, { x: [1, 32, 1, 1], cout: 1, k: 3, thop: 9 * 32 * 9, onnxTool: 9 * 9, tf: 2 * 9 * 32 * 9 }],
    [48, { x: [1, 3, 2, 2], cout: 1, k: 2, stride: 2, thop: 4 * 48, onnxTool: 64, tf: 2 * 48 }],
    [
      49_152,
      {
        x: [2, 4, 8, 8],
        cout: 6,
        k: 4,
        stride: 2,
        pad: 1,
        thop: 4 * 49_152,
        onnxTool: (4 * 49_152 * 6) / 4,
        tf: 2 * 49_152,
      },
    ],
    [
      4_608,
      {
        x: [2, 4, 8, 8],
        cout: 4,
        k: 3,
        stride: 2,
        pad: 1,
        outputPadding: 1,
        group: 4,
        thop: 4 * 4_608,
        onnxTool: 4 * 4_608,
        tf: 2 * 4_608,
      },
    ],
    [
      6_144,
      {
        x: [2, 6, 8, 8],
        cout: 6,
        k: 2,
        stride: 2,
        group: 3,
        thop: 4 * 6_144,
        onnxTool: 4 * 6_144,
        tf: 2 * 6_144,
      },
    ],
  ])('%i MACs: %o', (macs, { x, cout, k, stride = 1, pad = 0, outputPadding = 0, group = 1, ...wrong }) => {
    const attrs = {
      strides: [stride, stride],
      dilations: [1, 1],
      pads: [pad, pad, pad, pad],
      outputPadding: [outputPadding, outputPadding],
      group,
    };
    expect(counts('ConvTranspose', x, attrs, [x[1] ?? 1, cout / group, k, k])).toEqual({
      ...TORCH(macs),
      thop: wrong.thop,
      'onnx-tool': wrong.onnxTool,
      'tf-profiler': wrong.tf,
    });
  });
});

describe('products', () => {
  test('a linear layer', () => {
    expect(counts('Gemm', [2, 5], {}, [5, 7], [7])).toEqual({
      ...TORCH(70),
      thop: 70,
      'onnx-tool': 70 + 14,
      'tf-profiler': 140 + 14,
    });
  });
  test('a product of two activations is no layer to thop', () => {
    const b = new Builder();
    const x = b.input('x', [2, 3, 3]);
    b.output('y', b.op('MatMul', [x, x], {}));
    const of = (name: PresetName) => presetTotal(graphCost(b.graph), presetOf(name));
    expect([of('torchvision'), of('fvcore'), of('thop'), of('tf-profiler')]).toEqual([54, 54, 0, 108]);
  });
});

describe('what is not a product', () => {
  const four = [[4], [4], [4], [4]];
  test('batch norm', () => {
    expect(counts('BatchNormalization', [1, 4, 5, 5], {}, ...four)).toEqual({
      ...NONE,
      fvcore: 200,
      thop: 400,
      'onnx-tool': 3100,
    });
  });
  test('layer, group and instance norm', () => {
    const layer = counts('LayerNormalization', [2, 4, 8], { axis: 2 }, [8], [8]);
    expect(layer).toEqual({ ...NONE, fvcore: 320, thop: 256, 'onnx-tool': 7 * 64 + 29 * 8 });
    const group = counts('GroupNormalization', [1, 4, 5, 5], { groups: 2 }, [4], [4]);
    expect(group).toEqual({ ...NONE, fvcore: 500 });
    const instance = counts('InstanceNormalization', [1, 4, 5, 5], {}, [4], [4]);
    expect(instance).toEqual({ ...NONE, fvcore: 500, thop: 400, 'onnx-tool': 1400 });
  });
  test('pooling: an average pool with a window of 1 is an adaptive one', () => {
    const pool = { ...plane, kernel: [2, 2], strides: [2, 2] };
    expect(counts('MaxPool', [1, 3, 4, 4], pool)).toEqual({ ...NONE, 'onnx-tool': 48, 'tf-profiler': 48 });
    expect(counts('AveragePool', [1, 3, 4, 4], pool)).toEqual({
      ...NONE,
      thop: 12,
      'onnx-tool': 48,
      'tf-profiler': 48,
    });
    expect(counts('AveragePool', [1, 3, 4, 4], { ...plane, kernel: [1, 1] })).toEqual({
      ...NONE,
      fvcore: 48,
      thop: 96,
      'onnx-tool': 48,
      'tf-profiler': 48,
    });
    expect(counts('GlobalAveragePool', [1, 3, 4, 4], {})).toEqual({
      ...NONE,
      fvcore: 48,
      thop: 17 * 3,
      'onnx-tool': 48 + 4 * 3,
      'tf-profiler': 48,
    });
  });
  test('activations', () => {
    expect(counts('Relu', [1, 3, 4, 4], {})).toEqual({ ...NONE, 'onnx-tool': 48 });
    expect(counts('Sigmoid', [1, 3, 4, 4], {})).toEqual({ ...NONE, 'onnx-tool': 48 * 32 });
    expect(counts('PRelu', [1, 3, 4, 4], {}, [3, 1, 1])).toEqual({ ...NONE, thop: 48, 'onnx-tool': 96 });
    expect(counts('Softmax', [2, 10], { axis: 1 })).toEqual({
      ...NONE,
      thop: 2 * 29,
      'onnx-tool': 20 * 36,
      'tf-profiler': 100,
    });
  });
  test.each([
    ['Add', 1],
    ['Mul', 1],
    ['Div', 4],
    ['Pow', 32],
  ] as const)('%s', (op, each) => {
    expect(counts(op, [1, 3, 4, 4], {}, [3, 1, 1])).toEqual({
      ...NONE,
      'onnx-tool': each * 48,
      'tf-profiler': 48,
    });
  });
  test('reductions', () => {
    const axes = { axes: [2, 3], keepDims: false };
    expect(counts('ReduceMean', [1, 3, 4, 4], axes)).toEqual({
      ...NONE,
      'onnx-tool': 48,
      'tf-profiler': 48,
    });
    expect(counts('ReduceSum', [1, 3, 4, 4], axes)).toEqual({
      ...NONE,
      'onnx-tool': 48,
      'tf-profiler': 45,
    });
  });
  test.each([
    ['nearest', [1, 3, 4], { thop: 24 }],
    ['linear', [1, 3, 4], { thop: 24 * 5, 'onnx-tool': 24 * 4 }],
    ['nearest', [1, 3, 4, 4], { fvcore: 192, thop: 192 }],
    ['linear', [1, 3, 4, 4], { fvcore: 192 * 4, thop: 192 * 11, 'onnx-tool': 192 * 4 }],
    ['cubic', [1, 3, 4, 4], { thop: 192 * 259, 'onnx-tool': 192 * 8 }],
    ['linear', [1, 3, 4, 4, 4], { thop: 1536 * 31, 'onnx-tool': 1536 * 4 }],
  ] as const)('upsampling, %s, of %o', (mode, x, expected) => {
    const scales = x.map((_, axis) => (axis < 2 ? 1 : 2));
    const sizes = x.map((size, axis) => size * (scales[axis] ?? 1));
    const attrs = { mode, coordinates: 'half_pixel', nearestMode: 'floor', scales, sizes } as const;
    expect(counts('Resize', x, attrs)).toEqual({ ...NONE, ...expected });
  });
  test('what only moves elements', () => {
    expect(counts('Transpose', [1, 3, 4, 4], { perm: [0, 2, 3, 1] })).toEqual(NONE);
  });
});
