/** Composites and findings as people read them. */
import type { AuditReport } from '../audit/schema.ts';
import { type Column, renderColumns } from './columns.ts';
import { counted, grouped, percent, plain, short } from './format.ts';
import { wrap } from './wrap.ts';

interface Paints {
  readonly dim: (text: string) => string;
  readonly yellow: (text: string) => string;
}

/** For a terminal; empty where there are none. */
export function compositesBlock({ byComposite }: AuditReport, { dim }: Paints, width: number): string {
  if (byComposite.length === 0) return '';
  const columns: Column[] = [
    { title: 'composite', align: 'left' },
    { title: 'times', align: 'right' },
    { title: 'nodes', align: 'right' },
    { title: 'MACs', align: 'right' },
    { title: 'share', align: 'right' },
    { title: 'parameters', align: 'right' },
  ];
  const rows = byComposite.map((c) => [
    c.kind,
    String(c.composites),
    String(c.layers),
    short(c.macs),
    percent(c.macsShare),
    grouped(c.parameters),
  ]);
  return renderColumns(columns, rows, { width, paintHeader: dim });
}

/** For a terminal; empty where there are none. */
export function findingsBlock(report: AuditReport, { dim, yellow }: Paints, width: number): string {
  const lines = findingLines(report);
  if (lines.length === 0) return dim(findingsNote(report));
  const indent = Math.max(...lines.map(({ code }) => code.length)) + 2;
  const rows = lines.map(({ code, message, command }) => {
    const below = `\n${' '.repeat(indent)}`;
    const text = wrapFigures(message, Math.max(30, width - indent)).replaceAll('\n', below);
    // as a shell takes it from several lines
    const typed = wrap(command ?? '', Math.max(30, width - indent - 2)).replaceAll('\n', ` \\${below}`);
    return `${yellow(code)}${' '.repeat(indent - code.length)}${text}${command === null ? '' : below + dim(typed)}`;
  });
  return [dim('findings'), ...rows, dim(wrap(findingsNote(report), width))].join('\n');
}

/** Wrapped, but never between a number and its unit. */
const wrapFigures = (text: string, width: number): string =>
  wrap(text.replace(/(\d) (?=(?:[kMGTP%B]|[KMGT]iB)\b|%)/g, '$1\u00a0'), width).replaceAll('\u00a0', ' ');

export interface FindingLine {
  readonly code: string;
  readonly message: string;
  readonly command: string | null;
}

export const findingLines = ({ findings }: AuditReport): readonly FindingLine[] =>
  findings.map(({ code, message, command }) => ({ code, message: plain(message), command }));

/** What stands below them. */
export function findingsNote({ findings, moreFindings }: AuditReport): string {
  const [first] = findings;
  const all = `--findings ${findings.length + moreFindings}`;
  if (!first) return moreFindings > 0 ? `${counted(moreFindings, 'finding')} with ${all}` : '';
  const more = moreFindings > 0 ? `${counted(moreFindings, 'more finding')} with ${all}; ` : '';
  return `${more}convolith explain ${first.code} says more, --ignore ${first.code} leaves it out`;
}
