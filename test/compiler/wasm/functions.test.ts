/** The vector code of every function of one and two arguments, over its range, against the engine's double arithmetic. */
import { expect, test } from 'vitest';
import { Stepper } from '#compiler/check/stepper.ts';
import { wasmTarget } from '#compiler/targets/wasm/index.ts';
import { BINARY_CODE, UNARY_CODE } from '#compiler/targets/wasm/simd-functions.ts';
import { Builder } from '#ir/builder.ts';
import { BINARY, type BinaryFn, parseExpr, UNARY, type UnaryFn } from '#ir/expr.ts';
import { f32 } from '#ir/tensor.ts';

/** [low, high] of the arguments; the whole line where absent. */
const RANGES: Partial<Record<UnaryFn, readonly [number, number]>> = {
  exp: [-103, 88],
  log: [1e-6, 1e6],
  sqrt: [0, 1e6],
  asin: [-1, 1],
  acos: [-1, 1],
  atanh: [-0.999, 0.999],
  acosh: [1, 1e4],
  sinh: [-20, 20],
  cosh: [-20, 20],
  tan: [-1.5, 1.5],
  erf: [-5, 5],
};

/** Largest |got − want| / max(|want|, floor): relative, but for results near 0. */
async function worstError(
  expr: string,
  args: readonly Float32Array[],
  want: (index: number) => number,
  floor: number,
): Promise<number> {
  const b = new Builder('function');
  const count = args[0]?.length ?? 0;
  const [first, ...rest] = args.map((_, k) => b.input(`x${k}`, [count]));
  if (!first) throw new Error('no argument');
  const node = b.node('Neg', [first], {}, { epilogue: { expr: parseExpr(expr), operands: rest } });
  b.output('y', node.outputs[0] ?? first);
  expect(wasmTarget.unsupported(b.graph)).toEqual([]);
  const stepper = await Stepper.load(wasmTarget.lower(b.graph));
  stepper.setInputs(new Map(args.map((data, k) => [`x${k}`, f32([count], data)])));
  stepper.run();
  const got = stepper.outputs().get('y')?.data as Float32Array;
  let worst = 0;
  for (let i = 0; i < count; i++) {
    const expected = want(i);
    const value = got[i] as number;
    if (Object.is(value, expected) || value === Math.fround(expected)) continue;
    if (!Number.isFinite(value) || !Number.isFinite(expected)) return Number.POSITIVE_INFINITY;
    worst = Math.max(worst, Math.abs(value - expected) / Math.max(Math.abs(expected), floor));
  }
  return worst;
}

const spread = (low: number, high: number, count: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => low + ((high - low) * i) / (count - 1));

const vectorised = (Object.keys(UNARY) as UnaryFn[]).filter((fn) => UNARY_CODE[fn] !== 'unsupported');

// 3e-7 is five units in the last place of a f32; results near 0 are held to that absolutely
test.each(vectorised)('%s', async (fn) => {
  const [low, high] = RANGES[fn] ?? [-50, 50];
  const x = spread(low, high, 20_003);
  const error = await worstError(`${fn}(neg(x0))`, [x], (i) => UNARY[fn].eval(x[i] as number), 1);
  expect(error).toBeLessThan(fn === 'sinh' || fn === 'cosh' ? 2e-6 : 5e-7);
});

test('sine and cosine of large angles', async () => {
  const x = spread(-1e6, 1e6, 10_007);
  for (const fn of ['sin', 'cos'] as const) {
    expect(await worstError(`${fn}(neg(x0))`, [x], (i) => UNARY[fn].eval(x[i] as number), 1)).toBeLessThan(
      3e-7,
    );
  }
});

const binaries = (Object.keys(BINARY) as BinaryFn[]).filter((fn) => BINARY_CODE[fn] !== 'unsupported');

/** A remainder may fall on either side of its modulus by rounding: then these arguments say nothing. */
const ambiguous = (x: number, y: number): boolean => Math.abs(x / y - Math.round(x / y)) < 1e-4;

// a power multiplies the error of the logarithm by the exponent: e^(y·log x) with |y·log x| ≤ 20
test.each(binaries)('%s of two arguments', async (fn) => {
  const pairs = Array.from({ length: 5003 }, (_, i) => {
    const x = Math.fround(((i * 37) % 101) / 10 - (fn === 'pow' ? 0 : 5));
    const y = Math.fround(((i * 53) % 79) / 10 - 3.95);
    return { x, y };
  }).filter(({ x, y }) => !(fn === 'mod' || fn === 'fmod') || !ambiguous(x, y));
  const x = Float32Array.from(pairs, (p) => p.x);
  const y = Float32Array.from(pairs, (p) => p.y);
  const error = await worstError(
    `${fn}(neg(x0), x1)`,
    [x, y],
    (i) => BINARY[fn].eval(x[i] as number, y[i] as number),
    1,
  );
  expect(error).toBeLessThan(fn === 'pow' || fn === 'mod' || fn === 'fmod' ? 5e-6 : 3e-7);
});

test('powers of negative numbers, zeros and ones', async () => {
  const cases = [
    [-2, 3],
    [-2, 2],
    [-2, 0.5],
    [0, 2],
    [0, 0],
    [1, 1e9],
    [-1, 3],
    [2, -3],
    [-3, -1],
    [0.5, 0],
  ] as const;
  const x = Float32Array.from(cases, ([base]) => base);
  const y = Float32Array.from(cases, ([, exponent]) => exponent);
  const want = (i: number) => (x[i] as number) ** (y[i] as number);
  expect(await worstError('pow(neg(x0), x1)', [x, y], want, 1)).toBeLessThan(1e-6);
});
