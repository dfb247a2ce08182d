/** The audit for a terminal. */
import { atExample } from '../audit/example.ts';
import { modulesAtDepth } from '../audit/groups.ts';
import type { AuditLayer, AuditReport } from '../audit/schema.ts';
import { renderBudget } from './budget.ts';
import { type Column, renderColumns } from './columns.ts';
import { compositesBlock, findingsBlock } from './findings.ts';
import { footprintLines, rooflineLines } from './footprint.ts';
import {
  bytes,
  counted,
  countedShare,
  displayNames,
  field,
  grouped,
  isWeighty,
  percent,
  plain,
  ratio,
  shape,
  short,
  units,
} from './format.ts';
import { countLines, exampleNotes, type SummaryLine, signature, summary, title } from './summary.ts';
import { wrap } from './wrap.ts';

export interface TableOptions {
  /** Columns of the terminal; 100 unless said. */
  readonly width?: number;
  readonly colour?: boolean;
  /** Layers listed at most, the heaviest; 60 unless said. */
  readonly rows?: number;
  /** Also say what every preset counts. */
  readonly presets?: boolean;
  /** Layers of a module of this depth are added up into one row. */
  readonly depth?: number;
}

/** Terminal styles, by their SGR codes. */
const palette = (on: boolean) => {
  const style = (open: number, close: number) => (text: string) =>
    on && text !== '' ? `\u001b[${open}m${text}\u001b[${close}m` : text;
  return { bold: style(1, 22), dim: style(2, 22), cyan: style(36, 39), yellow: style(33, 39) };
};
type Colours = ReturnType<typeof palette>;

export function renderTable(given: AuditReport, options: TableOptions = {}): string {
  const report = atExample(given);
  const { width = 100, colour = false, rows = 60, presets = false } = options;
  const c = palette(colour);
  const blocks = [
    `${c.bold(title(report))}  ${c.dim(signature(report))}`,
    summaryBlock(report, c, width),
    presets ? presetsBlock(report, c, width) : '',
    kindsBlock(report, c, width),
    compositesBlock(report, c, width),
    footprintBlock(report, c, width),
    rooflineBlock(report, c, width),
    options.depth === undefined
      ? layersBlock(report, c, width, rows)
      : modulesBlock(report, c, width, options.depth),
    report.budget ? renderBudget(report.budget, width) : '',
    findingsBlock(report, c, width),
    notes(report, c, width),
  ];
  return `${blocks.filter((b) => b !== '').join('\n\n')}\n`;
}

/** Columns that a note takes at least; where there are fewer it goes below its line. */
const LEAST_NOTE = 20;

function summaryBlock(report: AuditReport, c: Colours, width: number): string {
  const columns: Column[] = [
    { title: '', align: 'left' },
    { title: '', align: 'right', paint: c.bold },
    { title: '', align: 'right', paint: c.cyan },
    { title: '', align: 'left', paint: c.dim },
  ];
  const facts = summary(report);
  const widest = (of: (l: SummaryLine) => string) => Math.max(0, ...facts.map((l) => [...of(l)].length));
  const left = widest((l) => l.label) + widest((l) => l.value) + widest((l) => l.rounded) + 6;
  const noted = (note: string, room: number): readonly string[] =>
    wrap(note, room).replaceAll('\u00a0', ' ').split('\n');
  if (width - left < LEAST_NOTE) {
    const figures = facts.map((l) => [l.label, l.value, l.rounded, '']);
    const lines = renderColumns(columns, figures, { width, header: false }).split('\n');
    return facts
      .flatMap(({ note }, i) => [
        lines[i] ?? '',
        ...(note === '' ? [] : noted(note, width - 2).map((part) => `  ${c.dim(part)}`)),
      ])
      .join('\n');
  }
  const lines = facts.flatMap((l) => {
    const [first = '', ...more] = noted(l.note, width - left);
    return [[l.label, l.value, l.rounded, first], ...more.map((part) => ['', '', '', part])];
  });
  return renderColumns(columns, lines, { width, header: false });
}

function presetsBlock(report: AuditReport, c: Colours, width: number): string {
  const columns: Column[] = [
    { title: '', align: 'left' },
    { title: 'counted as', align: 'left' },
    { title: '', align: 'right', paint: c.bold },
    { title: '', align: 'right', paint: c.cyan },
    { title: '', align: 'left', paint: c.dim },
  ];
  const lines = countLines(report).map((l) => [l.chosen ? '→' : '', l.preset, l.value, l.rounded, l.units]);
  return `${renderColumns(columns, lines, { width, paintHeader: c.dim })}\n${c.dim(
    wrap(`${report.preset.name}: ${report.preset.says}`, width),
  )}`;
}

function kindsBlock(report: AuditReport, c: Colours, width: number): string {
  const columns: Column[] = [
    { title: 'kind', align: 'left' },
    { title: 'layers', align: 'right' },
    { title: 'MACs', align: 'right' },
    { title: 'share', align: 'right' },
    { title: '', align: 'left', paint: c.cyan, drop: 1 },
    { title: 'parameters', align: 'right' },
  ];
  const kinds = report.byKind.filter((k) => k.macs !== 0 || k.parameters > 0);
  if (kinds.length === 0) return '';
  const lines = kinds.map((k) => [
    k.kind,
    String(k.layers),
    short(k.macs),
    percent(k.macsShare),
    bar(k.macsShare ?? 0, 20),
    grouped(k.parameters),
  ]);
  return renderColumns(columns, lines, { width, paintHeader: c.dim });
}

function footprintBlock(report: AuditReport, c: Colours, width: number): string {
  if (!report.footprint) return '';
  const columns: Column[] = [
    { title: 'compiled', align: 'left' },
    { title: 'bytes', align: 'right', paint: c.bold },
    { title: '', align: 'right', paint: c.cyan },
    { title: '', align: 'left', paint: c.dim, shrink: 20, drop: 1 },
  ];
  const lines = footprintLines(report, report.footprint).map((l) => [l.label, l.value, l.rounded, l.note]);
  return renderColumns(columns, lines, { width, paintHeader: c.dim });
}

function rooflineBlock(report: AuditReport, c: Colours, width: number): string {
  if (!report.roofline) return '';
  const { title: device, source: rooflineSource, lines } = rooflineLines(report.roofline);
  const columns: Column[] = [
    { title: device, align: 'left', shrink: 30 },
    { title: 'predicted', align: 'right', paint: c.bold },
    { title: '', align: 'right', paint: c.cyan },
    { title: '', align: 'left', paint: c.dim, shrink: 20, drop: 1 },
  ];
  const rows = lines.map((l) => [l.label, l.value, l.rounded, l.note]);
  const note = wrap(rooflineSource, width);
  return `${renderColumns(columns, rows, { width, paintHeader: c.dim })}\n${c.dim(note)}`;
}

function layersBlock(report: AuditReport, c: Colours, width: number, limit: number): string {
  const names = displayNames(report);
  const times = report.roofline && rooflineLines(report.roofline).byLayer;
  const weighty = report.layers.filter(isWeighty);
  const weight = (l: AuditLayer) => l.counted ?? l.parameters;
  const listed = new Set([...weighty].sort((a, b) => weight(b) - weight(a)).slice(0, limit));
  const shareOf = (l: AuditLayer) => countedShare(l, report);
  const largest = Math.max(0, ...weighty.map((l) => shareOf(l) ?? 0));
  const columns: Column[] = [
    { title: 'layer', align: 'left', shrink: 22, cut: 'start' },
    // kernel and stride stand at the end
    { title: 'kind', align: 'left', shrink: 13, cut: 'middle' },
    { title: 'output', align: 'right', drop: 5 },
    { title: units(report), align: 'right' },
    { title: 'share', align: 'right' },
    { title: '', align: 'left', paint: c.cyan, drop: 2 },
    { title: 'params', align: 'right' },
    { title: 'field', align: 'right', drop: 4 },
    ...(times ? [{ title: 'predicted', align: 'left' } as const] : []),
    { title: 'FLOP/B', align: 'right', drop: 1 },
    { title: 'live', align: 'right', drop: 3 },
  ];
  const lines = weighty
    .filter((l) => listed.has(l))
    .map((l) => [
      names(l),
      l.label,
      shape(l.outputShape),
      short(l.counted),
      percent(shareOf(l)),
      bar((shareOf(l) ?? 0) / (largest || 1), 8),
      l.sharedParameters > 0
        ? `${short(l.parameters)}+${short(l.sharedParameters)} shared`
        : short(l.parameters),
      field(l),
      ...(times ? [times.get(l.name) ?? ''] : []),
      ratio(l.intensity),
      bytes(l.liveBytes),
    ]);
  const hidden = weighty.filter((l) => !listed.has(l));
  const rest = hidden.reduce<number | null>((sum, l) => plus(sum, shareOf(l)), 0);
  const part = rest === null ? '' : ` with ${percent(rest)} of the ${units(report)}`;
  const lighter = weighty.some((l) => l.counted) ? 'lighter layer' : 'layer';
  const more = hidden.length > 0 ? `\n… and ${counted(hidden.length, lighter)}${part}` : '';
  const free = report.layers.length - weighty.length;
  if (lines.length === 0) return c.dim(`no node has ${units(report)} or parameters`);
  const others =
    free > 0
      ? `\n${counted(free, 'more node')} ${free === 1 ? 'has' : 'have'} neither ${units(report)} nor parameters`
      : '';
  return renderColumns(columns, lines, { width, paintHeader: c.dim }) + c.dim(more + others);
}

/** Null where a part is not known. */
const plus = (a: number | null, b: number | null): number | null => (a === null || b === null ? null : a + b);

function modulesBlock(report: AuditReport, c: Colours, width: number, depth: number): string {
  const columns: Column[] = [
    { title: 'module', align: 'left', shrink: 14, cut: 'start' },
    { title: 'nodes', align: 'right' },
    { title: units(report), align: 'right' },
    { title: 'share', align: 'right' },
    { title: '', align: 'left', paint: c.cyan, drop: 1 },
    { title: 'parameters', align: 'right' },
  ];
  const lines = modulesAtDepth(report, depth).map((m) => [
    m.module === '' ? '(no module)' : plain(m.module),
    String(m.layers),
    short(m.counted),
    percent(m.share),
    bar(m.share ?? 0, 20),
    grouped(m.parameters),
  ]);
  return renderColumns(columns, lines, { width, paintHeader: c.dim });
}

function notes(report: AuditReport, c: Colours, width: number): string {
  const lines = exampleNotes(report).map((note) => wrap(note, width));
  for (const d of report.diagnostics) lines.push(`${c.dim(d.kind)} ${plain(d.message)}`);
  const unknown = report.layers.some(({ receptiveField }) => receptiveField?.includes('unknown'));
  if (unknown) lines.push(c.dim('? = a field that depends on a size that was not given'));
  lines.push(
    c.dim(
      '1 MAC = 1 multiply-accumulate; field = input positions seen /stride; live = activation bytes while it runs',
    ),
  );
  return lines.join('\n');
}

/** A bar of eighths of a cell. */
export function bar(part: number, cells: number): string {
  const eighths = Math.round(Math.min(1, Math.max(0, part)) * cells * 8);
  return '█'.repeat(Math.floor(eighths / 8)) + ' ▏▎▍▌▋▊▉'.charAt(eighths % 8).trim();
}
