/** Two backends on the same inputs: where do their values begin to differ? */
import type { Tensor } from '#ir/tensor.ts';
import { formatShape, sameShape } from '#ir/types.ts';
import { type Difference, differenceOf } from '../check/difference.ts';
import { type Column, renderColumns } from '../report/columns.ts';
import { plain } from '../report/format.ts';
import type { Backend, BackendRunOptions } from './backends.ts';
import { number } from './describe.ts';
import type { Terminal } from './terminal.ts';

/** Largest difference allowed, relative to the largest magnitude of the value. */
export const TOLERANCE = 1e-4;

export interface ValueDifference extends Difference {
  readonly value: string;
  readonly op: string;
  readonly shape: readonly number[];
}

export interface Comparison {
  /** Values that both backends have, in order. */
  readonly values: readonly ValueDifference[];
  readonly outputs: readonly ValueDifference[];
}

export const tensorDifference = (want: Tensor, got: Tensor): Difference => differenceOf(want.data, got.data);

/** Runs both. With `perLayer` every value of the second is kept until the first has computed its own. */
export async function compareBackends(
  first: Backend,
  second: Backend,
  inputs: ReadonlyMap<string, Tensor>,
  options: Omit<BackendRunOptions, 'onValue'> & { readonly perLayer: boolean },
): Promise<Comparison> {
  const { perLayer, ...rest } = options;
  const theirs = new Map<string, Tensor>();
  const got = await second.run(inputs, {
    ...rest,
    ...(perLayer ? { onValue: ({ value, tensor }) => theirs.set(value, tensor) } : {}),
  });
  const values: ValueDifference[] = [];
  const want = await first.run(inputs, {
    ...rest,
    onValue: ({ value, op, tensor }) => {
      const other = theirs.get(value);
      theirs.delete(value);
      if (other && sameShape(other.type.shape, tensor.type.shape)) {
        values.push({ value, op, shape: tensor.type.shape, ...tensorDifference(tensor, other) });
      }
    },
  });
  const outputs = [...want].flatMap(([value, tensor]) => {
    const other = got.get(value);
    return other
      ? [{ value, op: 'output', shape: tensor.type.shape, ...tensorDifference(tensor, other) }]
      : [];
  });
  return { values, outputs };
}

const exceeds = (d: Difference): boolean => !(d.relative <= TOLERANCE);

/** The first value beyond the tolerance, in the order of the network. */
export const firstBeyond = ({ values, outputs }: Comparison): ValueDifference | undefined =>
  [...values, ...outputs].find(exceeds);

/** `differs by 0.012, 3.4e-3 of its largest magnitude (3.5)`. */
export const describeDifference = ({ difference, relative, largest }: Difference): string =>
  Number.isFinite(difference)
    ? `differs by ${number(difference)}, ${number(relative)} of its largest magnitude (${number(largest)})`
    : 'is not a number in one of them, and a number in the other';

/** For machines; an infinite difference is null. */
export const comparisonAsJson = (comparison: Comparison, backends: readonly [string, string]): string =>
  JSON.stringify(
    { backends, tolerance: TOLERANCE, firstBeyond: firstBeyond(comparison)?.value ?? null, ...comparison },
    null,
    2,
  );

export function renderComparison(
  { values, outputs }: Comparison,
  names: readonly [string, string],
  { colours: c, width }: Terminal,
): string {
  const columns: Column[] = [
    { title: 'value', align: 'left', shrink: 28, cut: 'start' },
    { title: 'op', align: 'left', shrink: 8 },
    { title: 'shape', align: 'right', drop: 2 },
    { title: 'largest', align: 'right', drop: 1 },
    { title: 'difference', align: 'right' },
    { title: 'relative', align: 'right' },
    { title: '', align: 'left', paint: (text) => (text.trim() === '' ? text : c.red(text)) },
  ];
  const row = (d: ValueDifference) => [
    plain(d.value),
    d.op,
    formatShape(d.shape),
    number(d.largest),
    number(d.difference),
    number(d.relative),
    exceeds(d) ? '✗ beyond 1e-4' : '',
  ];
  const rows = [...values, ...outputs].map(row);
  const table = renderColumns(columns, rows, { width, paintHeader: c.dim });
  const worst = Math.max(0, ...outputs.map((d) => d.relative));
  const disagree = exceeds({ largest: 0, difference: 0, relative: worst });
  const verdict = disagree
    ? c.red(`${names.join(' and ')} disagree`)
    : c.green(`${names.join(' and ')} agree`);
  return `${table}\n\n${verdict}: outputs differ by ${disagree ? 'up to' : 'at most'} ${number(worst)} of their largest magnitude (tolerance 1e-4)`;
}
