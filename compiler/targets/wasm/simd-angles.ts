/** Sines and their inverses as f32x4 code. "Error of" says how far each may be off, as in simd-functions.ts. */
import { op } from './encoder/index.ts';
import {
  abs,
  add,
  copySign,
  div,
  greater,
  lesser,
  mul,
  type Pen,
  polynomial,
  sub,
  type Vector,
} from './simd-vector.ts';

/**
 * x as the nearest multiple of π/2, which gives the quadrant in two low bits, and the rest; reduced in doubles. Beyond 1e9
 * fewer and fewer bits of the rest are right and in the end none, but it stays within ±π/4.
 */
function reduceAngle(pen: Pen, x: Vector): Angle {
  const v = pen.hold(x);
  const halves = [v, op('i8x16.shuffle', v, v, UPPER_HALF)].map((half) => {
    const wide = pen.hold(op('f64x2.promote_low_f32x4', half));
    const sum = pen.hold(op('f64x2.add', op('f64x2.mul', wide, pen.wide(2 / Math.PI)), pen.wide(ROUND_WIDE)));
    // never −0, so that the rest of −0 is −0
    const turns = pen.hold(op('f64x2.sub', sum, pen.wide(ROUND_WIDE)));
    const rest = op(
      'f64x2.sub',
      op('f64x2.sub', wide, op('f64x2.mul', turns, pen.wide(HALF_PI_HIGH))),
      op('f64x2.mul', turns, pen.wide(HALF_PI_LOW)),
    );
    return { rest: pen.hold(op('f32x4.demote_f64x2_zero', rest)), sum };
  });
  const [low, high] = halves as [(typeof halves)[0], (typeof halves)[0]];
  const joined = op('i8x16.shuffle', low.rest, high.rest, JOIN_LOW_HALVES);
  return {
    rest: pen.hold(lesser(greater(joined, pen.k(-Math.PI / 4)), pen.k(Math.PI / 4))),
    quadrant: pen.hold(op('i8x16.shuffle', low.sum, high.sum, JOIN_LOW_WORDS)),
  };
}

/** quadrant·π/2 + rest, |rest| ≤ π/4. */
interface Angle {
  readonly rest: Vector;
  readonly quadrant: Vector;
}

/** Added to a double, it rounds it to a whole number, which is in the low bits of the sum. */
const ROUND_WIDE = 1.5 * 2 ** 52;
/** π/2 in two doubles: the high part has 26 trailing zeros, so that its products with numbers to 2²⁶ are exact. */
const HALF_PI_HIGH = 1.570796325802803;
const HALF_PI_LOW = 9.920935796805404e-10;
const UPPER_HALF = [8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15];
const JOIN_LOW_HALVES = [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23];
const JOIN_LOW_WORDS = [0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27];

/** Sine and cosine of the rest of an angle (Cephes sinf, cosf). */
function sineAndCosine(pen: Pen, { rest }: Angle): { readonly sine: Vector; readonly cosine: Vector } {
  const z = pen.hold(mul(rest, rest));
  const sine = mul(polynomial(pen, z, [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1, 1]), rest);
  const cosine = add(
    sub(pen.k(1), mul(z, pen.k(0.5))),
    mul(mul(polynomial(pen, z, [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2]), z), z),
  );
  return { sine: pen.hold(sine), cosine: pen.hold(cosine) };
}

/** All bits of the lanes whose quadrant is odd. */
const oddQuadrant = (pen: Pen, { quadrant }: Angle): Vector =>
  op('i32x4.eq', op('v128.and', quadrant, pen.bits(1)), pen.bits(1));

/** The bit of a quadrant above the lowest, moved to the sign. */
const signOf = (pen: Pen, quadrant: Vector): Vector =>
  op('i32x4.shl', op('v128.and', quadrant, pen.bits(2)), 30);

/**
 * Beyond what is stated, sin and cos lose their precision, from 1e16 on all of it, and stay within ±1.
 * Error of sin, cos ≤ 2 ulp where |x| ≤ 1e7. Error of sin, cos ≤ 2e-7 where |x| ≤ 1e9.
 */
export function sin(pen: Pen, x: Vector): Vector {
  const angle = reduceAngle(pen, x);
  const { sine, cosine } = sineAndCosine(pen, angle);
  const magnitude = op('v128.bitselect', cosine, sine, oddQuadrant(pen, angle));
  return op('v128.xor', magnitude, signOf(pen, angle.quadrant));
}

export function cos(pen: Pen, x: Vector): Vector {
  const angle = reduceAngle(pen, x);
  const { sine, cosine } = sineAndCosine(pen, angle);
  const magnitude = op('v128.bitselect', sine, cosine, oddQuadrant(pen, angle));
  return op('v128.xor', magnitude, signOf(pen, op('i32x4.add', angle.quadrant, pen.bits(1))));
}

const TAN = [
  9.38540185543e-3, 3.11992232697e-3, 2.44301354525e-2, 5.34112807005e-2, 1.33387994085e-1, 3.33331568548e-1,
];

/** tan: t, a polynomial of the rest, or −1/t in odd quadrants (Cephes tanf). Error of tan ≤ 3 ulp where |x| ≤ 1e7. */
export function tan(pen: Pen, x: Vector): Vector {
  const angle = reduceAngle(pen, x);
  const { rest } = angle;
  const z = pen.hold(mul(rest, rest));
  const t = pen.hold(add(mul(mul(polynomial(pen, z, TAN), z), rest), rest));
  return op('v128.bitselect', div(pen.k(-1), t), t, oddQuadrant(pen, angle));
}

/** atan by reduction to |x| ≤ tan(π/8) (Cephes atanf). Error of atan ≤ 3.5 ulp. */
export function atan(pen: Pen, x: Vector): Vector {
  const v = pen.hold(x);
  const a = pen.hold(abs(v));
  const large = pen.hold(op('f32x4.gt', a, pen.k(2.414213562373095)));
  const middle = pen.hold(op('f32x4.gt', a, pen.k(0.41421356237309503)));
  const reduced = op('v128.bitselect', div(sub(a, pen.k(1)), add(a, pen.k(1))), a, middle);
  const r = pen.hold(op('v128.bitselect', div(pen.k(-1), a), reduced, large));
  const base = op('v128.bitselect', pen.k(Math.PI / 4), pen.k(0), middle);
  const start = op('v128.bitselect', pen.k(Math.PI / 2), base, large);
  const z = pen.hold(mul(r, r));
  const p = polynomial(pen, z, [8.05374449538e-2, -1.38776856032e-1, 1.99777106478e-1, -3.33329491539e-1]);
  return copySign(pen, add(start, add(mul(mul(p, z), r), r)), v);
}

/** |x| ≤ 0.5 and its arcsine, or √((1 − |x|)/2) and its arcsine for larger |x|: a polynomial of Cephes asinf. */
function arcsine(pen: Pen, v: Vector): { readonly p: Vector; readonly large: Vector } {
  const a = pen.hold(abs(v));
  const large = pen.hold(op('f32x4.gt', a, pen.k(0.5)));
  const half = pen.hold(mul(sub(pen.k(1), a), pen.k(0.5)));
  const z = pen.hold(op('v128.bitselect', half, mul(a, a), large));
  const s = pen.hold(op('v128.bitselect', op('f32x4.sqrt', half), a, large));
  const coefficients = [4.21631999e-2, 2.4181311049e-2, 4.5470025998e-2, 7.4953002686e-2, 1.6666752422e-1];
  return { p: pen.hold(add(mul(mul(polynomial(pen, z, coefficients), z), s), s)), large };
}

/** asin: p, or π/2 − 2p above 0.5. Error of asin ≤ 3 ulp. */
export function asin(pen: Pen, x: Vector): Vector {
  const v = pen.hold(x);
  const { p, large } = arcsine(pen, v);
  const far = sub(pen.k(Math.PI / 2), add(p, p));
  return copySign(pen, op('v128.bitselect', far, p, large), v);
}

/** acos: π/2 ∓ p, or 2p above 0.5 and π − 2p below −0.5. Error of acos ≤ 1.5 ulp. */
export function acos(pen: Pen, x: Vector): Vector {
  const v = pen.hold(x);
  const { p, large } = arcsine(pen, v);
  const signed = pen.hold(copySign(pen, p, v));
  const start = op('v128.and', op('f32x4.lt', v, pen.k(0)), pen.k(Math.PI));
  const far = add(start, add(signed, signed));
  return op('v128.bitselect', far, sub(pen.k(Math.PI / 2), signed), large);
}
