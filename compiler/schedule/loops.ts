/**
 * Loops over memory: a count, and how many bytes each of several pointers advances per iteration. Outermost first.
 * Kernels see tensors only through these, so that layout, padding, slicing and broadcasting are all step sizes.
 */
export interface Loop {
  readonly count: number;
  readonly steps: readonly number[];
}

/** Builds loops over the axes of `shape` from the byte strides of each pointer. */
export const loopsOver = (
  shape: readonly number[],
  strides: readonly (readonly number[])[],
  axes: readonly number[] = shape.map((_, axis) => axis),
): Loop[] => axes.map((axis) => ({ count: shape[axis] ?? 1, steps: strides.map((s) => s[axis] ?? 0) }));

/** Drops loops of one iteration and joins neighbours that every pointer crosses without a gap. */
export function mergeLoops(loops: readonly Loop[]): Loop[] {
  const merged: Loop[] = [];
  for (const loop of loops) {
    if (loop.count === 1) continue;
    const outer = merged[merged.length - 1];
    if (outer?.steps.every((step, k) => step === (loop.steps[k] ?? 0) * loop.count)) {
      merged[merged.length - 1] = { count: outer.count * loop.count, steps: loop.steps };
    } else {
      merged.push(loop);
    }
  }
  return merged;
}

/** Splits off the innermost loop; one iteration of no step where there is none. */
export function splitInnermost(
  loops: readonly Loop[],
  pointers: number,
): { outer: readonly Loop[]; inner: Loop } {
  const inner = loops[loops.length - 1] ?? { count: 1, steps: new Array<number>(pointers).fill(0) };
  return { outer: loops.slice(0, -1), inner };
}

/** How often whole pieces of `size` go into `count`, and what is left once, as [size of a piece, how many]; none of zero. */
export const wholeAndRest = (count: number, size: number): (readonly [size: number, times: number])[] =>
  (
    [
      [size, Math.floor(count / size)],
      [count % size, 1],
    ] as const
  ).filter(([piece, times]) => piece > 0 && times > 0);

/** Splits a loop in two, the inner one of `size` iterations; `size` must divide the count. */
export function blockLoop(loop: Loop, size: number): { outer: Loop; inner: Loop } {
  if (loop.count % size !== 0) throw new RangeError(`${size} does not divide ${loop.count}`);
  return {
    outer: { count: loop.count / size, steps: loop.steps.map((s) => s * size) },
    inner: { count: size, steps: loop.steps },
  };
}
