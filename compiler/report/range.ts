/** Totals over ranges of sizes, for people and for spreadsheets. */
import { type Diagnostic, diagnostic } from '#ir/diagnostics.ts';
import type { Preset } from '#passes/analysis/presets/index.ts';
import type { RangeRow, RangeTotals } from '../audit/range.ts';
import { budgetAmount } from './budget.ts';
import { type Column, renderColumns } from './columns.ts';
import { csvLines } from './csv.ts';
import { bytes, grouped, plain } from './format.ts';
import { table as markdownTable } from './markdown.ts';

export interface RangeReport {
  /** Of the dimensions that have ranges, in order. */
  readonly names: readonly string[];
  readonly rows: readonly RangeRow[];
  /** By which rows are counted. */
  readonly preset?: Preset;
}

export function renderRange(report: RangeReport, width: number): string {
  const columns = columnsOf(report);
  const shown = columns.map(({ title, unit, kind }): Column => {
    const name = plain(unit === 'bytes' ? title : [title, unit].filter(Boolean).join(', '));
    return kind === 'text' ? { title: name, align: 'left', shrink: 20 } : { title: name, align: 'right' };
  });
  const write = (value: Cell, { unit }: RangeColumn): string =>
    typeof value === 'string' ? plain(value) : unit === 'bytes' ? bytes(value) : grouped(value);
  return `${renderColumns(shown, cells(report, columns, write), { width })}\n`;
}

export function renderRangeMarkdown(report: RangeReport): string {
  const columns = columnsOf(report);
  const titles = columns.map((column) => `${titleOf(column)}${column.kind === 'text' ? '' : ':'}`);
  const write = (value: Cell, { kind }: RangeColumn) =>
    typeof value === 'string' || kind === 'size' ? String(value) : grouped(value);
  return `${markdownTable(titles, cells(report, columns, write))}\n`;
}

/** RFC 4180, exact. */
export function renderRangeCsv(report: RangeReport): string {
  const columns = columnsOf(report);
  return csvLines([columns.map(titleOf), ...cells(report, columns, (value) => value)]);
}

/** Sizes that an error names. */
const MOST_NAMED = 4;

/** One for each limit that is not met at some size, with those sizes. */
export function rangeBudgetErrors({ rows }: RangeReport): readonly Diagnostic[] {
  const [first] = rows;
  return (first?.budget ?? []).flatMap(({ text }, term) => {
    const missed = rows.flatMap(({ dims, budget = [] }) => {
      const result = budget[term];
      return result && !result.met ? [{ dims, result }] : [];
    });
    if (missed.length === 0) return [];
    const named = missed.slice(0, MOST_NAMED).map(({ dims, result }) => {
      const sizes = Object.entries(dims).map(([name, size]) => `${name}=${size}`);
      const amount = result.actual === null ? 'refused' : budgetAmount(result, result.actual);
      return `${sizes.join(' ')} (${amount})`;
    });
    const more = missed.length > named.length ? ` and ${missed.length - named.length} more` : '';
    const message = `not met at ${missed.length} of ${rows.length} sizes: ${named.join(', ')}${more}`;
    return [diagnostic('budget-exceeded', text, message)];
  });
}

type Cell = string | number;

interface RangeColumn {
  readonly title: string;
  readonly unit?: string;
  readonly kind: 'size' | 'total' | 'text';
  readonly of: (row: RangeRow) => Cell;
}

const titleOf = ({ title, unit }: RangeColumn): string => (unit ? `${title}, ${unit}` : title);

function columnsOf({ names, rows, preset }: RangeReport): readonly RangeColumn[] {
  const total = (title: string, of: (totals: RangeTotals) => number, unit?: string): RangeColumn => ({
    title,
    kind: 'total',
    of: ({ totals }) => (totals ? of(totals) : ''),
    ...(unit === undefined ? {} : { unit }),
  });
  const text = (title: string, of: (row: RangeRow) => string): RangeColumn => ({ title, kind: 'text', of });
  return [
    ...names.map((name): RangeColumn => ({ title: name, kind: 'size', of: ({ dims }) => dims[name] ?? '' })),
    total('MACs', ({ macs }) => macs),
    ...(preset ? [total(preset.name, ({ counted = 0 }) => counted, `${preset.unit}s`)] : []),
    total('other operations', ({ otherOps }) => otherOps),
    total('parameters', ({ parameters }) => parameters),
    total('peak', ({ peakActivationBytes }) => peakActivationBytes, 'bytes'),
    total('traffic', ({ bytesRead, bytesWritten }) => bytesRead + bytesWritten, 'bytes'),
    ...(rows.some(({ budget }) => budget) ? [text('budget', verdictOf)] : []),
    ...(rows.some(({ totals }) => totals === null) ? [text('refused', ({ reason = '' }) => reason)] : []),
  ];
}

function verdictOf({ budget = [] }: RangeRow): string {
  const missed = budget.filter(({ met }) => !met).map(({ text }) => text);
  return missed.length === 0 ? 'met' : `not met: ${missed.join(', ')}`;
}

const cells = <T extends Cell>(
  { rows }: RangeReport,
  columns: readonly RangeColumn[],
  write: (value: Cell, column: RangeColumn) => T,
): readonly (readonly T[])[] => rows.map((row) => columns.map((column) => write(column.of(row), column)));
