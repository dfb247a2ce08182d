/** The lines that stand above every report for people. */
import { PRESET_NAMES, PRESETS } from '#passes/analysis/presets/index.ts';
import type { AuditMemory, AuditReport } from '../audit/schema.ts';
import { bytes, displayNames, grouped, percent, plain, ratio, shape, short } from './format.ts';
import { formula, openSizes, sizesText } from './formula.ts';

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

/** What figures say where sizes are missing, a line for each; none where all were given. */
export const exampleNotes = (report: AuditReport): readonly string[] =>
  openSizes(report)
    .filter(({ example }) => example)
    .map(({ letter, symbol, size }) => {
      const name = plain(symbol);
      const short = letter === symbol ? '' : ` (${letter})`;
      return `${name}${short} was not given: shapes and figures that depend on it are those at ${size}, an example; give it with --dim ${name}=SIZE`;
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

/** How the plan of activations compares with the bound, and what sharing memory saves. */
export function memoryNote({
  planBytes,
  lowerBoundBytes,
  inPlaceSavedBytes,
  concatSlicesSavedBytes,
}: AuditMemory): string {
  const above = planBytes / Math.max(1, lowerBoundBytes) - 1;
  return [
    above === 0
      ? 'no plan needs less, and the peak is no more'
      : `no plan needs less; the peak is ${percent(above)} more`,
    inPlaceSavedBytes > 0 ? `results written over operands save ${bytes(inPlaceSavedBytes)} of the peak` : '',
    concatSlicesSavedBytes > 0
      ? `operands of a Concat written into its result would save ${bytes(concatSlicesSavedBytes)}`
      : '',
  ]
    .filter((part) => part !== '')
    .join('; ');
}

export function summary(report: AuditReport): readonly SummaryLine[] {
  const { totals } = report;
  const sizes = openSizes(report);
  const varies = totals.macs === null || totals.macsExpr !== String(totals.macs) || totals.macsExprOnly;
  const only = totals.macsExprOnly ? ` for ${totals.macsExprOnly}` : '';
  const expression = varies ? formula(totals, sizes) : undefined;
  const example = sizes.some((size) => size.example) ? 'at the example size' : '';
  const noted = (...notes: readonly string[]) => notes.filter((s) => s !== '').join('; ');
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
    expression === undefined ? '' : `${expression}${only}`,
    varies && sizes.length > 0 ? `at ${sizesText(sizes)}` : '',
    totals.macsReason ?? '',
    totals.macsExprReason ?? '',
  ];
  return [
    line('MACs', totals.macs, noted(...macsNote)),
    line('FLOPs', totals.flops, noted('2 × MACs', varies ? example : '')),
    line(
      'other operations',
      totals.otherOps,
      noted('bias, norms, activations, pooling, elementwise', example),
    ),
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
      note: noted(peak ? `at ${displayNames(report)(peak)}` : '', example),
    },
    ...(report.memory
      ? [
          {
            ...line('largest live set, bytes', report.memory.lowerBoundBytes),
            rounded: bytes(report.memory.lowerBoundBytes),
            note: memoryNote(report.memory),
          },
        ]
      : []),
    {
      ...line('traffic, bytes', moved),
      rounded: moved === null ? '' : bytes(moved),
      note: noted(totals.intensity === null ? '' : `${ratio(totals.intensity)} FLOP per byte`, example),
    },
  ];
}
