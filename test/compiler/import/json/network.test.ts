import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { audit } from '#compiler/audit/index.ts';
import { formatOf, importModel } from '#compiler/import/index.ts';
import { importJson } from '#compiler/import/json/index.ts';
import { formatSafetensors, parseSafetensors } from '#compiler/weights/safetensors.ts';
import { evaluateGraph } from '#ir/evaluate.ts';
import { type Graph, tensorOf } from '#ir/graph.ts';
import { bytesOfData, f32, i64, type Tensor } from '#ir/tensor.ts';
import { printNode } from '#ir/text.ts';
import { compareGraphs } from '../../../support/graphs.ts';

const NET = {
  input: { name: 'image', shape: [3, 32, 32] },
  blocks: {
    block: {
      parameters: { width: null, stride: 1 },
      layers: [
        { depthwiseSeparable: { channels: '$width', stride: '$stride', norm: 'batch' }, name: 'sep' },
        'relu',
      ],
    },
  },
  layers: [
    { conv: 8, name: 'stem' },
    {
      repeat: 2,
      layers: [{ use: 'block', with: { width: '$index * 8 + 8' }, name: 'block' }],
      name: 'stage',
    },
    'globalPool',
    'flatten',
    { dense: 10, name: 'logits' },
  ],
};

const weightsOf = (graph: Graph): Map<string, Tensor> =>
  new Map(
    graph.values.flatMap((v) => {
      const t = tensorOf(v);
      return t ? [[v.name, t] as const] : [];
    }),
  );

test('composites become primitives that remember what they were', () => {
  const { graph } = importJson(NET);
  const lines = graph.nodes.map((n) => `${n.name} ${n.op} ${n.origin ?? ''}`.trim());
  expect(lines).toContain('stage.1.block.sep/depthwise Conv depthwiseSeparable');
  expect(lines).toContain('stage.1.block.sep/pointwise Conv depthwiseSeparable');
  expect(lines).toContain('stem Conv');
  const sep = graph.nodes.find((n) => n.name === 'stage.0.block.sep/norm');
  expect(sep && printNode(sep)).toContain('origin "depthwiseSeparable"');
  expect(graph.outputs.map((o) => o.name)).toEqual(['logits']);
  const modules = audit(graph).layers.map((l) => l.module);
  expect(modules).toContain('stage.1.block.sep');
});

test('weights come from the seed alone, and from their own names', () => {
  const digest = (graph: Graph, name: string) => {
    const w = weightsOf(graph).get(name);
    return w && createHash('sha256').update(bytesOfData(w.data)).digest('hex').slice(0, 16);
  };
  const { graph } = importJson(NET);
  // the same on every machine
  expect(digest(graph, 'stem.weight')).toMatchInlineSnapshot(`"29913e38aadb781c"`);
  const longer = importJson({ ...NET, layers: ['relu', ...NET.layers] }).graph;
  expect(digest(longer, 'stem.weight')).toBe(digest(graph, 'stem.weight'));
  expect(digest(importJson({ ...NET, seed: 1 }).graph, 'stem.weight')).not.toBe(digest(graph, 'stem.weight'));
});

test.each([
  ['heNormal', Math.sqrt(2 / 288)],
  ['heUniform', Math.sqrt(2 / 288)],
  ['xavierNormal', Math.sqrt(2 / 864)],
  ['xavierUniform', Math.sqrt(2 / 864)],
])('the deviation of %s', (init, deviation) => {
  const { graph } = importJson({ input: [32, 8, 8], layers: [{ conv: { channels: 64, init }, name: 'c' }] });
  const data = weightsOf(graph).get('c.weight')?.data as Float32Array;
  const mean = data.reduce((a, b) => a + b, 0) / data.length;
  const variance = data.reduce((a, b) => a + (b - mean) ** 2, 0) / data.length;
  expect(Math.abs(mean)).toBeLessThan(deviation / 50);
  expect(Math.sqrt(variance) / deviation).toBeCloseTo(1, 1);
});

test('an audit makes no weights', () => {
  const { graph } = importJson({ input: [4096], layers: [{ dense: 500_000 }, { dense: 2000 }] });
  expect(audit(graph).totals.parameters).toBe(4096 * 5e5 + 5e5 + 1e9 + 2000);
});

test('weights from a safetensors file, by the names of the layers', () => {
  const { graph } = importJson(NET);
  const file = formatSafetensors(weightsOf(graph));
  const other = { ...NET, seed: 7, weights: 'net.safetensors' };
  const loaded = importJson(other, {
    externalData: (name) => (name === 'net.safetensors' ? file : undefined),
  });
  expect(compareGraphs(graph, loaded.graph)).toBe(0);
  expect(compareGraphs(graph, importJson({ ...NET, seed: 7 }, { weights: file }).graph)).toBe(0);
  const missing = importJson(other);
  expect(missing.missingFiles).toEqual(['net.safetensors']);
  expect(audit(missing.graph).totals.parameters).toBe(audit(graph).totals.parameters);
  const more = new Map([...weightsOf(graph), ['extra', f32([1], [1])]]);
  const withMore = importJson(NET, { weights: formatSafetensors(more), dims: { batch: 1 } });
  expect(withMore.diagnostics[0]).toMatchObject({
    code: 'weights-unused',
    subject: 'extra',
  });
  const fewer = new Map([...weightsOf(graph)].filter(([name]) => name !== 'stem.weight'));
  fewer.set('stem.bias', f32([1, 8], new Float32Array(8)));
  expect(() => importJson(NET, { weights: formatSafetensors(fewer) })).toThrow(
    /no tensor "stem.weight" of \[8, 3, 3, 3\][\s\S]*"stem.bias" of the file with weights is \[1, 8\]; the layer has \[8\]/,
  );
  expect(() => importJson({ ...NET, weights: '../x.safetensors' })).toThrow('external-outside');
});

test('safetensors: what is written is read, and what is damaged is refused', () => {
  const tensors = new Map<string, Tensor>([
    ['a', f32([2, 2], [1, 2, 3, 4])],
    ['b', i64([5, -6])],
    ['empty', f32([0], [])],
  ]);
  const file = formatSafetensors(tensors);
  expect(parseSafetensors(file)).toEqual(tensors);
  for (let length = 0; length < file.length; length++) {
    expect(() => parseSafetensors(file.slice(0, length))).toThrow('weights-invalid');
  }
  const header = (entries: object, data: number) => {
    const text = new TextEncoder().encode(JSON.stringify(entries));
    const made = new Uint8Array(8 + text.length + data);
    new DataView(made.buffer).setBigUint64(0, BigInt(text.length), true);
    made.set(text, 8);
    return made;
  };
  const half = header(
    { h: { dtype: 'F16', shape: [2], data_offsets: [0, 4] }, __metadata__: { format: 'pt' } },
    4,
  );
  half.set([0x00, 0x3c, 0x00, 0xc0], half.length - 4);
  expect(parseSafetensors(half).get('h')?.data).toEqual(Float32Array.of(1, -2));
  const overlapping = {
    a: { dtype: 'U8', shape: [4], data_offsets: [0, 4] },
    b: { dtype: 'U8', shape: [4], data_offsets: [2, 6] },
  };
  expect(() => parseSafetensors(header(overlapping, 6))).toThrow('4 bytes from 4 were expected');
  expect(() =>
    parseSafetensors(header({ a: { dtype: 'F8_E4M3', shape: [1], data_offsets: [0, 1] } }, 1)),
  ).toThrow('F8_E4M3');
});

test('the batch is open; other dimensions may be', () => {
  const net = { input: { name: 'image', shape: [3, 'size', 'size'] }, layers: [{ conv: 4 }] };
  const { graph, dims } = importJson(net, { dims: { size: 20, batch: 2 } });
  expect(graph.inputs[0]?.type.shape).toEqual([2, 3, 20, 20]);
  expect(dims.map((d) => d.symbol)).toEqual(['batch', 'size', 'size']);
  expect(audit((given) => importJson(net, { dims: given })).totals.macsExpr).toBe('108·batch·size²');
  expect(importJson({ ...net, batch: 4 }, { dims: { size: 8 } }).graph.inputs[0]?.type.shape).toEqual([
    4, 3, 8, 8,
  ]);
  // a description is a draft: whole shapes may be others than it says
  const fixed = { input: [3, 8, 8], layers: [{ conv: 4 }] };
  expect(importJson(fixed, { shapes: { input: [2, 3, 9, 5] } }).graph.outputs[0]?.value.type.shape).toEqual([
    2, 4, 9, 5,
  ]);
});

test('causal padding sees the past only', () => {
  const { graph } = importJson({
    input: [1, 6],
    layers: [
      { conv: { channels: 1, kernel: 3, dilation: 2, padding: 'causal', weight: [100, 10, 1], bias: false } },
    ],
  });
  const results = evaluateGraph(graph, new Map([['input', f32([1, 1, 6], [1, 2, 3, 4, 5, 6])]]));
  const y = graph.outputs[0] && results.get(graph.outputs[0].value);
  expect(Array.from(y?.data as Float32Array)).toEqual([1, 2, 13, 24, 135, 246]);
});

test('a model file is recognised by its content', () => {
  const text = new TextEncoder().encode(`\uFEFF ${JSON.stringify(NET)}`);
  expect(formatOf(text)).toBe('json');
  expect(importModel(text, { name: 'net' }).graph.name).toBe('net');
  expect(formatOf(Uint8Array.of(8, 8, 0x12, 0x7b))).toBe('onnx');
});

test('an open batch is taken as 1 without a word', () => {
  const codes = (options: object) => importJson(NET, options).diagnostics.map(({ code }) => code);
  expect(codes({})).toEqual(['batch-assumed']);
  expect(codes({ dims: { batch: 2 } })).toEqual([]);
  expect(importJson({ ...NET, batch: 2 }).diagnostics).toEqual([]);
});
