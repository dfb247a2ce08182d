/** Quantisation and integer products against integer arithmetic written out. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { f32, type Tensor, tensor } from '#ir/tensor.ts';
import { elementCount, type Shape } from '#ir/types.ts';
import { at, costOf, evalOp, evalOpAll, positions, typesOf, values } from '../support/op.ts';

const bytes = (dtype: 'u8' | 'i8', shape: Shape, seed: number): Tensor =>
  tensor(
    dtype,
    shape,
    Array.from({ length: elementCount(shape) }, (_, i) => {
      const byte = ((i + 1) * 2654435761 + seed * 40503) >>> 24;
      return dtype === 'u8' ? byte : byte - 128;
    }),
  );
const u8 = (list: readonly number[], shape: Shape = [list.length]) => tensor('u8', shape, list);

describe('QuantizeLinear', () => {
  test('rounds halves to even and saturates', () => {
    const x = f32([7], [-1000, -3, 1, 3, 5, 1000, 254]);
    const got = evalOp('QuantizeLinear', { to: 'u8' }, [x, f32([], [2]), u8([1], [])]);
    // −1.5 → −2, 0.5 → 0, 1.5 → 2, 2.5 → 2
    expect(values(got)).toEqual([0, 0, 1, 3, 3, 255, 128]);
    expect(values(evalOp('QuantizeLinear', { to: 'i8' }, [x, f32([], [2])]))).toEqual([
      -128, -2, 0, 2, 2, 127, 127,
    ]);
  });

  test('the quotient is one of f32', () => {
    // in doubles it lies below the half
    const [x, scale] = [Math.fround(0.35), Math.fround(0.1)];
    expect(x / scale).not.toBe(Math.fround(x / scale));
    const got = evalOp('QuantizeLinear', {}, [f32([1], [x]), f32([], [scale])]);
    expect(values(got)).toEqual([Math.fround(x / scale) === 3.5 ? 4 : Math.round(Math.fround(x / scale))]);
  });

  test('per position of an axis, and per block', () => {
    const x = f32([2, 3], [1, 2, 3, 4, 5, 6]);
    expect(values(evalOp('QuantizeLinear', { axis: 1 }, [x, f32([3], [1, 2, 3])]))).toEqual([
      1, 1, 1, 4, 2, 2,
    ]);
    const blocks = [x, f32([2, 2], [1, 3, 2, 6])];
    expect(values(evalOp('QuantizeLinear', { axis: 1, block: 2 }, blocks))).toEqual([1, 2, 1, 2, 2, 1]);
    expect(() => typesOf('QuantizeLinear', { axis: 0 }, [x, f32([3], [1, 2, 3])])).toThrow('along axis 0');
  });

  test('and DequantizeLinear are inverse on what is representable', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 0, max: 255 }), (q, zero) => {
        const scale = f32([], [0.037]);
        const real = evalOp('DequantizeLinear', {}, [u8([q]), scale, u8([zero], [])]);
        expect(real.data[0]).toBe(Math.fround((q - zero) * Math.fround(0.037)));
        expect(values(evalOp('QuantizeLinear', {}, [real, scale, u8([zero], [])]))).toEqual([q]);
      }),
    );
  });
});

test('DynamicQuantizeLinear covers the range of its operand and 0', () => {
  const [y, scale, zero] = evalOpAll('DynamicQuantizeLinear', {}, [f32([3], [-1, 0.5, 4])]);
  expect(scale?.data[0]).toBe(Math.fround(5 / 255));
  expect(values(zero as Tensor)).toEqual([51]);
  expect(values(y as Tensor)).toEqual([0, 77, 255]);
});

/** Σ (x − zero)(w − zero) over a window, in plain integers. */
function convSum(
  x: Tensor,
  w: Tensor,
  xZero: number,
  wZero: readonly number[],
  out: readonly number[],
): number {
  const [n = 0, o = 0, y = 0, z = 0] = out;
  const group = 2;
  const [, cin = 1, kh = 1, kw = 1] = w.type.shape;
  const first = Math.floor(o / ((w.type.shape[0] ?? 1) / group)) * cin;
  let sum = 0;
  for (const [c = 0, i = 0, j = 0] of positions([cin, kh, kw])) {
    const [iy, ix] = [2 * y - 1 + i, z + j];
    if (iy < 0 || iy >= (x.type.shape[2] ?? 0) || ix >= (x.type.shape[3] ?? 0)) continue;
    sum += (at(x, [n, first + c, iy, ix]) - xZero) * (at(w, [o, c, i, j]) - (wZero[o] ?? 0));
  }
  return sum;
}

const CONV = { strides: [2, 1], dilations: [1, 1], pads: [1, 0, 1, 2], group: 2 };

describe.each(['u8', 'i8'] as const)('products of %s', (dtype) => {
  test('ConvInteger', () => {
    const [x, w] = [bytes(dtype, [2, 4, 5, 4], 1), bytes(dtype, [6, 2, 3, 2], 2)];
    const wZero = [3, 0, 7, 1, 2, 5];
    const inputs = [x, w, tensor(dtype, [], [9]), tensor(dtype, [6], wZero)];
    const got = evalOp('ConvInteger', CONV, inputs);
    expect(got.type.dtype).toBe('i32');
    const want = positions(got.type.shape).map((p) => convSum(x, w, 9, wZero, p));
    expect(values(got)).toEqual(want);
    expect(costOf('ConvInteger', CONV, inputs).macs).toBe(want.length * 2 * 3 * 2);
  });

  test('QLinearConv requantises the exact sum', () => {
    const [x, w] = [bytes(dtype, [1, 4, 5, 4], 1), bytes('i8', [2, 2, 3, 2], 2)];
    const [scales, bias] = [
      [0.013, 0.002],
      [100, -70],
    ];
    const one = (v: number) => f32([], [v]);
    const inputs = [
      x,
      one(0.02),
      tensor(dtype, [], [11]),
      w,
      f32([2], scales),
      tensor('i8', [1], [-3]),
      one(0.05),
      tensor(dtype, [], [50]),
      tensor('i32', [2], bias),
    ];
    const got = evalOp('QLinearConv', CONV, inputs);
    const [low, high] = dtype === 'u8' ? [0, 255] : [-128, 127];
    const f = Math.fround;
    positions(got.type.shape).forEach((p, i) => {
      const sum = convSum(x, w, 11, [-3, -3], p) + (bias[p[1] ?? 0] ?? 0);
      const factor = f(f(f(0.02) * f(scales[p[1] ?? 0] ?? 0)) / f(0.05));
      const scaled = f(f(sum) * factor);
      const exact = Math.round(scaled) + 50;
      expect(Math.abs(Math.min(Math.max(exact, low), high) - Number(got.data[i]))).toBe(0);
    });
  });

  test('MatMulInteger with a zero point per row and per column', () => {
    const [a, b] = [bytes(dtype, [2, 3, 4], 1), bytes(dtype === 'u8' ? 'i8' : 'u8', [4, 2], 2)];
    const [rows, columns] = [tensor(dtype, [3, 1], [1, 2, 3]), tensor(b.type.dtype, [2], [4, 5])];
    const got = evalOp('MatMulInteger', {}, [a, b, rows, columns]);
    const want = positions([2, 3, 2]).map(([n = 0, i = 0, j = 0]) => {
      let sum = 0;
      for (let k = 0; k < 4; k++) sum += (at(a, [n, i, k]) - (i + 1)) * (at(b, [k, j]) - (j + 4));
      return sum;
    });
    expect(values(got)).toEqual(want);
  });
});

test('QLinearMatMul with scales per row and column', () => {
  const [a, b] = [u8([10, 20, 30, 40], [2, 2]), u8([1, 2, 3, 4], [2, 2])];
  const inputs = [
    a,
    f32([2, 1], [0.5, 0.25]),
    u8([0], []),
    b,
    f32([2], [1, 2]),
    u8([0], []),
    f32([], [4]),
    u8([7], []),
  ];
  // 70·0.125, 100·0.25, 150·0.0625, 220·0.125
  expect(values(evalOp('QLinearMatMul', {}, inputs))).toEqual([16, 32, 16, 35]);
});

test.each([
  ['ConvInteger', [f32([1, 2, 2, 2], Array(8).fill(0)), u8(Array(8).fill(0), [2, 1, 2, 2])], 'not u8 or i8'],
  ['MatMulInteger', [u8([1], [1, 1]), u8([1], [1, 1]), tensor('i8', [], [1])], 'a zero point is i8'],
  ['MatMulInteger', [u8([1, 2], [1, 2]), u8([1, 2], [2, 1]), u8([1, 2])], 'does not fit'],
] as const)('%s refuses what does not fit', (op, inputs, message) => {
  const attrs = op === 'ConvInteger' ? { ...CONV, pads: [0, 0, 0, 0] } : {};
  expect(() => typesOf(op, attrs, inputs)).toThrow(message);
});
