/** Text in aligned columns that fit a width. */

export interface Column {
  readonly title: string;
  readonly align: 'left' | 'right';
  readonly paint?: (text: string) => string;
  /** May be shortened to this many characters if space is short. */
  readonly shrink?: number;
  /** Which end of a long text gives way; `end` unless said. */
  readonly cut?: 'start' | 'middle' | 'end';
  /** May be left out if space is short, lowest first. */
  readonly drop?: number;
}

export interface ColumnOptions {
  readonly width: number;
  readonly header?: boolean;
  readonly paintHeader?: (text: string) => string;
}

const GAP = '  ';

export function renderColumns(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  options: ColumnOptions,
): string {
  const { header = true, paintHeader = (text: string) => text } = options;
  const natural = columns.map((column, i) =>
    Math.max(header ? lengthOf(column.title) : 0, ...rows.map((row) => lengthOf(row[i] ?? ''))),
  );
  const widths = fitWidths(columns, natural, options.width);
  const line = (cells: readonly string[], paint: (column: Column) => (text: string) => string): string =>
    columns
      .flatMap((column, i) => {
        const width = widths[i];
        return width === undefined ? [] : [paint(column)(pad(cells[i] ?? '', width, column))];
      })
      .join(GAP)
      .trimEnd();
  const head = header
    ? [
        line(
          columns.map((c) => c.title),
          () => paintHeader,
        ),
      ]
    : [];
  return [...head, ...rows.map((row) => line(row, (column) => column.paint ?? ((text) => text)))].join('\n');
}

/** Widths that fit: first columns drop out, then the longest that may is shortened; undefined where dropped. */
function fitWidths(
  columns: readonly Column[],
  natural: readonly number[],
  width: number,
): (number | undefined)[] {
  const widths: (number | undefined)[] = natural.map((w) => (w === 0 ? undefined : w));
  const total = () =>
    widths.reduce<number>((sum, w) => (w === undefined ? sum : sum + w + GAP.length), -GAP.length);
  const least = () =>
    widths.reduce<number>((sum, w, i) => {
      if (w === undefined) return sum;
      return sum + Math.min(w, columns[i]?.shrink ?? w) + GAP.length;
    }, -GAP.length);
  const droppable = columns
    .flatMap((column, i) => (column.drop === undefined ? [] : [{ drop: column.drop, i }]))
    .sort((a, b) => a.drop - b.drop);
  for (const { i } of droppable) if (least() > width) widths[i] = undefined;
  while (total() > width) {
    let widest: number | undefined;
    columns.forEach((column, i) => {
      const w = widths[i];
      if (w === undefined || w <= (column.shrink ?? w)) return;
      if (widest === undefined || w > (widths[widest] ?? 0)) widest = i;
    });
    if (widest === undefined) break;
    widths[widest] = (widths[widest] ?? 1) - 1;
  }
  return widths;
}

/** Characters; a terminal's wide characters are rare enough in layer names. */
const lengthOf = (text: string): number => [...text].length;

function pad(text: string, width: number, { align, cut }: Column): string {
  const characters = [...text];
  if (characters.length > width) {
    if (cut === 'middle') {
      const last = Math.floor((width - 1) / 2);
      return `${characters.slice(0, width - 1 - last).join('')}…${characters.slice(characters.length - last).join('')}`;
    }
    return cut === 'start'
      ? `…${characters.slice(characters.length - width + 1).join('')}`
      : `${characters.slice(0, width - 1).join('')}…`;
  }
  const space = ' '.repeat(width - characters.length);
  return align === 'left' ? text + space : space + text;
}
