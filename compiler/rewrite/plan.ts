/** Which form each layer takes under a limit, and what a whole network can reach. */
import { type Choice, choose } from '#passes/factorize/choose.ts';
import type { Form, LayerForms } from './forms.ts';
import { type BudgetQuantity, type LayerCost, quantityOf } from './quantities.ts';

/** How far to go. */
export type Limit =
  | BoundedLimit
  /** Every layer takes the form that its weights speak for, where that is cheaper. */
  | { readonly kind: 'evidence'; readonly quantity: BudgetQuantity };

export type BoundedLimit =
  /** The most that the whole network may take. */
  | { readonly kind: 'budget'; readonly quantity: BudgetQuantity; readonly most: number }
  /** The most that it may be off by, at the least of a quantity. */
  | { readonly kind: 'error'; readonly quantity: BudgetQuantity; readonly most: number };

export interface LayerPlan {
  /** Undefined: the layer as it is. */
  readonly form: Form | undefined;
}

export interface CurvePoint {
  readonly macs: number;
  readonly parameters: number;
  readonly bytes: number;
  readonly us: number | null;
  readonly error: number;
}

interface FormChoice extends Choice {
  readonly form: Form | undefined;
}

/** Undefined where no choice meets the limit. @param total of the whole network, as it is */
export function planForms(
  layers: readonly LayerForms[],
  total: number,
  limit: BoundedLimit,
): readonly LayerPlan[] | undefined {
  const { quantity, kind, most } = limit;
  const choices = layers.map((layer) => choicesOf(layer, quantity));
  if (kind === 'error') {
    const turned = choices.map((all) =>
      all.map(({ cost, error, form }) => ({ cost: error, error: cost, form })),
    );
    return choose(turned, lossOf(most))?.choices;
  }
  const own = layers.reduce((sum, layer) => sum + quantityOf(layer.own, quantity), 0);
  return choose(choices, most - (total - own))?.choices;
}

const choicesOf = ({ own, forms }: LayerForms, quantity: BudgetQuantity): readonly FormChoice[] => [
  { cost: quantityOf(own, quantity), error: 0, form: undefined },
  ...forms.map((form) => ({
    cost: quantityOf(form.costs, quantity),
    error: lossOf(form.error),
    form,
  })),
];

/** What a product of parts that are kept is as a sum: errors of one layer after the other multiply (Zhang et al., 2015). */
const lossOf = (error: number): number => -Math.log(Math.max(1e-12, 1 - Math.min(1, error)));

/** Steps of a curve, from nothing to all. */
const STEPS = 24;

/** The least error of the whole network at each part of what it takes: what no other choice beats. */
export function paretoCurve(
  layers: readonly LayerForms[],
  total: LayerCost,
  quantity: BudgetQuantity,
): readonly CurvePoint[] {
  const whole = quantityOf(total, quantity);
  const points = Array.from({ length: STEPS }, (_, i) => {
    const most = (whole * (i + 1)) / STEPS;
    const plan = planForms(layers, whole, { kind: 'budget', quantity, most });
    return plan ? [pointOf(layers, plan, total)] : [];
  }).flat();
  // what a larger budget does not make better is one point
  return points.filter((p, i) => i === 0 || p.error < (points[i - 1]?.error ?? 0));
}

export function pointOf(
  layers: readonly LayerForms[],
  plan: readonly LayerPlan[],
  total: LayerCost,
): CurvePoint {
  const point = { ...total, error: 0 };
  let loss = 0;
  plan.forEach(({ form }, i) => {
    const own = layers[i]?.own;
    if (!form || !own) return;
    point.macs += form.costs.macs - own.macs;
    point.parameters += form.costs.parameters - own.parameters;
    point.bytes += form.costs.bytes - own.bytes;
    if (point.us !== null) point.us += (form.costs.us ?? 0) - (own.us ?? 0);
    loss += lossOf(form.error);
  });
  return { ...point, us: point.us === null ? null : Math.max(0, point.us), error: 1 - Math.exp(-loss) };
}
