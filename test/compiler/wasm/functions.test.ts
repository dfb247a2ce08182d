/** The vector code of every function of one and two arguments against the engine's double arithmetic. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Stepper } from '#compiler/check/stepper.ts';
import { wasmTarget } from '#compiler/targets/wasm/index.ts';
import { BINARY_CODE, UNARY_CODE } from '#compiler/targets/wasm/simd-functions.ts';
import { Builder } from '#ir/builder.ts';
import { BINARY, type BinaryFn, parseExpr, UNARY, type UnaryFn } from '#ir/expr.ts';
import { f32 } from '#ir/tensor.ts';
import { randomIntegers } from '#runtime/abi.ts';
import { repositoryFolder } from '../../support/collection.ts';

/** What the compiled expression gives for each element of the arguments x0, x1. */
async function computed(expr: string, args: readonly Float32Array[]): Promise<Float32Array> {
  const b = new Builder('function');
  const count = args[0]?.length ?? 0;
  const [first, ...rest] = args.map((_, k) => b.input(`x${k}`, [count]));
  if (!first) throw new Error('no argument');
  const negated = parseExpr(expr.replaceAll('x0', 'neg(x0)'));
  const node = b.node('Neg', [first], {}, { epilogue: { expr: negated, operands: rest } });
  b.output('y', node.outputs[0] ?? first);
  expect(wasmTarget.unsupported(b.graph)).toEqual([]);
  const stepper = await Stepper.load(wasmTarget.lower(b.graph));
  stepper.setInputs(new Map(args.map((data, k) => [`x${k}`, f32([count], data)])));
  stepper.run();
  return stepper.outputs().get('y')?.data as Float32Array;
}

/** Unit in the last place of a f32. */
function ulp(x: number): number {
  const size = Math.abs(x);
  return size < 2 ** -126 ? 2 ** -149 : 2 ** (Math.floor(Math.log2(size)) - 23);
}

/** The first float beyond the largest stands for infinity, so that results may differ there by a rounding too. */
const finite = (x: number): number => (Number.isFinite(x) ? x : Math.sign(x) * 2 ** 128);

/** |got − want|; ∞ where just one is NaN. */
function distance(got: number, want: number): number {
  if (Object.is(got, Math.fround(want))) return 0;
  if (Number.isNaN(got) || Number.isNaN(want)) return Number.POSITIVE_INFINITY;
  return Math.abs(finite(got) - finite(Math.abs(want) < 2 ** 128 ? want : Math.fround(want)));
}

/** The distance, ∞ also between zeros of different sign. */
const signedDistance = (got: number, want: number): number =>
  got === 0 && want === 0 && !Object.is(got, want) ? Number.POSITIVE_INFINITY : distance(got, want);

interface Bound {
  readonly ulp: number;
  readonly absolute: number;
  readonly reach: number;
}

const SOURCE = ['simd-functions.ts', 'simd-angles.ts']
  .map((file) => readFileSync(join(repositoryFolder, 'compiler/targets/wasm', file), 'utf8'))
  .join('\n');
const STATED =
  /Error of ([a-z, ]+) ≤ (?:([\d.]+) ulp)?(?: or )?([\d.]+e-\d+)?(?: where \|x\| ≤ ([\de.]+\d))?[., ]/g;

/** The bounds that the comments of the source state, by function. */
function statedBounds(): ReadonlyMap<string, readonly Bound[]> {
  const bounds = new Map<string, Bound[]>();
  for (const [, names = '', units, absolute, reach] of SOURCE.replace(/\n\s*\*\s?/g, ' ').matchAll(STATED)) {
    const bound = {
      ulp: Number(units ?? 0),
      absolute: Number(absolute ?? 0),
      reach: Number(reach ?? Number.POSITIVE_INFINITY),
    };
    for (const name of names.split(', ')) bounds.set(name, [...(bounds.get(name) ?? []), bound]);
  }
  return bounds;
}

const BOUNDS = statedBounds();
const EXACT: Bound = { ulp: 0, absolute: 0, reach: Number.POSITIVE_INFINITY };

/** Where code changes from one formula to another, or results stop being normal or finite. */
const TURNS = [
  2 ** -126,
  2 ** -25,
  2 ** -12,
  Math.SQRT1_2,
  Math.SQRT2 - 1,
  0.5,
  0.625,
  1,
  1.04,
  1.5,
  Math.PI / 4,
  Math.PI / 2,
  Math.SQRT2 + 1,
  Math.PI,
  3.92,
  9.01,
  16.64,
  87.34,
  88,
  88.38,
  88.72,
  89,
  89.416,
  103.97,
  104,
  1e7,
  2 ** 22,
  2 ** 23,
  1e9,
  2 ** 127,
];

/** The floats nearest to multiples of π/2, where what is left of them has few right bits. */
const QUARTERS = Float32Array.from(
  { length: 20_000 },
  (_, k) => (k < 10_000 ? k + 1 : (k - 9_999) * 637) * (Math.PI / 2),
);

/**
 * Every 8191st float, of both signs, NaN and denormal ones too, all those next to the turns and to 0 and ∞, and multiples
 * of π/2.
 */
function allFloats(): Float32Array {
  const bits: number[] = Array.from(new Uint32Array(QUARTERS.buffer));
  for (let pattern = 0; pattern < 2 ** 32; pattern += 8191) bits.push(pattern);
  const infinity = 0x7f800000;
  const turns = Array.from(new Uint32Array(Float32Array.from(TURNS).buffer));
  for (const center of [0, infinity, ...turns]) {
    for (let near = Math.max(0, center - 500); near <= center + 500; near++) bits.push(near, near + 2 ** 31);
  }
  return new Float32Array(Uint32Array.from(bits).buffer);
}

const FLOATS = allFloats();

/** Over all floats, the largest error in units of what a bound allows, and where it is. */
async function worst(expr: string, exact: (x: number) => number, bounds: readonly Bound[]) {
  const got = await computed(expr, [FLOATS]);
  let found = { share: 0, x: 0, got: 0, want: 0 };
  FLOATS.forEach((x, i) => {
    const want = exact(x);
    const error = signedDistance(got[i] ?? 0, want);
    if (error === 0) return;
    for (const { ulp: units, absolute, reach } of bounds) {
      // what infinities and NaN give is the same whatever the reach is
      if (Math.abs(x) > reach && Math.abs(x) < Number.POSITIVE_INFINITY) continue;
      const share = error / Math.max(units * ulp(finite(Math.fround(want))), absolute, 2 ** -200);
      if (share > found.share) found = { share, x, got: got[i] ?? 0, want };
    }
  });
  return found;
}

const vectorised = (Object.keys(UNARY) as UnaryFn[]).filter((fn) => UNARY_CODE[fn] !== 'unsupported');

test.each(vectorised)('%s is within its bound for every float', async (fn) => {
  const found = await worst(`${fn}(x0)`, UNARY[fn].eval, BOUNDS.get(fn) ?? [EXACT]);
  expect(found.share, JSON.stringify(found)).toBeLessThanOrEqual(1);
  // a bound that is far from the truth says little
  if (BOUNDS.has(fn)) expect(found.share, JSON.stringify(found)).toBeGreaterThan(0.4);
});

/** Expressions that have code of their own, by the name of the bound. */
const WHOLE = {
  logistic: ['div(1, add(exp(neg(x0)), 1))', (x: number) => 1 / (1 + Math.exp(-x))],
  silu: ['mul(x0, div(1, add(1, exp(neg(x0)))))', (x: number) => x / (1 + Math.exp(-x))],
  softplus: [
    'add(max(x0, 0), log(add(exp(neg(abs(x0))), 1)))',
    (x: number) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
  ],
} as const;

test.each(Object.entries(WHOLE))(
  '%s as one function is within its bound for every float',
  async (name, of) => {
    const [expr, exact] = of;
    const found = await worst(expr, exact, BOUNDS.get(name) ?? []);
    expect(found.share, JSON.stringify(found)).toBeLessThanOrEqual(1);
    expect(found.share, JSON.stringify(found)).toBeGreaterThan(0.4);
  },
);

test('what is no single instruction states a bound', () => {
  const stated = ['acos', 'acosh', 'asin', 'asinh', 'atan', 'atanh', 'cos', 'cosh', 'erf', 'exp'];
  const more = ['log', 'sin', 'sinh', 'tan', 'tanh', ...Object.keys(WHOLE)];
  expect([...BOUNDS.keys()].sort()).toEqual([...stated, ...more].sort());
});

test.each(['sin', 'cos', 'erf', 'tanh'] as const)('%s is nowhere beyond ±1', async (fn) => {
  const got = await computed(`${fn}(x0)`, [FLOATS]);
  const beyond = FLOATS.filter((_, i) => Math.abs(got[i] ?? 0) > 1);
  expect([...beyond]).toEqual([]);
  FLOATS.forEach((x, i) => {
    if (Number.isNaN(got[i]) !== Number.isNaN(UNARY[fn].eval(x))) expect({ x, got: got[i] }).toBe('a number');
  });
});

test.each([2, 3, 4, 5, 7, 8, 13, 16])('x to the power of %d', async (n) => {
  const bound = { ulp: n, absolute: 0, reach: Number.POSITIVE_INFINITY };
  const found = await worst(`pow(x0, ${n})`, (x) => x ** n, [bound]);
  expect(found.share, JSON.stringify(found)).toBeLessThanOrEqual(1);
});

/** Random pairs: of any two floats, and of magnitudes whose power or rest is an ordinary number. */
function pairs(count: number, fn: BinaryFn): readonly [Float32Array, Float32Array] {
  const next = randomIntegers(7);
  const unit = () => next() / 2 ** 32 - 0.5;
  const x = new Float32Array(count);
  const y = new Float32Array(count);
  const bits = [new Uint32Array(x.buffer), new Uint32Array(y.buffer)] as const;
  for (let i = 0; i < count; i++) {
    if (i % 3 === 0) {
      bits[0][i] = next();
      bits[1][i] = next();
      continue;
    }
    const narrow = i % 3 === 1;
    x[i] = Math.exp(unit() * (narrow ? 8 : 160)) * (next() % 2 === 0 ? 1 : -1);
    y[i] = unit() * (fn === 'pow' ? (narrow ? 60 : 2.2) : 20);
    if (fn === 'pow' && i % 5 < 2) y[i] = Math.round(y[i] ?? 0);
  }
  return [x, y];
}

test('pow of any two floats: 2.5 ulp, and as much for each unit of |y·log|x||', async () => {
  const [x, y] = pairs(400_000, 'pow');
  const got = await computed('pow(x0, x1)', [x, y]);
  got.forEach((value, i) => {
    const [a = 0, b = 0] = [x[i], y[i]];
    const want = a ** b;
    const exponent = Math.abs(b * Math.log(Math.abs(a)));
    const bound = 2.5 * (1 + Math.min(exponent, 1000)) * ulp(finite(Math.fround(want)));
    const error = distance(value, want);
    if (error > bound) expect({ a, b, value, want, bound }).toBe('within the bound');
  });
});

test.each(['fmod', 'mod'] as const)('%s up to a quotient of 2²²', async (fn) => {
  const [x, y] = pairs(400_000, fn);
  const got = await computed(`${fn}(x0, x1)`, [x, y]);
  let compared = 0;
  got.forEach((value, i) => {
    const [a = 0, b = 0] = [x[i], y[i]];
    if (Math.abs(a / b) > 2 ** 22) return;
    const want = BINARY[fn].eval(a, b);
    const error = distance(value, want);
    compared++;
    // rounding may put it on the other side of a multiple of y
    if (error > 0 && Math.min(error, Math.abs(error - Math.abs(b))) > 0.5 * ulp(a)) {
      expect({ a, b, value, want }).toBe('within half a unit of x');
    }
  });
  expect(compared).toBeGreaterThan(100_000);
});

const binaries = (Object.keys(BINARY) as BinaryFn[]).filter((fn) => BINARY_CODE[fn] !== 'unsupported');

test.each(binaries.filter((fn) => !['pow', 'mod', 'fmod'].includes(fn)))(
  '%s of any two floats is exact',
  async (fn) => {
    const [x, y] = pairs(50_000, fn);
    const got = await computed(`${fn}(x0, x1)`, [x, y]);
    got.forEach((value, i) => {
      const [a = 0, b = 0] = [x[i], y[i]];
      const want = Math.fround(BINARY[fn].eval(a, b));
      if (!Object.is(value, want)) expect({ a, b, value, want }).toBe('exact');
    });
  },
);

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
  const got = await computed('pow(x0, x1)', [x, y]);
  got.forEach((value, i) => {
    expect(distance(value, want(i)), cases[i]?.join()).toBeLessThanOrEqual(
      Number.isNaN(want(i)) ? 0 : 6 * ulp(want(i)),
    );
  });
});
