/**
 * When is a result of f32 arithmetic right? Two questions, the second only where the first says no.
 *
 * Is it within 1e-4 of the reference, relative to the largest magnitude among the samples? A sum of K products rounded at
 * every step is off by about √K·2⁻²⁴ of its terms, 4e-6 for K = 4608, and Winograd's transforms cost a factor of ten:
 * there is room for both, and an error of addressing, padding or weights is off by the order of the result itself.
 *
 * If not, may rounding move the result so far? Where large terms cancel, an honest result is as far off as the terms are
 * large. So the operands, and every step of an elementwise expression, are moved by random parts in 10⁶, a few times, and
 * the reference watched: what a kernel computes may be off by a few times what that does. It asks nothing about the op.
 */
import type { Lookup } from '#ir/evaluate.ts';
import { binary, type Expr, select, unary } from '#ir/expr.ts';
import type { Tensor } from '#ir/tensor.ts';
import { randomIntegers } from '#runtime/abi.ts';

/** Relative to the largest magnitude. */
export const RELATIVE_BOUND = 1e-4;

/** f32 sums of ordinary size cannot tell less from nothing; it is the bound where all samples are zero. */
const ABSOLUTE_BOUND = 1e-30;

const PERTURBATION = 1e-6;
const TRIALS = 4;
const CONDITION_FACTOR = 8;

/** Largest finite magnitude. */
export const magnitude = (values: readonly number[]): number =>
  values.reduce((most, x) => (Number.isFinite(x) ? Math.max(most, Math.abs(x)) : most), 0);

/** Is `got` as good as `expected`, given the largest magnitude of what it stands among? */
export function isClose(got: number, expected: number, scale: number): boolean {
  // the reference is in double: what f32 cannot hold is infinite there
  const rounded = Math.fround(expected);
  if (Object.is(got, rounded) || got === expected) return true;
  if (!Number.isFinite(rounded)) return false;
  return Math.abs(got - expected) <= RELATIVE_BOUND * scale + ABSOLUTE_BOUND;
}

/** A factor next to 1. */
export type Noise = () => number;

/**
 * How far rounding may move results: bounds on the difference to `expected`, from evaluating it with noise in the
 * operands and, by `evaluate` itself, in what comes between.
 */
export function roundingBounds(
  expected: readonly number[],
  lookup: Lookup,
  evaluate: (lookup: Lookup, noise: Noise) => readonly number[],
): number[] {
  const bounds = expected.map(() => 0);
  for (let trial = 0; trial < TRIALS; trial++) {
    const next = randomIntegers(trial);
    const noise: Noise = () => (next() & 1024 ? 1 + PERTURBATION : 1 - PERTURBATION);
    const moved = new Map<Tensor, Tensor>();
    const results = evaluate((value) => {
      const tensor = lookup(value);
      const known = moved.get(tensor) ?? perturb(tensor, noise);
      moved.set(tensor, known);
      return known;
    }, noise);
    expected.forEach((e, i) => {
      const difference = Math.abs((results[i] ?? 0) - e);
      bounds[i] = Math.max(bounds[i] ?? 0, CONDITION_FACTOR * difference);
    });
  }
  return bounds;
}

/** The expression with every argument and every result on the way times a factor of noise. */
export function noisyExpr(e: Expr, noise: Noise): Expr {
  const inner = (x: Expr): Expr => noisyExpr(x, noise);
  const moved = (x: Expr): Expr => binary('mul', x, noise());
  switch (e.kind) {
    case 'arg':
      return moved(e);
    case 'const':
      return e;
    case 'unary':
      return moved(unary(e.fn, inner(e.x)));
    case 'binary':
      return moved(binary(e.fn, inner(e.x), inner(e.y)));
    case 'select':
      return select(inner(e.test), inner(e.x), inner(e.y));
  }
}

function perturb(tensor: Tensor, noise: Noise): Tensor {
  const { data, type } = tensor;
  if (!(data instanceof Float32Array)) return tensor;
  // in double, as the steps of f32 are not finer; reference evaluators only read, and take any array of numbers
  const moved = Float64Array.from(data, (x) => x * noise());
  return { type, data: moved as unknown as Float32Array };
}
