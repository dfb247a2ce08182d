/** Values of options: from the text of the command line to what the library takes. */
import { fail } from '#ir/diagnostics.ts';

export interface DimensionOptions {
  readonly dims: Readonly<Record<string, number>>;
  readonly shapes: Readonly<Record<string, readonly number[]>>;
}

/** What the options --dim and --shape collect. */
export interface DimensionTexts {
  readonly dim?: readonly string[];
  readonly shape?: readonly string[];
}

/** For an option that may be given more than once. */
export const collect = (value: string, before: readonly string[] = []): readonly string[] => [
  ...before,
  value,
];

/** One set of sizes. @throws CompileError `usage-invalid`, also where a name is given twice */
export function dimensionOptions(texts: DimensionTexts): DimensionOptions {
  const [first, ...more] = specialisationOptions(texts);
  if (more.length === 0) return first;
  refuseRepeated(texts.shape ?? [], '--shape', ONLY_COMPILE);
  refuseRepeated(texts.dim ?? [], '--dim', ONLY_COMPILE);
  return first;
}

const ONLY_COMPILE = 'only compile takes several sizes';

/** Whether a dimension is given as a range, `NAME=FIRST:LAST:STEP`; names may have colons. */
export const isRange = (text: string): boolean => text.slice(text.lastIndexOf('=') + 1).includes(':');

/** @throws CompileError `usage-invalid` where a name is given twice */
export function refuseRepeated(texts: readonly string[], option: '--dim' | '--shape', hint: string): void {
  const name = repeated(texts);
  if (name !== undefined) fail('usage-invalid', `${option} ${name}`, 'this is given twice', hint);
}

/**
 * @param what is asked for, to which other options say nothing
 * @throws CompileError `usage-invalid` for an option that would be without effect
 */
export function refuseOthers(options: object, taken: readonly string[], what: string, hint: string): void {
  const other = Object.keys(options).find((key) => !taken.includes(key));
  if (other === undefined) return;
  const name = `--${other.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  fail('usage-invalid', name, `it says nothing about ${what}`, `leave out ${name}, or ${hint}`);
}

const repeated = (texts: readonly string[]): string | undefined => {
  const names = texts.map((text) => text.slice(0, text.lastIndexOf('=')));
  return names.find((name, i) => names.indexOf(name) < i);
};

/**
 * The sets of sizes that repeated options give: the k-th time that a name is given is for the k-th set, and what is given
 * once is for all. @throws CompileError `usage-invalid`, also where names are given more than once, but not equally often
 */
export function specialisationOptions({
  dim = [],
  shape = [],
}: DimensionTexts): readonly [DimensionOptions, ...DimensionOptions[]] {
  const dims = byName(dim.map(dimension));
  const shapes = byName(shape.map(wholeShape));
  const lists = [
    ...[...dims].map(([name, list]) => [`--dim ${name}`, list.length] as const),
    ...[...shapes].map(([name, list]) => [`--shape ${name}`, list.length] as const),
  ];
  const count = Math.max(1, ...lists.map(([, length]) => length));
  for (const [option, length] of lists) {
    if (length === 1 || length === count) continue;
    const other = lists.find((list) => list[1] === count)?.[0];
    fail('usage-invalid', option, `this is given ${length} times, and ${other} ${count} times`, REPEATED);
  }
  const nth = <T>(map: ReadonlyMap<string, readonly T[]>, k: number) =>
    Object.fromEntries([...map].map(([name, list]) => [name, (list[k] ?? list[0]) as T]));
  const set = (k: number): DimensionOptions => ({ dims: nth(dims, k), shapes: nth(shapes, k) });
  return [set(0), ...Array.from({ length: count - 1 }, (_, k) => set(k + 1))];
}

const REPEATED = 'give each size once, for all specialisations, or once for each of them';

function byName<T>(entries: readonly (readonly [string, T])[]): Map<string, T[]> {
  const lists = new Map<string, T[]>();
  for (const [name, value] of entries) lists.set(name, [...(lists.get(name) ?? []), value]);
  return lists;
}

function dimension(text: string): [string, number] {
  const [name, value] = assignment(text, '--dim', 'batch=1');
  if (!/^\d+$/.test(value)) {
    const hint = `write a whole number, as --dim ${name}=1`;
    fail('usage-invalid', `--dim ${text}`, `"${value}" is not a size`, hint);
  }
  return [name, Number(value)];
}

function wholeShape(text: string): [string, readonly number[]] {
  const [name, value] = assignment(text, '--shape', 'image=1x3x224x224');
  const sizes = value.split(/[x×,]/i);
  if (!sizes.every((s) => /^\d+$/.test(s)))
    fail('usage-invalid', `--shape ${text}`, `"${value}" is not a shape`, 'write it like 1x3x224x224');
  return [name, sizes.map(Number)];
}

/** Splits `NAME=VALUE` at the last equals sign. @throws CompileError `usage-invalid` */
export function assignment(text: string, option: string, example: string): [name: string, value: string] {
  const at = text.lastIndexOf('=');
  if (at <= 0 || at === text.length - 1) {
    fail('usage-invalid', `${option} ${text}`, 'NAME=VALUE is expected', `for example ${option} ${example}`);
  }
  return [text.slice(0, at), text.slice(at + 1)];
}

/** @throws CompileError `usage-invalid` */
export function wholeNumber(text: string, option: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value)) return value;
  return fail('usage-invalid', `${option} ${text}`, 'a whole number is expected', wholeHint(value, option));
}

function wholeHint(value: number, option: string): string {
  if (value > Number.MAX_SAFE_INTEGER) return `the largest is ${Number.MAX_SAFE_INTEGER}`;
  if (!(value > 0)) return `for example ${option} 4`;
  const near = [...new Set([Math.floor(value), Math.ceil(value)])].filter((n) => n > 0);
  return `write ${near.map((n) => `${option} ${n}`).join(' or ')}`;
}
