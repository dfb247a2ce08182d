import type { AuditLayer, AuditReport } from '../audit/schema.ts';
import { isMoving, type MovingAuditField, plain, shape } from './format.ts';

type Cell = string | number | null;

/** Columns of the CSV, one row per node of the graph; empty where a figure is not known. */
const COLUMNS: readonly (readonly [title: string, of: (layer: AuditLayer) => Cell])[] = [
  ['name', (l) => l.name],
  ['module', (l) => l.module],
  ['op', (l) => l.op],
  ['kind', (l) => l.kind],
  ['output_shape', (l) => shape(l.outputShape)],
  ['macs', (l) => l.macs],
  ['macs_share', (l) => l.macsShare],
  ['counted', (l) => l.counted],
  ['flops', (l) => l.flops],
  ['other_ops', (l) => l.otherOps],
  ['parameters', (l) => l.parameters],
  ['shared_parameters', (l) => l.sharedParameters],
  ['buffers', (l) => l.buffers],
  ['parameter_bytes', (l) => l.parameterBytes],
  ['bytes_read', (l) => l.bytesRead],
  ['bytes_written', (l) => l.bytesWritten],
  ['flop_per_byte', (l) => l.intensity],
  ['live_bytes', (l) => l.liveBytes],
  ['field_size', (l) => perAxis(l, (f) => f.size)],
  ['field_stride', (l) => perAxis(l, (f) => f.stride)],
  ['field_padding', (l) => perAxis(l, (f) => f.padding)],
];

/** One row per layer. */
export function renderCsv(report: AuditReport): string {
  const rows = report.layers.map((layer) => COLUMNS.map(([, of]) => of(layer)));
  return csvLines([COLUMNS.map(([title]) => title), ...rows]);
}

/** RFC 4180. */
export const csvLines = (rows: readonly (readonly Cell[])[]): string =>
  rows.map((row) => `${row.map(cell).join(',')}\r\n`).join('');

function perAxis(layer: AuditLayer, of: (field: MovingAuditField) => number | null): Cell {
  if (layer.receptiveField === null || layer.receptiveField === 'global') return layer.receptiveField;
  return layer.receptiveField.map((f) => (isMoving(f) ? (of(f) ?? 'unknown') : f)).join('×');
}

/** Quoted where needed, without control characters. Text that a spreadsheet would take for a formula gets an apostrophe: names are not trusted. */
function cell(value: Cell): string {
  if (typeof value !== 'string') return value === null ? '' : String(value);
  const text = plain(value);
  const safe = /^[=+\-@]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
