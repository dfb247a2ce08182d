import { fusedMultiplyAdd, maximum, minimum } from './floats.ts';
import { at, bytesOf, each, type Meaning, whole, withCount } from './meaning.ts';
import {
  clamp,
  converts,
  FLOAT_ARITHMETIC,
  FLOAT_COMPARISON,
  family,
  INTEGER_EQUALITY,
  modulo,
  ones,
  rangeOf,
  SIGNED_ORDER,
  saturate,
  UNSIGNED_ORDER,
} from './scalar-meanings.ts';
import {
  type FloatShape,
  type IntegerShape,
  type Lane,
  laneBits,
  laneCount,
  readLanes,
  type Shape,
  signed,
  unsigned,
} from './shapes.ts';

type Narrow = 'i8x16' | 'i16x8';
type Integers = Narrow | 'i32x4' | 'i64x2';
type Floats = 'f32x4' | 'f64x2';

const scalarOf = (shape: Shape): Shape => {
  const bits = laneBits(shape);
  return shape.startsWith('f') ? `f${bits as 32 | 64}` : bits === 64 ? 'i64' : 'i32';
};

const ANY_LANES = {
  splat:
    (s: Shape): Meaning =>
    ([value]) => {
      const [lane = 0] = readLanes(scalarOf(s), bytesOf(value));
      return { shape: s, lanes: Array.from({ length: laneCount(s) }, () => lane) };
    },
  replace_lane:
    (s: Shape): Meaning =>
    ([vector, value], { immediates }) => {
      const [lane = 0] = readLanes(scalarOf(s), bytesOf(value));
      return { shape: s, lanes: readLanes(s, bytesOf(vector)).with(Number(immediates[0]), lane as never) };
    },
};

/** The lane numbered by the immediate, read as `shape`. */
function extracts(shape: Shape): Meaning {
  return ([vector], { immediates }) => ({
    shape: scalarOf(shape),
    lanes: [at<Lane>(readLanes(shape, bytesOf(vector)), Number(immediates[0]))],
  });
}

const INTEGERS = {
  abs: (s: Integers) => each(s, (a) => (a < 0n ? -a : a)),
  neg: (s: Integers) => each(s, (a) => -a),
  all_true: (s: Integers) => whole(s, (v) => [v.every((a) => a !== 0n) ? 1n : 0n], 'i32'),
  bitmask: (s: Integers) =>
    whole(s, (v) => [v.reduce((mask, a, lane) => (a < 0n ? mask | (1n << BigInt(lane)) : mask), 0n)], 'i32'),
  shl: (s: Integers) => withCount(unsigned(s), (a, n) => a << modulo(n, s)),
  shr_s: (s: Integers) => withCount(s, (a, n) => a >> modulo(n, s)),
  shr_u: (s: Integers) => withCount(unsigned(s), (a, n) => a >> modulo(n, s)),
  add: (s: Integers) => each(s, (a, b) => a + b),
  sub: (s: Integers) => each(s, (a, b) => a - b),
};

const ORDERED = {
  min_s: (s: Integers) => each(s, (a, b) => (a < b ? a : b)),
  max_s: (s: Integers) => each(s, (a, b) => (a > b ? a : b)),
  min_u: (s: Integers) => each(unsigned(s), (a, b) => (a < b ? a : b)),
  max_u: (s: Integers) => each(unsigned(s), (a, b) => (a > b ? a : b)),
};

const NARROW = {
  add_sat_s: (s: Narrow) => each(s, (a, b) => clamp(a + b, s)),
  add_sat_u: (s: Narrow) => each(unsigned(s), (a, b) => clamp(a + b, unsigned(s))),
  sub_sat_s: (s: Narrow) => each(s, (a, b) => clamp(a - b, s)),
  sub_sat_u: (s: Narrow) => each(unsigned(s), (a, b) => clamp(a - b, unsigned(s))),
  avgr_u: (s: Narrow) => each(unsigned(s), (a, b) => (a + b + 1n) / 2n),
  extract_lane_s: (s: Narrow) => extracts(s),
  extract_lane_u: (s: Narrow) => extracts(unsigned(s)),
};

const multiplies = (s: Integers): Meaning => each(s, (a, b) => a * b);

const low = <T>(lanes: readonly T[]): T[] => lanes.slice(0, lanes.length / 2);
const high = <T>(lanes: readonly T[]): T[] => lanes.slice(lanes.length / 2);

/** `${to}.extend_{low,high}_${from}_{s,u}` and `extmul`. */
function widening<T extends Integers, F extends Integers>(to: T, from: F) {
  const [s, u] = [signed(from), unsigned(from)];
  const product = (half: typeof low, shape: IntegerShape): Meaning =>
    whole(shape, (a, b) => half(a.map((lane, index) => lane * at(b, index))), to);
  return {
    [`${to}.extend_low_${from}_s`]: whole(s, low, to),
    [`${to}.extend_high_${from}_s`]: whole(s, high, to),
    [`${to}.extend_low_${from}_u`]: whole(u, low, to),
    [`${to}.extend_high_${from}_u`]: whole(u, high, to),
    [`${to}.extmul_low_${from}_s`]: product(low, s),
    [`${to}.extmul_high_${from}_s`]: product(high, s),
    [`${to}.extmul_low_${from}_u`]: product(low, u),
    [`${to}.extmul_high_${from}_u`]: product(high, u),
  } as Record<`${T}.${'extend' | 'extmul'}_${'low' | 'high'}_${F}_${'s' | 'u'}`, Meaning>;
}

const pairs = <T>(lanes: readonly T[]): [T, T][] =>
  low(lanes).map((_, i) => [at(lanes, 2 * i), at(lanes, 2 * i + 1)]);

const addsPairs = (from: IntegerShape, to: Shape): Meaning =>
  whole(from, (v) => pairs(v).map(([a, b]) => a + b), to);

const narrows = (from: Integers, to: IntegerShape): Meaning =>
  whole(from, (a, b) => [...a, ...b].map((lane) => clamp(lane, to)), to);

const FLOATS = {
  pmin: (s: Floats) => each(s, (a, b) => (b < a ? b : a)),
  pmax: (s: Floats) => each(s, (a, b) => (a < b ? b : a)),
};

const PLAIN = {
  'v128.const': (_, { immediates }) => ({ shape: 'u8x16', lanes: immediates[0] as number[] }),
  'i8x16.shuffle': ([a, b], { immediates }) => {
    const both = [...bytesOf(a), ...bytesOf(b)];
    return { shape: 'u8x16', lanes: (immediates[0] as number[]).map((lane) => BigInt(at(both, lane))) };
  },
  'i8x16.swizzle': whole('u8x16', (a, index) => index.map((i) => (i < 16n ? at(a, Number(i)) : 0n))),
  'v128.not': each('u64x2', (a) => ~a),
  'v128.and': each('u64x2', (a, b) => a & b),
  'v128.andnot': each('u64x2', (a, b) => a & ~b),
  'v128.or': each('u64x2', (a, b) => a | b),
  'v128.xor': each('u64x2', (a, b) => a ^ b),
  'v128.bitselect': each('u64x2', (a, b, mask) => (a & mask) | (b & ~mask)),
  'v128.any_true': whole('u8x16', (v) => [v.some((a) => a !== 0n) ? 1n : 0n], 'i32'),
  'i32x4.extract_lane': extracts('i32x4'),
  'i64x2.extract_lane': extracts('i64x2'),
  'f32x4.extract_lane': extracts('f32x4'),
  'f64x2.extract_lane': extracts('f64x2'),
  'i8x16.popcnt': each('u8x16', ones),
  'i16x8.mul': multiplies('i16x8'),
  'i32x4.mul': multiplies('i32x4'),
  'i64x2.mul': multiplies('i64x2'),
  'i16x8.q15mulr_sat_s': each('i16x8', (a, b) => clamp((a * b + 0x4000n) >> 15n, 'i16x8')),
  'i32x4.dot_i16x8_s': whole(
    'i16x8',
    (a, b) => pairs(a.map((lane, i) => lane * at(b, i))).map(([x, y]) => x + y),
    'i32x4',
  ),
  'i16x8.extadd_pairwise_i8x16_s': addsPairs('i8x16', 'i16x8'),
  'i16x8.extadd_pairwise_i8x16_u': addsPairs('u8x16', 'i16x8'),
  'i32x4.extadd_pairwise_i16x8_s': addsPairs('i16x8', 'i32x4'),
  'i32x4.extadd_pairwise_i16x8_u': addsPairs('u16x8', 'i32x4'),
  'i8x16.narrow_i16x8_s': narrows('i16x8', 'i8x16'),
  'i8x16.narrow_i16x8_u': narrows('i16x8', 'u8x16'),
  'i16x8.narrow_i32x4_s': narrows('i32x4', 'i16x8'),
  'i16x8.narrow_i32x4_u': narrows('i32x4', 'u16x8'),
  'f32x4.demote_f64x2_zero': whole('f64x2', (v) => [...v, 0, 0], 'f32x4'),
  'f64x2.promote_low_f32x4': whole('f32x4', low, 'f64x2'),
  'i32x4.trunc_sat_f32x4_s': each('f32x4', (a) => saturate(a, 'i32x4'), 'i32x4'),
  'i32x4.trunc_sat_f32x4_u': each('f32x4', (a) => saturate(a, 'u32x4'), 'u32x4'),
  'i32x4.trunc_sat_f64x2_s_zero': whole(
    'f64x2',
    (v) => [...v.map((a) => saturate(a, 'i32x4')), 0n, 0n],
    'i32x4',
  ),
  'i32x4.trunc_sat_f64x2_u_zero': whole(
    'f64x2',
    (v) => [...v.map((a) => saturate(a, 'u32x4')), 0n, 0n],
    'u32x4',
  ),
  'f32x4.convert_i32x4_s': converts('i32x4', 'f32x4'),
  'f32x4.convert_i32x4_u': converts('u32x4', 'f32x4'),
  'f64x2.convert_low_i32x4_s': whole('i32x4', (v) => low(v).map(Number), 'f64x2'),
  'f64x2.convert_low_i32x4_u': whole('u32x4', (v) => low(v).map(Number), 'f64x2'),
} satisfies Record<string, Meaning>;

export const VECTOR_MEANINGS = {
  ...PLAIN,
  ...family(['i8x16', 'i16x8', 'i32x4', 'i64x2', 'f32x4', 'f64x2'], ANY_LANES),
  ...family(['i8x16', 'i16x8', 'i32x4', 'i64x2'], { ...INTEGERS, ...INTEGER_EQUALITY, ...SIGNED_ORDER }),
  ...family(['i8x16', 'i16x8', 'i32x4'], { ...ORDERED, ...UNSIGNED_ORDER }),
  ...family(['i8x16', 'i16x8'], NARROW),
  ...family(['f32x4', 'f64x2'], { ...FLOAT_ARITHMETIC, ...FLOAT_COMPARISON, ...FLOATS }),
  ...widening('i16x8', 'i8x16'),
  ...widening('i32x4', 'i16x8'),
  ...widening('i64x2', 'i32x4'),
};

// Relaxed: the lanes list what an engine may answer.

/** With or without the intermediate rounding. */
function multiplyAdd(s: Floats, sign: 1 | -1): Meaning {
  const bits = laneBits(s) as 32 | 64;
  const round = bits === 32 ? Math.fround : (value: number) => value;
  return each(s, (a, b, c) => [round(round(sign * a * b) + c), fusedMultiplyAdd(sign * a, b, c, bits)]);
}

/** Free where an operand is NaN or both are zero. */
function relaxedExtreme(s: FloatShape, strict: (a: number, b: number) => number): Meaning {
  return each(s, (a, b) => {
    const free = Number.isNaN(a) || Number.isNaN(b) || (a === 0 && b === 0);
    return free ? [strict(a, b), a, b] : strict(a, b);
  });
}

/** Out of range: saturated, or the integer that x86 gives. */
function relaxedTruncation(value: number, to: IntegerShape): readonly bigint[] {
  const inside = Number.isFinite(value) && BigInt(Math.trunc(value)) === saturate(value, to);
  const [least, most] = rangeOf(to);
  return inside ? [saturate(value, to)] : [saturate(value, to), to.startsWith('u') ? most : least];
}

/**
 * A mask lane of all ones or zeros selects; any other selects by bits or by its highest bit. V8 on x86 goes by the
 * highest bit of each byte, also in wider lanes.
 */
const laneSelect = (s: IntegerShape): Meaning =>
  each(s, (a, b, mask) => {
    const bytes = Array.from({ length: laneBits(s) / 8 }, (_, byte) => BigInt(8 * byte));
    const highs = bytes.reduce((all, at) => all | (((mask >> (at + 7n)) & 1n) * (0xffn << at)), 0n);
    return [(a & mask) | (b & ~mask), mask < 0n ? a : b, (a & highs) | (b & ~highs)];
  });

const WRAPS = (sum: bigint): bigint => BigInt.asIntN(16, sum);
const SATURATES = (sum: bigint): bigint => clamp(sum, 'i16x8');
const WIDENS = (sum: bigint): bigint => sum;

/** Second operands with the highest bit set are signed or unsigned, and the sums of two products are kept by any of `keeps`. */
function dots(
  a: readonly bigint[],
  b: readonly bigint[],
  keeps: readonly ((sum: bigint) => bigint)[],
): bigint[][] {
  return [(x: bigint) => x, (x: bigint) => BigInt.asUintN(8, x)].flatMap((second) => {
    const sums = pairs(a.map((lane, i) => lane * second(at(b, i)))).map(([x, y]) => x + y);
    return keeps.map((keep) => sums.map(keep));
  });
}

const transpose = (rows: readonly (readonly bigint[])[]): bigint[][] =>
  rows[0]?.map((_, column) => rows.map((row) => at(row, column))) ?? [];

export const RELAXED_MEANINGS = {
  'i8x16.relaxed_swizzle': whole('u8x16', (a, index) =>
    index.map((i) => (i < 16n ? at(a, Number(i)) : i < 128n ? [0n, at(a, Number(i % 16n))] : 0n)),
  ),
  'i32x4.relaxed_trunc_f32x4_s': each('f32x4', (a) => relaxedTruncation(a, 'i32x4'), 'i32x4'),
  'i32x4.relaxed_trunc_f32x4_u': each('f32x4', (a) => relaxedTruncation(a, 'u32x4'), 'u32x4'),
  'i32x4.relaxed_trunc_f64x2_s_zero': whole(
    'f64x2',
    (v) => [...v.map((a) => relaxedTruncation(a, 'i32x4')), 0n, 0n],
    'i32x4',
  ),
  'i32x4.relaxed_trunc_f64x2_u_zero': whole(
    'f64x2',
    (v) => [...v.map((a) => relaxedTruncation(a, 'u32x4')), 0n, 0n],
    'u32x4',
  ),
  'f32x4.relaxed_madd': multiplyAdd('f32x4', 1),
  'f32x4.relaxed_nmadd': multiplyAdd('f32x4', -1),
  'f64x2.relaxed_madd': multiplyAdd('f64x2', 1),
  'f64x2.relaxed_nmadd': multiplyAdd('f64x2', -1),
  'i8x16.relaxed_laneselect': laneSelect('i8x16'),
  'i16x8.relaxed_laneselect': laneSelect('i16x8'),
  'i32x4.relaxed_laneselect': laneSelect('i32x4'),
  'i64x2.relaxed_laneselect': laneSelect('i64x2'),
  'f32x4.relaxed_min': relaxedExtreme('f32x4', minimum),
  'f32x4.relaxed_max': relaxedExtreme('f32x4', maximum),
  'f64x2.relaxed_min': relaxedExtreme('f64x2', minimum),
  'f64x2.relaxed_max': relaxedExtreme('f64x2', maximum),
  'i16x8.relaxed_q15mulr_s': each('i16x8', (a, b) => {
    const product = (a * b + 0x4000n) >> 15n;
    return [product, clamp(product, 'i16x8')];
  }),
  'i16x8.relaxed_dot_i8x16_i7x16_s': whole(
    'i8x16',
    (a, b) => transpose(dots(a, b, [WRAPS, SATURATES])),
    'i16x8',
  ),
  'i32x4.relaxed_dot_i8x16_i7x16_add_s': (operands) => {
    const [a, b] = operands.map((bytes) => readLanes('i8x16', bytes));
    const added = readLanes('i32x4', bytesOf(operands[2]));
    // x86 sums four products at once, without a 16-bit intermediate.
    const rows = dots(a ?? [], b ?? [], [WRAPS, SATURATES, WIDENS]);
    const sums = rows.map((row) => pairs(row).map(([x, y], lane) => x + y + at(added, lane)));
    return { shape: 'i32x4', lanes: transpose(sums) };
  },
} satisfies Record<string, Meaning>;
