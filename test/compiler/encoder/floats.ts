/** Floating point as the specification states it, written without the operations under test where JavaScript differs. */

/** The float nearest to `mantissa · 2^exponent`, ties to even. */
export function roundExact(mantissa: bigint, exponent: number, bits: 32 | 64): number {
  const [precision, least] = bits === 32 ? [24, -149] : [53, -1074];
  const magnitude = mantissa < 0n ? -mantissa : mantissa;
  const ulp = Math.max(exponent + magnitude.toString(2).length - precision, least);
  const shift = ulp - exponent;
  let quotient = magnitude;
  if (shift <= 0) {
    quotient = magnitude << BigInt(-shift);
  } else {
    const divisor = 1n << BigInt(shift);
    quotient = magnitude / divisor;
    const rest = (magnitude % divisor) * 2n;
    if (rest > divisor || (rest === divisor && quotient % 2n === 1n)) quotient += 1n;
  }
  const value = scale(Number(quotient), ulp);
  const rounded = bits === 32 ? Math.fround(value) : value;
  return mantissa < 0n ? -rounded : rounded;
}

/** `a · b + c` with one rounding. */
export function fusedMultiplyAdd(a: number, b: number, c: number, bits: 32 | 64): number {
  if (![a, b, c].every(Number.isFinite) || a === 0 || b === 0) return a * b + c;
  const [ma, ea] = exact(a);
  const [mb, eb] = exact(b);
  const [mc, ec] = exact(c);
  const exponent = Math.min(ea + eb, ec);
  const sum = ((ma * mb) << BigInt(ea + eb - exponent)) + (mc << BigInt(ec - exponent));
  return sum === 0n ? 0 : roundExact(sum, exponent, bits);
}

/** To the nearest integer, ties to even, keeping the sign of zero. */
export function nearest(value: number): number {
  if (!Number.isFinite(value) || Math.abs(value) >= 2 ** 52) return value;
  const below = Math.floor(value);
  const rest = value - below;
  const rounded = rest > 0.5 || (rest === 0.5 && below % 2 !== 0) ? below + 1 : below;
  return rounded === 0 && (value < 0 || Object.is(value, -0)) ? -0 : rounded;
}

export function minimum(a: number, b: number): number {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number.NaN;
  if (a === 0 && b === 0) return Object.is(a, -0) || Object.is(b, -0) ? -0 : 0;
  return a < b ? a : b;
}

export function maximum(a: number, b: number): number {
  return -minimum(-a, -b);
}

/** `value` = `mantissa · 2^exponent`, finite values only. */
function exact(value: number): [bigint, number] {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  const bits = view.getBigUint64(0);
  const biased = Number((bits >> 52n) & 0x7ffn);
  const fraction = bits & ((1n << 52n) - 1n);
  const mantissa = biased === 0 ? fraction : fraction | (1n << 52n);
  return [bits >> 63n === 1n ? -mantissa : mantissa, Math.max(biased, 1) - 1075];
}

/** `value · 2^exponent` in steps that do not overflow early. */
function scale(value: number, exponent: number): number {
  return exponent < -1000 ? value * 2 ** -1000 * 2 ** (exponent + 1000) : value * 2 ** exponent;
}
