import { describe, expect, test } from 'vitest';
import { lowerGraph } from '#compiler/targets/wasm/index.ts';
import { Builder } from '#ir/builder.ts';
import type { Value } from '#ir/graph.ts';
import { type Tensor, tensor } from '#ir/tensor.ts';
import type { DType } from '#ir/types.ts';
import { BOUND, check } from '../../support/kernels.ts';
import { noise } from '../../support/op.ts';
import { differences } from '../../support/wasm.ts';

describe('elementwise', () => {
  const wide = (t: Tensor): Tensor => ({ ...t, data: (t.data as Float32Array).map((v) => v * 12) });
  const positive = (t: Tensor): Tensor => ({
    ...t,
    data: (t.data as Float32Array).map((v) => Math.abs(v) * 9 + 0.01),
  });

  // bounds: the approximations' stated errors (Cephes: 2 ulp; erf 1.5e-7 absolute), relative to the largest value
  test.each([
    ['Relu', {}],
    ['LeakyRelu', { alpha: 0.1 }],
    ['Clip', { min: -1, max: 2 }],
    ['Clip', {}],
    ['Sigmoid', {}],
    ['HardSigmoid', { alpha: 0.2, beta: 0.5 }],
    ['HardSwish', {}],
    ['Tanh', {}],
    ['Erf', {}],
    ['Exp', {}],
    ['Neg', {}],
    ['Abs', {}],
    ['Floor', {}],
    ['Ceil', {}],
    ['Round', {}],
    ['Sign', {}],
    ['Reciprocal', {}],
  ] as const)('%s %o over a wide range', async (op, attrs) => {
    await check((b, input) => b.op(op, [input([3, 5, 7])], attrs as never), { values: wide });
  });

  test.each(['Log', 'Sqrt'] as const)('%s of positive numbers', async (op) => {
    await check((b, input) => b.op(op, [input([301])], {}), { values: positive });
  });

  test('special values pass through as IEEE says', async () => {
    const special = Float32Array.of(0, -0, Infinity, -Infinity, NaN, 1e-40, 3e38, -3e38, 88.8, -103.9, 1, -1);
    const values = (t: Tensor): Tensor => ({ ...t, data: special });
    for (const op of [
      'Relu',
      'Sigmoid',
      'Tanh',
      'Exp',
      'Neg',
      'Abs',
      'Sqrt',
      'Log',
      'Clip',
      'HardSwish',
    ] as const) {
      await check((b, input) => b.op(op, [input([special.length])], {} as never), { values, bound: 1e-5 });
    }
  });

  test.each(['Add', 'Sub', 'Mul', 'Div', 'Min', 'Max'] as const)('%s broadcasts', async (op) => {
    for (const [x, y] of [
      [
        [2, 5, 4, 6],
        [2, 5, 4, 6],
      ],
      [
        [2, 5, 4, 6],
        [5, 1, 1],
      ],
      [[2, 5, 4, 6], [1]],
      [
        [2, 5, 1, 1],
        [2, 5, 4, 6],
      ],
      [
        [2, 5, 4, 6],
        [2, 1, 4, 6],
      ],
      [
        [5, 1],
        [1, 7],
      ],
      [[2, 5, 4, 6], [6]],
      [
        [2, 5, 4, 6],
        [4, 1],
      ],
    ] as const) {
      await check((b, input) => b.op(op, [input(x), input(y)], {}));
      // channels last: both come out of a convolution
      await check(
        (b, input) => {
          const w = (c: number, seed: number) => b.constant(`w${seed}`, noise([c, c, 1, 1], seed));
          const through = (v: Value, seed: number) =>
            v.type.shape.length === 4 ? b.conv(v, w(v.type.shape[1] ?? 1, seed)) : v;
          return b.op(op, [through(input(x), 7), through(input(y), 8)], {});
        },
        { bound: op === 'Div' ? 2e-5 : BOUND },
      );
    }
  });

  test('powers by constants', async () => {
    for (const exponent of [0, 1, 2, 3, 5, 0.5, -1]) {
      await check((b, input) => b.op('Pow', [input([37]), b.scalar(exponent)], {}), { values: positive });
    }
  });
});

describe('element types', () => {
  const TYPES = ['i8', 'u8', 'i16', 'u16', 'i32', 'u32', 'i64', 'u64', 'bool', 'f32'] as const;
  const LIMITS: Record<DType, readonly number[]> = {
    i8: [-128, 127, 0, 3, -7],
    u8: [0, 255, 1, 3, 200],
    i16: [-32768, 32767, 0, 3, -7],
    u16: [0, 65535, 1, 3, 40000],
    i32: [-2147483648, 2147483647, 0, 3, -7],
    u32: [0, 4294967295, 1, 3, 7],
    i64: [-9007199254740991, 9007199254740991, 0, 3, -7],
    u64: [0, 9007199254740991, 1, 3, 7],
    bool: [0, 1, 1, 0, 1],
    f32: [-3.7, 2.5, 0, 100.2, -0.4],
  };

  /** Runs a graph over inputs of the given types, made of each type's limits. */
  async function checkTyped(
    types: readonly DType[],
    build: (b: Builder, inputs: Value[]) => Value,
  ): Promise<void> {
    const b = new Builder('test');
    const feeds = new Map<string, Tensor>();
    const inputs = types.map((dtype, k) => {
      const values = LIMITS[dtype];
      const list = Array.from(
        { length: 15 },
        (_, i) => values[(k === 0 ? i : Math.floor(i / 3) + i) % 5] ?? 0,
      );
      feeds.set(`x${k}`, tensor(dtype, [3, 5], list));
      return b.input(`x${k}`, [3, 5], dtype);
    });
    b.output('out', build(b, inputs));
    for (const { op, relative } of await differences(b.graph, feeds)) {
      expect(relative, `${op} of ${types.join(', ')}`).toBeLessThan(BOUND);
    }
  }

  test('casts between all types', async () => {
    for (const from of TYPES) {
      for (const to of TYPES) {
        // a float outside the range of an integer type, or negative for an unsigned one, has no defined cast
        if (from === 'f32' && to !== 'bool' && (to.startsWith('u') || to === 'i8')) continue;
        await checkTyped([from], (b, [x]) => b.op('Cast', [x], { to }));
      }
    }
  });

  test('floats that are known to fit a byte are cast in vectors, others one by one', async () => {
    for (const [to, min, max] of [
      ['u8', 0, 255],
      ['i8', -128, 127],
    ] as const) {
      const bounded = (b: Builder, low: number, high: number) => {
        const x = b.input('x', [3, 7]);
        b.output('y', b.op('Cast', [b.op('Clip', [x], { min: low, max: high })], { to }));
        return lowerGraph(b.graph).calls.map(({ kernel }) => kernel.family);
      };
      const b = new Builder('bytes');
      expect(bounded(b, min, max)).toEqual(['map', 'map']);
      const values = Array.from({ length: 21 }, (_, i) => (i - 10) * 27.31);
      for (const { want, got } of await differences(b.graph, new Map([['x', tensor('f32', [3, 7], values)]])))
        expect(got.data).toEqual(want.data);
      expect(bounded(new Builder('wider'), min, max + 1)).toEqual(['map', 'scalarMap']);
    }
  });

  test.each(['Add', 'Sub', 'Mul', 'Div', 'Min', 'Max', 'Equal', 'Less', 'GreaterOrEqual'] as const)(
    '%s of every integer type',
    async (op) => {
      for (const type of TYPES) {
        if (type === 'bool') continue;
        // only dividends may hold the one value whose quotient overflows
        await checkTyped([type, type], (b, [x, y]) => b.op(op, [x, y], {}));
      }
    },
  );

  test('logic, selection by bool, comparisons of floats', async () => {
    await checkTyped(['bool', 'bool'], (b, [x, y]) => b.op('And', [x, y], {}));
    await checkTyped(['bool', 'bool'], (b, [x, y]) => b.op('Or', [x, y], {}));
    await checkTyped(['bool'], (b, [x]) => b.op('Not', [x], {}));
    await checkTyped(['f32', 'f32'], (b, [x, y]) => b.op('Less', [x, y], {}));
    for (const type of ['f32', 'i64', 'u8'] as const) {
      await checkTyped(['bool', type, type], (b, [c, x, y]) => b.op('Where', [c, x, y], {}));
    }
  });

  test('reductions of integers', async () => {
    for (const op of ['ReduceSum', 'ReduceMax', 'ReduceMin', 'ReduceMean'] as const) {
      for (const type of ['i8', 'u8', 'i32', 'i64'] as const) {
        if (op === 'ReduceSum' && type !== 'i32') continue;
        await checkTyped([type], (b, [x]) => b.op(op, [x], { axes: [1], keepDims: true }));
      }
    }
  });

  test('data of every type moves', async () => {
    for (const type of TYPES) {
      await checkTyped([type], (b, [x]) => b.op('Transpose', [x], { perm: [1, 0] }));
      await checkTyped([type], (b, [x]) =>
        b.op('Pad', [x], { mode: 'constant', pads: [1, 0, 0, 2], value: 3 }),
      );
      await checkTyped([type, type], (b, [x, y]) => b.op('Concat', [x, y], { axis: 1 }));
    }
  });
});
