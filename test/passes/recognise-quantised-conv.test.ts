/** Convolutions between dequantisation and quantisation are layers of bytes, where that is the same but for rounding. */
import { describe, expect, test } from 'vitest';
import { Builder } from '#ir/builder.ts';
import { cloneGraph } from '#ir/clone.ts';
import { evaluateGraph } from '#ir/evaluate.ts';
import type { Graph } from '#ir/graph.ts';
import { tensor } from '#ir/tensor.ts';
import { recogniseQuantisedConv } from '#passes/canonicalize/recognise-quantised-conv.ts';
import { runPass, runPipeline } from '#passes/pass.ts';
import { graphPipeline, lowerPipeline } from '#passes/pipeline.ts';
import { bytesOf } from '../support/quantised.ts';
import { Random } from '../support/random.ts';

interface Layer {
  readonly kernel?: number;
  readonly group?: number;
  readonly strides?: readonly number[];
  readonly bias?: 'none' | 'units' | 'others' | 'floats';
  readonly activation?: 'Relu';
  /** Ends of a Clip. */
  readonly clip?: readonly [number, number];
  /** The zero point of the result. */
  readonly zero?: number;
  readonly xScales?: number;
  readonly wScales?: number;
  /** What is between is an output too. */
  readonly shared?: boolean;
}

const X_SCALE = Math.fround(0.02);
const CHANNELS = 8;

function quantisedLayer(c: Layer): Graph {
  const { kernel = 1, group = 1, strides = [1, 1], bias = 'units', zero = 0, xScales = 1, wScales = 8 } = c;
  const random = new Random(4);
  const b = new Builder('qdq');
  const wData = random.tensor(wScales === 1 ? [] : [wScales], 0.01, 0.03);
  const unit = Float32Array.from(
    { length: CHANNELS },
    (_, i) => X_SCALE * Number(wData.data[i % wScales]) * (bias === 'others' ? 1.5 : 1),
  );
  const xScale = tensor('f32', xScales === 1 ? [] : [xScales], new Array<number>(xScales).fill(X_SCALE));
  const x = b.op(
    'DequantizeLinear',
    [
      b.input('x', [1, CHANNELS, 9, 9], 'u8'),
      b.constant('xs', xScale),
      b.constant('xz', tensor('u8', xScale.type.shape, new Array<number>(xScales).fill(120))),
    ],
    { axis: 1 },
  );
  const weights = bytesOf(random, 'i8', [CHANNELS, CHANNELS / group, kernel, kernel]);
  const w = b.op('DequantizeLinear', [b.constant('w', weights), b.constant('ws', wData)], { axis: 0 });
  const integers = tensor('i32', [CHANNELS], [900, -800, 5, 0, 77, 4000, -12, 3]);
  const biases = {
    none: () => undefined,
    floats: () => b.constant('b', random.tensor([CHANNELS])),
    units: () =>
      b.op(
        'DequantizeLinear',
        [b.constant('b', integers), b.constant('bs', tensor('f32', [CHANNELS], unit))],
        { axis: 0 },
      ),
  };
  const biasValue = biases[bias === 'others' ? 'units' : bias]();
  const pads = new Array<number>(4).fill((kernel - 1) / 2);
  const conv = b.conv(x, w, { ...(biasValue && { bias: biasValue }), group, strides, pads });
  const [min, max] = c.clip ?? [];
  const clipped = min !== undefined && max !== undefined ? b.op('Clip', [conv], { min, max }) : conv;
  const real = c.activation ? b.relu(clipped) : clipped;
  if (c.shared) b.output('real', real);
  const yScale = b.constant('ys', tensor('f32', [], [0.02]));
  const yZero = b.constant('yz', tensor('u8', [], [zero]));
  b.output('y', b.op('QuantizeLinear', [real, yScale, yZero], { to: 'u8' }));
  return b.graph;
}

describe('a layer of bytes', () => {
  test.each<readonly [string, Layer]>([
    ['without a bias, one scale for all', { bias: 'none', wScales: 1, zero: 100 }],
    ['with a bias in units of both scales', { zero: 100 }],
    ['that an activation ends where the bytes do', { activation: 'Relu' }],
    ['that is cut where the bytes end, or beyond', { clip: [-2, 6], zero: 100 }],
    ['of stride 2', { kernel: 3, strides: [2, 2], zero: 100 }],
    ['in groups', { kernel: 3, group: 2, zero: 100 }],
  ])('%s', (_, layer) => {
    const [before, after] = [quantisedLayer(layer), quantisedLayer(layer)];
    expect(runPass(after, recogniseQuantisedConv).changes).toBe(1);
    expect(after.nodes.map((n) => n.op)).toEqual(['QLinearConv']);
    const feeds = new Map([['x', bytesOf(new Random(9), 'u8', [1, CHANNELS, 9, 9])]]);
    const results = [before, after].map((g) => {
      const [output] = g.outputs;
      expect(output?.value.name).toBe(before.outputs[0]?.value.name);
      return evaluateGraph(g, feeds).get(output?.value as never)?.data as Uint8Array;
    });
    const [want, got] = results as [Uint8Array, Uint8Array];
    const apart = [...want].filter((v, i) => v !== got[i]);
    expect(Math.max(...[...want].map((v, i) => Math.abs(v - (got[i] ?? 0))))).toBeLessThanOrEqual(1);
    expect(apart.length).toBeLessThanOrEqual(want.length / 100);
    expect(new Set(want).size).toBeGreaterThan(20);
  });

  test('stays one through both pipelines', () => {
    const graph = cloneGraph(quantisedLayer({ activation: 'Relu' }));
    runPipeline(graph, graphPipeline);
    runPipeline(graph, lowerPipeline);
    expect(graph.nodes.map((n) => n.op)).toEqual(['QLinearConv']);
  });
});

test.each<readonly [string, Layer]>([
  ['the data has several scales', { xScales: CHANNELS }],
  ['"Conv_3" is as fast in floats', { kernel: 3 }],
  ['"Conv_3" is as fast in floats', { kernel: 3, group: CHANNELS, strides: [2, 2] }],
  ['the bias of "Conv_2" is not quantised', { bias: 'floats' }],
  ['the bias of "Conv_3" does not count in units of x and weight', { bias: 'others' }],
  ['"Relu_4" cuts values that u8 has room for', { activation: 'Relu', zero: 3 }],
  ['"Clip_4" cuts values that u8 has room for', { clip: [0, 4] }],
  ['"Conv_3_out" is also an output of the graph', { shared: true }],
])('refuses: %s', (reason, layer) => {
  const { changes, refusals } = runPass(quantisedLayer(layer), recogniseQuantisedConv);
  expect(changes).toBe(0);
  expect(refusals.map((r) => r.reason)).toEqual([reason]);
});
