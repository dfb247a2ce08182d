/** How far two lists of values are apart. */

export type Values = ArrayLike<number | bigint | boolean>;

export interface Difference {
  /** Largest magnitude of the first. */
  readonly largest: number;
  /** Largest difference of two elements; ∞ where only one of them is a number. */
  readonly difference: number;
  readonly relative: number;
}

/** Element by element; equal infinities agree, and NaN with NaN. */
export function differenceOf(want: Values, got: Values): Difference {
  let difference = 0;
  let largest = 0;
  for (let i = 0; i < want.length; i++) {
    const a = Number(want[i]);
    const b = Number(got[i]);
    if (Number.isFinite(a)) largest = Math.max(largest, Math.abs(a));
    if (Object.is(a, b) || a === b) continue;
    const d = Math.abs(a - b);
    difference = Math.max(difference, Number.isNaN(d) ? Number.POSITIVE_INFINITY : d);
  }
  const relative = difference === 0 ? 0 : difference / (largest || 1);
  return { largest, difference, relative };
}
