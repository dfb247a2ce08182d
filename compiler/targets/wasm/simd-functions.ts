/**
 * The primitives of scalar expressions as f32x4 code. Sources of the polynomials stand at each, and how far results may
 * be off for any argument, denormal ones too: in units in the last place of the exact result (2⁻¹⁴⁹ where that is
 * denormal), absolutely, or by the larger of both. A test reads these bounds here and holds the code to them for floats
 * of every size. What has none is exact. Zeros have their sign too, but those of fmod and pow.
 */
import type { BinaryFn, UnaryFn } from '#ir/expr.ts';
import { op } from './encoder/index.ts';
import { acos, asin, atan, cos, sin, tan } from './simd-angles.ts';
import {
  abs,
  add,
  addProduct,
  copySign,
  div,
  greater,
  lesser,
  mul,
  type Pen,
  polynomial,
  sub,
  subProduct,
  type Vector,
} from './simd-vector.ts';

/** eʳ on [−ln 2 / 2, ln 2 / 2] with a relative error of 3.1e-9: 1 + r + r²·q(r), q fitted by Lawson's method. */
const EXP = [
  1.3814539778667788e-3, 8.368745107552126e-3, 4.1668390790602756e-2, 1.6666520399057072e-1,
  4.999999343210032e-1, 1, 1,
];

/** Added to a small float, it rounds it to a whole number n, which is in the low bits of the sum. */
const ROUND = 1.5 * 2 ** 23;

/** The bias of the exponent of a float. */
const BIAS = 127;

interface ExponentialOptions {
  readonly sign?: 1 | -1;
  readonly bias?: number;
  /** Of r, the highest first. */
  readonly powers?: readonly number[];
}

/**
 * e^(sign·x) as eʳ·2ⁿ, sign·x = n·ln 2 + r: eʳ, and the sum whose low bits hold n + bias. The sign is in the constants:
 * what is computed in place of r is sign·r.
 */
function reduceExponent(
  pen: Pen,
  x: Vector,
  { sign = 1, bias = BIAS, powers = EXP }: ExponentialOptions = {},
): { readonly p: Vector; readonly biased: Vector } {
  const how = pen.multiplyAdd;
  const biased = pen.hold(addProduct(how, x, pen.k(sign * Math.LOG2E), pen.k(ROUND + bias)));
  const n = pen.hold(sub(biased, pen.k(ROUND + bias)));
  const near = subProduct(how, n, pen.k(sign * 0.693359375), x);
  const r = pen.hold(subProduct(how, n, pen.k(sign * -2.1219444e-4), near));
  const signed = powers.map((c, i) => ((powers.length - 1 - i) % 2 === 0 ? c : sign * c));
  return { p: pen.hold(polynomial(pen, r, signed)), biased };
}

/** The same power by 2^(bias − 127), scaled in one factor: for n + bias from 1 to 254. */
function scaledExponential(pen: Pen, x: Vector, options?: ExponentialOptions): Vector {
  const { p, biased } = reduceExponent(pen, x, options);
  return mul(p, op('i32x4.shl', biased, 23));
}

/**
 * exp by reduction to n·ln 2 + r; 2^n is applied in two factors, so that overflow and underflow are gradual.
 * Error of exp ≤ 1.25 ulp.
 */
function exp(pen: Pen, x: Vector): Vector {
  const { p, biased } = reduceExponent(pen, pen.hold(lesser(greater(x, pen.k(-104)), pen.k(89))));
  const n = pen.hold(op('i32x4.sub', biased, pen.k(ROUND + BIAS)));
  const half = pen.hold(op('i32x4.shr_s', n, 1));
  const power = (e: Vector): Vector => op('i32x4.shl', op('i32x4.add', e, pen.bits(BIAS)), 23);
  return mul(mul(p, power(half)), power(op('i32x4.sub', n, half)));
}

/** eʳ there with a relative error of 9.2e-8, for what is rounded a few times afterwards. */
const SHORT_EXP = [
  0.008289744146168232, 0.04189787060022354, 0.16667647659778595, 0.4999915063381195, 0.9999997019767761, 1,
];

/** e⁻ˣ is kept by 2³⁵, so that one factor does: a normal float down to 2⁻⁶⁵ at 69, and infinite from 2¹²⁸ at −64.2 on. */
const LOGISTIC_UNIT = 35;

/** From 92.5·ln 2 = 64.12 on, the exponent of 2³⁵·e⁻ˣ is that of infinity. */
const LOGISTIC_LEAST = -64.2;

/**
 * 1 / (1 + e⁻ˣ), numerator and denominator by 2³⁵. It is 0 below −64.12, and so is x·logistic(x), which is silu(x): denormal
 * numbers, and what becomes one when it is multiplied with a weight, make the layers behind take many times as long.
 * Error of logistic ≤ 3 ulp or 1.7e-28. Error of silu ≤ 3.5 ulp or 1.1e-26.
 */
export function logistic(pen: Pen, argument: Vector): Vector {
  const bounded = pen.hold(lesser(greater(argument, pen.k(LOGISTIC_LEAST)), pen.k(69)));
  const options = { sign: -1, bias: BIAS + LOGISTIC_UNIT, powers: SHORT_EXP } as const;
  const power = scaledExponential(pen, bounded, options);
  const unit = pen.k(2 ** LOGISTIC_UNIT);
  return div(unit, add(power, unit));
}

const LOG = [
  7.0376836292e-2, -1.151461031e-1, 1.167699874e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
  2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
];

/**
 * log of what is no less than 2⁻¹²⁶, ∞ or NaN, by splitting off the exponent (Cephes logf). Error of log ≤ 1 ulp. With it,
 * log(1 + eˣ), which is softplus(x), rounds 1 + eˣ. Error of softplus ≤ 2.5 ulp or 9e-8.
 */
export function logNormal(pen: Pen, x: Vector, bias = pen.k(126)): Vector {
  const v = pen.hold(x);
  const mantissa = pen.hold(op('v128.or', op('v128.and', v, pen.bits(0x007fffff)), pen.bits(0x3f000000)));
  const exponent = sub(op('f32x4.convert_i32x4_s', op('i32x4.shr_u', v, 23)), bias);
  const small = pen.hold(op('f32x4.lt', mantissa, pen.k(Math.SQRT1_2)));
  const e = pen.hold(sub(exponent, op('v128.and', small, pen.k(1))));
  const m = pen.hold(add(sub(mantissa, pen.k(1)), op('v128.and', small, mantissa)));
  const z = pen.hold(mul(m, m));
  const tail = mul(mul(polynomial(pen, m, LOG), m), z);
  const y = add(sub(add(tail, mul(e, pen.k(-2.1219444e-4))), mul(z, pen.k(0.5))), m);
  const result = add(y, mul(e, pen.k(0.693359375)));
  return op('v128.bitselect', result, v, op('f32x4.lt', v, pen.k(Number.POSITIVE_INFINITY)));
}

/** log; denormal numbers are scaled first; log 0 = −∞, log of a negative number is NaN. */
function log(pen: Pen, x: Vector): Vector {
  const v = pen.hold(x);
  const tiny = pen.hold(op('f32x4.lt', v, pen.k(2 ** -126)));
  const scaled = op('v128.bitselect', mul(v, pen.k(2 ** 23)), v, tiny);
  const bias = pen.hold(op('v128.bitselect', pen.k(149), pen.k(126), tiny));
  const finite = logNormal(pen, scaled, bias);
  const positive = op('v128.bitselect', pen.k(Number.NEGATIVE_INFINITY), finite, op('f32x4.eq', v, pen.k(0)));
  return op('v128.bitselect', pen.k(Number.NaN), positive, op('f32x4.lt', v, pen.k(0)));
}

const TANH = [-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1];

/**
 * tanh: a polynomial below 0.625, 1 − 2/(e^2|x| + 1) above (Cephes tanhf), which is 1 from 9.02 on. Error of tanh ≤ 1.5 ulp.
 */
function tanh(pen: Pen, x: Vector): Vector {
  const v = pen.hold(x);
  const magnitude = pen.hold(abs(v));
  const z = pen.hold(mul(v, v));
  const near = pen.hold(add(magnitude, mul(magnitude, mul(z, polynomial(pen, z, TANH)))));
  const bounded = pen.hold(lesser(magnitude, pen.k(10)));
  const power = scaledExponential(pen, pen.hold(add(bounded, bounded)));
  const far = sub(pen.k(1), div(pen.k(2), add(power, pen.k(1))));
  return copySign(pen, op('v128.bitselect', near, far, op('f32x4.lt', magnitude, pen.k(0.625))), v);
}

/** erf(√z)/√z − 1 to √z = 1.04, and the eighth root of erfc from there to 3.92, where 1 − erfc rounds to 1. */
const ERF_TURN = 1.04;
const ERF = [
  -5.445911665447056e-4, 4.873544443398714e-3, -2.667510323226452e-2, 1.1278975009918213e-1,
  -3.7612184882164e-1, 1.2837909162044525e-1,
];
const ERFC_ROOT = [
  1.5368718595709652e-4, -2.5105716194957495e-3, 1.3102775439620018e-2, -1.1773240752518177e-2,
  -6.092945858836174e-2, -1.4538300037384033e-1, 1.000920057296753,
];

/**
 * erf: x + x·P(x²) below 1.04, 1 − Q(|x|)⁸ above. Both polynomials are fitted by Remez' method to the relative error of erf,
 * then their coefficients moved by units in the last place to what gives the least error in f32. Error of erf ≤ 2.5 ulp.
 */
function erf(pen: Pen, x: Vector): Vector {
  const v = pen.hold(x);
  const magnitude = pen.hold(lesser(abs(v), pen.k(3.92)));
  const z = pen.hold(mul(magnitude, magnitude));
  const near = pen.hold(add(magnitude, mul(magnitude, polynomial(pen, z, ERF))));
  let root = pen.hold(polynomial(pen, magnitude, ERFC_ROOT));
  root = pen.hold(mul(root, root));
  root = pen.hold(mul(root, root));
  const far = sub(pen.k(1), mul(root, root));
  return copySign(pen, op('v128.bitselect', near, far, op('f32x4.lt', magnitude, pen.k(ERF_TURN))), v);
}

/** (eˣ, e⁻ˣ)/2 for x ≥ 0. From 89.42 on the first is infinite. */
function halfExponentials(pen: Pen, x: Vector): readonly [Vector, Vector] {
  const quarter = pen.hold(scaledExponential(pen, pen.hold(lesser(x, pen.k(89.5))), { bias: BIAS - 2 }));
  return [add(quarter, quarter), div(pen.k(0.125), quarter)];
}

/** sinh: a polynomial to 1, (eˣ − e⁻ˣ)/2 above (Cephes sinhf). Error of sinh, cosh ≤ 2 ulp. */
function sinh(pen: Pen, x: Vector): Vector {
  const v = pen.hold(x);
  const a = pen.hold(abs(v));
  const z = pen.hold(mul(a, a));
  const coefficients = [2.03721912945e-4, 8.33028376239e-3, 1.66667160211e-1];
  const near = pen.hold(add(mul(mul(polynomial(pen, z, coefficients), z), a), a));
  const [rising, falling] = halfExponentials(pen, a);
  return copySign(pen, op('v128.bitselect', near, sub(rising, falling), op('f32x4.lt', a, pen.k(1))), v);
}

function cosh(pen: Pen, x: Vector): Vector {
  return add(...halfExponentials(pen, abs(x)));
}

/** asinh: a polynomial to 0.5, log(x + √(x² + 1)) above (Cephes asinhf). Error of asinh ≤ 4 ulp. */
function asinh(pen: Pen, x: Vector): Vector {
  const v = pen.hold(x);
  const a = pen.hold(abs(v));
  const z = pen.hold(mul(a, a));
  const coefficients = [2.0122003309e-2, -4.2699340972e-2, 7.4847586088e-2, -1.6666288134e-1];
  const near = pen.hold(add(mul(mul(polynomial(pen, z, coefficients), z), a), a));
  // beyond 1e9 the square overflows long before the logarithm matters: √(x² + 1) = x
  const root = op('v128.bitselect', a, op('f32x4.sqrt', add(z, pen.k(1))), op('f32x4.gt', a, pen.k(1e9)));
  const far = logNormal(pen, add(mul(a, pen.k(0.5)), mul(root, pen.k(0.5))));
  const whole = add(far, pen.k(Math.LN2));
  return copySign(pen, op('v128.bitselect', near, whole, op('f32x4.lt', a, pen.k(0.5))), v);
}

/**
 * acosh: √(x − 1)·P(x − 1) below 1.5 (Cephes acoshf), log(x + √((x − 1)(x + 1))) above, halved inside so that it does not
 * overflow. Error of acosh ≤ 3 ulp.
 */
function acosh(pen: Pen, x: Vector): Vector {
  const v = pen.hold(x);
  const z = pen.hold(sub(v, pen.k(1)));
  const below = pen.hold(op('f32x4.sqrt', z));
  const coefficients = [1.7596881071e-3, -7.5272886713e-3, 2.6454905019e-2, -1.1784741703e-1, Math.SQRT2];
  const near = pen.hold(mul(polynomial(pen, z, coefficients), below));
  const root = mul(below, op('f32x4.sqrt', add(v, pen.k(1))));
  const far = add(logNormal(pen, add(mul(v, pen.k(0.5)), mul(root, pen.k(0.5)))), pen.k(Math.LN2));
  return op('v128.bitselect', near, far, op('f32x4.lt', v, pen.k(1.5)));
}

/** atanh: a polynomial to 0.5, log((1 + x)/(1 − x))/2 above (Cephes atanhf). Error of atanh ≤ 2 ulp. */
function atanh(pen: Pen, x: Vector): Vector {
  const v = pen.hold(x);
  const a = pen.hold(abs(v));
  const z = pen.hold(mul(a, a));
  const coefficients = [1.81740078349e-1, 8.2437030106e-2, 1.4669143173e-1, 1.997821645e-1, 3.333373003e-1];
  const near = pen.hold(add(mul(mul(polynomial(pen, z, coefficients), z), a), a));
  const far = mul(log(pen, div(add(pen.k(1), a), sub(pen.k(1), a))), pen.k(0.5));
  return copySign(pen, op('v128.bitselect', near, far, op('f32x4.lt', a, pen.k(0.5))), v);
}

/**
 * xʸ = exp(y·log|x|), the sign by the parity of y; 0 and whole exponents as IEEE pow. The error of the logarithm is
 * multiplied by y: the result is off by at most 2.5 ulp, and as much again for each unit of |y·log|x||.
 */
function pow(pen: Pen, x: Vector, y: Vector): Vector {
  const base = pen.hold(x);
  const exponent = pen.hold(y);
  const magnitude = pen.hold(exp(pen, mul(exponent, log(pen, abs(base)))));
  const half = pen.hold(mul(exponent, pen.k(0.5)));
  const whole = op('f32x4.eq', exponent, op('f32x4.floor', exponent));
  const odd = op('v128.andnot', whole, op('f32x4.eq', half, op('f32x4.floor', half)));
  const negative = pen.hold(op('f32x4.lt', base, pen.k(0)));
  const signed = op('v128.bitselect', op('f32x4.neg', magnitude), magnitude, op('v128.and', negative, odd));
  const defined = op(
    'v128.or',
    op('v128.not', negative),
    op('f32x4.eq', exponent, op('f32x4.floor', exponent)),
  );
  const value = op('v128.bitselect', signed, pen.k(Number.NaN), defined);
  const one = op('v128.or', op('f32x4.eq', exponent, pen.k(0)), op('f32x4.eq', base, pen.k(1)));
  return op('v128.bitselect', pen.k(1), value, one);
}

/**
 * The rest of x/y with the sign of x; x itself where y is infinite. Up to |x/y| = 2²² it is off by at most half a unit in
 * the last place of x, or by that on the other side of a multiple of y; beyond it means nothing.
 */
function fmod(pen: Pen, x: Vector, y: Vector): Vector {
  const a = pen.hold(x);
  const b = pen.hold(y);
  const rest = sub(a, mul(b, op('f32x4.trunc', div(a, b))));
  const bounded = op(
    'v128.or',
    op('f32x4.lt', abs(b), pen.k(Number.POSITIVE_INFINITY)),
    op('f32x4.ne', b, b),
  );
  const infinite = op('v128.or', bounded, op('f32x4.eq', abs(a), pen.k(Number.POSITIVE_INFINITY)));
  return op('v128.bitselect', rest, a, infinite);
}

/** The rest of x/y with the sign of y. */
function mod(pen: Pen, x: Vector, y: Vector): Vector {
  const b = pen.hold(y);
  const rest = pen.hold(fmod(pen, x, b));
  const zero = pen.hold(pen.k(0));
  const agrees = op('i32x4.eq', op('f32x4.lt', rest, zero), op('f32x4.lt', b, zero));
  const moved = op('v128.bitselect', rest, add(rest, b), agrees);
  return op('v128.bitselect', copySign(pen, zero, b), moved, op('f32x4.eq', rest, zero));
}

const truth = (pen: Pen, mask: Vector): Vector => op('v128.and', mask, pen.k(1));

type UnaryRenderer = ((pen: Pen, x: Vector) => Vector) | 'unsupported';
type BinaryRenderer = ((pen: Pen, x: Vector, y: Vector) => Vector) | 'unsupported';

export const UNARY_CODE: Record<UnaryFn, UnaryRenderer> = {
  neg: (_, x) => op('f32x4.neg', x),
  abs: (_, x) => abs(x),
  sign: (pen, x) => {
    const v = pen.hold(x);
    return op('v128.bitselect', copySign(pen, pen.k(1), v), v, op('f32x4.gt', abs(v), pen.k(0)));
  },
  floor: (_, x) => op('f32x4.floor', x),
  ceil: (_, x) => op('f32x4.ceil', x),
  round: (_, x) => op('f32x4.nearest', x),
  trunc: (_, x) => op('f32x4.trunc', x),
  sqrt: (_, x) => op('f32x4.sqrt', x),
  exp,
  log,
  tanh,
  erf,
  sin,
  cos,
  tan,
  asin,
  acos,
  atan,
  sinh,
  cosh,
  asinh,
  acosh,
  atanh,
  isnan: (pen, x) => {
    const v = pen.hold(x);
    return truth(pen, op('f32x4.ne', v, v));
  },
  bitnot: 'unsupported',
  not: (pen, x) => truth(pen, op('f32x4.eq', x, pen.k(0))),
};

export const BINARY_CODE: Record<BinaryFn, BinaryRenderer> = {
  add: (_, x, y) => add(x, y),
  sub: (_, x, y) => sub(x, y),
  mul: (_, x, y) => mul(x, y),
  div: (_, x, y) => div(x, y),
  min: (_, x, y) => op('f32x4.min', x, y),
  max: (_, x, y) => op('f32x4.max', x, y),
  pow,
  mod,
  fmod,
  bitand: 'unsupported',
  bitor: 'unsupported',
  bitxor: 'unsupported',
  shl: 'unsupported',
  shr: 'unsupported',
  eq: (pen, x, y) => truth(pen, op('f32x4.eq', x, y)),
  ne: (pen, x, y) => truth(pen, op('f32x4.ne', x, y)),
  lt: (pen, x, y) => truth(pen, op('f32x4.lt', x, y)),
  le: (pen, x, y) => truth(pen, op('f32x4.le', x, y)),
  gt: (pen, x, y) => truth(pen, op('f32x4.gt', x, y)),
  ge: (pen, x, y) => truth(pen, op('f32x4.ge', x, y)),
};

/** Is a power by this constant a product, a root or a quotient? */
export const isSimplePower = (exponent: number): boolean =>
  exponent === 0.5 || exponent === -1 || (Number.isInteger(exponent) && exponent >= 0 && exponent <= 16);

/** x to such a power; the n-th is off by at most n ulp. */
export function power(pen: Pen, x: Vector, exponent: number): Vector {
  if (exponent === 0.5) return op('f32x4.sqrt', x);
  if (exponent === -1) return div(pen.k(1), x);
  if (exponent === 0) return pen.k(1);
  const base = pen.hold(x);
  let result: Vector = base;
  for (const bit of exponent.toString(2).slice(1)) {
    const square = pen.hold(result);
    result = bit === '1' ? mul(mul(square, square), base) : mul(square, square);
  }
  return result;
}
