import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Tensor } from '#ir/tensor.ts';
import { transposedOutputSize, windowAxis } from '#ir/window.ts';
import { at, build, costOf, evalOp, noise, positions, typesOf, values } from '../support/op.ts';

const perAxis = (rank: number, min: number, max: number) =>
  fc.array(fc.integer({ min, max }), { minLength: rank, maxLength: rank });

/** Sizes of a random convolution whose kernel fits its padded input. */
const convolutions = fc
  .integer({ min: 1, max: 3 })
  .chain((rank) =>
    fc.record({
      batch: fc.integer({ min: 1, max: 2 }),
      group: fc.integer({ min: 1, max: 3 }),
      cinPerGroup: fc.integer({ min: 1, max: 2 }),
      coutPerGroup: fc.integer({ min: 1, max: 2 }),
      input: perAxis(rank, 1, rank === 3 ? 4 : 7),
      kernel: perAxis(rank, 1, 3),
      strides: perAxis(rank, 1, 3),
      dilations: perAxis(rank, 1, 2),
      pads: perAxis(2 * rank, 0, 2),
      seed: fc.nat(1000),
    }),
  )
  .filter((c) =>
    c.input.every((size, i) => {
      const a = windowAxis(c, i);
      return size + a.padBegin + a.padEnd > (a.kernel - 1) * a.dilation;
    }),
  );

const add = (a: readonly number[], b: readonly number[]): number[] => a.map((v, i) => v + (b[i] ?? 0));
const scale = (a: readonly number[], b: readonly number[]): number[] => a.map((v, i) => v * (b[i] ?? 1));

/** By definition: zero-pad the input, zero-insert the kernel, correlate at stride 1, keep every stride-th result. */
function naiveConv(
  x: Tensor,
  w: Tensor,
  c: {
    readonly group: number;
    readonly strides: readonly number[];
    readonly dilations: readonly number[];
    readonly pads: readonly number[];
  },
): Tensor {
  const rank = c.strides.length;
  const [n = 1, cin = 1, ...input] = x.type.shape;
  const [cout = 1, perGroup = 1, ...kernel] = w.type.shape;
  const begins = c.pads.slice(0, rank);
  const padded = build(
    [n, cin, ...input.map((s, i) => s + (c.pads[i] ?? 0) + (c.pads[rank + i] ?? 0))],
    ([b = 0, ch = 0, ...p]) => at(x, [b, ch, ...p.map((v, i) => v - (begins[i] ?? 0))]),
  );
  const wide = build(
    [cout, perGroup, ...kernel.map((k, i) => (k - 1) * (c.dilations[i] ?? 1) + 1)],
    ([o = 0, i = 0, ...p]) =>
      p.every((v, k) => v % (c.dilations[k] ?? 1) === 0)
        ? at(w, [o, i, ...p.map((v, k) => v / (c.dilations[k] ?? 1))])
        : 0,
  );
  const taps = positions(wide.type.shape.slice(2));
  const dense = padded.type.shape.slice(2).map((s, i) => s - (wide.type.shape[i + 2] ?? 1) + 1);
  const out = dense.map((s, i) => Math.ceil(s / (c.strides[i] ?? 1)));
  return build([n, cout, ...out], ([b = 0, o = 0, ...p]) => {
    const start = Math.floor(o / (cout / c.group)) * perGroup;
    let sum = 0;
    for (let i = 0; i < perGroup; i++) {
      for (const tap of taps)
        sum += at(padded, [b, start + i, ...add(scale(p, c.strides), tap)]) * at(wide, [o, i, ...tap]);
    }
    return sum;
  });
}

const inner = (a: Tensor, b: Tensor): number =>
  values(a).reduce((sum, v, i) => sum + v * Number(b.data[i]), 0);

describe('Conv', () => {
  test('is the correlation of the padded input with the zero-inserted kernel, ranks 1 to 3', () => {
    fc.assert(
      fc.property(convolutions, (c) => {
        const x = noise([c.batch, c.group * c.cinPerGroup, ...c.input], c.seed);
        const w = noise([c.group * c.coutPerGroup, c.cinPerGroup, ...c.kernel], c.seed + 1);
        const { strides, dilations, pads, group } = c;
        const got = evalOp('Conv', { strides, dilations, pads, group }, [x, w]);
        const want = naiveConv(x, w, c);
        expect(got.type).toEqual(want.type);
        values(got).forEach((v, i) => {
          expect(v).toBeCloseTo(Number(want.data[i]), 5);
        });
      }),
      { numRuns: 150 },
    );
  });

  test('adds the bias of the output channel', () => {
    const attrs = { strides: [1], dilations: [1], pads: [0, 0] };
    const x = noise([2, 2, 4]);
    const w = noise([3, 2, 2], 2);
    const without = values(evalOp('Conv', attrs, [x, w]));
    const got = values(evalOp('Conv', attrs, [x, w, build([3], ([c = 0]) => 10 * c)]));
    got.forEach((v, i) => {
      expect(v).toBeCloseTo((without[i] ?? 0) + 10 * (Math.floor(i / 3) % 3), 5);
    });
  });

  test.each([
    [
      'a channel count that does not fit',
      {},
      [1, 3, 5],
      [4, 2, 3],
      'weight [4,2,3] with group 1 takes 2 input channels',
    ],
    ['a kernel that does not fit', {}, [1, 2, 2], [4, 2, 3], 'does not fit'],
    ['a group that does not divide the outputs', { group: 2 }, [1, 4, 5], [3, 2, 3], 'does not divide'],
    ['a missing entry', { strides: [] }, [1, 2, 5], [4, 2, 3], 'strides has 0 entries, not 1'],
  ])('refuses %s', (_, attrs, x, w, message) => {
    const given = { strides: [1], dilations: [1], pads: [0, 0], ...attrs };
    expect(() => typesOf('Conv', given, [noise(x), noise(w)])).toThrow(message);
  });
});

describe('ConvTranspose', () => {
  test('is the adjoint of Conv: ⟨conv(x), y⟩ = ⟨x, convTranspose(y)⟩', () => {
    fc.assert(
      fc.property(convolutions, (c) => {
        const { strides, dilations, pads, group } = c;
        const x = noise([c.batch, group * c.cinPerGroup, ...c.input], c.seed);
        const w = noise([group * c.coutPerGroup, c.cinPerGroup, ...c.kernel], c.seed + 1);
        const forward = evalOp('Conv', { strides, dilations, pads, group }, [x, w]);
        const y = noise(forward.type.shape, c.seed + 2);
        const outputPadding = c.input.map(
          (size, i) => size - transposedOutputSize(windowAxis(c, i), y.type.shape[i + 2] ?? 1, 0),
        );
        const back = evalOp('ConvTranspose', { strides, dilations, pads, group, outputPadding }, [y, w]);
        expect(back.type).toEqual(x.type);
        expect(inner(forward, y)).toBeCloseTo(inner(x, back), 4);
      }),
      { numRuns: 150 },
    );
  });

  test.each([
    ['32→1, k3 on 1×1', 288, [1, 32, 1, 1], [32, 1, 3, 3], 1, 0, 0, 1],
    ['3→1, k2 s2 on 2×2', 48, [1, 3, 2, 2], [3, 1, 2, 2], 2, 0, 0, 1],
    ['4→6, k4 s2 p1, batch 2 on 8×8', 49_152, [2, 4, 8, 8], [4, 6, 4, 4], 2, 1, 0, 1],
    ['4→4 depthwise, k3 s2 p1, output padding 1', 4_608, [2, 4, 8, 8], [4, 1, 3, 3], 2, 1, 1, 4],
    ['6→6, k2 s2, 3 groups', 6_144, [2, 6, 8, 8], [6, 2, 2, 2], 2, 0, 0, 3],
  ] as const)('MACs count input elements: %s', (_, macs, x, w, s, p, op, group) => {
    const attrs = { strides: [s, s], dilations: [1, 1], pads: [p, p, p, p], outputPadding: [op, op], group };
    expect(costOf('ConvTranspose', attrs, [noise(x), noise(w)]).macs).toBe(macs);
  });
});
