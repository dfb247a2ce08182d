import { expect, test } from 'vitest';
import { exportJson } from '#compiler/export/json/index.ts';
import { exportOnnx } from '#compiler/export/onnx/index.ts';
import { importJson } from '#compiler/import/json/index.ts';
import { importOnnx } from '#compiler/import/onnx/index.ts';
import { formatSafetensors } from '#compiler/weights/safetensors.ts';
import { Builder } from '#ir/builder.ts';
import type { CompileError } from '#ir/diagnostics.ts';
import type { Graph, Value } from '#ir/graph.ts';
import { f32 } from '#ir/tensor.ts';
import { verifyGraph } from '#ir/verify.ts';
import { compareGraphs } from '../../support/graphs.ts';

const EVERYTHING = {
  inputs: [
    { name: 'image', shape: [4, 12, 10] },
    { name: 'other', shape: [8, 6, 5] },
  ],
  batch: 2,
  layers: [
    { conv: { channels: 8, stride: 2, norm: 'batch', activation: 'relu' }, name: 'stem' },
    { add: ['stem', 'other'] },
    { depthwise: { kernel: [3, 1], dilation: [2, 1], padding: [[1, 3], 0] } },
    { norm: 'instance' },
    { norm: { kind: 'group', groups: 4 } },
    { norm: 'layer' },
    { channelShuffle: 2 },
    { depthwiseSeparable: { channels: 12, multiplier: 2, activation: 'relu6' } },
    { spatiallySeparable: { channels: 8, middle: 3, kernel: 5 } },
    { squeezeExcite: { channels: 2 } },
    { split: 2, name: 'halves' },
    { conv: { channels: 4, bias: false }, from: 'halves.1' },
    { concat: ['halves.0', 'previous'] },
    { grouped: { channels: 8, groups: 2, shuffle: true } },
    { mul: [[], ['tanh']] },
    { transposed: { channels: 6, kernel: 3, outputPadding: 1 } },
    { interpolate: { scale: 2, mode: 'linear' } },
    { pad: [[0, 1], 1] },
    { maxPool: { kernel: 3, stride: 2, padding: 1, ceil: true } },
    { averagePool: { kernel: 2, includePadding: true, padding: [[0, 1], 0] } },
    { pointwise: { channels: 8, activation: 'silu' } },
    { depthToSpace: 2 },
    { activation: { name: 'leakyRelu', alpha: 0.2 } },
    'globalPool',
    'flatten',
    { dropout: 0.5 },
    { dense: 5 },
    'softmax',
  ],
  outputs: ['softmax1', 'stem'],
};

function roundTrip(graph: Graph): Graph {
  const { network, weights } = exportJson(graph, { weightsFile: 'w.safetensors' });
  const files = new Map([['w.safetensors', formatSafetensors(weights)]]);
  const back = importJson(JSON.stringify(network), {
    ...('batch' in network ? {} : { dims: { batch: 1 } }),
    externalData: (name) => files.get(name),
  });
  expect(back.diagnostics).toEqual([]);
  expect(verifyGraph(back.graph)).toEqual([]);
  return back.graph;
}

test('a network of every layer comes back the same', () => {
  const { graph } = importJson(EVERYTHING);
  const back = roundTrip(graph);
  expect(back.nodes.map((n) => n.op).sort()).toEqual(graph.nodes.map((n) => n.op).sort());
  expect(compareGraphs(graph, back)).toBe(0);
  const again = exportJson(back, { weightsFile: 'w.safetensors' });
  expect(again.network).toEqual(exportJson(graph, { weightsFile: 'w.safetensors' }).network);
});

test('what was one layer is one layer again, with as few words', () => {
  const description = {
    name: 'network',
    inputs: [{ name: 'image', shape: [3, 16, 16] }],
    layers: [
      { conv: { channels: 8, kernel: 3, padding: 1, norm: 'batch', activation: 'relu' }, name: 'stem' },
      { conv: { channels: 8, kernel: 1, padding: 'valid', activation: 'silu' }, name: 'silu' },
      {
        transposed: {
          channels: 8,
          kernel: 2,
          stride: 2,
          padding: 'valid',
          bias: true,
          norm: { kind: 'group', groups: 2, epsilon: 0.001 },
          activation: 'leakyRelu',
        },
        name: 'up',
      },
      { conv: { channels: 8, kernel: 3, padding: 1, bias: false, activation: 'elu' }, name: 'plain' },
      // two read what is before them, so it stays a layer
      { norm: 'batch', name: 'norm' },
      { add: ['norm', 'plain'], name: 'sum' },
      { activation: { name: 'elu', alpha: 0.3 }, name: 'elu' },
      { globalPool: 'average', name: 'pool' },
      { flatten: {}, name: 'flat' },
      { dense: { units: 4, activation: 'hardSwish' }, name: 'hidden' },
      { dense: 3, name: 'logits' },
    ],
    outputs: ['logits', 'stem'],
  };
  const { graph } = importJson(description);
  expect(exportJson(graph).network).toEqual(description);
  expect(compareGraphs(graph, roundTrip(graph))).toBe(0);
  const onnx = importOnnx(exportOnnx(graph).model).graph;
  const { network } = exportJson(onnx);
  expect(JSON.stringify(network)).toContain('"epsilon":0.001}');
  expect((network.layers as unknown[]).length).toBe(description.layers.length);
  expect(compareGraphs(onnx, roundTrip(onnx))).toBeLessThan(1e-6);
});

test('x·σ(x) is silu, alone and after a convolution; a gate that others read stays', () => {
  const b = new Builder('gates');
  const x = b.input('x', [1, 2, 5, 5]);
  const node = (op: 'Sigmoid' | 'HardSigmoid' | 'Mul', inputs: Value[], name: string) =>
    b.node(op, inputs, op === 'HardSigmoid' ? { alpha: Math.fround(1 / 6), beta: 0.5 } : {}, { name })
      .outputs[0] ?? x;
  const silu = node('Mul', [node('Sigmoid', [x], 's1'), x], 'm1');
  const weight = b.constant('w', f32([2, 2, 1, 1], [1, 2, -1, 0.5]));
  const conv = b.conv(silu, weight, { name: 'conv' });
  const hard = node('Mul', [conv, node('HardSigmoid', [conv], 's2')], 'm2');
  const gate = node('Sigmoid', [hard], 's3');
  const gated = node('Mul', [hard, gate], 'm3');
  const squared = node('Mul', [gated, gated], 'm4');
  b.output('y', squared);
  b.output('gate', gate);
  const { network } = exportJson(b.graph);
  expect(network.layers).toEqual([
    { activation: 'silu', name: 'm1' },
    {
      conv: { channels: 2, kernel: 1, padding: 'valid', bias: false, activation: 'hardSwish' },
      name: 'conv',
    },
    { activation: 'sigmoid', name: 'gate' },
    { mul: ['conv', 'gate'], name: 'm3' },
    { mul: ['m3', 'm3'], name: 'y' },
  ]);
  expect(compareGraphs(b.graph, roundTrip(b.graph))).toBeLessThan(1e-6);
});

test('numbers of an ONNX file are written in as few digits as make them again', () => {
  const b = new Builder('digits');
  const x = b.input('x', [1, 2, 5, 5]);
  const two = (name: string, value: number) => b.constant(name, f32([2], [value, value]));
  const norm = { epsilon: Math.fround(0.001) };
  const normed =
    b.node('BatchNormalization', [x, two('g', 1), two('b', 0), two('m', 0), two('v', 1)], norm, { name: 'n' })
      .outputs[0] ?? x;
  b.output('y', b.node('LeakyRelu', [normed], { alpha: Math.fround(0.1) }, { name: 'l' }).outputs[0] ?? x);
  expect(exportJson(b.graph).network.layers).toEqual([
    { norm: { kind: 'batch', epsilon: 0.001 }, name: 'n' },
    { activation: { name: 'leakyRelu', alpha: 0.1 }, name: 'y' },
  ]);
});

test('what a description refuses is not written', () => {
  const b = new Builder('refused');
  const x = b.input('x', [1, 2, 5, 5]);
  const pool = b.node('GlobalAveragePool', [x], {}, { name: 'pool' }).outputs[0] ?? x;
  const sum = b.node('Add', [x, pool], {}, { name: 'sum' }).outputs[0] ?? x;
  const pads = [0, 0, 5, 0, 0, 0, 0, 0];
  b.output('y', b.node('Pad', [sum], { mode: 'reflect', pads, value: 0 }, { name: 'pad' }).outputs[0] ?? x);
  expect(() => exportJson(b.graph)).toThrow(
    /sum: Add: its operands are 1×2×5×5 and 1×2×1×1, which are not joined[\s\S]*pad: Pad: it reflects more/,
  );
});

test('what is no layer is named, node by node', () => {
  const b = new Builder('arithmetic');
  const x = b.input('x', [1, 2, 3, 3]);
  const sum = b.node('Add', [x, b.scalar(1)], {}, { name: 'shift' }).outputs[0] ?? x;
  const turned = b.node('Transpose', [sum], { perm: [0, 1, 3, 2] }, { name: 'turn' }).outputs[0] ?? x;
  b.output('y', turned);
  try {
    exportJson(b.graph);
    expect.unreachable();
  } catch (error) {
    expect((error as CompileError).diagnostics.map((d) => `${d.code} ${d.subject}: ${d.message}`)).toEqual([
      'export-unsupported shift: Add: one of its operands is a constant',
      'export-unsupported turn: Transpose: the JSON description has no layer for this',
    ]);
  }
});

/** A network of one convolution per weight, each read by the next. */
function convolutions(input: string, names: readonly string[], shared: boolean): Graph {
  const b = new Builder('net');
  let x = b.input(input, [1, 2, 5, 5]);
  const own = f32([2, 2, 1, 1], [1, 2, -1, 0.5]);
  const weight = b.constant('w', own);
  names.forEach((name, i) => {
    x = b.conv(x, shared ? weight : b.constant(`w${i}`, own), { name });
  });
  b.output('y', x);
  return b.graph;
}

test.each(['x$0', 'im$age/x y', 'previous', 'input', 'h.0', '$'])(
  'an input "%s" makes a description that is refused',
  (name) => {
    const b = new Builder('net');
    const x = b.input('first', [1, 2, 5, 5]);
    const other = b.input(name, [1, 2, 5, 5]);
    const relu = b.node('Relu', [x], {}, { name: 'r' }).outputs[0] ?? x;
    b.output('y', b.node('Add', [relu, other], {}, { name: 's' }).outputs[0] ?? x);
    const { network, diagnostics } = exportJson(b.graph);
    const back = importJson(network).graph;
    const renamed = back.inputs[1]?.name !== name;
    expect(renamed).toBe(name.includes('$') || name === 'previous');
    expect(diagnostics.map((d) => `${d.code} ${d.subject}`)).toEqual(
      renamed ? [`export-differs ${name}`] : [],
    );
  },
);

test('parts of a split and layers of the same names make a description that is refused', () => {
  const b = new Builder('net');
  const x = b.input('x', [1, 4, 5, 5]);
  const node = (op: 'Relu' | 'Tanh', v: Value, name: string) => b.node(op, [v], {}, { name }).outputs[0] ?? v;
  const early = node('Relu', x, 'h.1');
  const [p = x, q = x] = b.node('Split', [early], { axis: 1, sizes: [2, 2] }, { name: 'h' }).outputs;
  const late = node('Tanh', p, 'h.0');
  b.output('y', b.node('Add', [late, q], {}, { name: 'sum' }).outputs[0] ?? x);
  b.output('h.0', late);
  const { network } = exportJson(b.graph);
  expect(JSON.stringify(network.layers)).toContain('"name":"h_1"');
  expect(compareGraphs(b.graph, roundTrip(b.graph))).toBe(0);
});

test('a norm that is called as the norm of a layer makes two weights of one name', () => {
  const b = new Builder('net');
  const x = b.input('x', [1, 2, 5, 5]);
  const two = (name: string) => b.constant(name, f32([2], [1, 2]));
  const norm = (v: Value, name: string) =>
    b.node(
      'BatchNormalization',
      [v, two(`${name}g`), two(`${name}b`), two(`${name}m`), two(`${name}v`)],
      { epsilon: 1e-5 },
      { name },
    ).outputs[0] ?? v;
  const conv = b.conv(x, b.constant('w', f32([2, 2, 1, 1], [1, 2, -1, 0.5])), { name: 'c' });
  b.output('y', norm(b.node('Relu', [norm(conv, 'n')], {}, { name: 'r' }).outputs[0] ?? x, 'y'));
  const tanh = b.node('Tanh', [x], {}, { name: 't' }).outputs[0] ?? x;
  b.output('c.norm', norm(tanh, 'm'));
  expect(compareGraphs(b.graph, roundTrip(b.graph))).toBe(0);
});

test('shared weights are written once per layer, and the count of parameters changes without a word', () => {
  expect(exportJson(convolutions('x', ['a', 'b', 'c'], false)).diagnostics).toEqual([]);
  const { weights, diagnostics } = exportJson(convolutions('x', ['a', 'b', 'c'], true));
  expect(weights.size).toBe(3);
  expect(diagnostics.map((d) => `${d.kind} ${d.message}`)).toEqual([
    'note one constant is read more than once, and written for each layer: 8 parameters more (w)',
  ]);
});

test('what the description has no number for is written, and refused when it is read', () => {
  const b = new Builder('infinite');
  const x = b.input('x', [1, 2, 5, 5]);
  const pads = [0, 0, 1, 1, 0, 0, 1, 1];
  const value = -Infinity;
  const padded = b.node('Pad', [x], { mode: 'constant', pads, value }, { name: 'pad' }).outputs[0] ?? x;
  b.output('y', padded);
  const wide = b.input('wide', [1, 1, 1, 1, 1, 1, 2]);
  b.output('z', b.node('Relu', [wide], {}, { name: 'r' }).outputs[0] ?? x);
  expect(() => exportJson(b.graph)).toThrow(
    /wide: inputs of a description are f32, with a batch axis and one to four others[\s\S]*pad: Pad: a layer cannot say its pad.value: expected a number; got -Infinity/,
  );
});

test('a value that a mode does not use is written, and refused when it is read', () => {
  const b = new Builder('pads');
  const x = b.input('x', [1, 2, 5, 5]);
  const pads = [0, 0, 1, 1, 0, 0, 1, 1];
  b.output('y', b.node('Pad', [x], { mode: 'edge', pads, value: 3 }, { name: 'pad' }).outputs[0] ?? x);
  expect(exportJson(b.graph).network.layers).toEqual([{ pad: { padding: 1, mode: 'edge' }, name: 'y' }]);
});
