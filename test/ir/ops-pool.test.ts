import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { extent, windowAxis } from '#ir/window.ts';
import { at, build, costOf, counting, evalOp, noise, positions, typesOf, values } from '../support/op.ts';

const perAxis = (rank: number, min: number, max: number) =>
  fc.array(fc.integer({ min, max }), { minLength: rank, maxLength: rank });

const pools = fc
  .integer({ min: 1, max: 3 })
  .chain((rank) =>
    fc.record({
      input: perAxis(rank, 1, rank === 3 ? 4 : 8),
      kernel: perAxis(rank, 1, 4),
      strides: perAxis(rank, 1, 3),
      dilations: perAxis(rank, 1, 2),
      pads: perAxis(2 * rank, 0, 2),
      ceil: fc.boolean(),
    }),
  )
  .filter((c) =>
    c.input.every((size, i) => {
      const a = windowAxis(c, i);
      return size + a.padBegin + a.padEnd >= extent(a) && Math.max(a.padBegin, a.padEnd) < extent(a);
    }),
  );

type Pool = typeof pools extends fc.Arbitrary<infer T> ? T : never;

/** The window positions of one output position, as input positions; they may lie outside. */
const windowOf = (c: Pool, out: readonly number[]): number[][] =>
  positions(c.kernel).map((tap) =>
    tap.map((t, i) => (out[i] ?? 0) * (c.strides[i] ?? 1) - (c.pads[i] ?? 0) + t * (c.dilations[i] ?? 1)),
  );

const isInside = (c: Pool, p: readonly number[], padded: boolean): boolean =>
  p.every((v, i) => {
    const a = windowAxis(c, i);
    const size = c.input[i] ?? 0;
    return padded ? v >= -a.padBegin && v < size + a.padEnd : v >= 0 && v < size;
  });

describe('pooling against its definition, ranks 1 to 3', () => {
  test('MaxPool', () => {
    fc.assert(
      fc.property(pools, fc.nat(1000), (c, seed) => {
        const x = noise([2, 2, ...c.input], seed);
        const { input: _, ...attrs } = c;
        const got = evalOp('MaxPool', attrs, [x]);
        const want = build(got.type.shape, ([n = 0, ch = 0, ...out]) =>
          Math.max(
            ...windowOf(c, out)
              .filter((p) => isInside(c, p, false))
              .map((p) => at(x, [n, ch, ...p])),
          ),
        );
        expect(values(got)).toEqual(values(want));
      }),
    );
  });

  test('AveragePool', () => {
    fc.assert(
      fc.property(pools, fc.boolean(), fc.nat(1000), (c, countIncludePad, seed) => {
        const x = noise([2, 2, ...c.input], seed);
        const { input: _, ...attrs } = c;
        const got = evalOp('AveragePool', { ...attrs, countIncludePad }, [x]);
        const want = build(got.type.shape, ([n = 0, ch = 0, ...out]) => {
          const window = windowOf(c, out);
          const sum = window.reduce((total, p) => total + at(x, [n, ch, ...p]), 0);
          return sum / Math.max(1, window.filter((p) => isInside(c, p, countIncludePad)).length);
        });
        values(got).forEach((v, i) => {
          expect(v).toBeCloseTo(Number(want.data[i]), 5);
        });
      }),
    );
  });
});

describe('ceil mode', () => {
  const pool = (size: number, kernel: number, stride: number, pad: number, ceil: boolean) =>
    typesOf('MaxPool', { kernel: [kernel], strides: [stride], dilations: [1], pads: [pad, pad], ceil }, [
      noise([1, 1, size]),
    ])[0]?.shape[2];

  test('rounds the output size up', () => {
    expect(pool(112, 3, 2, 0, false)).toBe(55);
    expect(pool(112, 3, 2, 0, true)).toBe(56);
  });

  test('drops a window that would start in the end padding', () => {
    expect(pool(1, 1, 2, 0, true)).toBe(1);
    expect(pool(4, 2, 3, 1, true)).toBe(2);
  });

  test('never divides an average by positions beyond the padded input', () => {
    // 1 2 3 4, windows of 3 at stride 2: the second holds 3, 4 and one position beyond the input
    const attrs = {
      kernel: [3],
      strides: [2],
      dilations: [1],
      pads: [0, 0],
      ceil: true,
      countIncludePad: true,
    };
    const x = build([1, 1, 4], ([, , i = 0]) => i + 1);
    expect(values(evalOp('AveragePool', attrs, [x]))).toEqual([2, 3.5]);
    expect(values(evalOp('AveragePool', { ...attrs, pads: [0, 1] }, [x]))).toEqual([2, Math.fround(7 / 3)]);
  });
});

test('GlobalAveragePool is the mean of each channel', () => {
  const got = evalOp('GlobalAveragePool', {}, [counting([1, 2, 2, 3])]);
  expect(got.type.shape).toEqual([1, 2, 1, 1]);
  expect(values(got)).toEqual([2.5, 8.5]);
});

test('costs a window per output element and no MACs', () => {
  const attrs = { kernel: [3, 3], strides: [2, 2], dilations: [1, 1], pads: [1, 1, 1, 1] };
  expect(costOf('MaxPool', attrs, [noise([1, 4, 8, 8])])).toEqual({ macs: 0, otherOps: 9 * 4 * 16 });
});

test('refuses pads as large as the window, for that window could see padding only', () => {
  expect(() =>
    typesOf('MaxPool', { kernel: [2], strides: [1], dilations: [1], pads: [2, 0] }, [noise([1, 1, 5])]),
  ).toThrow('must be smaller than the window');
});
