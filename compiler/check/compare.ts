/**
 * When is a result of f32 arithmetic right? Two questions, the second only where the first says no.
 *
 * Is it within 1e-4 of the reference, relative to the largest magnitude among the samples? A sum of K products rounded at
 * every step is off by about √K·2⁻²⁴ of its terms, 4e-6 for K = 4608, and Winograd's transforms cost a factor of ten:
 * there is room for both, and an error of addressing, padding or weights is off by the order of the result itself.
 *
 * If not, may rounding move the result so far? Where large terms cancel, an honest result is as far off as the terms are
 * large. So the operands are moved by random parts in 10⁶, a few times, and the reference watched: what a kernel
 * computes may be off by a few times what that does. It asks nothing about the op, and holds through any epilogue.
 */
import type { Lookup } from '#ir/evaluate.ts';
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

/**
 * How far rounding may move results: bounds on the difference to `expected`, which is `evaluate` on the operands, from
 * evaluating it on operands moved a little.
 */
export function roundingBounds(
  expected: readonly number[],
  lookup: Lookup,
  evaluate: (lookup: Lookup) => readonly number[],
): number[] {
  const bounds = expected.map(() => 0);
  for (let trial = 0; trial < TRIALS; trial++) {
    const moved = new Map<Tensor, Tensor>();
    const results = evaluate((value) => {
      const tensor = lookup(value);
      const known = moved.get(tensor) ?? perturb(tensor, trial * 7919 + moved.size);
      moved.set(tensor, known);
      return known;
    });
    expected.forEach((e, i) => {
      const difference = Math.abs((results[i] ?? 0) - e);
      bounds[i] = Math.max(bounds[i] ?? 0, CONDITION_FACTOR * difference);
    });
  }
  return bounds;
}

/** Every float times 1 ± 10⁻⁶, the sign at random; in double, as the steps of f32 are not finer. */
function perturb(tensor: Tensor, seed: number): Tensor {
  const { data, type } = tensor;
  if (!(data instanceof Float32Array)) return tensor;
  const next = randomIntegers(seed);
  const moved = Float64Array.from(data, (x) => x * (next() & 1024 ? 1 + PERTURBATION : 1 - PERTURBATION));
  // reference evaluators only read elements, and take any array of numbers
  return { type, data: moved as unknown as Float32Array };
}
