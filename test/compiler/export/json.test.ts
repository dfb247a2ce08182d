import { expect, test } from 'vitest';
import { exportJson } from '#compiler/export/json/index.ts';
import { importJson } from '#compiler/import/json/index.ts';
import { formatSafetensors } from '#compiler/weights/safetensors.ts';
import { Builder } from '#ir/builder.ts';
import type { CompileError } from '#ir/diagnostics.ts';
import type { Graph } from '#ir/graph.ts';
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
    { mul: [[], ['sigmoid']] },
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
  const back = importJson(JSON.stringify(network), { externalData: (name) => files.get(name) });
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
