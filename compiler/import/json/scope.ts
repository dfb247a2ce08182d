/** Where a layer stands: the names it can read, the parameters of its block, and how problems tell its place. */
import type { z } from 'zod';
import type { Value } from '#ir/graph.ts';
import { didYouMean } from '../../suggest.ts';
import { ExpressionError, NotGiven, type Parameters, substitute } from './expressions.ts';
import { freeName } from './hints.ts';
import type { Flow } from './layer.ts';
import { at, type CheckOptions, type Path, type Problems } from './problems.ts';
import { COMMON } from './schema.ts';

interface Entered {
  readonly parameters: Parameters;
  /** Blocks that are being expanded. */
  readonly blocks: readonly string[];
  /** From where a block is entered. */
  readonly used: Path | undefined;
}

const RESERVED = ['previous', 'input'];

export class Scope implements Entered {
  /** The containers: `stage1.0`; empty at the top. */
  readonly container: string;
  readonly names: Map<string, Flow>;
  readonly depth: number;
  /** Is nothing built here, only checked? */
  readonly isDraft: boolean;
  readonly parameters: Parameters;
  readonly blocks: readonly string[];
  readonly used: Path | undefined;
  /** Names that layers of this scope get later, with their paths; the layer that is being built is among them. */
  readonly later = new Map<string, Path>();
  /** The name of the layer that is being built. */
  current: string | undefined;
  readonly #problems: Problems;
  readonly #parent: Scope | undefined;
  /** How many layers of each kind have been numbered. */
  readonly #counts = new Map<string, number>();

  private constructor(
    container: string,
    names: Map<string, Flow>,
    entered: Entered,
    problems: Problems,
    parent?: Scope | 'draft',
  ) {
    this.container = container;
    this.names = names;
    const outer = typeof parent === 'object' ? parent : undefined;
    this.depth = outer ? outer.depth + 1 : 0;
    this.isDraft = parent === 'draft' || outer?.isDraft === true;
    this.parameters = entered.parameters;
    this.blocks = entered.blocks;
    this.used = entered.used;
    this.#problems = problems;
    this.#parent = outer;
  }

  static top(inputs: ReadonlyMap<string, Value>, problems: Problems): Scope {
    const entered = { parameters: new Map(), blocks: [], used: undefined };
    return new Scope('', new Map<string, Flow>(inputs), entered, problems);
  }

  /** Around a block that no layer uses: names that it does not have itself may be any. */
  static draft(problems: Problems): Scope {
    return new Scope(
      '',
      new Map(),
      { parameters: new Map(), blocks: [], used: undefined },
      problems,
      'draft',
    );
  }

  /** A scope of names within this one. */
  inside(name: string, entered: Partial<Entered> = {}): Scope {
    const container = this.container === '' ? name : `${this.container}.${name}`;
    const { parameters, blocks, used } = this;
    return new Scope(container, new Map(), { parameters, blocks, used, ...entered }, this.#problems, this);
  }

  /** Reports a problem; returns undefined for convenience. */
  report(path: Path, message: string, hint: string): undefined {
    this.#problems.report(path, message, { hint, used: this.used });
  }

  /** The value as the schema sees it; undefined where it does not fit, which is reported. */
  check<T>(schema: z.ZodType<T>, value: unknown, path: Path, hint?: CheckOptions['hint']): T | undefined {
    return this.#problems.check(schema, value, path, { used: this.used, hint });
  }

  /** Reports what a layer has beside the options that are known. */
  checkKeys(layer: object, path: Path, known: readonly string[]): void {
    for (const key of Object.keys(layer))
      if (!known.includes(key)) this.#problems.unknownOption(at(path, key), key, known, this.used);
  }

  /** The value with its expressions replaced; undefined where one is wrong, which is reported. */
  substituted(value: unknown, path: Path): { readonly value: unknown } | undefined {
    try {
      return { value: substitute(value, this.parameters) };
    } catch (error) {
      if (error instanceof NotGiven) return undefined;
      if (!(error instanceof ExpressionError)) throw error;
      return this.report(path, error.message, error.hint);
    }
  }

  /** Each option on its own, so that a problem names it. Undefined where an expression is wrong. */
  substitutedOptions(value: unknown, path: Path): { readonly value: unknown } | undefined {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      return this.substituted(value, path);
    const entries = Object.entries(value).map(
      ([key, v]) => [key, this.substituted(v, at(path, key))] as const,
    );
    if (entries.some(([, known]) => known === undefined)) return undefined;
    return { value: Object.fromEntries(entries.map(([key, known]) => [key, known?.value])) };
  }

  /** The name that a layer has, or gets: its kind and a number. */
  nameOf(layer: { readonly name?: unknown }, kind: string, path: Path): string {
    const place = at(path, 'name');
    const free = (wanted: string) =>
      freeName(wanted, (n) => this.names.has(n) || this.later.has(n) || RESERVED.includes(n));
    const given =
      layer.name === undefined
        ? undefined
        : this.check(COMMON.name, layer.name, place, (found) => {
            const word = typeof found === 'string' ? found.replace(/[/$\s]+/g, '_').slice(0, 180) : '';
            return `for example "name": "${free(word || kind)}"`;
          });
    if (given !== undefined) {
      const another = `take another, for example "name": "${free(given)}"`;
      if (RESERVED.includes(given)) this.report(place, `"${given}" has a meaning of its own`, another);
      else if (this.names.has(given)) this.report(place, `there is another "${given}" before`, another);
      else return given;
    }
    let count = this.#counts.get(kind) ?? 0;
    do count++;
    while (this.names.has(`${kind}${count}`));
    this.#counts.set(kind, count);
    return `${kind}${count}`;
  }

  /** The names that a layer can read here, the nearest last. */
  get readable(): readonly string[] {
    return [...new Set([...(this.#parent?.readable ?? []), ...this.names.keys()])];
  }

  /** The value of a layer before this one, here or outside; nothing, and no problem, for what a draft does not have. */
  named(name: string, path: Path, previous: Flow): Flow {
    if (name === 'previous') return previous;
    for (let scope: Scope | undefined = this; scope; scope = scope.#parent) {
      if (scope.names.has(name)) return scope.names.get(name);
    }
    if (this.isDraft) return undefined;
    const known = this.readable;
    const others = `what can be read here is ${['previous', ...known.slice(-12)].join(', ')}`;
    for (let scope: Scope | undefined = this; scope; scope = scope.#parent) {
      const place = scope.later.get(name);
      if (place === undefined) continue;
      if (scope.current === name)
        return this.report(
          path,
          `"${name}" is this layer itself${scope === this ? '' : `, from within`}; a network has no cycles`,
          others,
        );
      return this.report(
        path,
        `"${name}" does not come before this layer but after it, at ${place}; a network has no cycles`,
        `move the layer "${name}" before this one; ${others}`,
      );
    }
    return this.report(
      path,
      `no layer before this one is named "${name}"`,
      didYouMean(name, known) ?? others,
    );
  }
}
