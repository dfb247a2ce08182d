/** Elementwise ops against definitions written out independently of their expressions. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { OpName } from '#ir/graph.ts';
import type { ACTIVATIONS } from '#ir/ops/activation.ts';
import type { FUNCTIONS } from '#ir/ops/arithmetic.ts';
import { f32, i64, tensor } from '#ir/tensor.ts';
import type { DType } from '#ir/types.ts';
import { evalOp, typesOf, values } from '../support/op.ts';

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
const phi = (x: number) => {
  // Simpson's rule for the normal density
  const n = 2000;
  const h = x / n;
  const density = (t: number) => Math.exp((-t * t) / 2) / Math.sqrt(2 * Math.PI);
  let sum = density(0) + density(x);
  for (let i = 1; i < n; i++) sum += (i % 2 === 1 ? 4 : 2) * density(i * h);
  return 0.5 + (sum * h) / 3;
};
const halfToEven = (x: number) => {
  const [below, part] = [Math.floor(x), x - Math.floor(x)];
  if (part !== 0.5) return part < 0.5 ? below : below + 1;
  return below % 2 === 0 ? below : below + 1;
};
const softplus = (x: number) => Math.log1p(Math.exp(x));

/** Attributes and definition; some take x from a smaller range. */
const DEFINITIONS: Record<
  Exclude<keyof typeof ACTIVATIONS | keyof typeof FUNCTIONS, 'PRelu'>,
  readonly [attrs: Readonly<Record<string, unknown>>, (x: number) => number]
> = {
  Relu: [{}, (x) => (x > 0 ? x : 0)],
  LeakyRelu: [{ alpha: 0.3 }, (x) => (x > 0 ? x : 0.3 * x)],
  Elu: [{ alpha: 1.5 }, (x) => (x > 0 ? x : 1.5 * Math.expm1(x))],
  Selu: [{ alpha: 1.6, gamma: 1.05 }, (x) => 1.05 * (x > 0 ? x : 1.6 * Math.expm1(x))],
  Celu: [{ alpha: 2 }, (x) => Math.max(0, x) + Math.min(0, 2 * Math.expm1(x / 2))],
  ThresholdedRelu: [{ alpha: 0.7 }, (x) => (x > Math.fround(0.7) ? x : 0)],
  Clip: [{ min: -1, max: 2 }, (x) => Math.min(2, Math.max(-1, x))],
  Sigmoid: [{}, sigmoid],
  HardSigmoid: [{ alpha: 0.25, beta: 0.4 }, (x) => Math.max(0, Math.min(1, 0.25 * x + 0.4))],
  HardSwish: [{}, (x) => (x * Math.max(0, Math.min(6, x + 3))) / 6],
  Swish: [{ alpha: 1.7 }, (x) => x * sigmoid(1.7 * x)],
  Tanh: [{}, Math.tanh],
  Softplus: [{}, softplus],
  Softsign: [{}, (x) => x / (1 + Math.abs(x))],
  Mish: [{}, (x) => x * Math.tanh(softplus(x))],
  Gelu: [{}, (x) => x * phi(x)],
  Shrink: [{ lambda: 1, bias: 0.5 }, (x) => (x < -1 ? x + 0.5 : x > 1 ? x - 0.5 : 0)],
  Erf: [{}, (x) => 2 * phi(x * Math.SQRT2) - 1],
  Exp: [{}, Math.exp],
  Log: [{}, Math.log],
  Sqrt: [{}, Math.sqrt],
  Reciprocal: [{}, (x) => 1 / x],
  Sin: [{}, Math.sin],
  Cos: [{}, Math.cos],
  Tan: [{}, (x) => Math.sin(x) / Math.cos(x)],
  Asin: [{}, Math.asin],
  Acos: [{}, (x) => Math.PI / 2 - Math.asin(x)],
  Atan: [{}, (x) => Math.atan2(x, 1)],
  Sinh: [{}, (x) => (Math.exp(x) - Math.exp(-x)) / 2],
  Cosh: [{}, (x) => (Math.exp(x) + Math.exp(-x)) / 2],
  Asinh: [{}, (x) => Math.sign(x) * Math.log(Math.abs(x) + Math.sqrt(x * x + 1))],
  Acosh: [{}, (x) => Math.log(x + Math.sqrt(x * x - 1))],
  Atanh: [{}, (x) => Math.log((1 + x) / (1 - x)) / 2],
  Neg: [{}, (x) => -x],
  Abs: [{}, (x) => (x < 0 ? -x : x)],
  Sign: [{}, (x) => (x > 0 ? 1 : x < 0 ? -1 : 0)],
  Floor: [{}, Math.floor],
  Ceil: [{}, Math.ceil],
  Round: [{}, halfToEven],
};

test.each(Object.entries(DEFINITIONS))('%s is what its formula says', (op, [attrs, definition]) => {
  const float = fc.float({ min: -6, max: 6, noNaN: true });
  fc.assert(
    fc.property(fc.array(float, { minLength: 1, maxLength: 20 }), (list) => {
      const got = values(evalOp(op as OpName, attrs, [f32([list.length], list)]));
      list.forEach((x, i) => {
        const want = Math.fround(definition(x));
        if (Number.isFinite(want)) expect(got[i]).toBeCloseTo(want, Math.abs(want) > 100 ? 3 : 5);
        else expect(got[i]).toBe(want);
      });
    }),
    { examples: [[[0]], [[-0.5]], [[1]], [[-1]]] },
  );
});

test('Gelu by tanh is close to that by erf', () => {
  const x = f32([5], [-3, -0.5, 0, 1, 4]);
  const [exact, approximate] = [evalOp('Gelu', {}, [x]), evalOp('Gelu', { approximate: 'tanh' }, [x])];
  values(exact).forEach((v, i) => {
    expect(approximate.data[i]).toBeCloseTo(v, 2);
  });
});

test('large arguments do not overflow on the way', () => {
  const x = f32([2], [1e4, -1e4]);
  expect(values(evalOp('Softplus', {}, [x]))).toEqual([1e4, 0]);
  expect(values(evalOp('Mish', {}, [x]))).toEqual([1e4, -0]);
  expect(values(evalOp('Elu', {}, [x]))).toEqual([1e4, -1]);
  expect(values(evalOp('Swish', {}, [x]))).toEqual([1e4, -0]);
});

test('Round takes halves to the even neighbour', () => {
  expect(values(evalOp('Round', {}, [f32([5], [0.5, 1.5, 2.5, -1.5, -2.5])]))).toEqual([0, 2, 2, -2, -2]);
});

test('PRelu has a slope per channel', () => {
  const x = f32([1, 2, 2], [-1, 2, -3, 4]);
  expect(values(evalOp('PRelu', {}, [x, f32([2, 1], [0.5, 0.25])]))).toEqual([-0.5, 2, -0.75, 4]);
});

test('NaN and infinities are told apart', () => {
  const x = f32([4], [Number.NaN, Infinity, -Infinity, 1]);
  expect(values(evalOp('IsNaN', {}, [x]))).toEqual([1, 0, 0, 0]);
  expect(values(evalOp('IsInf', {}, [x]))).toEqual([0, 1, 1, 0]);
  expect(values(evalOp('IsInf', { negative: false }, [x]))).toEqual([0, 1, 0, 0]);
  expect(values(evalOp('IsInf', { positive: false }, [x]))).toEqual([0, 0, 1, 0]);
  expect(values(evalOp('IsInf', { positive: false, negative: false }, [x]))).toEqual([0, 0, 0, 0]);
  expect(values(evalOp('Max', {}, [x, f32([], [0])]))).toEqual([Number.NaN, Infinity, 0, 1]);
  expect(values(evalOp('Equal', {}, [x, x]))).toEqual([0, 1, 1, 1]);
});

/** Wraps as a C type of `bits` bits does. */
const wrap = (x: bigint, dtype: DType): bigint => {
  const bits = Number(dtype.slice(1));
  return dtype.startsWith('u') ? BigInt.asUintN(bits, x) : BigInt.asIntN(bits, x);
};

const floorDiv = (x: bigint, y: bigint): bigint => {
  const q = x / y;
  return q * y !== x && x < 0n !== y < 0n ? q - 1n : q;
};

const INTEGERS: readonly (readonly [
  OpName,
  Readonly<Record<string, unknown>>,
  (x: bigint, y: bigint) => bigint,
])[] = [
  ['Add', {}, (x, y) => x + y],
  ['Sub', {}, (x, y) => x - y],
  ['Mul', {}, (x, y) => x * y],
  ['Div', {}, (x, y) => (y === 0n ? 0n : (x - (x % y)) / y)],
  ['Mod', {}, (x, y) => (y === 0n ? 0n : x - y * floorDiv(x, y))],
  ['Mod', { truncated: true }, (x, y) => (y === 0n ? 0n : x % y)],
  ['Min', {}, (x, y) => (x < y ? x : y)],
  ['Max', {}, (x, y) => (x < y ? y : x)],
  ['BitwiseAnd', {}, (x, y) => x & y],
  ['BitwiseOr', {}, (x, y) => x | y],
  ['BitwiseXor', {}, (x, y) => x ^ y],
  ['Less', {}, (x, y) => (x < y ? 1n : 0n)],
  ['GreaterOrEqual', {}, (x, y) => (x >= y ? 1n : 0n)],
  ['Equal', {}, (x, y) => (x === y ? 1n : 0n)],
];

describe.each(['i8', 'u8', 'i16', 'u16', 'i32', 'u32', 'i64', 'u64'] as const)('%s', (dtype) => {
  const bits = Number(dtype.slice(1));
  const [min, max] = dtype.startsWith('u')
    ? [0n, 2n ** BigInt(bits) - 1n]
    : [-(2n ** BigInt(bits - 1)), 2n ** BigInt(bits - 1) - 1n];
  const value = fc.bigInt({ min, max });
  const number = (x: bigint) => tensor(dtype, [], [bits === 64 ? x : Number(x)]);

  test.each(INTEGERS)('%s %o is exact and wraps around', (op, attrs, definition) => {
    fc.assert(
      fc.property(value, value, (x, y) => {
        const { data, type } = evalOp(op, attrs, [number(x), number(y)]);
        const want = definition(x, y);
        expect(BigInt(data[0] ?? 0)).toBe(type.dtype === 'bool' ? want : wrap(want, dtype));
      }),
    );
  });

  test('shifts move bits out, also by more than there are', () => {
    fc.assert(
      fc.property(value, fc.bigInt({ min: 0n, max: 127n > max ? max : 127n }), (x, y) => {
        const shift = (direction: 'left' | 'right') =>
          BigInt(evalOp('BitShift', { direction }, [number(x), number(y)]).data[0] ?? 0);
        expect(shift('left')).toBe(wrap(x * 2n ** y, dtype));
        expect(shift('right')).toBe(wrap(floorDiv(x, 2n ** y), dtype));
      }),
    );
  });

  test('complement, negation and magnitude', () => {
    fc.assert(
      fc.property(value, (x) => {
        const run = (op: OpName) => BigInt(evalOp(op, {}, [number(x)]).data[0] ?? 0);
        expect(run('BitwiseNot')).toBe(wrap(-x - 1n, dtype));
        expect(run('Neg')).toBe(wrap(-x, dtype));
        expect(run('Abs')).toBe(wrap(x < 0n ? -x : x, dtype));
      }),
    );
  });
});

test('Mod of floats has the sign of the divisor, or with truncation of the dividend', () => {
  const float = fc.float({ min: -50, max: 50, noNaN: true });
  fc.assert(
    fc.property(
      float,
      float.filter((y) => Math.abs(y) > 0.01),
      (x, y) => {
        const run = (truncated: boolean) =>
          Number(evalOp('Mod', { truncated }, [f32([], [x]), f32([], [y])]).data[0]);
        const [floored, truncated] = [run(false), run(true)];
        expect(floored === 0 || floored < 0 === y < 0).toBe(true);
        expect(truncated === 0 || truncated < 0 === x < 0).toBe(true);
        for (const rest of [floored, truncated]) {
          expect(Math.abs(rest)).toBeLessThanOrEqual(Math.abs(y));
          const turns = (x - rest) / y;
          expect(turns).toBeCloseTo(Math.round(turns), 3);
        }
      },
    ),
  );
});

test('truth tables', () => {
  const x = tensor('bool', [4], [0, 0, 1, 1]);
  const y = tensor('bool', [4], [0, 1, 0, 1]);
  const run = (op: OpName) => values(evalOp(op, {}, [x, y]));
  expect(run('And')).toEqual([0, 0, 0, 1]);
  expect(run('Or')).toEqual([0, 1, 1, 1]);
  expect(run('Xor')).toEqual([0, 1, 1, 0]);
  expect(values(evalOp('Not', {}, [x]))).toEqual([1, 1, 0, 0]);
});

test('Where chooses exact 64-bit integers', () => {
  const big = 2n ** 62n + 1n;
  const choice = evalOp('Where', {}, [tensor('bool', [2], [1, 0]), i64([big], []), i64([-1], [])]);
  expect(choice.data).toEqual(BigInt64Array.of(big, -1n));
});

test.each([
  ['Add', [f32([1], [1]), i64([1])], 'operands are f32 and i64'],
  ['Exp', [i64([1])], 'Exp of i64 is not defined'],
  ['And', [f32([1], [1]), f32([1], [1])], 'And of f32 is not defined'],
  ['BitwiseAnd', [f32([1], [1]), f32([1], [1])], 'BitwiseAnd of f32 is not defined'],
  ['Where', [f32([1], [1]), f32([1], [1]), f32([1], [1])], 'the condition is f32, not bool'],
  ['Add', [f32([2], [1, 1]), f32([3], [1, 1, 1])], 'do not broadcast'],
] as const)('%s refuses operands that it is not for', (op, inputs, message) => {
  expect(() => typesOf(op, {}, inputs)).toThrow(message);
});
