/** Budgets: limits on totals of a report, as `macs<=300M,params<=5M,peak<=8MiB`. */
import { fail } from '#ir/diagnostics.ts';
import { didYouMean } from '../suggest.ts';
import { BUDGET_NAMES, BUDGET_QUANTITIES, type BudgetQuantity } from './budget-quantities.ts';
import type { AuditReport } from './schema.ts';

export type BudgetRelation = '<=' | '<' | '>=' | '>' | '==';

export interface BudgetTerm {
  /** As it was written. */
  readonly text: string;
  readonly quantity: BudgetQuantity;
  readonly relation: BudgetRelation;
  readonly limit: number;
  /** The limit is a part of what another model has: `macs<=+5%` is 1.05 of it. */
  readonly relative: boolean;
}

export interface BudgetResult {
  readonly text: string;
  readonly quantity: BudgetQuantity;
  readonly actual: number | null;
  /** Null where the total that it is relative to is not known. */
  readonly limit: number | null;
  readonly met: boolean;
  /** Why a total is not known. */
  readonly reason?: string | undefined;
}

type Totals = AuditReport['totals'];

/** As much of a report as limits are about. */
export interface Measured extends Pick<AuditReport, 'footprint' | 'roofline'> {
  readonly totals: Pick<
    Totals,
    | 'macs'
    | 'macsReason'
    | 'flops'
    | 'otherOps'
    | 'parameters'
    | 'buffers'
    | 'parameterBytes'
    | 'peakActivationBytes'
    | 'bytesRead'
    | 'bytesWritten'
  >;
  readonly layers: { readonly length: number };
}

type Total = (report: Measured) => number | null;

const bytesMoved: Total = ({ totals: { bytesRead, bytesWritten } }) =>
  bytesRead === null || bytesWritten === null ? null : bytesRead + bytesWritten;

const TOTALS: Readonly<Record<BudgetQuantity, Total>> = {
  macs: ({ totals }) => totals.macs,
  flops: ({ totals }) => totals.flops,
  otherOps: ({ totals }) => totals.otherOps,
  params: ({ totals }) => totals.parameters,
  buffers: ({ totals }) => totals.buffers,
  weights: ({ totals }) => totals.parameterBytes,
  peak: ({ totals }) => totals.peakActivationBytes,
  traffic: bytesMoved,
  read: ({ totals }) => totals.bytesRead,
  written: ({ totals }) => totals.bytesWritten,
  layers: ({ layers }) => layers.length,
  memory: ({ footprint }) => footprint?.memoryBytes ?? null,
  code: ({ footprint }) => (footprint?.code ? footprint.code.wasmBytes + footprint.code.loaderBytes : null),
  // what is not predicted may be most of it
  time: ({ roofline }) => (roofline && !roofline.elsewhere ? roofline.totalUs : null),
};

/** A total of a report; null where it is not known, or was not asked for. */
export const totalOf = (quantity: BudgetQuantity, report: Measured): number | null =>
  TOTALS[quantity](report);

const isQuantity = (name: string): name is BudgetQuantity => Object.hasOwn(BUDGET_QUANTITIES, name);

const TERM = /^\s*([A-Za-z]+)\s*(<=|>=|==|<|>)\s*(.*?)\s*$/;
const AMOUNT = /^([+-]?)(\d+(?:\.\d+)?|\.\d+)\s*(%|[kKMGT]i?B?|B|us|µs|ms|s)?$/;
const EXAMPLE = 'write limits like macs<=300M,params<=5M,peak<=8MiB';

/**
 * @param relative limits may be parts of what another model has
 * @throws CompileError `usage-invalid` with the term that is wrong
 */
export function parseBudget(
  text: string,
  { relative = false }: { readonly relative?: boolean } = {},
): readonly BudgetTerm[] {
  return text.split(',').map((term) => parseTerm(term, relative));
}

function parseTerm(text: string, allowed: boolean): BudgetTerm {
  const place = `--budget ${text.trim()}`;
  const [, name = '', relation = '', amount = ''] = TERM.exec(text) ?? [];
  if (name === '') return fail('usage-invalid', place, 'this is no limit', EXAMPLE);
  if (!isQuantity(name)) {
    const names = `there are ${BUDGET_NAMES.join(', ')}`;
    return fail('usage-invalid', place, `"${name}" is no total`, didYouMean(name, BUDGET_NAMES) ?? names);
  }
  const [whole, sign = '', digits = '', suffix = ''] = AMOUNT.exec(amount) ?? [];
  if (whole === undefined) return fail('usage-invalid', place, `"${amount}" is no amount`, EXAMPLE);
  const term = { text: text.trim(), quantity: name, relation: relation as BudgetRelation };
  if (suffix === '%') {
    if (!allowed) {
      const hint = 'give a number here, or compare two models with convolith diff';
      return fail('usage-invalid', place, 'a percentage is of another model, and there is one alone', hint);
    }
    const part = Number(digits) / 100;
    const limit = sign === '+' ? 1 + part : sign === '-' ? 1 - part : part;
    return { ...term, limit, relative: true };
  }
  if (sign !== '') return fail('usage-invalid', place, `${sign} stands before percentages only`, EXAMPLE);
  const factor = factorOf(suffix, BUDGET_QUANTITIES[name].unit);
  if (factor === undefined) {
    const { unit } = BUDGET_QUANTITIES[name];
    const hint = unit === 'µs' ? 'write a time, like time<=20ms' : EXAMPLE;
    return fail('usage-invalid', place, `"${suffix}" does not go with ${unit}`, hint);
  }
  return { ...term, limit: Number(digits) * factor, relative: false };
}

const TIMES: Readonly<Record<string, number>> = { us: 1, µs: 1, ms: 1e3, s: 1e6 };
const POWERS = ['', 'k', 'M', 'G', 'T'];

/** What a suffix multiplies by; undefined where it does not go with a unit. */
function factorOf(suffix: string, unit: string): number | undefined {
  if (unit === 'µs') return suffix === '' ? 1 : TIMES[suffix];
  if (Object.hasOwn(TIMES, suffix)) return undefined;
  const bytes = suffix.endsWith('B');
  if (bytes && unit !== 'bytes') return undefined;
  const prefix = bytes ? suffix.slice(0, -1) : suffix;
  const binary = prefix.endsWith('i');
  const letter = (binary ? prefix.slice(0, -1) : prefix).replace('K', 'k');
  const power = POWERS.indexOf(letter);
  return power < 0 ? undefined : (binary ? 1024 : 1000) ** power;
}

const HOLDS: Readonly<Record<BudgetRelation, (actual: number, limit: number) => boolean>> = {
  '<=': (a, b) => a <= b,
  '<': (a, b) => a < b,
  '>=': (a, b) => a >= b,
  '>': (a, b) => a > b,
  '==': (a, b) => a === b,
};

/** A total that is not known meets no budget. */
export function checkBudget(
  terms: readonly BudgetTerm[],
  report: Measured,
  base?: Measured,
): readonly BudgetResult[] {
  return terms.map(({ text, quantity, relation, limit, relative }): BudgetResult => {
    const actual = totalOf(quantity, report);
    const whole = relative ? (base ? totalOf(quantity, base) : null) : 1;
    const bound = whole === null ? null : limit * whole;
    if (actual === null || bound === null) {
      const reason = unknown(quantity, actual === null ? report : (base ?? report));
      return { text, quantity, actual, limit: bound, met: false, reason };
    }
    return { text, quantity, actual, limit: bound, met: HOLDS[relation](actual, bound) };
  });
}

function unknown(quantity: BudgetQuantity, { totals }: Measured): string {
  const entry: { readonly unit: string; readonly needs?: string } = BUDGET_QUANTITIES[quantity];
  return entry.needs ? `it needs ${entry.needs}` : (totals.macsReason ?? 'it is not known');
}
