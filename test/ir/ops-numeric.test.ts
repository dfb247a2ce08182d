import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { REDUCERS } from '#ir/ops/reduce.ts';
import { f32, i64, type Tensor, tensor } from '#ir/tensor.ts';
import { broadcastShapes } from '#ir/types.ts';
import { at, build, costOf, evalOp, noise, positions, typesOf, values } from '../support/op.ts';

function expectClose(got: Tensor, want: Tensor, digits = 4): void {
  expect(got.type).toEqual(want.type);
  values(got).forEach((v, i) => {
    expect(v).toBeCloseTo(Number(want.data[i]), digits);
  });
}

describe('products', () => {
  test('Gemm', () => {
    const size = fc.integer({ min: 1, max: 5 });
    fc.assert(
      fc.property(
        size,
        size,
        size,
        fc.boolean(),
        fc.boolean(),
        fc.nat(4),
        (m, n, k, transA, transB, cKind) => {
          const a = noise(transA ? [k, m] : [m, k]);
          const b = noise(transB ? [n, k] : [k, n], 2);
          const cShape = [[], [n], [1, n], [m, 1], [m, n]][cKind] ?? [];
          const c = noise(cShape, 3);
          const want = build([m, n], ([i = 0, j = 0]) => {
            let sum = 0;
            for (let d = 0; d < k; d++)
              sum += at(a, transA ? [d, i] : [i, d]) * at(b, transB ? [j, d] : [d, j]);
            const own = [i, j].slice(2 - cShape.length).map((p, axis) => (cShape[axis] === 1 ? 0 : p));
            return 0.5 * sum + 2 * at(c, own);
          });
          const attrs = { transA, transB, alpha: 0.5, beta: 2 };
          expectClose(evalOp('Gemm', attrs, [a, b, c]), want);
          expect(costOf('Gemm', attrs, [a, b, c])).toEqual({ macs: m * n * k, otherOps: m * n });
        },
      ),
    );
  });

  test('MatMul by the rules of NumPy, operands of rank 1 and batches too', () => {
    const size = fc.integer({ min: 1, max: 4 });
    const batches = fc.array(fc.boolean(), { maxLength: 2 });
    fc.assert(
      fc.property(
        fc.tuple(size, size, size),
        batches,
        batches,
        fc.boolean(),
        fc.boolean(),
        (sizes, ba, bb, va, vb) => {
          const [m, n, k] = sizes;
          const stack = (which: readonly boolean[]) =>
            which.map((on, i) => (on ? ([3, 2][i + 2 - which.length] ?? 1) : 1));
          const aShape = va ? [k] : [...stack(ba), m, k];
          const bShape = vb ? [k] : [...stack(bb), k, n];
          const batch = broadcastShapes(va ? [] : stack(ba), vb ? [] : stack(bb)) ?? [];
          const [a, b] = [noise(aShape), noise(bShape, 2)];
          const shape = [...batch, ...(va ? [] : [m]), ...(vb ? [] : [n])];
          const want = build(shape, (out) => {
            const stackAt = (own: readonly number[]) =>
              own.map((s, i) => (s === 1 ? 0 : (out[batch.length - own.length + i] ?? 0)));
            const i = va ? 0 : (out[batch.length] ?? 0);
            const j = out[batch.length + (va ? 0 : 1)] ?? 0;
            let sum = 0;
            for (let d = 0; d < k; d++) {
              sum +=
                at(a, va ? [d] : [...stackAt(stack(ba)), i, d]) *
                at(b, vb ? [d] : [...stackAt(stack(bb)), d, j]);
            }
            return sum;
          });
          expectClose(evalOp('MatMul', {}, [a, b]), want);
          expect(costOf('MatMul', {}, [a, b]).macs).toBe(want.data.length * k);
        },
      ),
    );
  });

  test('MatMul of integers is exact', () => {
    const a = tensor('i32', [1, 2], [40_000, 3]);
    expect(values(evalOp('MatMul', {}, [a, tensor('i32', [2], [50_000, 1])]))).toEqual([2_000_000_003]);
  });

  test.each([
    [[2, 3], [4, 2], '3 columns and 4 rows'],
    [[2, 2, 3], [3, 3, 2], 'do not broadcast'],
    [[], [3], 'scalar'],
  ])('MatMul refuses %j times %j', (a, b, message) => {
    expect(() => typesOf('MatMul', {}, [noise(a), noise(b)])).toThrow(message);
  });
});

describe('normalisation', () => {
  test('BatchNormalization is the affine map of its running statistics', () => {
    const x = noise([2, 3, 4]);
    const [scale, bias, mean] = [noise([3], 2), noise([3], 3), noise([3], 4)];
    const variance = f32([3], [0.5, 1, 2]);
    const want = build([2, 3, 4], ([n = 0, c = 0, i = 0]) => {
      const normal = (at(x, [n, c, i]) - at(mean, [c])) / Math.sqrt(at(variance, [c]) + 0.01);
      return normal * at(scale, [c]) + at(bias, [c]);
    });
    expectClose(evalOp('BatchNormalization', { epsilon: 0.01 }, [x, scale, bias, mean, variance]), want, 5);
    expect(costOf('BatchNormalization', {}, [x, scale, bias, mean, variance]).otherOps).toBe(48);
    expect(() => typesOf('BatchNormalization', {}, [x, scale, noise([2]), mean, variance])).toThrow(
      'bias has 2 elements for 3 channels',
    );
  });

  test('Softmax along each axis adds up to 1 and keeps ratios', () => {
    for (const axis of [0, 1, 2]) {
      const x = noise([2, 3, 4], axis + 1);
      const want = build([2, 3, 4], (p) => {
        let sum = 0;
        for (let i = 0; i < (x.type.shape[axis] ?? 0); i++) sum += Math.exp(at(x, p.with(axis, i)));
        return Math.exp(at(x, p)) / sum;
      });
      expectClose(evalOp('Softmax', { axis }, [x]), want, 6);
    }
    expect(values(evalOp('Softmax', { axis: 0 }, [f32([2], [1e4, 1e4])]))).toEqual([0.5, 0.5]);
  });
});

const REDUCE: Record<keyof typeof REDUCERS, (list: number[]) => number> = {
  ReduceSum: (v) => v.reduce((a, b) => a + b, 0),
  ReduceMean: (v) => v.reduce((a, b) => a + b, 0) / v.length,
  ReduceMax: (v) => Math.max(...v),
  ReduceMin: (v) => Math.min(...v),
  ReduceProd: (v) => v.reduce((a, b) => a * b, 1),
  ReduceL1: (v) => v.reduce((a, b) => a + Math.abs(b), 0),
  ReduceL2: (v) => Math.hypot(...v),
  ReduceLogSum: (v) => Math.log(v.reduce((a, b) => a + b, 0)),
  ReduceLogSumExp: (v) => Math.log(v.reduce((a, b) => a + Math.exp(b), 0)),
  ReduceSumSquare: (v) => v.reduce((a, b) => a + b * b, 0),
};

describe('reductions', () => {
  test.each(Object.keys(REDUCERS) as (keyof typeof REDUCERS)[])('%s over any axes', (op) => {
    const shapes = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(
        shapes.chain((shape) => fc.tuple(fc.constant(shape), fc.subarray([...shape.keys()]))),
        fc.boolean(),
        ([shape, axes], keepDims) => {
          // near 1, so that a product of many stays a float
          const x = build(shape, (p) => 1 + at(noise(shape), p) / 4);
          const kept = [...shape.keys()].filter((axis) => !axes.includes(axis));
          const folded = positions(axes.map((axis) => shape[axis] ?? 1));
          const outShape = keepDims
            ? shape.map((s, i) => (axes.includes(i) ? 1 : s))
            : kept.map((i) => shape[i] ?? 1);
          const want = build(outShape, (out) =>
            REDUCE[op](
              folded.map((f) =>
                at(
                  x,
                  shape.map((_, axis) =>
                    axes.includes(axis)
                      ? (f[axes.indexOf(axis)] ?? 0)
                      : (out[keepDims ? axis : kept.indexOf(axis)] ?? 0),
                  ),
                ),
              ),
            ),
          );
          const got = evalOp(op, { axes, keepDims }, [x]);
          expect(got.type).toEqual(want.type);
          values(got).forEach((v, i) => {
            expect(v / Number(want.data[i])).toBeCloseTo(1, 5);
          });
        },
      ),
      { numRuns: 40 },
    );
  });

  test('LogSumExp of large numbers stays finite', () => {
    expect(values(evalOp('ReduceLogSumExp', { axes: [0] }, [f32([2], [1000, 1000])]))[0]).toBeCloseTo(
      1000.6931,
      3,
    );
  });

  test('64-bit integers, as in arithmetic on shapes', () => {
    const x = i64([2, 3, 4]);
    expect(evalOp('ReduceProd', { axes: [0], keepDims: false }, [x])).toEqual(i64([24], []));
    expect(evalOp('ReduceMax', { axes: [0] }, [x])).toEqual(i64([4]));
  });

  test('over no elements give the bound of floats; integers have none', () => {
    const none = f32([2, 0], []);
    expect(values(evalOp('ReduceMax', { axes: [1] }, [none]))).toEqual([-Infinity, -Infinity]);
    expect(values(evalOp('ReduceMin', { axes: [1] }, [none]))).toEqual([Infinity, Infinity]);
    expect(values(evalOp('ReduceProd', { axes: [1] }, [none]))).toEqual([1, 1]);
    expect(() => typesOf('ReduceMax', { axes: [0] }, [i64([])])).toThrow('no elements');
  });

  test('refuse an axis that is not there', () => {
    expect(() => typesOf('ReduceSum', { axes: [2] }, [noise([2, 3])])).toThrow('axis 2 is outside');
  });
});

describe('shapes', () => {
  test('Shape gives a range of sizes', () => {
    const x = noise([2, 3, 5]);
    expect(evalOp('Shape', { end: 3 }, [x])).toEqual(i64([2, 3, 5]));
    expect(evalOp('Shape', { start: 1, end: 2 }, [x])).toEqual(i64([3]));
  });

  test('ConstantOfShape fills', () => {
    expect(evalOp('ConstantOfShape', { value: 3, dtype: 'i64' }, [i64([2, 1])])).toEqual(i64([3, 3], [2, 1]));
    expect(() => typesOf('ConstantOfShape', {}, [undefined])).toThrow('input 0 is missing');
    expect(() => typesOf('ConstantOfShape', {}, [i64([2 ** 40])])).toThrow('too large');
    expect(() => typesOf('ConstantOfShape', {}, [i64([-1])])).toThrow('not a shape');
  });

  test('Cast truncates, wraps, and takes truth from ≠ 0', () => {
    const x = f32([4], [-1.7, 0, 0.5, 300]);
    expect(values(evalOp('Cast', { to: 'i64' }, [x]))).toEqual([-1, 0, 0, 300]);
    expect(values(evalOp('Cast', { to: 'bool' }, [x]))).toEqual([1, 0, 1, 1]);
    expect(values(evalOp('Cast', { to: 'u8' }, [i64([300])]))).toEqual([44]);
  });

  test('Range counts up and down, without the limit', () => {
    const range = (a: number, b: number, d: number) =>
      values(
        evalOp(
          'Range',
          {},
          [a, b, d].map((v) => i64([v], [])),
        ),
      );
    expect(range(1, 6, 2)).toEqual([1, 3, 5]);
    expect(range(3, 0, -1)).toEqual([3, 2, 1]);
    expect(range(3, 0, 1)).toEqual([]);
    expect(() => range(0, 1, 0)).toThrow('delta is 0');
  });
});
