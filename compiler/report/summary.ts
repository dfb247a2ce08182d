/** The lines that stand above every report for people. */
import { PRESET_NAMES, PRESETS } from '#passes/analysis/presets/index.ts';
import type { AuditReport } from '../audit/schema.ts';
import { bytes, displayNames, grouped, plain, ratio, shape, short } from './format.ts';

export interface SummaryLine {
  readonly label: string;
  /** Exact. */
  readonly value: string;
  /** Rounded, with a prefix. */
  readonly rounded: string;
  readonly note: string;
}

export const title = (report: AuditReport): string => plain(report.model);

/** `image f32 1×3×224×224 → logits f32 1×1000`; sizes that are not known stand by their symbols, or not at all. */
export function signature(report: AuditReport): string {
  const open = new Set(report.dims.filter((d) => d.source === 'example').map((d) => d.symbol));
  const inputs = report.inputs.map((input) => {
    const sizes = input.shape.map((size, axis) => {
      const symbol = input.symbols[axis];
      return symbol && open.has(symbol) ? symbol : String(size);
    });
    return `${input.name} ${input.dtype} ${sizes.length === 0 ? 'scalar' : sizes.join('×')}`;
  });
  const outputs = report.outputs.map(
    (output) => `${output.name} ${output.dtype}${open.size === 0 ? ` ${shape(output.shape)}` : ''}`,
  );
  return plain(`${inputs.join(', ')} → ${outputs.join(', ')}`);
}

/** What shapes say where sizes are missing, a line for each; none where all were given. */
export const exampleNotes = ({ dims }: AuditReport): readonly string[] =>
  dims
    .filter(({ source }) => source === 'example')
    .map(({ symbol, size }) => {
      const name = plain(symbol);
      return `${name} was not given: shapes are those at ${size}; give it with --dim ${name}=SIZE`;
    });

export interface CountLine {
  readonly preset: string;
  readonly chosen: boolean;
  readonly value: string;
  readonly rounded: string;
  readonly units: string;
}

/** What every preset counts. */
export const countLines = ({ totals, preset }: AuditReport): readonly CountLine[] =>
  PRESETS.map(({ name, unit }) => {
    const total = totals.presets[name];
    return {
      preset: name,
      chosen: name === preset.name,
      value: grouped(total),
      rounded: total === null || total < 1000 ? '' : short(total),
      units: `${unit}s`,
    };
  });

/** Is it counted as another tool would? */
export const isCountedOtherwise = ({ preset }: AuditReport): boolean => preset.name !== PRESET_NAMES[0];

export function summary(report: AuditReport): readonly SummaryLine[] {
  const { totals } = report;
  const batch = report.dims.find((d) => d.source === 'batch');
  const varies = totals.macs === null || totals.macsExpr !== String(totals.macs);
  const only = totals.macsExprOnly ? ` for ${totals.macsExprOnly}` : '';
  const expression = totals.macsExpr !== null && varies ? `= ${totals.macsExpr}${only}` : '';
  const moved =
    totals.bytesRead === null || totals.bytesWritten === null ? null : totals.bytesRead + totals.bytesWritten;
  const peak = report.layers.find((l) => l.name === totals.peakLayer);
  const line = (label: string, n: number | null, note = ''): SummaryLine => ({
    label,
    value: grouped(n),
    rounded: n === null || n < 1000 ? '' : short(n),
    note: plain(note),
  });
  const macsNote = [
    batch && varies ? `at ${batch.symbol} = ${batch.size}` : '',
    expression,
    totals.macsReason ?? '',
    totals.macsExprReason ?? '',
  ];
  return [
    line('MACs', totals.macs, macsNote.filter((s) => s !== '').join('; ')),
    line('FLOPs', totals.flops, '2 × MACs'),
    line('other operations', totals.otherOps, 'bias, norms, activations, pooling, elementwise'),
    line(
      'parameters',
      totals.parameters,
      bytes(totals.parameterBytes) +
        (totals.trainingParameters === null ? '; those of training are not in the file' : ''),
    ),
    ...(totals.buffers > 0 ? [line('buffers', totals.buffers, 'running statistics')] : []),
    {
      ...line('peak activations, bytes', totals.peakActivationBytes),
      rounded: totals.peakActivationBytes === null ? '' : bytes(totals.peakActivationBytes),
      note: peak ? `at ${displayNames(report).get(peak)}` : '',
    },
    {
      ...line('traffic, bytes', moved),
      rounded: moved === null ? '' : bytes(moved),
      note: totals.intensity === null ? '' : `${ratio(totals.intensity)} FLOP per byte`,
    },
  ];
}
