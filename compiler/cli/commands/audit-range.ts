import { fail } from '#ir/diagnostics.ts';
import { auditRange, type DimensionRange, type RangeRow } from '../../audit/range.ts';
import { type Column, renderColumns } from '../../report/columns.ts';
import { bytes, grouped, plain } from '../../report/format.ts';
import { importSource, openSource } from '../load.ts';
import { assignment, dimensionOptions } from '../options.ts';
import { writeResult } from '../output.ts';
import type { CommandContext } from '../program.ts';
import type { AuditArguments } from './audit.ts';

/** Whether a dimension is given as a range, `NAME=FIRST:LAST:STEP`. */
export const isRange = (text: string): boolean => text.slice(text.lastIndexOf('=') + 1).includes(':');

const MOST_ROWS = 256;
const FORMATS = ['table', 'json', 'csv', 'md'] as const;

export async function runAuditRange(
  path: string,
  options: AuditArguments,
  context: CommandContext,
): Promise<void> {
  const texts = options.dim ?? [];
  const ranges = texts.filter(isRange).map(rangeOf);
  const rows = ranges.reduce((n, { sizes }) => n * sizes.length, 1);
  if (rows > MOST_ROWS) {
    const hint = `take larger steps: at most ${MOST_ROWS} sizes are audited`;
    fail('usage-invalid', '--dim', `these are ${rows} sizes`, hint);
  }
  const format = FORMATS.find((one) => one === (options.format ?? 'table'));
  if (!format) {
    fail(
      'usage-invalid',
      `--format ${options.format}`,
      'a range of sizes has no picture',
      `there is ${FORMATS.join(', ')}`,
    );
  }
  const { dims, shapes } = dimensionOptions({ ...options, dim: texts.filter((text) => !isRange(text)) });
  const source = await openSource(path);
  const model = (more: Readonly<Record<string, number>>) => importSource(source, { dims: more, shapes });
  const found = auditRange(model, ranges, dims);
  // what is wrong with all of them is an error, which says it at length
  const [first] = found;
  if (first && found.every(({ totals }) => totals === null)) model({ ...dims, ...first.dims });
  context.signal.throwIfAborted();
  const text = {
    json: () => `${JSON.stringify({ model: source.name, rows: found }, null, 2)}\n`,
    csv: () =>
      table(ranges, found, String)
        .map((row) => `${row.map(csvCell).join(',')}\n`)
        .join(''),
    md: () => markdown(table(ranges, found, grouped)),
    table: () => aligned(table(ranges, found, grouped, bytes), context.terminal.width),
  }[format]();
  await writeResult(text, options.output, context);
}

function rangeOf(text: string): DimensionRange {
  const [name, value] = assignment(text, '--dim', 'H=224:512:32');
  const wrong = (message: string, hint: string) => fail('usage-invalid', `--dim ${text}`, message, hint);
  const parts = value.split(':');
  if (parts.length > 3 || !parts.every((part) => /^\d+$/.test(part))) {
    return wrong(`"${value}" is no range`, `write FIRST:LAST:STEP, as --dim ${name}=224:512:32`);
  }
  const [first = 0, last = 0, step = 1] = parts.map(Number);
  if (step === 0) return wrong('a step of 0 leads nowhere', `write --dim ${name}=${first}:${last}:1`);
  if (last < first) return wrong('it ends before it begins', `write --dim ${name}=${last}:${first}:${step}`);
  const count = Math.floor((last - first) / step) + 1;
  return { name, sizes: Array.from({ length: Math.min(count, MOST_ROWS + 1) }, (_, i) => first + i * step) };
}

/** A header and a row for each choice of sizes. */
function table(
  ranges: readonly DimensionRange[],
  rows: readonly RangeRow[],
  number: (n: number) => string,
  size: (n: number) => string = number,
): string[][] {
  const refused = rows.some(({ totals }) => totals === null);
  const head = ['MACs', 'other operations', 'parameters', 'peak, bytes', 'traffic, bytes'];
  return [
    [...ranges.map(({ name }) => plain(name)), ...head, ...(refused ? ['refused'] : [])],
    ...rows.map(({ dims, totals, reason = '' }) => [
      ...ranges.map(({ name }) => String(dims[name] ?? '')),
      ...(totals
        ? [
            number(totals.macs),
            number(totals.otherOps),
            number(totals.parameters),
            size(totals.peakActivationBytes),
            size(totals.bytesRead + totals.bytesWritten),
          ]
        : head.map(() => '')),
      ...(refused ? [plain(reason)] : []),
    ]),
  ];
}

function aligned([head = [], ...rows]: readonly (readonly string[])[], width: number): string {
  const columns = head.map(
    (title): Column =>
      title === 'refused'
        ? { title, align: 'left', shrink: 20 }
        : { title: title.replace(', bytes', ''), align: 'right' },
  );
  return `${renderColumns(columns, rows, { width })}\n`;
}

function markdown([head = [], ...rows]: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |\n`;
  return line(head) + line(head.map(() => '---:')) + rows.map(line).join('');
}

const csvCell = (cell: string): string => (/[",\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);
