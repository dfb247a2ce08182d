/** What to write instead: hints that are computed from what is expected and what is there. */
import type { z } from 'zod';
import { didYouMean } from '../../suggest.ts';

/** As it stands in a description: `{ "conv": { "channels": 8 } }`. */
export function written(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(written).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const entries = Object.entries(value).map(([key, v]) => `${JSON.stringify(key)}: ${written(v)}`);
  return entries.length === 0 ? '{}' : `{ ${entries.join(', ')} }`;
}

/** `a, b or c`. */
export const either = (list: readonly string[]): string =>
  list.length < 2 ? (list[0] ?? '') : `${list.slice(0, -1).join(', ')} or ${list.at(-1)}`;

/** Names that a mistyped one may have meant, or those that there are; `none` where there are none. */
export const nearOrAll = (given: string, known: readonly string[], none: string): string =>
  didYouMean(given, known) ??
  (known.length > 0 ? `there ${known.length === 1 ? 'is' : 'are'} ${known.join(', ')}` : none);

/** `wanted`, or with a number after it, so that it is none of `taken`. */
export function freeName(wanted: string, taken: (name: string) => boolean): string {
  let name = wanted;
  for (let i = 2; taken(name); i++) name = `${wanted}${i}`;
  return name;
}

/** Numbers that divide all of `counts`, smallest first; with `power`, those whose power does. */
export function divisorsOf(counts: readonly number[], power: (d: number) => number = (d) => d): string {
  const all = Array.from({ length: Math.min(...counts, 4096) }, (_, i) => i + 1).filter((d) =>
    counts.every((count) => count % power(d) === 0),
  );
  return all.length > 10 ? `${all.slice(0, 10).join(', ')} …` : all.join(', ');
}

/** The multiples of `step` on both sides of `count`. */
export const multiplesAround = (step: number, count: number): string => {
  const below = Math.floor(count / step) * step;
  return [...(below > 0 ? [below] : []), below + step].join(' or ');
};

/** A value that fits the schema: the first of its examples, or the plainest of its type. */
export function exampleOf(schema: z.ZodType): unknown {
  const examples = schema.meta()?.examples;
  if (Array.isArray(examples) && examples.length > 0) return examples[0];
  const own = schema.def as {
    type: string;
    innerType?: z.ZodType;
    options?: readonly z.ZodType[];
    element?: z.ZodType;
    items?: readonly z.ZodType[];
    shape?: Readonly<Record<string, z.ZodType>>;
    entries?: Readonly<Record<string, string>>;
  };
  if (own.innerType) return exampleOf(own.innerType);
  if (own.options?.[0]) return exampleOf(own.options[0]);
  if (own.element) return [exampleOf(own.element)];
  if (own.items) return own.items.map(exampleOf);
  if (own.entries) return Object.values(own.entries)[0];
  if (own.shape) {
    const needed = Object.entries(own.shape).filter(([, s]) => !s.safeParse(undefined).success);
    return Object.fromEntries(needed.map(([key, s]) => [key, exampleOf(s)]));
  }
  if (own.type === 'number') return Math.max(1, rangeOf(schema)?.min ?? 1);
  if (own.type === 'boolean') return true;
  return own.type === 'record' ? {} : 'text';
}

/** What to write where a value does not fit its schema. */
export function expectedHint(
  schema: z.ZodType,
  found: unknown,
  /** The option, where it is one, and whether expressions of parameters may stand there. */
  { key, expressions }: { readonly key: string | undefined; readonly expressions: boolean },
): string {
  const assign = (value: unknown) => (key === undefined ? '' : `${JSON.stringify(key)}: `) + written(value);
  if (found === undefined) return `add ${assign(exampleOf(schema))}`;
  const choices = optionsOf(schema);
  if (typeof found === 'number') {
    const range = choices.map(rangeOf).find((r) => r !== undefined);
    if (range?.above !== undefined && found <= range.above)
      return `write a number greater than ${range.above}`;
    if (range?.below !== undefined && found >= range.below) return `write a number less than ${range.below}`;
    if (range && found < range.min) return `the smallest is ${range.min}`;
    if (range && found > range.max) return `the largest is ${range.max}`;
    if (range?.whole && Number.isFinite(found) && !Number.isInteger(found)) {
      const below = Math.floor(found);
      const near = either([...(below < range.min ? [] : [String(below)]), String(below + 1)]);
      return `write ${near}${expressions ? '; in an expression "//" divides and rounds down' : ''}`;
    }
  }
  if (typeof found === 'string') {
    const words = choices.flatMap((s) => Object.keys((s.def as { entries?: object }).entries ?? {}));
    const near = didYouMean(found, words);
    if (near !== undefined) return near;
    const bare = unquoted(found);
    if (bare !== undefined && schema.safeParse(bare).success)
      return `write it without quotes: ${assign(bare)}`;
    const told = schema.meta()?.description?.includes('"') ?? false;
    if (words.length > 0 && !told) return `there are ${words.join(', ')}`;
  }
  const examples = schema.meta()?.examples;
  const several = Array.isArray(examples) && examples.length > 0 ? examples.slice(0, 2) : [exampleOf(schema)];
  return `for example ${several.map(assign).join(' or ')}`;
}

/** The branches of a union, unions within it opened. */
function optionsOf(schema: z.ZodType): readonly z.ZodType[] {
  const { options } = schema.def as { options?: readonly z.ZodType[] };
  return options ? options.flatMap(optionsOf) : [schema];
}

function rangeOf(schema: z.ZodType) {
  if (schema.def.type !== 'number') return undefined;
  const { minValue, maxValue, format } = schema as z.ZodNumber;
  const [above, below] = ['greater_than', 'less_than'].map(
    (check) =>
      (schema.def.checks ?? [])
        .map((c) => c._zod.def as { check: string; inclusive?: boolean; value?: number })
        .find((c) => c.check === check && !c.inclusive)?.value,
  );
  return { min: minValue ?? -Infinity, max: maxValue ?? Infinity, above, below, whole: format !== null };
}

/** The number or truth value that a text is. */
function unquoted(text: string): unknown {
  if (text === 'true' || text === 'false') return text === 'true';
  return text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : undefined;
}
