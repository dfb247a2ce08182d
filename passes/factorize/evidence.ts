/**
 * How many singular values of a matrix are signal, by the global analytic solution of empirical variational Bayesian matrix
 * factorisation (Nakajima, Sugiyama, Babacan and Tomioka, JMLR 14, 2013): as many terms as the matrix gives evidence for, the
 * variance of the noise estimated too.
 */

/** Where signal begins, as a multiple of √α: an approximation of theirs. */
const TAU_PER_ROOT = 2.5129;
const GRID = 200;
const REFINEMENTS = 60;

/** Squares below this part of the largest are what rounding weights to f32 leaves. */
const ROUNDING = 1e-12;

/** @param all squares of the singular values of a rows × columns matrix, descending; zeros may be left out */
export function evidentRank(all: readonly number[], rows: number, columns: number): number {
  const squares = all.filter((square) => square > ROUNDING * (all[0] ?? 0));
  const [short, long] = [Math.min(rows, columns), Math.max(rows, columns)];
  const alpha = short / long;
  const tau = TAU_PER_ROOT * Math.sqrt(alpha);
  const threshold = (1 + tau) * (1 + alpha / tau);
  const sum = (from: number) => squares.slice(from).reduce((a, b) => a + b, 0);
  const total = sum(0);
  if (!(total > 0)) return 0;
  const most = total / (short * long);
  // at most so many are signal, which bounds the noise from below
  const signals = Math.max(0, Math.min(short - 1, Math.ceil(short / (1 + alpha)) - 1));
  const least = Math.max(
    (squares[signals] ?? 0) / (long * threshold),
    sum(signals) / ((short - signals) * long),
    most * Number.EPSILON,
  );
  const variance = minimum(Math.log(Math.min(least, most)), Math.log(most), (log) =>
    freeEnergy(squares, Math.exp(log), short, long, threshold),
  );
  const limit = long * Math.exp(variance) * threshold;
  return squares.filter((s) => s > limit).length;
}

/** What the noise is chosen to make least, up to a constant and a factor. */
function freeEnergy(
  squares: readonly number[],
  variance: number,
  short: number,
  long: number,
  threshold: number,
): number {
  const alpha = short / long;
  let sum = (short - squares.length) * Math.log(variance);
  for (const square of squares) {
    const x = square / (long * variance);
    sum += x - Math.log(x);
    if (x <= threshold) continue;
    const apart = x - (1 + alpha);
    const tau = 0.5 * (apart + Math.sqrt(apart * apart - 4 * alpha));
    sum += Math.log(tau + 1) + alpha * Math.log(tau / alpha + 1) - tau;
  }
  return sum;
}

/** Where a function with a few dips is least: on a grid, then between the neighbours of the best (golden section). */
function minimum(from: number, to: number, of: (x: number) => number): number {
  const step = (to - from) / GRID;
  let best = 0;
  for (let i = 1; i <= GRID; i++) if (of(from + i * step) < of(from + best * step)) best = i;
  let [low, high] = [from + Math.max(0, best - 1) * step, from + Math.min(GRID, best + 1) * step];
  const golden = (Math.sqrt(5) - 1) / 2;
  for (let i = 0; i < REFINEMENTS; i++) {
    const [a, b] = [high - golden * (high - low), low + golden * (high - low)];
    if (of(a) < of(b)) high = b;
    else low = a;
  }
  return (low + high) / 2;
}
