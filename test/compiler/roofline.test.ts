/** Predicted times against closed forms, on a machine with round figures. */
import { describe, expect, test } from 'vitest';
import { totalOf } from '#compiler/audit/budget.ts';
import { audit } from '#compiler/audit/index.ts';
import { rooflineOf } from '#compiler/audit/roofline.ts';
import { planGraph, planProgram } from '#compiler/plan.ts';
import { rooflineLines } from '#compiler/report/footprint.ts';
import { DEVICES, DISPATCH_US } from '#compiler/roofline/devices.ts';
import { predictGpuLayers } from '#compiler/roofline/gpu.ts';
import { predictLayers } from '#compiler/roofline/index.ts';
import { ENGINES } from '#compiler/targets/wasm/index.ts';
import { lowerGraph as lowerOnGpu } from '#compiler/targets/webgpu/index.ts';
import { type GpuProfile, type MachineProfile, PROFILE_VERSION } from '#compiler/tune/profile.ts';
import { Builder } from '#ir/builder.ts';
import type { Graph, Value } from '#ir/graph.ts';
import { Random } from '../support/graphs.ts';
import { splitNetwork } from '../support/split-network.ts';

/** 10 multiply-adds per nanosecond on every tile, 1 GB/s from main memory and 100 from near caches. */
const PROFILE: MachineProfile = {
  version: PROFILE_VERSION,
  kind: 'wasm',
  engine: 'an engine',
  cpu: 'a processor',
  engines: {
    simd: {
      peakGflops: 20,
      tiles: ENGINES.simd.tiles.map(({ pixels, channels }) => ({ pixels, channels, gflops: 20 })),
      windows: [
        { kernel: 3, stride: 1, gflops: 10 },
        { kernel: 3, stride: 2, gflops: 5 },
      ],
    },
  },
  elements: {
    moved: 0.1,
    operation: 0.01,
    exp: 1,
    log: 2,
    tanh: 3,
    erf: 4,
    logistic: 5,
    pooled: 0.5,
    transposed: 0.2,
  },
  winograd: { 2: { inputMacs: 100, outputMacs: 100 }, 4: { inputMacs: 300, outputMacs: 300 } },
  weightByteMacs: 1,
  streamedByteNs: { oneRow: 0.4, fourRows: 0.1 },
  bandwidth: [
    { bytes: 2 ** 20, gigabytesPerSecond: 100 },
    { bytes: 2 ** 30, gigabytesPerSecond: 1 },
  ],
  callNs: 7,
};

function graphOf(shape: readonly number[], build: (b: Builder, x: Value, random: Random) => Value): Graph {
  const b = new Builder('one');
  b.output('y', build(b, b.input('x', [...shape]), new Random(1)));
  return b.graph;
}

/** The one layer of a graph; copies before and after it are no part of it. */
function layer(graph: Graph, profile: MachineProfile = PROFILE) {
  const [first, ...more] = predictLayers(planProgram(graph), profile, 'simd').filter(
    ({ node }) => node.op !== 'Transpose',
  );
  if (!first || more.length > 0) throw new Error('there is to be one layer');
  return first;
}

const pointwise = (from: number, to: number, size: number) =>
  graphOf([1, from, size, size], (b, x, random) =>
    b.conv(x, b.constant('w', random.tensor([to, from, 1, 1]))),
  );

describe('the time of a layer', () => {
  test('that multiplies is its MACs at the rate of its tile', () => {
    // whole tiles: 64 pixels of 32 channels
    expect(layer(pointwise(64, 32, 8)).computeNs).toBeCloseTo((64 * 32 * 64) / 10 + 64 * 64 * 0.2, 6);
  });

  test('adds what its weights are waited for, by its rows', () => {
    const { memoryNs } = layer(pointwise(64, 32, 8));
    // main memory is as far again as 1 GB/s is below the bandwidth of so few weights
    expect(memoryNs).toBeCloseTo((64 * 32 * 4 * 0.1) / 100, 6);
    const one = graphOf([1, 64], (b, x, random) =>
      b.op('MatMul', [x, b.constant('w', random.tensor([64, 32]))], {}),
    );
    expect(layer(one).memoryNs).toBeCloseTo((64 * 32 * 4 * 0.4) / 100, 6);
  });

  test.each([
    [1, 10],
    [2, 5],
  ])('of a depthwise convolution of stride %d goes by its window', (stride, gflops) => {
    const size = 8;
    const graph = graphOf([1, 16, size, size], (b, x, random) =>
      b.conv(x, b.constant('w', random.tensor([16, 1, 3, 3])), { group: 16, strides: [stride, stride] }),
    );
    const outputs = Math.floor((size - 3) / stride + 1) ** 2 * 16;
    const copied = 16 * size * size * 0.2;
    expect(layer(graph).computeNs).toBeCloseTo((outputs * 9) / (gflops / 2) + copied, 6);
  });

  test.each([
    ['Tanh', 3],
    ['Sigmoid', 5],
    ['Exp', 1],
    ['Neg', 0.01],
  ] as const)('of %s goes by its elements', (op, ns) => {
    const graph = graphOf([1, 1000], (b, x) => b.op(op, [x], {}));
    expect(layer(graph).computeNs).toBeCloseTo(1000 * (0.1 + ns), 6);
  });

  test('of many bytes and little arithmetic is that of memory', () => {
    const slow = { ...PROFILE, bandwidth: [{ bytes: 1, gigabytesPerSecond: 0.5 }] };
    const predicted = layer(
      graphOf([1, 1000], (b, x) => b.op('Neg', [x], {})),
      slow,
    );
    expect(predicted.ns).toBeCloseTo(8000 / 0.5 + 7, 6);
    expect(predicted.bound).toBe('memory');
  });

  test('with minimal filtering goes by the multiplications that are done', () => {
    const graph = graphOf([1, 64, 32, 32], (b, x, random) =>
      b.conv(x, b.constant('w', random.tensor([64, 64, 3, 3], -0.1, 0.1)), { pads: [1, 1, 1, 1] }),
    );
    const program = planProgram(graph);
    expect(program.calls.some(({ kernel }) => kernel.family === 'winograd')).toBe(true);
    const tiles = 8 * 8;
    const products = tiles * 36 * 64 * 64;
    const transforms = tiles * 16 * 600;
    const copied = 64 * 32 * 32 * 0.2;
    expect(layer(graph).computeNs).toBeCloseTo((products + transforms) / 10 + copied, 3);
  });
});

test('a device of a data sheet has peaks of arithmetic and of memory, and dispatches', () => {
  const [device] = DEVICES;
  const { layers, totalUs, source } = rooflineOf(pointwise(64, 32, 8), { kind: 'dataSheet', device });
  const flops = 2 * 64 * 32 * 64;
  const bytes = 4 * (64 * 64 + 64 * 32 + 32 * 64);
  expect(layers).toHaveLength(1);
  const work = Math.max(flops / device.gflops, bytes / device.gigabytesPerSecond) / 1e3;
  expect(totalUs).toBeCloseTo(work + DISPATCH_US[device.api], 9);
  expect(source).toContain('not measured');
  expect(source).toContain(`${DISPATCH_US[device.api]} µs for each dispatch are taken`);
});

describe('the time of a layer on a device', () => {
  const rates = { gflops: 10, bandwidth: () => 2, dispatchNs: 5 };
  const predicted = (graph: Graph) => predictGpuLayers(lowerOnGpu(planGraph(graph)), rates);

  test('is the longer of its arithmetic and its traffic, and a dispatch', () => {
    const [conv, ...more] = predicted(pointwise(64, 32, 8));
    expect(more).toEqual([]);
    const flops = 2 * 64 * 32 * 64;
    const bytes = 4 * (64 * 64 + 64 * 32 + 32 * 64);
    expect(conv).toMatchObject({ computeNs: flops / 10, memoryNs: bytes / 2, callNs: 5, bound: 'compute' });
    expect(conv?.ns).toBeCloseTo(flops / 10 + 5, 9);
    const slow = predictGpuLayers(lowerOnGpu(planGraph(pointwise(64, 32, 8))), {
      ...rates,
      bandwidth: () => 0.25,
    });
    expect(slow[0]).toMatchObject({ ns: bytes / 0.25 + 5, bound: 'memory' });
  });

  test('of an elementwise op is what it reads and writes', () => {
    const [first, ...more] = predicted(graphOf([1, 1000], (b, x) => b.op('Neg', [x], {})));
    expect(more).toEqual([]);
    expect(first).toMatchObject({ ns: 8000 / 2 + 5, bound: 'memory' });
  });

  test('that is shorter than its dispatch is bound by that', () => {
    const [first] = predicted(graphOf([1, 1], (b, x) => b.op('Neg', [x], {})));
    expect(first).toMatchObject({ ns: 8 / 2 + 5, bound: 'calls' });
  });

  test('with more than one dispatch has each of them, and what they move', () => {
    const graph = graphOf([1, 4, 6], (b, x) =>
      b.op('Softmax', [b.op('Transpose', [x], { perm: [0, 2, 1] })], { axis: 1 }),
    );
    const program = lowerOnGpu(planGraph(graph));
    const layers = predictGpuLayers(program, rates);
    expect(layers.reduce((sum, { callNs }) => sum + callNs, 0)).toBe(
      5 * program.calls.filter(({ node }) => node).length,
    );
  });

  test('goes by the bandwidth that was measured for so many bytes', () => {
    const profile: GpuProfile = {
      version: PROFILE_VERSION,
      kind: 'webgpu',
      adapter: 'an adapter',
      software: false,
      peakGflops: 1e9,
      bandwidth: [
        { bytes: 8000, gigabytesPerSecond: 4 },
        { bytes: 2 ** 26, gigabytesPerSecond: 1 },
      ],
      dispatchNs: 0,
    };
    const graph = graphOf([1, 1000], (b, x) => b.op('Neg', [x], {}));
    const { device, totalUs, roof, source } = rooflineOf(graph, { kind: 'measured', profile });
    expect(totalUs).toBeCloseTo(8000 / 4 / 1e3, 9);
    expect({ device, roof }).toEqual({
      device: 'an adapter',
      roof: { gflops: 1e9, gigabytesPerSecond: 1 },
    });
    expect(source).toContain('measured by convolith calibrate');
    const software = { kind: 'measured', profile: { ...profile, software: true } } as const;
    expect(rooflineOf(graph, software).device).toBe('an adapter (software)');
  });
});

test('a profile with relaxed SIMD predicts what runtimes take there, and says so', () => {
  const { simd } = PROFILE.engines;
  const tiles = ENGINES.relaxed.tiles.map(({ pixels, channels }) => ({ pixels, channels, gflops: 40 }));
  const twice = { ...PROFILE, engines: { simd, relaxed: { ...simd, peakGflops: 40, tiles } } };
  const graph = pointwise(64, 32, 8);
  const measured = (profile: MachineProfile) => rooflineOf(graph, { kind: 'measured', profile });
  const sum = (engine: 'simd' | 'relaxed') =>
    predictLayers(planProgram(graph), twice, engine).reduce((us, { ns }) => us + ns / 1e3, 0);
  expect(measured(twice).totalUs).toBeCloseTo(sum('relaxed'), 9);
  expect(measured(twice).totalUs).toBeLessThan(sum('simd'));
  expect(measured(twice).source).toContain('relaxed SIMD');
  expect(measured(PROFILE).totalUs).toBeCloseTo(sum('simd'), 9);
  expect(measured(PROFILE).source).toContain('baseline SIMD');
});

test('by a data sheet each layer is on the roof but for its dispatch, and the report has the roof', () => {
  const graph = graphOf([1, 8, 16, 16], (b, x, random) =>
    b.conv(
      b.conv(x, b.constant('w', random.tensor([8, 8, 3, 3]))),
      b.constant('v', random.tensor([64, 8, 1, 1])),
    ),
  );
  const [device] = DEVICES;
  const { roof, layers } = rooflineOf(graph, { kind: 'dataSheet', device });
  expect(roof).toEqual({ gflops: device.gflops, gigabytesPerSecond: device.gigabytesPerSecond });
  const convs = layers.filter(({ gflops }) => gflops > 0);
  expect(convs).toHaveLength(2);
  for (const { gflops, us, intensity } of convs) {
    const reached = (gflops * us) / (us - DISPATCH_US[device.api]);
    expect(reached).toBeCloseTo(Math.min(roof.gflops, (intensity ?? 0) * roof.gigabytesPerSecond), 6);
  }
});

test('of a network that is cut the layers on the GPU are predicted, and the others named', () => {
  const [device] = DEVICES;
  const roofline = rooflineOf(splitNetwork(), { kind: 'dataSheet', device });
  const ops = new Map(planGraph(splitNetwork()).nodes.map(({ name, op }) => [name, op]));
  expect(roofline.elsewhere?.map((name) => ops.get(name))).toContain('RNN');
  expect(roofline.layers.map(({ layer }) => ops.get(layer))).toContain('Conv');
  expect(roofline.layers.filter(({ layer }) => roofline.elsewhere?.includes(layer))).toEqual([]);
  const { lines } = rooflineLines(roofline);
  expect(lines.map(({ label }) => label)).toContain('not predicted');
  // what is not predicted may be most of the time
  expect(totalOf('time', { ...audit(splitNetwork()), roofline })).toBeNull();
});

test('the roof of a machine is its peak, and the speed of its main memory', () => {
  const graph = graphOf([1, 8, 16, 16], (b, x, random) =>
    b.conv(x, b.constant('w', random.tensor([8, 8, 3, 3]))),
  );
  const { roof } = rooflineOf(graph, { kind: 'measured', profile: PROFILE });
  expect(roof).toEqual({ gflops: 20, gigabytesPerSecond: 1 });
});
