/** What a compiled model takes, as lines of a table. */
import type { AuditFootprint, AuditReport } from '../audit/schema.ts';
import { bytes, displayNames, grouped, percent, plain } from './format.ts';
import type { SummaryLine } from './summary.ts';

export function footprintLines(report: AuditReport, footprint: AuditFootprint): readonly SummaryLine[] {
  const { activationBytes, activationLowerBoundBytes, peakLayer, weightBytes, memoryBytes, code } = footprint;
  const line = (label: string, value: number, note: string): SummaryLine => ({
    label,
    value: grouped(value),
    rounded: bytes(value),
    note: plain(note),
  });
  const peak = report.layers.find((layer) => layer.name === peakLayer);
  const above = activationBytes / Math.max(1, activationLowerBoundBytes) - 1;
  const plan =
    above === 0
      ? 'no plan needs less'
      : `${percent(above)} above ${bytes(activationLowerBoundBytes)}, the bound`;
  return [
    line(
      'activations',
      activationBytes,
      `${plan}; most at ${peak ? displayNames(report).get(peak) : peakLayer}`,
    ),
    line('weights', weightBytes, 'packed, as they lie in memory'),
    line('memory', memoryBytes, 'of the instance, fixed'),
    ...(code
      ? [
          line('model.wasm', code.wasmBytes, `${code.kernels} kernels`),
          line('loader', code.loaderBytes, 'index.js without names and hashes of this network'),
        ]
      : []),
  ];
}
