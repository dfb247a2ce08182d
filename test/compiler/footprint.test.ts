/** What an audit says of memory, against what compiling gives and against closed forms. */
import { describe, expect, test } from 'vitest';
import { footprintOf } from '#compiler/audit/footprint.ts';
import { audit } from '#compiler/audit/index.ts';
import { compileGraph } from '#compiler/compile.ts';
import { Builder } from '#ir/builder.ts';
import { cloneGraph } from '#ir/clone.ts';
import type { Graph } from '#ir/graph.ts';
import { graphLiveness } from '#passes/analysis/liveness.ts';
import { Random } from '../support/graphs.ts';

const KIB = 1024;

/** A residual block and a branch that is joined. */
function network(): Graph {
  const random = new Random(5);
  const b = new Builder('net');
  const x = b.input('x', [1, 8, 16, 16]);
  const conv = (name: string, from: typeof x, channels: number) => {
    const inputs = from.type.shape[1] ?? 1;
    const weights = b.constant(name, random.tensor([channels, inputs, 3, 3], -0.3, 0.3));
    return b.conv(from, weights, { pads: [1, 1, 1, 1] });
  };
  const first = b.relu(conv('w1', x, 8));
  const sum = b.op('Add', [b.relu(conv('w2', first, 8)), first], {});
  const joined = b.op('Concat', [conv('w3', sum, 4), conv('w4', sum, 12)], { axis: 1 });
  b.output('y', b.relu(conv('w5', joined, 8)));
  return b.graph;
}

const withoutWeights = (graph: Graph): Graph =>
  cloneGraph(graph, (constant) => ({ type: constant.type, data: null, missing: 'not given' }));

describe('the footprint', () => {
  test('is that of the bundle, with weights and without', async () => {
    const graph = network();
    const { files, stats } = await compileGraph(graph, { relaxed: false });
    for (const given of [graph, withoutWeights(graph)]) {
      const { timeline, peakLayer, ...sizes } = footprintOf(given, { code: true });
      expect(sizes).toMatchObject({
        activationBytes: stats.arenaBytes,
        weightBytes: files.get('weights.bin')?.byteLength,
        memoryBytes: stats.memoryBytes,
        code: { wasmBytes: files.get('model.wasm')?.byteLength, kernels: stats.kernels },
      });
      const own = (files.get('index.js')?.byteLength ?? 0) - (sizes.code?.loaderBytes ?? 0);
      expect(own).toBeGreaterThan(0);
      expect(own).toBeLessThan(2 * KIB);
      const most = Math.max(...timeline.map(({ bytes }) => bytes));
      expect(sizes.activationLowerBoundBytes).toBe(most);
      expect(timeline.find(({ bytes }) => bytes === most)?.layer).toBe(peakLayer);
    }
  });

  test('has no code unless it is asked for', () => {
    expect(footprintOf(network())).not.toHaveProperty('code');
  });
});

describe('the memory section', () => {
  const plane = 16 * 16 * 4;

  test('says what results in place and joined slices save', () => {
    const graph = network();
    // two values of 8 channels and one of 16 while the branches are joined; joined by slices, the branches are in it
    expect(audit(graph).memory).toEqual({
      planBytes: 32 * plane,
      lowerBoundBytes: 32 * plane,
      peakLayer: graph.nodes.find(({ op }) => op === 'Concat')?.name,
      inPlaceSavedBytes: 0,
      concatSlicesSavedBytes: 8 * plane,
    });
  });

  test('counts what an elementwise chain saves', () => {
    const b = new Builder('chain');
    const x = b.input('x', [1, 4, 16, 16]);
    b.output('y', b.relu(b.op('Neg', [b.op('Add', [x, x], {})], {})));
    // in place: the input and one result; else two results at a time, once the input is dead
    expect(graphLiveness(b.graph, { inPlace: false }).peakBytes).toBe(2 * 4 * plane);
    expect(audit(b.graph).memory).toMatchObject({ planBytes: 4 * plane, inPlaceSavedBytes: 4 * plane });
  });
});
