import { maximum, minimum, nearest, roundExact } from './floats.ts';
import { each, type Meaning, Trap, test } from './meaning.ts';
import { type FloatShape, type IntegerShape, laneBits, type Shape, signed, unsigned } from './shapes.ts';

/** `ops` for each prefix: the key `${prefix}.${name}` means `ops[name](prefix)`. */
export function family<P extends Shape, N extends string>(
  prefixes: readonly P[],
  ops: Readonly<Record<N, (shape: P) => Meaning>>,
): Record<`${P}.${N}`, Meaning> {
  const entries = prefixes.flatMap((prefix) =>
    (Object.entries(ops) as [N, (shape: P) => Meaning][]).map(([name, make]) => [
      `${prefix}.${name}`,
      make(prefix),
    ]),
  );
  return Object.fromEntries(entries);
}

export const INTEGER_EQUALITY = {
  eq: (s: IntegerShape) => test(s, (a, b) => a === b),
  ne: (s: IntegerShape) => test(s, (a, b) => a !== b),
};
export const SIGNED_ORDER = {
  lt_s: (s: IntegerShape) => test(signed(s), (a, b) => a < b),
  gt_s: (s: IntegerShape) => test(signed(s), (a, b) => a > b),
  le_s: (s: IntegerShape) => test(signed(s), (a, b) => a <= b),
  ge_s: (s: IntegerShape) => test(signed(s), (a, b) => a >= b),
};
export const UNSIGNED_ORDER = {
  lt_u: (s: IntegerShape) => test(unsigned(s), (a, b) => a < b),
  gt_u: (s: IntegerShape) => test(unsigned(s), (a, b) => a > b),
  le_u: (s: IntegerShape) => test(unsigned(s), (a, b) => a <= b),
  ge_u: (s: IntegerShape) => test(unsigned(s), (a, b) => a >= b),
};
export const FLOAT_COMPARISON = {
  eq: (s: FloatShape) => test(s, (a, b) => a === b),
  ne: (s: FloatShape) => test(s, (a, b) => a !== b),
  lt: (s: FloatShape) => test(s, (a, b) => a < b),
  gt: (s: FloatShape) => test(s, (a, b) => a > b),
  le: (s: FloatShape) => test(s, (a, b) => a <= b),
  ge: (s: FloatShape) => test(s, (a, b) => a >= b),
};

const signBit = (s: Shape): bigint => 1n << BigInt(laneBits(s) - 1);

/** Single precision by way of double precision is exact for these (double has more than 2p + 2 bits). */
export const FLOAT_ARITHMETIC = {
  // The sign is a bit, also that of a NaN: stated on the bits.
  abs: (s: FloatShape) => each(unsigned(s), (a) => a & (signBit(s) - 1n)),
  neg: (s: FloatShape) => each(unsigned(s), (a) => a ^ signBit(s)),
  ceil: (s: FloatShape) => each(s, Math.ceil),
  floor: (s: FloatShape) => each(s, Math.floor),
  trunc: (s: FloatShape) => each(s, Math.trunc),
  nearest: (s: FloatShape) => each(s, nearest),
  sqrt: (s: FloatShape) => each(s, Math.sqrt),
  add: (s: FloatShape) => each(s, (a, b) => a + b),
  sub: (s: FloatShape) => each(s, (a, b) => a - b),
  mul: (s: FloatShape) => each(s, (a, b) => a * b),
  div: (s: FloatShape) => each(s, (a, b) => a / b),
  min: (s: FloatShape) => each(s, minimum),
  max: (s: FloatShape) => each(s, maximum),
};

const INTEGER_ARITHMETIC = {
  eqz: (s: 'i32' | 'i64') => test(s, (a) => a === 0n),
  clz: (s: 'i32' | 'i64') =>
    each(unsigned(s), (a) => BigInt(laneBits(s) - (a === 0n ? 0 : a.toString(2).length))),
  ctz: (s: 'i32' | 'i64') =>
    each(unsigned(s), (a) => BigInt(a === 0n ? laneBits(s) : (/0*$/.exec(a.toString(2))?.[0].length ?? 0))),
  popcnt: (s: 'i32' | 'i64') => each(unsigned(s), ones),
  add: (s: 'i32' | 'i64') => each(s, (a, b) => a + b),
  sub: (s: 'i32' | 'i64') => each(s, (a, b) => a - b),
  mul: (s: 'i32' | 'i64') => each(s, (a, b) => a * b),
  div_s: (s: 'i32' | 'i64') =>
    each(s, (a, b) => {
      if (b === 0n || (b === -1n && a === -signBit(s))) throw new Trap();
      return a / b;
    }),
  div_u: (s: 'i32' | 'i64') => each(unsigned(s), (a, b) => a / nonZero(b)),
  rem_s: (s: 'i32' | 'i64') => each(s, (a, b) => a % nonZero(b)),
  rem_u: (s: 'i32' | 'i64') => each(unsigned(s), (a, b) => a % nonZero(b)),
  and: (s: 'i32' | 'i64') => each(s, (a, b) => a & b),
  or: (s: 'i32' | 'i64') => each(s, (a, b) => a | b),
  xor: (s: 'i32' | 'i64') => each(s, (a, b) => a ^ b),
  shl: (s: 'i32' | 'i64') => each(unsigned(s), (a, b) => a << modulo(b, s)),
  shr_s: (s: 'i32' | 'i64') => each(s, (a, b) => a >> modulo(b, s)),
  shr_u: (s: 'i32' | 'i64') => each(unsigned(s), (a, b) => a >> modulo(b, s)),
  rotl: (s: 'i32' | 'i64') => each(unsigned(s), (a, b) => (a << modulo(b, s)) | (a >> modulo(-b, s))),
  rotr: (s: 'i32' | 'i64') => each(unsigned(s), (a, b) => (a >> modulo(b, s)) | (a << modulo(-b, s))),
};

/** The number of ones in the binary form of a non-negative integer. */
export function ones(value: bigint): bigint {
  return BigInt(value.toString(2).replaceAll('0', '').length);
}

/** Shift counts are taken modulo the width of a lane. */
export function modulo(count: bigint, shape: Shape): bigint {
  const bits = BigInt(laneBits(shape));
  return ((count % bits) + bits) % bits;
}

function nonZero(value: bigint): bigint {
  if (value === 0n) throw new Trap();
  return value;
}

/** The least and greatest integer of a shape. */
export function rangeOf(shape: Shape): readonly [bigint, bigint] {
  const bits = BigInt(laneBits(shape));
  return shape.startsWith('u') ? [0n, (1n << bits) - 1n] : [-(1n << (bits - 1n)), (1n << (bits - 1n)) - 1n];
}

export function clamp(value: bigint, shape: Shape): bigint {
  const [least, most] = rangeOf(shape);
  return value < least ? least : value > most ? most : value;
}

const reads = (from: Shape, to: Shape): Meaning => each(from, (a) => a, to);

function truncates(from: FloatShape, to: IntegerShape): Meaning {
  return each(
    from,
    (a) => {
      if (!Number.isFinite(a)) throw new Trap();
      const whole = BigInt(Math.trunc(a));
      if (whole !== clamp(whole, to)) throw new Trap();
      return whole;
    },
    to,
  );
}

/** Towards zero; outside the range its nearest end, a NaN is 0. */
export function saturate(value: number, to: Shape): bigint {
  if (Number.isNaN(value)) return 0n;
  const [least, most] = rangeOf(to);
  return Number.isFinite(value) ? clamp(BigInt(Math.trunc(value)), to) : value < 0 ? least : most;
}

const saturates = (from: FloatShape, to: IntegerShape): Meaning => each(from, (a) => saturate(a, to), to);

export function converts(from: IntegerShape, to: FloatShape): Meaning {
  return each(from, (a) => roundExact(a, 0, laneBits(to) as 32 | 64), to);
}

const extends_ = (shape: 'i32' | 'i64', bits: number): Meaning => each(shape, (a) => BigInt.asIntN(bits, a));

const constant =
  (shape: Shape): Meaning =>
  (_, { immediates }) => ({ shape, lanes: [immediates[0] as number | bigint] });

export const SCALAR_MEANINGS = {
  'i32.const': constant('i32'),
  'i64.const': constant('i64'),
  'f32.const': constant('f32'),
  'f64.const': constant('f64'),
  ...family(['i32', 'i64'], {
    ...INTEGER_ARITHMETIC,
    ...INTEGER_EQUALITY,
    ...SIGNED_ORDER,
    ...UNSIGNED_ORDER,
  }),
  ...family(['f32', 'f64'], {
    ...FLOAT_ARITHMETIC,
    ...FLOAT_COMPARISON,
    copysign: (s) => each(unsigned(s), (a, b) => (a & (signBit(s) - 1n)) | (b & signBit(s))),
  }),
  'i32.wrap_i64': reads('i64', 'i32'),
  'i32.trunc_f32_s': truncates('f32', 'i32'),
  'i32.trunc_f32_u': truncates('f32', 'u32'),
  'i32.trunc_f64_s': truncates('f64', 'i32'),
  'i32.trunc_f64_u': truncates('f64', 'u32'),
  'i64.extend_i32_s': reads('i32', 'i64'),
  'i64.extend_i32_u': reads('u32', 'i64'),
  'i64.trunc_f32_s': truncates('f32', 'i64'),
  'i64.trunc_f32_u': truncates('f32', 'u64'),
  'i64.trunc_f64_s': truncates('f64', 'i64'),
  'i64.trunc_f64_u': truncates('f64', 'u64'),
  'f32.convert_i32_s': converts('i32', 'f32'),
  'f32.convert_i32_u': converts('u32', 'f32'),
  'f32.convert_i64_s': converts('i64', 'f32'),
  'f32.convert_i64_u': converts('u64', 'f32'),
  'f32.demote_f64': reads('f64', 'f32'),
  'f64.convert_i32_s': converts('i32', 'f64'),
  'f64.convert_i32_u': converts('u32', 'f64'),
  'f64.convert_i64_s': converts('i64', 'f64'),
  'f64.convert_i64_u': converts('u64', 'f64'),
  'f64.promote_f32': reads('f32', 'f64'),
  'i32.reinterpret_f32': reads('u32', 'i32'),
  'i64.reinterpret_f64': reads('u64', 'i64'),
  'f32.reinterpret_i32': reads('u32', 'i32'),
  'f64.reinterpret_i64': reads('u64', 'i64'),
  'i32.extend8_s': extends_('i32', 8),
  'i32.extend16_s': extends_('i32', 16),
  'i64.extend8_s': extends_('i64', 8),
  'i64.extend16_s': extends_('i64', 16),
  'i64.extend32_s': extends_('i64', 32),
  'i32.trunc_sat_f32_s': saturates('f32', 'i32'),
  'i32.trunc_sat_f32_u': saturates('f32', 'u32'),
  'i32.trunc_sat_f64_s': saturates('f64', 'i32'),
  'i32.trunc_sat_f64_u': saturates('f64', 'u32'),
  'i64.trunc_sat_f32_s': saturates('f32', 'i64'),
  'i64.trunc_sat_f32_u': saturates('f32', 'u64'),
  'i64.trunc_sat_f64_s': saturates('f64', 'i64'),
  'i64.trunc_sat_f64_u': saturates('f64', 'u64'),
};
