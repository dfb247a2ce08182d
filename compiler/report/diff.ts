/** Two audits compared, for a terminal and as Markdown. */
import type { BudgetResult } from '../audit/budget.ts';
import { BUDGET_QUANTITIES, type BudgetQuantity } from '../audit/budget-quantities.ts';
import type { DiffLayer, DiffReport } from '../diff/schema.ts';
import { type Column, renderColumns } from './columns.ts';
import { bytes, counted, grouped, percent, plain, shape, short, UNKNOWN } from './format.ts';
import { budgetMarkdown, table as markdownTable } from './markdown.ts';

export interface DiffTableOptions {
  readonly width: number;
  /** Changed layers listed at most; 60 unless said. */
  readonly rows?: number;
}

export function renderDiff(report: DiffReport, { width, rows = 60 }: DiffTableOptions): string {
  const column = (title: string, align: 'left' | 'right' = 'right', more: Partial<Column> = {}): Column => ({
    title,
    align,
    ...more,
  });
  const totals = renderColumns(
    [column('', 'left'), column('first'), column('second'), column('difference'), column('')],
    totalRows(report),
    { width },
  );
  const layers = report.layers.slice(0, rows);
  const list = renderColumns(
    [
      column('', 'left'),
      column('layer', 'left', { shrink: 22, cut: 'start' }),
      column('kind', 'left', { shrink: 18 }),
      column('output', 'left', { drop: 2 }),
      column('MACs', 'left'),
      column('parameters', 'left'),
      column('field', 'left', { drop: 1 }),
    ],
    layers.map(layerRow),
    { width },
  );
  const hidden = report.layers.length - layers.length;
  return `${[
    `${plain(report.a)} → ${plain(report.b)}`,
    totals,
    ...(layers.length > 0 ? [list + (hidden > 0 ? `\n… and ${counted(hidden, 'more layer')}` : '')] : []),
    notes(report),
  ].join('\n\n')}\n`;
}

export function renderDiffMarkdown(report: DiffReport, budget: readonly BudgetResult[] = []): string {
  return [
    `# ${plain(report.a)} → ${plain(report.b)}`,
    markdownTable(['', 'first:', 'second:', 'difference:', ':'], totalRows(report)),
    ...(report.layers.length > 0
      ? [
          markdownTable(
            ['', 'layer', 'kind', 'output', 'MACs', 'parameters', 'field'],
            report.layers.map(layerRow),
          ),
        ]
      : []),
    notes(report),
    ...(budget.length > 0 ? [budgetMarkdown(budget)] : []),
    '',
  ].join('\n\n');
}

const notes = ({ unchanged, layers }: DiffReport): string =>
  layers.length === 0
    ? `all ${counted(unchanged, 'node')} are the same in both`
    : `${counted(unchanged, 'node')} ${unchanged === 1 ? 'is' : 'are'} the same in both`;

const totalRows = ({ totals }: DiffReport): string[][] =>
  Object.entries(totals).map(([name, { a, b }]) => {
    const write = writerOf(name as BudgetQuantity);
    const known = a !== null && b !== null;
    return [
      name,
      a === null ? UNKNOWN : write(a),
      b === null ? UNKNOWN : write(b),
      known ? (a === b ? '' : signed(b - a, write)) : UNKNOWN,
      known && a !== b && a !== 0 ? signed(b / a - 1, percent) : '',
    ];
  });

function writerOf(name: BudgetQuantity): (n: number) => string {
  const { unit } = BUDGET_QUANTITIES[name];
  if (unit === 'bytes') return bytes;
  return unit === 'µs' ? (us) => `${(us / 1e3).toPrecision(3)} ms` : grouped;
}

const signed = (n: number, write: (n: number) => string): string =>
  `${n < 0 ? '−' : '+'}${write(Math.abs(n))}`;

const SIGNS: Readonly<Record<DiffLayer['change'], string>> = {
  added: '+',
  removed: '−',
  changed: '~',
  renamed: '=',
};

function layerRow({ change, a, b }: DiffLayer): string[] {
  const both = (of: (side: NonNullable<DiffLayer['a']>) => string): string => {
    const [x, y] = [a && of(a), b && of(b)];
    return plain(x === undefined || y === undefined || x === y ? (y ?? x ?? '') : `${x} → ${y}`);
  };
  return [
    SIGNS[change],
    both(({ shown }) => shown),
    both(({ label }) => label),
    both(({ outputShape }) => shape(outputShape)),
    both(({ macs }) => short(macs)),
    both(({ parameters }) => short(parameters)),
    both(({ receptiveField }) => receptiveField),
  ];
}
