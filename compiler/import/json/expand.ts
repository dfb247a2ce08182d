/** Walks the layers of a description: names, branches, repeats and blocks; each layer is built as it is reached. */

import type { z } from 'zod';
import type { Value } from '#ir/graph.ts';
import { formatShape } from '#ir/types.ts';
import { didYouMean } from '../../suggest.ts';
import { ExpressionError, type Parameters, substitute } from './expressions.ts';
import { type Flow, Layer, type Workshop } from './layer.ts';
import { LAYERS, type SingleKind } from './layers/index.ts';
import { at, type Path, show } from './problems.ts';
import {
  ACTIVATIONS,
  COMMON,
  isJoin,
  isKind,
  JOINS,
  type JoinName,
  KIND_NAMES,
  KINDS,
  type KindName,
  type OptionsOf,
  REPEAT,
  USE,
} from './schema.ts';

export interface BlockDefinition {
  readonly parameters?: Readonly<Record<string, unknown>> | undefined;
  readonly layers: readonly unknown[];
}

/** More layers than any network has, after repeats and blocks. */
const MOST_LAYERS = 20_000;
const DEEPEST = 64;

interface Scope {
  /** The containers: `stage1.0`; empty at the top. */
  readonly container: string;
  readonly parameters: Parameters;
  readonly names: Map<string, Flow>;
  readonly parent: Scope | undefined;
  /** How many layers of each kind have been numbered. */
  readonly counts: Map<string, number>;
  /** Blocks that are being expanded. */
  readonly blocks: readonly string[];
  readonly used: Path | undefined;
  readonly depth: number;
}

type Written = Readonly<Record<string, unknown>>;
const isObject = (value: unknown): value is Written =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const RESERVED = ['previous', 'input'];

export class Expansion {
  readonly #shop: Workshop;
  readonly #blocks: ReadonlyMap<string, BlockDefinition>;
  #layers = 0;

  constructor(shop: Workshop, blocks: ReadonlyMap<string, BlockDefinition>) {
    this.#shop = shop;
    this.#blocks = blocks;
  }

  /** The top of the network. @returns the value of the last layer, and those with names */
  run(layers: readonly unknown[], inputs: ReadonlyMap<string, Value>) {
    const names = new Map<string, Flow>(inputs);
    const [first] = inputs.values();
    const scope: Scope = {
      container: '',
      parameters: new Map(),
      names,
      parent: undefined,
      counts: new Map(),
      blocks: [],
      used: undefined,
      depth: 0,
    };
    return { last: this.#list(layers, 'layers', scope, first), names };
  }

  #report(path: Path, scope: Scope, message: string, hint?: string): undefined {
    this.#shop.problems.report(path, message, { hint, used: scope.used });
  }

  #list(layers: readonly unknown[], path: Path, scope: Scope, start: Flow): Flow {
    let value = start;
    const later = namesOf(layers);
    layers.forEach((layer, i) => {
      if (this.#layers > MOST_LAYERS) return;
      value = this.#layer(layer, at(path, i), scope, value, later);
      later.delete(String(isObject(layer) ? layer.name : ''));
    });
    return value;
  }

  #layer(layer: unknown, path: Path, scope: Scope, previous: Flow, later: ReadonlySet<string>): Flow {
    if (++this.#layers > MOST_LAYERS) {
      return this.#report(
        path,
        scope,
        `the network has more than ${MOST_LAYERS} layers here, repeats and blocks expanded`,
      );
    }
    if (scope.depth > DEEPEST) return this.#report(path, scope, `this is nested more than ${DEEPEST} deep`);
    if (typeof layer === 'string') return this.#bare(layer, path, scope, previous, later);
    if (!isObject(layer)) return this.#report(path, scope, `expected a layer; got ${show(layer)}`);
    const keys = Object.keys(layer);
    if (Object.hasOwn(layer, 'repeat')) return this.#repeat(layer, path, scope, previous);
    if (Object.hasOwn(layer, 'use')) return this.#use(layer, path, scope, previous, later);
    const kinds = keys.filter((key) => isKind(key) || isJoin(key));
    const [kind] = kinds;
    if (kind === undefined) return this.#unknown(keys, path, scope);
    if (kinds.length > 1)
      return this.#report(
        path,
        scope,
        `one layer is one kind; this has ${kinds.join(' and ')}`,
        'write them as layers of their own',
      );
    for (const key of keys) {
      if (key === kind || Object.hasOwn(COMMON, key)) continue;
      const inside = isKind(kind) && Object.hasOwn(KINDS[kind].options.shape, key);
      const hint = inside
        ? `it belongs inside: { "${kind}": { …, "${key}": … } }`
        : didYouMean(key, Object.keys(COMMON));
      this.#report(at(path, key), scope, `beside "${kind}" there are only name and from`, hint);
    }
    const place = this.#common(layer, path, scope, kind);
    if (isJoin(kind)) return this.#join(kind, layer[kind], place, scope, previous, later);
    const from = this.#from(layer, path, scope, previous, later);
    return isKind(kind) ? this.#single(kind, layer[kind], place, scope, from) : undefined;
  }

  #unknown(keys: readonly string[], path: Path, scope: Scope): undefined {
    const [key] = keys.filter((k) => !Object.hasOwn(COMMON, k));
    const all = [...KIND_NAMES, ...JOINS, 'repeat', 'use'];
    if (key === undefined)
      return this.#report(path, scope, 'this says no kind of layer', `for example { "conv": 64 }`);
    if (this.#blocks.has(key))
      return this.#report(
        at(path, key),
        scope,
        `"${key}" is a block`,
        `write { "use": "${key}", "with": { … } }`,
      );
    return this.#report(
      at(path, key),
      scope,
      'there is no such kind of layer',
      didYouMean(key, all) ?? `there are ${all.join(', ')}`,
    );
  }

  /** A kind or an activation as text. */
  #bare(text: string, path: Path, scope: Scope, previous: Flow, later: ReadonlySet<string>): Flow {
    if (isKind(text) && KINDS[text].bare) return this.#layer({ [text]: {} }, path, scope, previous, later);
    const activation = ACTIVATIONS.find((name) => name === text);
    if (activation) return this.#layer({ activation }, path, scope, previous, later);
    if (isKind(text)) return this.#report(path, scope, `"${text}" needs options`, `write { "${text}": … }`);
    const all = [...ACTIVATIONS, ...KIND_NAMES.filter((name) => KINDS[name].bare)];
    return this.#report(
      path,
      scope,
      `there is no layer "${text}"`,
      didYouMean(text, all) ?? `there are ${all.join(', ')}`,
    );
  }

  /** The name that a layer has, or gets: its kind and a number. */
  #common(
    layer: Written,
    path: Path,
    scope: Scope,
    kind: string,
  ): { path: Path; outer: Path; name: string; given: boolean } {
    const given =
      layer.name === undefined
        ? undefined
        : this.#shop.problems.check(COMMON.name, layer.name, at(path, 'name'), scope.used);
    const place = { path: at(path, kind), outer: path };
    if (given !== undefined) {
      if (RESERVED.includes(given))
        this.#report(at(path, 'name'), scope, `"${given}" has a meaning of its own; take another name`);
      else if (scope.names.has(given))
        this.#report(at(path, 'name'), scope, `there is another "${given}" before; names are given once`);
      else return { ...place, name: given, given: true };
    }
    let count = scope.counts.get(kind) ?? 0;
    do count++;
    while (scope.names.has(`${kind}${count}`));
    scope.counts.set(kind, count);
    return { ...place, name: `${kind}${count}`, given: false };
  }

  #from(layer: Written, path: Path, scope: Scope, previous: Flow, later: ReadonlySet<string>): Flow {
    if (layer.from === undefined) return previous;
    const from = this.#substituted(layer.from, at(path, 'from'), scope);
    const name = this.#shop.problems.check(COMMON.from, from, at(path, 'from'), scope.used);
    return name === undefined ? undefined : this.#named(name, at(path, 'from'), scope, previous, later);
  }

  #named(name: string, path: Path, scope: Scope, previous: Flow, later: ReadonlySet<string>): Flow {
    if (name === 'previous') return previous;
    const known: string[] = [];
    for (let s: Scope | undefined = scope; s; s = s.parent) {
      if (s.names.has(name)) return s.names.get(name);
      known.push(...s.names.keys());
    }
    if (later.has(name))
      return this.#report(
        path,
        scope,
        `"${name}" does not come before this layer; a network has no cycles, so a layer reads only what is before it`,
      );
    const hint =
      didYouMean(name, known) ?? (known.length > 0 ? `there are ${known.slice(-12).join(', ')}` : undefined);
    return this.#report(path, scope, `no layer before this one is named "${name}"`, hint);
  }

  #substituted(value: unknown, path: Path, scope: Scope): unknown {
    try {
      return substitute(value, scope.parameters);
    } catch (error) {
      if (!(error instanceof ExpressionError)) throw error;
      return this.#report(path, scope, error.message);
    }
  }

  #options<K extends KindName>(kind: K, value: unknown, path: Path, scope: Scope): OptionsOf<K> | undefined {
    const { options, short } = KINDS[kind];
    const { problems } = this.#shop;
    const before = problems.count;
    const known = this.#substitutedOptions(value, path, scope);
    // what an expression was wrong about is reported already
    if (problems.count > before) return undefined;
    if (isObject(known))
      return problems.check(options as unknown as z.ZodType<OptionsOf<K>>, known, path, scope.used);
    if (known === true && KINDS[kind].bare) return {} as OptionsOf<K>;
    if (!short) return this.#report(path, scope, `expected an object with options; got ${show(known)}`);
    const single = problems.check(short[1], known, path, scope.used);
    return single === undefined ? undefined : ({ [short[0]]: single } as OptionsOf<K>);
  }

  /** Each option on its own, so that a problem names it. */
  #substitutedOptions(value: unknown, path: Path, scope: Scope): unknown {
    if (!isObject(value)) return this.#substituted(value, path, scope);
    return Object.fromEntries(
      Object.entries(value).map(([key, v]) => [key, this.#substituted(v, at(path, key), scope)]),
    );
  }

  #single(
    kind: KindName,
    value: unknown,
    place: { path: Path; outer: Path; name: string },
    scope: Scope,
    from: Flow,
  ): Flow {
    const options = this.#options(kind, value, place.path, scope);
    const layer = new Layer({ ...place, kind, used: scope.used, container: scope.container }, this.#shop);
    let result: Flow;
    if (options && from) {
      if (kind === 'split') result = this.#split(layer, from, options as OptionsOf<'split'>, scope);
      else {
        const make = LAYERS[kind as SingleKind] as (l: Layer, x: Value, o: unknown) => Flow;
        result = make(layer, from, options);
      }
    }
    scope.names.set(place.name, result);
    return result;
  }

  /** The parts get names of their own; the first one goes on. */
  #split(layer: Layer, x: Value, { parts, sizes }: OptionsOf<'split'>, scope: Scope): Flow {
    const channels = x.type.shape[1] ?? 1;
    if ((parts === undefined) === (sizes === undefined))
      return layer.wrong('', 'it needs either parts or sizes');
    if (parts !== undefined && channels % parts !== 0)
      return layer.wrong('parts', `${parts} does not divide ${channels} input channels`);
    const list = sizes ?? new Array<number>(parts ?? 1).fill(channels / (parts ?? 1));
    const sum = list.reduce((a, b) => a + b, 0);
    if (sum !== channels)
      return layer.wrong('sizes', `they add up to ${sum}; the input has ${channels} channels`);
    const values = layer.ops('Split', [x], { axis: 1, sizes: list });
    values?.forEach((value, i) => {
      scope.names.set(`${layer.place.name}.${i}`, value);
    });
    return values?.[0];
  }

  #join(
    kind: JoinName,
    given: unknown,
    place: { path: Path; outer: Path; name: string },
    scope: Scope,
    previous: Flow,
    later: ReadonlySet<string>,
  ): Flow {
    const { path, name } = place;
    const written = typeof given === 'string' ? ['previous', given] : given;
    let values: Flow[] = [];
    if (!Array.isArray(written) || written.length === 0) {
      this.#report(
        path,
        scope,
        `expected names of layers, or lists of layers; got ${show(given)}`,
        '{ "add": "skip" } adds the layer "skip" to what is before',
      );
    } else {
      values = written.map((entry: unknown, i) => {
        const own = typeof given === 'string' ? path : at(path, i);
        if (typeof entry === 'string') {
          const resolved = this.#substituted(entry, own, scope);
          return typeof resolved === 'string'
            ? this.#named(resolved, own, scope, previous, later)
            : undefined;
        }
        if (!Array.isArray(entry))
          return this.#report(
            own,
            scope,
            `expected the name of a layer, or a list of layers; got ${show(entry)}`,
          );
        return this.#list(entry, own, this.#inside(scope, `${name}.${i}`), previous);
      });
    }
    const layer = new Layer({ ...place, kind, used: scope.used, container: scope.container }, this.#shop);
    const present = values.flatMap((v) => (v ? [v] : []));
    const result =
      present.length === values.length && present.length > 0 ? joined(layer, kind, present) : undefined;
    scope.names.set(name, result);
    return result;
  }

  /** A scope of names within `scope`. */
  #inside(scope: Scope, name: string, more: Partial<Scope> = {}): Scope {
    return {
      ...scope,
      container: scope.container === '' ? name : `${scope.container}.${name}`,
      names: new Map(),
      counts: new Map(),
      parent: scope,
      depth: scope.depth + 1,
      ...more,
    };
  }

  #repeat(layer: Written, path: Path, scope: Scope, previous: Flow): Flow {
    const { name } = this.#common(layer, path, scope, 'repeat');
    const known = [...Object.keys(REPEAT), 'layers', 'name'];
    for (const key of Object.keys(layer))
      if (!known.includes(key)) this.#shop.problems.unknownOption(at(path, key), key, known, scope.used);
    const given = this.#substituted(layer.repeat, at(path, 'repeat'), scope);
    const times =
      given === undefined
        ? undefined
        : this.#shop.problems.check(REPEAT.repeat, given, at(path, 'repeat'), scope.used);
    if (!Array.isArray(layer.layers))
      return this.#report(at(path, 'layers'), scope, `expected a list of layers; got ${show(layer.layers)}`);
    let value = previous;
    for (let i = 0; i < (typeof times === 'number' ? times : 1); i++) {
      if (this.#layers > MOST_LAYERS) return undefined;
      const parameters = new Map([...scope.parameters, ['index', i]]);
      const inner = this.#inside(scope, `${name}.${i}`, { parameters });
      value = this.#list(layer.layers, at(path, 'layers'), inner, value);
    }
    scope.names.set(name, value);
    return value;
  }

  #use(layer: Written, path: Path, scope: Scope, previous: Flow, later: ReadonlySet<string>): Flow {
    const from = this.#from(layer, path, scope, previous, later);
    const known = [...Object.keys(USE), ...Object.keys(COMMON)];
    for (const key of Object.keys(layer))
      if (!known.includes(key)) this.#shop.problems.unknownOption(at(path, key), key, known, scope.used);
    const use = this.#shop.problems.check(USE.use, layer.use, at(path, 'use'), scope.used);
    const given = this.#shop.problems.check(USE.with, layer.with, at(path, 'with'), scope.used) ?? {};
    const { name } = this.#common(layer, path, scope, use ?? 'use');
    const block = use === undefined ? undefined : this.#blocks.get(use);
    if (use !== undefined && !block) {
      const all = [...this.#blocks.keys()];
      this.#report(
        at(path, 'use'),
        scope,
        `there is no block "${show(use).slice(1, -1)}"`,
        didYouMean(use, all) ?? (all.length > 0 ? `there are ${all.join(', ')}` : 'define it under blocks'),
      );
    }
    let result: Flow;
    if (use !== undefined && block) {
      if (scope.blocks.includes(use))
        this.#report(at(path, 'use'), scope, `the block uses itself: ${[...scope.blocks, use].join(' → ')}`);
      else {
        const parameters = this.#parameters(use, block, given, at(path, 'with'), scope);
        const inner = this.#inside(scope, name, {
          parameters,
          blocks: [...scope.blocks, use],
          used: scope.used ?? path,
        });
        inner.names.set('input', from);
        result = this.#list(block.layers, at(at('blocks', use), 'layers'), inner, from);
      }
    }
    scope.names.set(name, result);
    return result;
  }

  #parameters(use: string, block: BlockDefinition, given: Written, path: Path, scope: Scope): Parameters {
    const declared = block.parameters ?? {};
    const parameters = new Map<string, unknown>();
    for (const key of Object.keys(given)) {
      if (Object.hasOwn(declared, key)) continue;
      const names = Object.keys(declared);
      this.#report(
        at(path, key),
        scope,
        `the block "${use}" has no such parameter`,
        didYouMean(key, names) ?? (names.length > 0 ? `it has ${names.join(', ')}` : 'it has none'),
      );
    }
    for (const [key, fallback] of Object.entries(declared)) {
      const own = Object.hasOwn(given, key) ? this.#substituted(given[key], at(path, key), scope) : fallback;
      if (own === null && !Object.hasOwn(given, key))
        this.#report(at(path, key), scope, `this is missing; the block "${use}" has no default for it`);
      parameters.set(key, own);
    }
    return parameters;
  }
}

const namesOf = (layers: readonly unknown[]): Set<string> =>
  new Set(layers.flatMap((l) => (isObject(l) && typeof l.name === 'string' ? [l.name] : [])));

function joined(layer: Layer, kind: JoinName, values: readonly Value[]): Flow {
  const [first] = values;
  if (!first) return undefined;
  if (kind === 'concat') {
    const differing = values.findIndex(
      ({ type: { shape } }) =>
        shape.length !== first.type.shape.length ||
        shape.some((s, i) => i !== 1 && s !== first.type.shape[i]),
    );
    if (differing > 0) return mismatch(layer, values, differing, 'may differ in channels only');
    return values.length === 1 ? first : layer.op('Concat', values, { axis: 1 });
  }
  const op = kind === 'add' ? 'Add' : 'Mul';
  let sum: Flow = first;
  values.slice(1).forEach((value, i) => {
    if (!sum) return;
    const broadcast =
      sum.type.shape.length === value.type.shape.length &&
      sum.type.shape.every((s, k) => s === value.type.shape[k] || s === 1 || value.type.shape[k] === 1);
    if (!broadcast) sum = mismatch(layer, values, i + 1, 'must be alike');
    else
      sum = layer.op(op, [sum, value], {}, values.length > 2 && i + 2 < values.length ? String(i + 1) : '');
  });
  return sum;
}

function mismatch(layer: Layer, values: readonly Value[], differing: number, rule: string): undefined {
  const shapes = values.map((v) => formatShape(v.type.shape));
  return layer.wrong(
    '',
    `branch ${differing} is ${shapes[differing]}, branch 0 is ${shapes[0]}; they ${rule}`,
    'adapt one of them, for example with a pointwise layer or a stride',
  );
}
