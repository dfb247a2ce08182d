import type { BudgetResult } from '../audit/budget.ts';
import { atExample } from '../audit/example.ts';
import type { AuditReport } from '../audit/schema.ts';
import { budgetRows } from './budget.ts';
import { findingLines, findingsNote } from './findings.ts';
import { footprintLines, rooflineLines } from './footprint.ts';
import {
  bytes,
  countedShare,
  displayNames,
  field,
  grouped,
  isWeighty,
  percent,
  plain,
  ratio,
  shape,
  units,
} from './format.ts';
import {
  countLines,
  exampleNotes,
  isCountedOtherwise,
  type SummaryLine,
  signature,
  summary,
  title,
} from './summary.ts';

/** The audit as GitHub-flavoured Markdown. */
export function renderMarkdown(given: AuditReport): string {
  const report = atExample(given);
  const names = displayNames(report);
  const layers = report.layers.filter(isWeighty);
  const compiled = report.footprint && footprintLines(report, report.footprint);
  const predicted = report.roofline && rooflineLines(report.roofline);
  const findings = findingsNote(report);
  const kinds = report.byKind.filter((k) => k.macs !== 0 || k.parameters > 0);
  return [
    `# ${inert(title(report))}`,
    inert(signature(report)),
    ...exampleNotes(report).map(inert),
    table(LINE_TITLES, summary(report).map(cellsOf)),
    ...(isCountedOtherwise(report)
      ? [
          ...section(
            'Counted as',
            ['', 'tool', 'exact:', 'rounded:', ''],
            countLines(report).map((l) => [l.chosen ? '→' : '', l.preset, l.value, l.rounded, l.units]),
          ),
          inert(`${report.preset.name}: ${report.preset.says}`),
        ]
      : []),
    ...(report.budget && report.budget.length > 0 ? ['## Budget', budgetMarkdown(report.budget)] : []),
    ...section(
      'By kind',
      ['kind', 'layers:', 'MACs:', 'share:', 'parameters:'],
      kinds.map((k) => [
        k.kind,
        String(k.layers),
        grouped(k.macs),
        percent(k.macsShare),
        grouped(k.parameters),
      ]),
    ),
    ...section(
      'Composites',
      ['composite', 'times:', 'nodes:', 'MACs:', 'share:', 'parameters:'],
      report.byComposite.map((c) => [
        c.kind,
        String(c.composites),
        String(c.layers),
        grouped(c.macs),
        percent(c.macsShare),
        grouped(c.parameters),
      ]),
    ),
    ...section('Compiled', LINE_TITLES, compiled?.map(cellsOf) ?? []),
    ...(predicted
      ? [
          ...section(`Predicted ${inert(predicted.title)}`, LINE_TITLES, predicted.lines.map(cellsOf)),
          inert(predicted.source),
        ]
      : []),
    ...(findings === ''
      ? []
      : [
          '## Findings',
          ...(report.findings.length === 0
            ? []
            : [
                findingLines(report)
                  .map(
                    ({ code, message, command }) =>
                      `- **${code}**: ${inert(message)}${command === null ? '' : `; \`${command}\``}`,
                  )
                  .join('\n'),
              ]),
          inert(findings),
        ]),
    ...section(
      'Layers',
      [
        'layer',
        'kind',
        'output:',
        `${units(report)}:`,
        'share:',
        'parameters:',
        'field:',
        'FLOP/B:',
        'live:',
        ...(predicted ? ['predicted'] : []),
      ],
      layers.map((l) => [
        names(l),
        l.label,
        shape(l.outputShape),
        grouped(l.counted),
        percent(countedShare(l, report)),
        grouped(l.parameters),
        field(l),
        ratio(l.intensity),
        bytes(l.liveBytes),
        ...(predicted ? [predicted.byLayer.get(l.name) ?? ''] : []),
      ]),
    ),
    '## Conventions',
    Object.entries(report.conventions)
      .map(([word, meaning]) => `- **${inert(word)}**: ${inert(meaning)}`)
      .join('\n'),
    ...(report.diagnostics.length === 0
      ? []
      : [
          '## Notes',
          report.diagnostics.map((d) => `- ${inert(plain(`${d.kind}: ${d.message}`))}`).join('\n'),
        ]),
    '',
  ].join('\n\n');
}

const LINE_TITLES = ['', 'exact:', 'rounded:', ''];
const cellsOf = ({ label, value, rounded, note }: SummaryLine): string[] => [label, value, rounded, note];

const section = (title: string, titles: readonly string[], rows: readonly (readonly string[])[]): string[] =>
  rows.length === 0 ? [] : [`## ${title}`, table(titles, rows)];

/** Limits, beside what there is. */
export const budgetMarkdown = (results: readonly BudgetResult[]): string =>
  table(
    ['limit', '', 'allowed:', 'actual:'],
    budgetRows(results).map(({ text, verdict, limit, actual }) => [text, verdict, limit, actual]),
  );

/** A title that ends in a colon is of a column of numbers. */
export function table(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [
    line(titles.map((t) => inert(t.replace(/:$/, '')))),
    line(titles.map((t) => (t.endsWith(':') ? '---:' : '---'))),
    ...rows.map((row) => line(row.map(inert))),
  ].join('\n');
}

/** Text without Markdown or HTML meaning. */
const inert = (text: string): string =>
  plain(text)
    .replace(/[\\`*_[\]|~#]/g, (c) => `\\${c}`)
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;');
