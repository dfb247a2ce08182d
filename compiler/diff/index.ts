/** Two audits compared: their totals, and layer by layer what has changed. */
import { totalOf } from '../audit/budget.ts';
import { BUDGET_NAMES } from '../audit/budget-quantities.ts';
import type { AuditLayer, AuditReport } from '../audit/schema.ts';
import { displayNames, field } from '../report/format.ts';
import { DIFF_VERSION } from '../version.ts';
import { type LayerPair, matchLayers } from './match.ts';
import type { DiffLayer, DiffReport } from './schema.ts';

export type { DiffLayer, DiffReport } from './schema.ts';

/** Totals that neither report has are left out. */
export function diffAudits(a: AuditReport, b: AuditReport): DiffReport {
  const totals = BUDGET_NAMES.map(
    (name) => [name, { a: totalOf(name, a), b: totalOf(name, b) }] as const,
  ).filter(([, change]) => change.a !== null || change.b !== null);
  const names = { a: displayNames(a), b: displayNames(b) };
  const changes = matchLayers(a.layers, b.layers).map((pair) => changeOf(pair, names));
  return {
    version: DIFF_VERSION,
    a: a.model,
    b: b.model,
    totals: Object.fromEntries(totals),
    unchanged: changes.filter((change) => change === undefined).length,
    layers: changes.filter((change) => change !== undefined),
  };
}

type Names = (layer: AuditLayer) => string;

/** Undefined where both are the same. */
function changeOf(
  { a, b }: LayerPair,
  names: { readonly a: Names; readonly b: Names },
): DiffLayer | undefined {
  const sides = { ...(a && { a: sideOf(a, names.a) }), ...(b && { b: sideOf(b, names.b) }) };
  if (!a || !b) return { change: a ? 'removed' : 'added', ...sides };
  const unnamed = (side: DiffLayer['a']) => JSON.stringify({ ...side, name: '', shown: '' });
  if (unnamed(sides.a) !== unnamed(sides.b)) return { change: 'changed', ...sides };
  return a.name === b.name ? undefined : { change: 'renamed', ...sides };
}

const sideOf = (layer: AuditLayer, names: Names): NonNullable<DiffLayer['a']> => ({
  name: layer.name,
  shown: names(layer),
  label: layer.label,
  outputShape: [...layer.outputShape],
  macs: layer.macs,
  parameters: layer.parameters,
  receptiveField: field(layer),
});
