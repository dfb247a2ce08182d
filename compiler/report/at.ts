/** `audit --at` for a terminal. */
import type { SeenAxis, SeenPosition } from '../audit/at.ts';
import { renderColumns } from './columns.ts';
import { percent, plain } from './format.ts';

export function renderSeen(seen: SeenPosition, { width = 100 }: { readonly width?: number } = {}): string {
  const place = seen.output === null ? seen.layer : `${seen.output} of ${seen.layer}`;
  const head = `${plain(place)} at ${seen.position.join('×')} sees`;
  if (seen.inputs.length === 0) return `${head} no position of any input\n`;
  const rows = seen.inputs.flatMap(({ input, axes, paddingShare }) =>
    axes.map((axis, i) => [
      i === 0 ? plain(input) : '',
      String(axis.axis),
      String(axis.size),
      axis.field ? range(axis.field) : 'all',
      axis.seen ? range(axis.seen) : 'none',
      i === 0 ? percent(paddingShare) : '',
    ]),
  );
  const columns = [
    { title: 'input', align: 'left' as const, shrink: 12 },
    ...['axis', 'size', 'field', 'in the image', 'padding'].map((title) => ({
      title,
      align: 'right' as const,
    })),
  ];
  return `${head}\n\n${renderColumns(columns, rows, { width })}\n`;
}

/** Both ends included, as positions are numbered. */
const range = ({ start, end }: NonNullable<SeenAxis['seen']>): string =>
  end <= start ? 'none' : `${start}…${end - 1}`;
