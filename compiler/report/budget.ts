/** Budgets as lines of a table, and as errors. */
import { type Diagnostic, diagnostic } from '#ir/diagnostics.ts';
import type { BudgetResult } from '../audit/budget.ts';
import { BUDGET_QUANTITIES } from '../audit/budget-quantities.ts';
import { type Column, renderColumns } from './columns.ts';
import { bytes, grouped, percent, plain, short } from './format.ts';

export interface BudgetRow {
  readonly text: string;
  readonly limit: string;
  readonly actual: string;
  readonly verdict: string;
  readonly met: boolean;
}

export const budgetRows = (results: readonly BudgetResult[]): readonly BudgetRow[] =>
  results.map((result) => ({
    text: plain(result.text),
    limit: budgetAmount(result, result.limit),
    actual: budgetAmount(result, result.actual),
    verdict: verdict(result),
    met: result.met,
  }));

export function renderBudget(results: readonly BudgetResult[], width: number): string {
  const columns: Column[] = [
    { title: 'budget', align: 'left' },
    { title: 'limit', align: 'right' },
    { title: 'actual', align: 'right' },
    { title: '', align: 'left', shrink: 16 },
  ];
  const rows = budgetRows(results).map(({ text, limit, actual, verdict: found }) => [
    text,
    limit,
    actual,
    found,
  ]);
  return renderColumns(columns, rows, { width });
}

/** One for each limit that is not met. */
export const budgetErrors = (results: readonly BudgetResult[]): readonly Diagnostic[] =>
  results
    .filter(({ met }) => !met)
    .map((result) =>
      diagnostic(
        'budget-exceeded',
        result.text,
        result.actual === null
          ? `there is no number: ${result.reason ?? ''}`
          : `${budgetAmount(result, result.actual)}, ${verdict(result)}`,
      ),
    );

function verdict({ actual, limit, met, reason }: BudgetResult): string {
  if (met) return 'met';
  if (actual === null || limit === null) return `not known: ${reason ?? ''}`;
  if (limit === 0 || actual === limit) return 'not met';
  const off = actual / limit - 1;
  return `${percent(Math.abs(off))} ${off > 0 ? 'over' : 'under'}`;
}

/** Exact where a rounded figure would look like the limit. */
export function budgetAmount({ quantity, actual, limit }: BudgetResult, value: number | null): string {
  if (value === null) return '?';
  const { unit } = BUDGET_QUANTITIES[quantity];
  const write =
    unit === 'bytes' ? bytes : unit === 'µs' ? (us: number) => `${(us / 1e3).toPrecision(4)} ms` : short;
  const alike = actual !== null && limit !== null && actual !== limit && write(actual) === write(limit);
  return alike ? grouped(value) : write(value);
}
