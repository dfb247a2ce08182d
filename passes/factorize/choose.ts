/** Which form each layer takes, so that the whole meets a budget with the least error. */

export interface Choice {
  /** Of the layer in this form. */
  readonly cost: number;
  readonly error: number;
}

/** Costs are rounded up to so many parts of the budget: the plan is at most one part per layer from the best. */
const PARTS = 4000;

export interface Plan<C extends Choice> {
  readonly choices: readonly C[];
  readonly cost: number;
  readonly error: number;
  /** No choice within the budget has less. */
  readonly errorBound: number;
}

/**
 * One choice per layer with the least sum of errors whose costs together are at most the budget: dynamic programming on a
 * grid of costs (the multiple-choice knapsack; Kellerer et al., Knapsack Problems, 11). Undefined where the least
 * costs are more than the budget.
 */
export function choose<C extends Choice>(
  layers: readonly (readonly C[])[],
  budget: number,
): Plan<C> | undefined {
  const fronts = layers.map(paretoFront);
  const found = knapsack(fronts, budget, Math.ceil) ?? cheapest(fronts, budget);
  if (!found) return undefined;
  const relaxed = knapsack(fronts, budget, Math.floor);
  return { ...summed(found), errorBound: relaxed ? summed(relaxed).error : 0 };
}

/** Ascending in cost, descending in error: what no other choice beats in both. */
export function paretoFront<C extends Choice>(choices: readonly C[]): readonly C[] {
  const front: C[] = [];
  for (const choice of [...choices].sort((a, b) => a.cost - b.cost || a.error - b.error)) {
    if (choice.error < (front.at(-1)?.error ?? Number.POSITIVE_INFINITY)) front.push(choice);
  }
  return front;
}

const summed = <C extends Choice>(choices: readonly C[]) => ({
  choices,
  cost: choices.reduce((sum, c) => sum + c.cost, 0),
  error: choices.reduce((sum, c) => sum + c.error, 0),
});

function cheapest<C extends Choice>(
  fronts: readonly (readonly C[])[],
  budget: number,
): readonly C[] | undefined {
  const choices = fronts.flatMap((front) => front.slice(0, 1));
  return summed(choices).cost <= budget ? choices : undefined;
}

function knapsack<C extends Choice>(
  fronts: readonly (readonly C[])[],
  budget: number,
  round: (parts: number) => number,
): readonly C[] | undefined {
  const part = budget / PARTS;
  let best = new Float64Array(PARTS + 1).fill(0);
  const taken: Int32Array[] = [];
  for (const front of fronts) {
    const next = new Float64Array(PARTS + 1).fill(Number.POSITIVE_INFINITY);
    const which = new Int32Array(PARTS + 1).fill(-1);
    front.forEach(({ cost, error }, k) => {
      const parts = part > 0 ? round(cost / part) : cost > 0 ? PARTS + 1 : 0;
      for (let b = parts; b <= PARTS; b++) {
        const sum = (best[b - parts] ?? 0) + error;
        if (sum < (next[b] ?? 0)) {
          next[b] = sum;
          which[b] = k;
        }
      }
    });
    taken.push(which);
    best = next;
  }
  const choices: C[] = [];
  let left = PARTS;
  for (let i = fronts.length - 1; i >= 0; i--) {
    const choice = fronts[i]?.[taken[i]?.[left] ?? -1];
    if (!choice) return undefined;
    choices.unshift(choice);
    left -= part > 0 ? round(choice.cost / part) : 0;
  }
  return choices;
}
