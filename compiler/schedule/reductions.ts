/** What reductions compute, for every target. */
import type { OpName } from '#ir/graph.ts';

export type Combine = 'add' | 'max' | 'min' | 'mul';

export interface Recipe {
  readonly combine: Combine;
  readonly before: string;
  /** The result from the combined value; `count` elements were combined. */
  after(count: number): string;
}

const same = (): string => 'x0';

/** Reductions as map → combine → map. */
export const RECIPES = {
  ReduceSum: { combine: 'add', before: 'x0', after: same },
  ReduceMean: { combine: 'add', before: 'x0', after: (n) => `mul(x0, ${1 / n})` },
  ReduceMax: { combine: 'max', before: 'x0', after: same },
  ReduceMin: { combine: 'min', before: 'x0', after: same },
  ReduceProd: { combine: 'mul', before: 'x0', after: same },
  ReduceL1: { combine: 'add', before: 'abs(x0)', after: same },
  ReduceL2: { combine: 'add', before: 'mul(x0, x0)', after: () => 'sqrt(x0)' },
  ReduceLogSum: { combine: 'add', before: 'x0', after: () => 'log(x0)' },
  ReduceSumSquare: { combine: 'add', before: 'mul(x0, x0)', after: same },
} as const satisfies Partial<Record<OpName, Recipe>>;

export const isReduction = (op: OpName): op is keyof typeof RECIPES => Object.hasOwn(RECIPES, op);

/** For each input axis, the output axis that it becomes; −1 where it is reduced. */
export function keptAxes(rank: number, axes: readonly number[], keepDims: boolean): number[] {
  const out: number[] = [];
  let next = 0;
  for (let axis = 0; axis < rank; axis++) {
    const reduced = axes.includes(axis);
    out.push(reduced ? -1 : next);
    if (!reduced || keepDims) next++;
  }
  return out;
}
