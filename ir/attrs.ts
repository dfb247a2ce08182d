import { type DType, isDType } from './types.ts';

/** What an attribute may hold in a graph. Tensors are never attributes: constants are values. */
export type AttrValue = number | string | boolean | readonly number[];

/** One attribute: its TypeScript type `T`, how a value is recognised, and its default where it has one. */
export interface AttrSpec<T extends AttrValue = AttrValue> {
  readonly kind: string;
  readonly fallback?: T;
  /** The value where it fits this attribute, else undefined. */
  accept(value: unknown): T | undefined;
}

export type AttrSchema = { readonly [name: string]: AttrSpec };
export type AttrsOf<S extends AttrSchema> = {
  readonly [K in keyof S]: S[K] extends AttrSpec<infer T> ? T : never;
};
/** What a caller writes: attributes with a default may be left out. */
export type AttrsInput<S extends AttrSchema> = {
  readonly [K in keyof S as S[K] extends { readonly fallback: AttrValue } ? never : K]: AttrsOf<S>[K];
} & { readonly [K in keyof S as S[K] extends { readonly fallback: AttrValue } ? K : never]?: AttrsOf<S>[K] };

type Defaulted<T extends AttrValue> = AttrSpec<T> & { readonly fallback: T };

function spec<T extends AttrValue>(kind: string, accept: (value: unknown) => T | undefined) {
  function make(): AttrSpec<T>;
  function make(fallback: T): Defaulted<T>;
  function make(fallback?: T): AttrSpec<T> {
    return fallback === undefined ? { kind, accept } : { kind, accept, fallback };
  }
  return make;
}

const isInt = (v: unknown): v is number => typeof v === 'number' && Number.isInteger(v);
const isNumber = (v: unknown): v is number => typeof v === 'number';

/** Constructors of attribute specifications: `attr.int(1)` is an integer whose default is 1. */
export const attr = {
  int: spec<number>('int', (v) => (isInt(v) ? v : undefined)),
  float: spec<number>('float', (v) => (isNumber(v) ? v : undefined)),
  bool: spec<boolean>('bool', (v) => (typeof v === 'boolean' ? v : undefined)),
  string: spec<string>('string', (v) => (typeof v === 'string' ? v : undefined)),
  ints: spec<readonly number[]>('ints', (v) => (Array.isArray(v) && v.every(isInt) ? v : undefined)),
  floats: spec<readonly number[]>('floats', (v) => (Array.isArray(v) && v.every(isNumber) ? v : undefined)),
  dtype: spec<DType>('dtype', (v) => (typeof v === 'string' && isDType(v) ? v : undefined)),
  /** One of the listed words; the first is the default. */
  word: <const W extends string>(...words: readonly [W, ...W[]]): Defaulted<W> => ({
    kind: words.join('|'),
    fallback: words[0],
    accept: (v) => words.find((w) => w === v),
  }),
};

/** Completes `given` with defaults. @throws RangeError naming the attribute that is missing, unknown or ill-typed. */
export function resolveAttrs<S extends AttrSchema>(
  schema: S,
  given: Readonly<Record<string, unknown>>,
): AttrsOf<S> {
  const result: Record<string, AttrValue> = {};
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(schema, name)) throw new RangeError(`unknown attribute "${name}"`);
  }
  for (const name of Object.keys(schema)) {
    const entry = schema[name] as AttrSpec;
    const value = given[name] === undefined ? entry.fallback : entry.accept(given[name]);
    if (value === undefined) throw new RangeError(`attribute "${name}" must be ${entry.kind}`);
    result[name] = value;
  }
  return result as AttrsOf<S>;
}

export const sameAttr = (a: AttrValue | undefined, b: AttrValue | undefined): boolean =>
  Array.isArray(a) && Array.isArray(b)
    ? a.length === b.length && a.every((x, i) => Object.is(x, b[i]))
    : Object.is(a, b);
