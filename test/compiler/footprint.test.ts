/** What an audit says of memory, against what compiling gives and against closed forms. */
import { describe, expect, test } from 'vitest';
import { footprintOf } from '#compiler/audit/footprint.ts';
import { audit } from '#compiler/audit/index.ts';
import { auditSchema } from '#compiler/audit/schema.ts';
import { compileGraph } from '#compiler/compile.ts';
import { footprintLines } from '#compiler/report/footprint.ts';
import { GPU_PRECISIONS } from '#compiler/targets/webgpu/index.ts';
import { Builder } from '#ir/builder.ts';
import { cloneGraph } from '#ir/clone.ts';
import type { Graph } from '#ir/graph.ts';
import { graphLiveness } from '#passes/analysis/liveness.ts';
import { Random } from '../support/graphs.ts';
import { splitNetwork } from '../support/split-network.ts';

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

  test.each(GPU_PRECISIONS)(
    'on WebGPU in %s is that of the bundle, with weights and without',
    async (gpuPrecision) => {
      const graph = network();
      const { files, manifest } = await compileGraph(graph, { target: ['wasm', 'webgpu'], gpuPrecision });
      for (const given of [graph, withoutWeights(graph)]) {
        const found = footprintOf(given, { code: true }).webgpu?.find(
          ({ precision }) => precision === gpuPrecision,
        );
        if (!found || 'missing' in found) throw new Error('it has kernels');
        const { activationBytes, halvesBytes, constantBytes, code, dispatches } = found;
        expect(constantBytes).toBe(files.get('weights.webgpu.bin')?.byteLength);
        expect(activationBytes + halvesBytes + constantBytes).toBe(manifest.webgpu?.memoryBytes);
        expect(halvesBytes > 0).toBe(gpuPrecision === 'f16');
        expect(code?.wgslBytes).toBe(files.get('kernels.wgsl')?.byteLength);
        const digest = (files.get('webgpu.js')?.byteLength ?? 0) - (code?.scriptBytes ?? 0);
        expect(digest).toBeGreaterThan(0);
        expect(digest).toBeLessThan(KIB);
        const script = new TextDecoder().decode(files.get('webgpu.js'));
        const [plan] = JSON.parse(/^const GPU_PLANS = (.*);$/m.exec(script)?.[1] ?? '');
        expect({ dispatches, kernels: code?.kernels }).toEqual({
          dispatches: plan.calls.length,
          kernels: plan.kernels.length,
        });
      }
    },
  );

  test('on WebGPU has the reason where a form has no kernel there', () => {
    const b = new Builder('units');
    const operands = [b.input('x', [1, 1, 1]), b.input('w', [1, 2000, 1]), b.input('r', [1, 2000, 2000])];
    b.output('y', b.op('RNN', operands, { direction: 'forward', activations: 'tanh(x0)' }));
    const [first] = footprintOf(b.graph).webgpu ?? [];
    expect(first).toMatchObject({ precision: 'f32', missing: expect.stringContaining('2000 units') });
  });

  test('on WebGPU is that of the parts of a network that is cut, and says so', async () => {
    const { files, stats } = await compileGraph(splitNetwork(), { target: ['wasm', 'webgpu'] });
    const found = footprintOf(splitNetwork(), { code: true });
    const [first] = found.webgpu ?? [];
    expect(first).toMatchObject({
      split: stats.split,
      constantBytes: files.get('weights.webgpu.bin')?.byteLength,
      code: { wgslBytes: files.get('kernels.wgsl')?.byteLength },
    });
    const lines = footprintLines({ ...audit(splitNetwork()), footprint: found }, found);
    expect(lines.find(({ label }) => label === 'WebGPU f32 copies')?.note).toContain('run on WebAssembly');
  });

  test('of before there was WebGPU is still one', () => {
    const report = audit(network());
    const { webgpu, ...footprint } = footprintOf(network());
    expect(webgpu).toHaveLength(2);
    const old = JSON.parse(JSON.stringify({ ...report, footprint }));
    expect(auditSchema.parse(old).footprint).toEqual(footprint);
    expect(footprintLines(report, footprint).some(({ label }) => label.includes('WebGPU'))).toBe(false);
  });

  test('of missing weights has no dead channels, and no filters of rank one', () => {
    const random = new Random(7);
    const b = new Builder('chain');
    const weights = (shape: readonly number[]) => b.constant('', random.tensor(shape, -0.3, 0.3));
    const wide = b.relu(b.conv(b.input('x', [1, 8, 16, 16]), weights([32, 8, 3, 3])));
    const apart = b.relu(b.conv(wide, weights([32, 1, 3, 3]), { group: 32 }));
    b.output('y', b.conv(apart, weights([8, 32, 1, 1])));
    expect(footprintOf(withoutWeights(b.graph), { code: true })).toEqual(
      footprintOf(b.graph, { code: true }),
    );
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
