import { describe, expect, test } from 'vitest';
import { Builder } from '#ir/builder.ts';
import { arg, binary } from '#ir/expr.ts';
import { f32 } from '#ir/tensor.ts';
import { graphCost } from '#passes/analysis/cost.ts';
import { absent, Network } from './networks.ts';

const macs = (n: Network) => graphCost(n.done()).totals.macs;
const wide = (size: number, channels: number) => new Network(size, channels);

// the counts of a well-known primer on the kinds of convolution
describe('multiplications of the kinds of convolution', () => {
  test('one 3×3 kernel on 5×5: 81; spatially separable: 45 + 27', () => {
    expect(macs(wide(5, 1).conv(3, { padding: 'valid' }))).toBe(81);
    expect(macs(wide(5, 1).conv([3, 1], { padding: 'valid' }).conv([1, 3], { padding: 'valid' }))).toBe(72);
  });
  test.each([
    [12, 3],
    [20, 5],
    [33, 7],
  ])('separable m×m on N×N, N = %i, m = %i', (n, m) => {
    const valid = { padding: 'valid' } as const;
    const separable = macs(wide(n, 1).conv([1, m], valid).conv([m, 1], valid));
    expect(separable).toBe(n * (n - m + 1) * m + (n - m + 1) ** 2 * m);
    const standard = macs(wide(n, 1).conv(m, valid));
    expect(separable / standard).toBeCloseTo((2 * n - m + 1) / (m * (n - m + 1)), 12);
  });
  test('7×7×3 → 5×5×128: 86,400 standard, 675 + 9,600 depthwise separable', () => {
    expect(macs(wide(7, 3).conv(3, { padding: 'valid', cout: 128 }))).toBe(86_400);
    const separable = wide(7, 3).conv(3, { padding: 'valid', cout: 3, group: 3 }).conv(1, { cout: 128 });
    const costs = [...graphCost(separable.done()).nodes.values()].map((c) => c.macs);
    expect(costs).toEqual([675, 9_600]);
  });
  test('a grouped conv has h·w·(Din/g)·(Dout/g)·g parameters', () => {
    const cost = graphCost(wide(8, 12).conv(3, { cout: 24, group: 4 }).done());
    expect(cost.totals.parameters).toBe(3 * 3 * (12 / 4) * (24 / 4) * 4);
  });
  // Howard et al., MobileNets, 2017, table 4
  test('3×3, 512→512, 14²: 462.42 M standard, 52.28 M separable', () => {
    expect(macs(wide(14, 512).conv(3, { cout: 512 }))).toBe(462_422_016);
    expect(macs(wide(14, 512).conv(3, { cout: 512, group: 512 }).conv(1, { cout: 512 }))).toBe(52_283_392);
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
}

describe('a transposed convolution counts input elements × Cout/groups × taps', () => {
  test.each<[number, Transposed]>([
    [288, { x: [1, 32, 1, 1], cout: 1, k: 3 }],
    [48, { x: [1, 3, 2, 2], cout: 1, k: 2, stride: 2 }],
    [49_152, { x: [2, 4, 8, 8], cout: 6, k: 4, stride: 2, pad: 1 }],
    [4_608, { x: [2, 4, 8, 8], cout: 4, k: 3, stride: 2, pad: 1, outputPadding: 1, group: 4 }],
    [6_144, { x: [2, 6, 8, 8], cout: 6, k: 2, stride: 2, group: 3 }],
  ])('%i MACs: %o', (expected, { x, cout, k, stride = 1, pad = 0, outputPadding = 0, group = 1 }) => {
    const b = new Builder();
    const weight = b.constant('w', absent([x[1] ?? 1, cout / group, k, k]));
    const attrs = { strides: [stride, stride], dilations: [1, 1], pads: [pad, pad, pad, pad], group };
    b.output(
      'y',
      b.op('ConvTranspose', [b.input('x', x), weight], {
        ...attrs,
        outputPadding: [outputPadding, outputPadding],
      }),
    );
    expect(graphCost(b.graph).totals.macs).toBe(expected);
  });
});

describe('parameters', () => {
  test('a constant that two layers share counts once', () => {
    const b = new Builder();
    const w = b.constant('w', absent([4, 4, 1, 1]));
    b.output('y', b.conv(b.conv(b.input('x', [1, 4, 2, 2]), w), w));
    const cost = graphCost(b.graph);
    expect(cost.totals).toMatchObject({
      parameters: 16,
      sharedParameters: 16,
      parameterBytes: 64,
      macs: 128,
    });
    expect([...cost.nodes.values()].map((c) => c.parameters)).toEqual([16, 0]);
  });
  test('equal constants that are stored twice count twice', () => {
    const b = new Builder();
    const w = () => b.constant('w', f32([1, 1, 1, 1], [2]));
    b.output('y', b.conv(b.conv(b.input('x', [1, 1, 2, 2]), w()), w()));
    expect(graphCost(b.graph).totals.parameters).toBe(2);
  });
  test('running statistics are buffers; scale and shift are parameters', () => {
    const b = new Builder();
    const c = ['scale', 'bias', 'mean', 'variance'].map((name) => b.constant(name, absent([8])));
    b.output('y', b.op('BatchNormalization', [b.input('x', [1, 8, 2, 2]), ...c], {}));
    expect(graphCost(b.graph).totals).toMatchObject({ parameters: 16, buffers: 16, otherOps: 64, macs: 0 });
  });
  test('a Mul by a vector is a layer scale; by one number it is not', () => {
    const b = new Builder();
    const scaled = b.op('Mul', [b.input('x', [1, 8, 2, 2]), b.constant('gamma', absent([8, 1, 1]))], {});
    b.output('y', b.op('Mul', [scaled, b.scalar(0.5)], {}));
    expect(graphCost(b.graph).totals.parameters).toBe(8);
  });
  test('a weight that is only moved before its use is still stored once', () => {
    const b = new Builder();
    const w = b.constant('w', absent([5, 3]));
    const moved = b.op('Transpose', [w], { perm: [1, 0] });
    b.output('y', b.op('MatMul', [b.input('x', [2, 3]), moved], {}));
    expect(graphCost(b.graph).totals).toMatchObject({ parameters: 15, macs: 30 });
  });
});

test('an epilogue counts its operations per element in otherOps, and reads its operands', () => {
  const b = new Builder();
  const x = b.input('x', [1, 2, 4, 4]);
  const node = b.node(
    'Conv',
    [x, b.constant('w', absent([2, 2, 1, 1]))],
    { strides: [1, 1], dilations: [1, 1], pads: [0, 0, 0, 0] },
    { epilogue: { expr: binary('max', binary('add', arg(0), arg(1)), 0), operands: [x] } },
  );
  b.output('y', node.outputs[0] ?? x);
  const { totals } = graphCost(b.graph);
  expect(totals).toMatchObject({
    macs: 64,
    flops: 128,
    otherOps: 64,
    bytesRead: 128 + 16,
    bytesWritten: 128,
  });
  expect(totals.intensity).toBeCloseTo(128 / 272, 12);
});

test('a view moves no bytes', () => {
  const b = new Builder();
  b.output('y', b.op('Reshape', [b.input('x', [2, 6])], { shape: [3, 4] }));
  expect(graphCost(b.graph).totals).toMatchObject({ bytesRead: 0, bytesWritten: 0, intensity: 0 });
});
