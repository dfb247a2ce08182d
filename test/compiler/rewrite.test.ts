/** Whole rewrites: what is chosen, what is reported, and what it compiles to. */
import { describe, expect, test } from 'vitest';
import { type RewriteBudget, rewriteGraph, type Sample } from '#compiler/rewrite/index.ts';
import { DEVICES } from '#compiler/roofline/devices.ts';
import { type GpuProfile, PROFILE_VERSION } from '#compiler/tune/profile.ts';
import { Builder } from '#ir/builder.ts';
import type { Graph } from '#ir/graph.ts';
import { f32 } from '#ir/tensor.ts';
import { graphCost } from '#passes/analysis/cost.ts';
import { FACTORIZATIONS } from '#passes/factorize/family.ts';
import { passNames } from '#passes/pass.ts';
import { graphPipeline } from '#passes/pipeline.ts';
import { compiledFaults } from '../support/compiled.ts';
import { compareGraphs } from '../support/graphs.ts';
import { Random } from '../support/random.ts';

/** Strided, dilated and plain convolutions with activations between, and scores at the end. */
function network(seed: number): Graph {
  const random = new Random(seed);
  const b = new Builder('net');
  const conv = (x: ReturnType<typeof b.relu>, cout: number, more: Parameters<typeof b.conv>[2] = {}) => {
    const [, cin = 1] = x.type.shape;
    const name = `conv${cout}`;
    const weight = b.constant(`${name}.w`, random.tensor([cout, cin, 3, 3]));
    const bias = b.constant(`${name}.b`, random.tensor([cout]));
    return b.relu(b.conv(x, weight, { pads: [1, 1, 1, 1], bias, name, ...more }));
  };
  let x = conv(b.input('x', [1, 4, 14, 14]), 8);
  x = conv(x, 12, { strides: [2, 2] });
  x = conv(x, 16, { dilations: [2, 2], pads: [2, 2, 2, 2] });
  const pooled = b.op('GlobalAveragePool', [x], {});
  const flat = b.op('Flatten', [pooled], { axis: 1 });
  b.output('scores', b.op('Gemm', [flat, b.constant('fc', random.tensor([16, 5]))], {}));
  return b.graph;
}

const samples = (count: number): readonly Sample[] => {
  const random = new Random(9);
  return Array.from({ length: count }, () => [random.tensor([1, 4, 14, 14])]);
};

const half: RewriteBudget = { quantity: 'macs', limit: { part: 0.6 } };

test.each([...FACTORIZATIONS.map((m) => [m] as const), [...FACTORIZATIONS]])(
  'what %s makes compiles to WebAssembly and agrees with its own reference',
  async (...methods) => {
    const { graph, report } = await rewriteGraph(network(1), {
      factorize: { methods, limit: half },
      samples: samples(24),
    });
    expect(report.after.macs).toBeLessThanOrEqual(0.6 * report.before.macs);
    expect(report.layers?.some(({ form }) => form)).toBe(true);
    expect(await compiledFaults(graph)).toEqual([]);
  },
);

describe('the report', () => {
  test('has the totals of the network that is returned, and the curve is one of falling errors', async () => {
    const { graph, report } = await rewriteGraph(network(2), {
      factorize: { methods: FACTORIZATIONS, limit: half },
      samples: samples(24),
    });
    const { totals } = graphCost(graph);
    expect([report.after.macs, report.after.parameters]).toEqual([totals.macs, totals.parameters]);
    expect(report.after.movedBytes).toBe(totals.bytesRead + totals.bytesWritten);
    expect(report.curve?.chosen.macs).toBe(totals.macs);
    const { points = [] } = report.curve ?? {};
    expect(points.length).toBeGreaterThan(5);
    points.forEach((point, i) => {
      const before = points[i - 1];
      if (!before) return;
      expect(point.error).toBeLessThan(before.error);
      expect(point.macs).toBeGreaterThan(before.macs);
    });
    // no point of the curve is better than what was chosen, in both
    const { chosen } = report.curve ?? {};
    expect(points.some((p) => p.macs < (chosen?.macs ?? 0) && p.error < (chosen?.error ?? 0) - 1e-6)).toBe(
      false,
    );
  });

  test('every convolution has a form or a reason', async () => {
    const { report } = await rewriteGraph(network(3), { factorize: { methods: ['cp'], limit: half } });
    for (const { form, refusals } of report.layers ?? []) expect(form ?? refusals[0]).toBeDefined();
  });
});

/** In a network as small as here dispatches would be most of the time. */
const WITHOUT_OVERHEAD: GpuProfile = {
  version: PROFILE_VERSION,
  kind: 'webgpu',
  adapter: 'an adapter',
  software: false,
  peakGflops: DEVICES[0].gflops,
  bandwidth: [{ bytes: 2 ** 26, gigabytesPerSecond: DEVICES[0].gigabytesPerSecond }],
  dispatchNs: 0,
};

test.each(['params', 'bytes', 'time'] as const)('a budget of %s is met', async (quantity) => {
  const { report } = await rewriteGraph(network(4), {
    factorize: { methods: FACTORIZATIONS, limit: { quantity, limit: { part: 0.9 } } },
    samples: samples(16),
    device: { kind: 'measured', profile: WITHOUT_OVERHEAD },
  });
  const { before, after } = report;
  const parts = {
    params: after.parameters / before.parameters,
    bytes: after.movedBytes / before.movedBytes,
    time: (after.us ?? 0) / (before.us ?? 1),
  };
  expect(parts[quantity]).toBeLessThanOrEqual(0.9);
});

test('the mean of the outputs stays what it was: the bias is corrected', async () => {
  const random = new Random(5);
  const b = new Builder('one');
  const weight = b.constant('w', random.tensor([6, 4, 3, 3]));
  b.output('y', b.conv(b.input('x', [1, 4, 10, 10]), weight, { name: 'only' }));
  // far from 0, so that a fit which ignores the mean is far off
  const data = Array.from({ length: 12 }, (): Sample => {
    const tensor = random.tensor([1, 4, 10, 10]);
    return [{ type: tensor.type, data: (tensor.data as Float32Array).map((x) => x + 3) }];
  });
  const { graph, report } = await rewriteGraph(b.graph, {
    factorize: { methods: ['depthwise'], limit: { quantity: 'macs', limit: { part: 0.5 } } },
    samples: data,
  });
  const [form] = (report.layers ?? []).flatMap((l) => l.form ?? []);
  expect(form?.error).toBeGreaterThan(0.05);
  const { runnableNetwork } = await import('#compiler/rewrite/network.ts');
  const [was, is] = [await runnableNetwork(b.graph), await runnableNetwork(graph)];
  const sums = [0, 0, 0];
  for (const sample of data) {
    const [want, got] = [was.run(sample)[0]?.data ?? [], is.run(sample)[0]?.data ?? []];
    for (let i = 0; i < want.length; i++) {
      sums[0] = (sums[0] ?? 0) + Number(want[i]);
      sums[1] = (sums[1] ?? 0) + Number(got[i]);
      sums[2] = (sums[2] ?? 0) + Math.abs(Number(want[i]));
    }
  }
  const [wanted = 0, got = 0, all = 1] = sums;
  expect(Math.abs(wanted - got) / all).toBeLessThan(1e-4);
});

test.each(passNames(graphPipeline))('%s can be left out, and the results stay', async (name) => {
  const graph = network(6);
  const { graph: rewritten, report } = await rewriteGraph(graph, { skip: [name] });
  expect(report.passes.map(({ pass }) => pass)).not.toContain(name);
  expect(compareGraphs(graph, rewritten)).toBeLessThan(1e-5);
});

test('ranks by evidence: products of few vectors are found as such in the noise, and no budget is needed', async () => {
  const random = new Random(4);
  const [cout, cin, rank] = [24, 20, 3];
  // a kernel of rank 3 along its channels on either side, in a tenth of noise
  const [outputs, inputs, core] = [
    [cout, rank],
    [cin, rank],
    [rank, rank, 9],
  ].map((s) => random.tensor(s).data);
  const noise = random.tensor([cout, cin, 3, 3]).data;
  const at = (data: unknown, i: number) => (data as Float32Array)[i] ?? 0;
  const weight = Float32Array.from({ length: cout * cin * 9 }, (_, i) => {
    const [o, c, k] = [Math.floor(i / (9 * cin)), Math.floor(i / 9) % cin, i % 9];
    let sum = 0.1 * at(noise, i);
    for (let p = 0; p < rank; p++) {
      for (let q = 0; q < rank; q++)
        sum += at(outputs, o * rank + p) * at(inputs, c * rank + q) * at(core, (p * rank + q) * 9 + k);
    }
    return sum;
  });
  const b = new Builder('net');
  const x = b.input('x', [1, cin, 8, 8]);
  b.output(
    'y',
    b.conv(x, b.constant('w', f32([cout, cin, 3, 3], weight)), { name: 'conv', pads: [1, 1, 1, 1] }),
  );
  const { report } = await rewriteGraph(b.graph, {
    factorize: { methods: ['tucker'], limit: { ranks: 'vbmf' } },
  });
  expect(report.layers?.[0]?.form).toMatchObject({ method: 'tucker', rank: `r = ${rank}, ${rank}` });
});
