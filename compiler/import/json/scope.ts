/** Where a layer stands: the names it can read, the parameters of its block, and how problems tell its place. */
import type { z } from 'zod';
import type { Value } from '#ir/graph.ts';
import { didYouMean } from '../../suggest.ts';
import { ExpressionError, type Parameters, substitute } from './expressions.ts';
import type { Flow } from './layer.ts';
import { at, type Path, type Problems } from './problems.ts';
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
  readonly parameters: Parameters;
  readonly blocks: readonly string[];
  readonly used: Path | undefined;
  readonly #problems: Problems;
  readonly #parent: Scope | undefined;
  /** How many layers of each kind have been numbered. */
  readonly #counts = new Map<string, number>();

  private constructor(
    container: string,
    names: Map<string, Flow>,
    entered: Entered,
    problems: Problems,
    parent?: Scope,
  ) {
    this.container = container;
    this.names = names;
    this.depth = parent ? parent.depth + 1 : 0;
    this.parameters = entered.parameters;
    this.blocks = entered.blocks;
    this.used = entered.used;
    this.#problems = problems;
    this.#parent = parent;
  }

  static top(inputs: ReadonlyMap<string, Value>, problems: Problems): Scope {
    const entered = { parameters: new Map(), blocks: [], used: undefined };
    return new Scope('', new Map<string, Flow>(inputs), entered, problems);
  }

  /** A scope of names within this one. */
  inside(name: string, entered: Partial<Entered> = {}): Scope {
    const container = this.container === '' ? name : `${this.container}.${name}`;
    const { parameters, blocks, used } = this;
    return new Scope(container, new Map(), { parameters, blocks, used, ...entered }, this.#problems, this);
  }

  /** Reports a problem; returns undefined for convenience. */
  report(path: Path, message: string, hint?: string): undefined {
    this.#problems.report(path, message, { hint, used: this.used });
  }

  /** The value as the schema sees it; undefined where it does not fit, which is reported. */
  check<T>(schema: z.ZodType<T>, value: unknown, path: Path): T | undefined {
    return this.#problems.check(schema, value, path, this.used);
  }

  /** Reports what a layer has beside the options that are known. */
  checkKeys(layer: object, path: Path, known: readonly string[]): void {
    for (const key of Object.keys(layer))
      if (!known.includes(key)) this.#problems.unknownOption(at(path, key), key, known, this.used);
  }

  /** The value with its expressions replaced; undefined where one is wrong, which is reported. */
  substituted(value: unknown, path: Path): unknown {
    try {
      return substitute(value, this.parameters);
    } catch (error) {
      if (!(error instanceof ExpressionError)) throw error;
      return this.report(path, error.message);
    }
  }

  /** Each option on its own, so that a problem names it. Undefined where an expression is wrong. */
  substitutedOptions(value: unknown, path: Path): { readonly value: unknown } | undefined {
    const before = this.#problems.count;
    const result =
      typeof value === 'object' && value !== null && !Array.isArray(value)
        ? Object.fromEntries(
            Object.entries(value).map(([key, v]) => [key, this.substituted(v, at(path, key))]),
          )
        : this.substituted(value, path);
    return this.#problems.count > before ? undefined : { value: result };
  }

  /** The name that a layer has, or gets: its kind and a number. */
  nameOf(layer: { readonly name?: unknown }, kind: string, path: Path): string {
    const given =
      layer.name === undefined ? undefined : this.check(COMMON.name, layer.name, at(path, 'name'));
    if (given !== undefined) {
      if (RESERVED.includes(given))
        this.report(at(path, 'name'), `"${given}" has a meaning of its own; take another name`);
      else if (this.names.has(given))
        this.report(at(path, 'name'), `there is another "${given}" before; names are given once`);
      else return given;
    }
    let count = this.#counts.get(kind) ?? 0;
    do count++;
    while (this.names.has(`${kind}${count}`));
    this.#counts.set(kind, count);
    return `${kind}${count}`;
  }

  /** The value of a layer before this one, here or outside. `later` are the names that come after it. */
  named(name: string, path: Path, previous: Flow, later: ReadonlySet<string>): Flow {
    if (name === 'previous') return previous;
    const known: string[] = [];
    for (let scope: Scope | undefined = this; scope; scope = scope.#parent) {
      if (scope.names.has(name)) return scope.names.get(name);
      known.push(...scope.names.keys());
    }
    if (later.has(name))
      return this.report(
        path,
        `"${name}" does not come before this layer; a network has no cycles, so a layer reads only what is before it`,
      );
    const hint =
      didYouMean(name, known) ?? (known.length > 0 ? `there are ${known.slice(-12).join(', ')}` : undefined);
    return this.report(path, `no layer before this one is named "${name}"`, hint);
  }
}
