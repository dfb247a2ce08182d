/** How reports write numbers, sizes and names that come from a model. */
import { fraction, significant, UNKNOWN } from '#passes/analysis/figures.ts';

export { bytes, counted, grouped, percent, short, UNKNOWN } from '#passes/analysis/figures.ts';

import type { AuditField, AuditLayer, AuditReport } from '../audit/schema.ts';

/** Names from a model file, without control characters or invisible format characters. */
export const plain = (text: string): string => text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '�');

export const shape = (sizes: readonly number[]): string => (sizes.length === 0 ? 'scalar' : sizes.join('×'));

export const ratio = (n: number | null): string => (n === null ? UNKNOWN : n === 0 ? '0' : significant(n));

/** Size and stride: `435 /32`, with one entry per axis where they differ; `global`; nothing for a layer without one. */
export function field(layer: Pick<AuditLayer, 'receptiveField' | 'localReceptiveField'>): string {
  const { receptiveField, localReceptiveField } = layer;
  if (receptiveField === null) return UNKNOWN;
  if (receptiveField !== 'global') return axes(receptiveField);
  return localReceptiveField ? `global (${axes(localReceptiveField)})` : 'global';
}

/** Does the axis have a field that moves along it, and that is known? */
export const isMoving = (f: AuditField): f is MovingAuditField => typeof f !== 'string';
export type MovingAuditField = Exclude<AuditField, string>;

function axes(fields: readonly AuditField[]): string {
  const same = (texts: readonly string[]) => (new Set(texts).size === 1 ? (texts[0] ?? '') : texts.join('×'));
  const size = same(fields.map((f) => (isMoving(f) ? String(f.size) : f === 'global' ? 'all' : '?')));
  const stride = same(fields.map((f) => (isMoving(f) ? fraction(f.stride) : UNKNOWN)));
  // a fraction would read as two divisions
  return stride === '1' ? size : stride.includes('/') ? `${size}, stride ${stride}` : `${size} /${stride}`;
}

/** What the layers of a report are called: by their module where that is unique, with the op where not. */
export function displayNames({ layers }: Pick<AuditReport, 'layers'>): (layer: AuditLayer) => string {
  const times = new Map<string, number>();
  for (const { module } of layers) times.set(module, (times.get(module) ?? 0) + 1);
  return ({ name, module }) => {
    if (module === '') return plain(name);
    const op = name.split('/').at(-1) ?? name;
    return plain(times.get(module) === 1 ? module : `${module}/${op}`);
  };
}

/** `MACs`: what `counted` is in. */
export const units = ({ preset }: AuditReport): string => `${preset.unit}s`;

/** Part of what the preset counts. */
export const countedShare = (layer: AuditLayer, { totals }: AuditReport): number | null => {
  if (layer.counted === 0) return 0;
  return layer.counted === null || totals.counted === null ? null : layer.counted / totals.counted;
};

/** Layers that hold arithmetic that counts, or parameters: those that a person looks for. */
export const isWeighty = (layer: AuditLayer): boolean =>
  layer.macs !== 0 || layer.counted !== 0 || layer.parameters + layer.sharedParameters + layer.buffers > 0;
