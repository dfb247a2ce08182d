/** Exact polynomials in the symbolic dimensions of a model, from its figures at a few sizes. */

/** A symbol, the sizes it is sampled at, and further sizes that the result must reproduce. */
export interface SampledSymbol {
  readonly name: string;
  /** At least two, distinct; the first stands in while other symbols vary. */
  readonly points: readonly number[];
  readonly checks: readonly number[];
}

export interface Term {
  /** A reduced fraction. */
  readonly numerator: bigint;
  readonly denominator: bigint;
  /** One per symbol. */
  readonly exponents: readonly number[];
}

export interface Polynomial {
  readonly symbols: readonly string[];
  /** Highest powers first; no term is zero. */
  readonly terms: readonly Term[];
}

export type Fit =
  | { readonly polynomial: Polynomial; readonly reason?: never }
  | { readonly polynomial?: never; readonly reason: string };

/**
 * The polynomial through `evaluate` at the symbols' points, if it also holds at their checks. Integers in, exact
 * rationals out; else the reason names the sizes at which the fit breaks.
 */
export function fitPolynomial(
  symbols: readonly SampledSymbol[],
  evaluate: (sizes: Readonly<Record<string, number>>) => number,
): Fit {
  const known = new Map<string, bigint>();
  const at = (sizes: readonly number[]): bigint => {
    const key = sizes.join(',');
    const value = known.get(key) ?? BigInt(evaluate(named(symbols, sizes)));
    known.set(key, value);
    return value;
  };
  const base = symbols.map((s) => s.points[0] ?? 1);
  const degrees = symbols.map((s, i) => {
    const samples = s.points.map((p) => constantPoly(at(base.with(i, p)), symbols.length));
    const differences = dividedDifferences(s.points, samples);
    return differences.findLastIndex((d) => d.size > 0);
  });
  const fitted = interpolate(symbols, degrees, [], at);
  const polynomial = { symbols: symbols.map((s) => s.name), terms: sortedTerms(fitted) };
  const points = symbols.flatMap((s, i) => s.checks.map((check) => base.with(i, check)));
  if (symbols.length > 1) points.push(symbols.map((s, i) => s.checks[0] ?? base[i] ?? 1));
  for (const point of points) {
    const expected = evaluatePolynomial(polynomial, point);
    const actual = at(point);
    if (expected.numerator === actual && expected.denominator === 1n) continue;
    const where = symbols.map((s, i) => `${s.name} = ${point[i]}`).join(', ');
    return {
      reason: `no polynomial: at ${where} there are ${actual}, not the ${formatFraction(expected)} that the sizes ${sampled(symbols)} predict (sizes of strided layers round)`,
    };
  }
  return { polynomial };
}

/** `300774272·N`, `3·H²·W + 5`; `0` for the empty sum. */
export function formatPolynomial({ symbols, terms }: Polynomial): string {
  if (terms.length === 0) return '0';
  return terms
    .map((term, i) => {
      const { numerator, denominator, exponents } = term;
      const negative = numerator < 0n;
      const size = formatFraction({ numerator: negative ? -numerator : numerator, denominator });
      const powers = exponents.flatMap((e, k) => (e === 0 ? [] : [`${symbols[k]}${superscript(e)}`]));
      const text = size === '1' && powers.length > 0 ? powers.join('·') : [size, ...powers].join('·');
      const sign = negative ? '−' : '+';
      return i === 0 ? `${negative ? '−' : ''}${text}` : ` ${sign} ${text}`;
    })
    .join('');
}

interface Fraction {
  readonly numerator: bigint;
  readonly denominator: bigint;
}

export function evaluatePolynomial(polynomial: Polynomial, sizes: readonly number[]): Fraction {
  return polynomial.terms.reduce<Fraction>((sum, term) => {
    const factor = term.exponents.reduce((f, e, i) => f * BigInt(sizes[i] ?? 0) ** BigInt(e), 1n);
    return add(sum, fraction(term.numerator * factor, term.denominator));
  }, fraction(0n));
}

const named = (symbols: readonly SampledSymbol[], sizes: readonly number[]): Record<string, number> =>
  Object.fromEntries(symbols.map((s, i) => [s.name, sizes[i] ?? 1]));

const sampled = (symbols: readonly SampledSymbol[]): string =>
  symbols.map((s) => `${s.name} = ${s.points.join(', ')}`).join('; ');

const superscript = (e: number): string =>
  e === 1 ? '' : [...String(e)].map((digit) => '⁰¹²³⁴⁵⁶⁷⁸⁹'[Number(digit)]).join('');

const formatFraction = ({ numerator, denominator }: Fraction): string =>
  denominator === 1n ? String(numerator) : `${numerator}/${denominator}`;

function fraction(numerator: bigint, denominator = 1n): Fraction {
  let [a, b] = [numerator < 0n ? -numerator : numerator, denominator];
  while (b !== 0n) [a, b] = [b, a % b];
  const divisor = a === 0n ? 1n : a;
  return { numerator: numerator / divisor, denominator: denominator / divisor };
}

const add = (a: Fraction, b: Fraction): Fraction =>
  fraction(a.numerator * b.denominator + b.numerator * a.denominator, a.denominator * b.denominator);
const multiply = (a: Fraction, b: Fraction): Fraction =>
  fraction(a.numerator * b.numerator, a.denominator * b.denominator);

/** Coefficients by exponents, written `2,0`; zero coefficients are absent. */
type Poly = ReadonlyMap<string, Fraction>;

const constantPoly = (value: bigint, symbols: number): Poly =>
  new Map(value === 0n ? [] : [[new Array(symbols).fill(0).join(','), fraction(value)]]);

function addPoly(a: Poly, b: Poly, scale: Fraction): Poly {
  const result = new Map(a);
  for (const [key, value] of b) {
    const sum = add(result.get(key) ?? fraction(0n), multiply(value, scale));
    if (sum.numerator === 0n) result.delete(key);
    else result.set(key, sum);
  }
  return result;
}

const shiftPoly = (poly: Poly, symbol: number): Poly =>
  new Map(
    [...poly].map(([key, value]) => {
      const exponents = key.split(',').map(Number);
      return [exponents.with(symbol, (exponents[symbol] ?? 0) + 1).join(','), value];
    }),
  );

/** Newton's coefficients of the polynomial through the samples. */
function dividedDifferences(points: readonly number[], samples: readonly Poly[]): readonly Poly[] {
  const table = [...samples];
  for (let order = 1; order < points.length; order++) {
    for (let i = points.length - 1; i >= order; i--) {
      const high = table[i];
      const low = table[i - 1];
      const gap = BigInt((points[i] ?? 0) - (points[i - order] ?? 0));
      if (!high || !low || gap === 0n) continue;
      const difference = addPoly(high, low, fraction(-1n));
      table[i] = addPoly(new Map(), difference, gap < 0n ? fraction(-1n, -gap) : fraction(1n, gap));
    }
  }
  return table;
}

/** Interpolates symbol by symbol over the grid of the first degree + 1 points of each. */
function interpolate(
  symbols: readonly SampledSymbol[],
  degrees: readonly number[],
  fixed: readonly number[],
  at: (sizes: readonly number[]) => bigint,
): Poly {
  const index = fixed.length;
  const symbol = symbols[index];
  if (!symbol) return constantPoly(at(fixed), symbols.length);
  const points = symbol.points.slice(0, Math.max(0, degrees[index] ?? 0) + 1);
  const samples = points.map((p) => interpolate(symbols, degrees, [...fixed, p], at));
  const newton = dividedDifferences(points, samples);
  let result: Poly = new Map();
  for (let i = newton.length - 1; i >= 0; i--) {
    // Horner over (x − point): result·(x − pᵢ) + cᵢ
    const shifted = shiftPoly(result, index);
    result = addPoly(shifted, result, fraction(BigInt(-(points[i] ?? 0))));
    result = addPoly(result, newton[i] ?? new Map(), fraction(1n));
  }
  return result;
}

function sortedTerms(poly: Poly): readonly Term[] {
  const terms = [...poly].map(([key, value]) => ({
    ...value,
    exponents: key === '' ? [] : key.split(',').map(Number),
  }));
  const degree = (t: Term) => t.exponents.reduce((a, b) => a + b, 0);
  return terms.sort(
    (a, b) => degree(b) - degree(a) || (a.exponents.join(',') < b.exponents.join(',') ? 1 : -1),
  );
}
