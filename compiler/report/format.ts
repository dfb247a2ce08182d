/** How reports write numbers, sizes and names that come from a model. */
import type { AuditField, AuditLayer, AuditReport } from '../audit/schema.ts';

/** Names from a model file, without control characters or invisible format characters. */
export const plain = (text: string): string => text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '�');

const NARROW_SPACE = ' ';
export const UNKNOWN = '–';

/** `300,774,272`. */
export const grouped = (n: number | null): string =>
  n === null ? UNKNOWN : String(n).replace(/\B(?=(\d{3})+$)/g, ',');

/** `1 call`, `3 calls`. */
export const counted = (n: number, noun: string): string => `${grouped(n)} ${noun}${n === 1 ? '' : 's'}`;

/** Three significant digits with an SI prefix: `301 M`, `3.49 M`, `864`. */
export function short(n: number | null): string {
  if (n === null) return UNKNOWN;
  if (n < 1000) return String(n);
  const prefixes = ['k', 'M', 'G', 'T', 'P'];
  // the exponent after rounding: 999,999 is 1.00 M
  const exponent = Number(n.toExponential(2).split('e')[1]);
  const step = Math.min(Math.floor(exponent / 3), prefixes.length);
  return `${significant(n / 1000 ** step)}${NARROW_SPACE}${prefixes[step - 1]}`;
}

/** `3.35 MiB`. */
export function bytes(n: number | null): string {
  if (n === null) return UNKNOWN;
  if (n < 1024) return `${n} B`;
  const units = ['KiB', 'MiB', 'GiB', 'TiB'];
  let step = 0;
  let size = n;
  while (Math.round(size) >= 1000 && step < units.length) {
    size /= 1024;
    step++;
  }
  return step === 0 ? `${n} B` : `${significant(size)} ${units[step - 1]}`;
}

/** `3.6 %`; what is there but rounds to nothing is `<0.1 %`. */
export function percent(part: number | null): string {
  if (part === null) return UNKNOWN;
  if (part === 0) return '0 %';
  return part < 0.0005 ? '<0.1 %' : `${(100 * part).toFixed(1)} %`;
}

export const shape = (sizes: readonly number[]): string => (sizes.length === 0 ? 'scalar' : sizes.join('×'));

export const ratio = (n: number | null): string => (n === null ? UNKNOWN : n === 0 ? '0' : significant(n));

function significant(n: number): string {
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(Number(n.toPrecision(3))))));
  return n.toFixed(Math.min(digits, 3));
}

/** Size and stride: `435 /32`, with one entry per axis where they differ; `global`; nothing for a layer without one. */
export function field(layer: Pick<AuditLayer, 'receptiveField' | 'localReceptiveField'>): string {
  const { receptiveField, localReceptiveField } = layer;
  if (receptiveField === null) return UNKNOWN;
  if (receptiveField !== 'global') return axes(receptiveField);
  return localReceptiveField ? `global (${axes(localReceptiveField)})` : 'global';
}

function axes(fields: readonly AuditField[]): string {
  const same = (texts: readonly string[]) => (new Set(texts).size === 1 ? (texts[0] ?? '') : texts.join('×'));
  const size = same(fields.map((f) => (f === 'global' ? 'all' : String(f.size))));
  const stride = same(fields.map((f) => (f === 'global' ? '–' : fraction(f.stride))));
  return stride === '1' ? size : `${size} /${stride}`;
}

/** Effective strides below 1 come from upsampling: `1/2`. */
function fraction(stride: number): string {
  if (Number.isInteger(stride)) return String(stride);
  const denominator = Array.from({ length: 64 }, (_, i) => i + 2).find((d) => Number.isInteger(stride * d));
  return denominator ? `${stride * denominator}/${denominator}` : stride.toFixed(3);
}

/** What a layer is called in a report: its module where that is unique, with the op where not. */
export function displayNames(report: AuditReport): ReadonlyMap<AuditLayer, string> {
  const times = new Map<string, number>();
  for (const { module } of report.layers) times.set(module, (times.get(module) ?? 0) + 1);
  return new Map(
    report.layers.map((layer) => {
      const last = layer.name.split('/').at(-1) ?? layer.name;
      const unique = layer.module !== '' && times.get(layer.module) === 1;
      return [
        layer,
        plain(unique ? layer.module : layer.module === '' ? layer.name : `${layer.module}/${last}`),
      ];
    }),
  );
}

/** Layers that hold arithmetic in MACs or parameters: those that a person looks for. */
export const isWeighty = (layer: AuditLayer): boolean =>
  layer.macs !== 0 || layer.parameters + layer.sharedParameters + layer.buffers > 0;
