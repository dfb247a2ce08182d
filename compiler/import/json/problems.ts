/** What is wrong with a description, each at its path, with what to do. */
import type { z } from 'zod';
import { CompileError, type Diagnostic, type DiagnosticCode, diagnostic } from '#ir/diagnostics.ts';
import { didYouMean } from '../../suggest.ts';
import { printable } from '../onnx/text.ts';
import { calledHere } from './called-here.ts';
import { expectedHint, freeName } from './hints.ts';

export type Path = string;

/** `layers[4].conv`, and `a["b c"]` where a key is no word. */
export const at = (path: Path, key: string | number): Path => {
  if (typeof key === 'number') return `${path}[${key}]`;
  const step = /^[$A-Za-z_][\w$-]*$/.test(key) ? `.${key}` : `[${JSON.stringify(printable(key))}]`;
  return path === '' && step.startsWith('.') ? key : path + step;
};

/** More are counted, not kept. */
const MOST = 200;

export interface ReportOptions {
  /** What to write so that the problem is gone. */
  readonly hint: string;
  readonly code?: DiagnosticCode;
  /** From where a block is entered, where the path is inside one. */
  readonly used?: Path | undefined;
}

export interface CheckOptions {
  readonly used?: Path | undefined;
  /** What to do where the place knows better than the type. */
  readonly hint?: ((found: unknown, place: Path) => string | undefined) | undefined;
}

export class Problems {
  readonly #found = new Map<string, Diagnostic>();

  report(path: Path, message: string, { hint, code = 'network-invalid', used }: ReportOptions): void {
    const key = `${path} ${message}`;
    // a block that is used twice is wrong once
    if (this.#found.has(key) || this.#found.size >= MOST) return;
    const where = used === undefined ? '' : ` (as ${used} uses it)`;
    this.#found.set(key, diagnostic(code, path, message + where, hint));
  }

  get count(): number {
    return this.#found.size;
  }

  get found(): readonly Diagnostic[] {
    return [...this.#found.values()];
  }

  /** @throws CompileError if there are any */
  throwAny(): void {
    if (this.#found.size > 0) throw new CompileError(this.found);
  }

  /** The value as the schema sees it; undefined where it does not fit, which is reported. */
  check<T>(schema: z.ZodType<T>, value: unknown, path: Path, options: CheckOptions = {}): T | undefined {
    const result = schema.safeParse(value);
    if (result.success) return result.data;
    for (const issue of result.error.issues) this.#issue(issue, value, path, schema, options);
    return undefined;
  }

  #issue(
    issue: z.core.$ZodIssue,
    value: unknown,
    path: Path,
    schema: z.ZodType,
    options: CheckOptions,
    before: readonly (string | number)[] = [],
  ): void {
    const keys = [...before, ...issue.path.map((key) => (typeof key === 'symbol' ? String(key) : key))];
    if (issue.code === 'invalid_union') {
      // a branch that fits at its root says best what is wrong inside
      const inside = issue.errors.find(
        (errors) => errors.length > 0 && errors.every((e) => e.path.length > 0),
      );
      for (const error of inside ?? []) this.#issue(error, value, path, schema, options, keys);
      if (inside) return;
    }
    const place = keys.reduce<Path>(at, path);
    const { used } = options;
    if (issue.code === 'unrecognized_keys') {
      for (const key of issue.keys)
        this.unknownOption(at(place, key), key, keysOf(schemaAt(schema, keys).schema), used);
      return;
    }
    const found = keys.reduce<unknown>(valueAt, value);
    const last = keys.at(-1) ?? lastKey(path);
    if (issue.code === 'invalid_key') {
      const word = String(last).replace(/\W+/g, '_').replace(/^\d/, '_$&') || 'name';
      const siblings = keys.slice(0, -1).reduce<unknown>(valueAt, value);
      const free = freeName(word, (name) => Object.hasOwn(Object(siblings) as object, name));
      const hint = `call it "${free}"`;
      this.report(place, 'a name here is a word of letters, digits and "_"', { used, hint });
      return;
    }
    const { schema: own, expected } = schemaAt(schema, keys);
    const what = `expected ${expected ?? issue.message}`;
    const key = typeof last === 'number' ? undefined : last;
    const hint = options.hint?.(found, place) ?? expectedHint(own, found, { key, expressions: path !== '' });
    this.report(place, found === undefined ? `this is missing; ${what}` : `${what}; got ${show(found)}`, {
      used,
      hint,
    });
  }

  unknownOption(path: Path, key: string, known: readonly string[], used?: Path): void {
    const kind = lastKey(path.slice(0, path.length - key.length - 1));
    const list =
      known.length > 0
        ? `the options here are ${known.join(', ')}`
        : `there are no options here; take "${key}" away`;
    const beside = (key === 'name' || key === 'from') && kind !== undefined && !known.includes(key);
    const called = calledHere(key, known);
    const hint = beside
      ? `write it beside the kind: { "${kind}": …, "${key}": … }`
      : called !== undefined
        ? `here it is called "${called}"`
        : (didYouMean(key, known) ?? list);
    this.report(path, 'there is no such option', { hint, used });
  }
}

/** The word that a path ends with. */
const lastKey = (path: Path): string | undefined => /(?:^|\.)([$A-Za-z_][\w$-]*)$/.exec(path)?.[1];

const valueAt = (value: unknown, key: string | number): unknown =>
  typeof value === 'object' && value !== null ? (value as Record<string | number, unknown>)[key] : undefined;

/** The schema that keys lead to, as far as they can be followed, and the last description on the way. */
function schemaAt(schema: z.ZodType, keys: readonly (string | number)[]) {
  let current = unwrapped(schema);
  let expected = current.meta()?.description;
  for (const key of keys) {
    const { options } = current.def as { options?: readonly z.ZodType[] };
    const choices = (options ?? [current]).map(unwrapped);
    const next = choices
      .map((s): z.ZodType | undefined => {
        const own = s.def as {
          shape?: Record<string, z.ZodType>;
          valueType?: z.ZodType;
          items?: readonly z.ZodType[];
          element?: z.ZodType;
        };
        return typeof key === 'number'
          ? (own.items?.[key] ?? own.element)
          : (own.shape?.[key] ?? own.valueType);
      })
      .find((s) => s !== undefined);
    if (!next) break;
    current = unwrapped(next);
    expected = current.meta()?.description ?? expected;
  }
  return { schema: current, expected };
}

/** Without what makes it optional. */
function unwrapped(schema: z.ZodType): z.ZodType {
  let inner: z.ZodType = schema;
  while ('innerType' in inner.def) inner = inner.def.innerType as z.ZodType;
  return inner;
}

/** The options of an object, also of one among other types. */
function keysOf(schema: z.ZodType): readonly string[] {
  const { options = [schema] } = schema.def as { options?: readonly z.ZodType[] };
  return options.flatMap((s) => Object.keys((s.def as { shape?: object }).shape ?? {}));
}

/** A value in few words. */
export function show(value: unknown): string {
  if (Array.isArray(value)) {
    const text = JSON.stringify(value);
    return text.length <= 40 ? printable(text) : `a list of ${value.length}`;
  }
  if (typeof value === 'object' && value !== null) return 'an object';
  // a number beyond all others, as 1e999 is read; JSON has no word for it
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
  return printable(String(JSON.stringify(value)));
}
