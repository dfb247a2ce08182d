/** Walks the layers of a description: names, branches, repeats and blocks; each layer is built as it is reached. */

import type { z } from 'zod';
import type { Value } from '#ir/graph.ts';
import { didYouMean } from '../../suggest.ts';
import type { Parameters } from './expressions.ts';
import { joined } from './joins.ts';
import { ACTIVATIONS, isKind, KIND_NAMES, KINDS, type KindName, type OptionsOf } from './kinds.ts';
import { type Flow, Layer, type Workshop } from './layer.ts';
import { LAYERS, type SingleKind } from './layers/index.ts';
import { at, type Path, show } from './problems.ts';
import { COMMON, isJoin, JOINS, type JoinName, REPEAT, USE } from './schema.ts';
import { Scope } from './scope.ts';

export interface BlockDefinition {
  readonly parameters?: Readonly<Record<string, unknown>> | undefined;
  readonly layers: readonly unknown[];
}

/** More layers than any network has, after repeats and blocks. */
const MOST_LAYERS = 20_000;
const DEEPEST = 64;

type Written = Readonly<Record<string, unknown>>;
const isObject = (value: unknown): value is Written =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

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
    const scope = Scope.top(inputs, this.#shop.problems);
    const [first] = inputs.values();
    return { last: this.#list(layers, 'layers', scope, first), names: scope.names };
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
      return scope.report(
        path,
        `the network has more than ${MOST_LAYERS} layers here, repeats and blocks expanded`,
      );
    }
    if (scope.depth > DEEPEST) return scope.report(path, `this is nested more than ${DEEPEST} deep`);
    if (typeof layer === 'string') return this.#bare(layer, path, scope, previous, later);
    if (!isObject(layer)) return scope.report(path, `expected a layer; got ${show(layer)}`);
    const keys = Object.keys(layer);
    if (Object.hasOwn(layer, 'repeat')) return this.#repeat(layer, path, scope, previous);
    if (Object.hasOwn(layer, 'use')) return this.#use(layer, path, scope, previous, later);
    const kinds = keys.filter((key) => isKind(key) || isJoin(key));
    const [kind] = kinds;
    if (kind === undefined) return this.#unknown(keys, path, scope);
    if (kinds.length > 1)
      return scope.report(
        path,
        `one layer is one kind; this has ${kinds.join(' and ')}`,
        'write them as layers of their own',
      );
    for (const key of keys) {
      if (key === kind || Object.hasOwn(COMMON, key)) continue;
      const inside = isKind(kind) && Object.hasOwn(KINDS[kind].options.shape, key);
      const hint = inside
        ? `it belongs inside: { "${kind}": { …, "${key}": … } }`
        : didYouMean(key, Object.keys(COMMON));
      scope.report(at(path, key), `beside "${kind}" there are only name and from`, hint);
    }
    const place = { path: at(path, kind), name: scope.nameOf(layer, kind, path) };
    if (isJoin(kind)) return this.#join(kind, layer[kind], place, scope, previous, later);
    const from = this.#from(layer, path, scope, previous, later);
    return isKind(kind) ? this.#single(kind, layer[kind], place, scope, from) : undefined;
  }

  #unknown(keys: readonly string[], path: Path, scope: Scope): undefined {
    const [key] = keys.filter((k) => !Object.hasOwn(COMMON, k));
    const all = [...KIND_NAMES, ...JOINS, 'repeat', 'use'];
    if (key === undefined)
      return scope.report(path, 'this says no kind of layer', `for example { "conv": 64 }`);
    if (this.#blocks.has(key))
      return scope.report(at(path, key), `"${key}" is a block`, `write { "use": "${key}", "with": { … } }`);
    return scope.report(
      at(path, key),
      'there is no such kind of layer',
      didYouMean(key, all) ?? `there are ${all.join(', ')}`,
    );
  }

  /** A kind or an activation as text. */
  #bare(text: string, path: Path, scope: Scope, previous: Flow, later: ReadonlySet<string>): Flow {
    if (isKind(text) && KINDS[text].bare) return this.#layer({ [text]: {} }, path, scope, previous, later);
    const activation = ACTIVATIONS.find((name) => name === text);
    if (activation) return this.#layer({ activation }, path, scope, previous, later);
    if (isKind(text)) return scope.report(path, `"${text}" needs options`, `write { "${text}": … }`);
    const all = [...ACTIVATIONS, ...KIND_NAMES.filter((name) => KINDS[name].bare)];
    return scope.report(
      path,
      `there is no layer "${text}"`,
      didYouMean(text, all) ?? `there are ${all.join(', ')}`,
    );
  }

  #from(layer: Written, path: Path, scope: Scope, previous: Flow, later: ReadonlySet<string>): Flow {
    if (layer.from === undefined) return previous;
    const from = scope.substituted(layer.from, at(path, 'from'));
    const name = scope.check(COMMON.from, from, at(path, 'from'));
    return name === undefined ? undefined : scope.named(name, at(path, 'from'), previous, later);
  }

  #options<K extends KindName>(kind: K, given: unknown, path: Path, scope: Scope): OptionsOf<K> | undefined {
    const { options, short, bare } = KINDS[kind];
    const known = scope.substitutedOptions(given, path);
    if (!known) return undefined;
    const { value } = known;
    if (isObject(value)) return scope.check(options as unknown as z.ZodType<OptionsOf<K>>, value, path);
    if (value === true && bare) return {} as OptionsOf<K>;
    if (!short) return scope.report(path, `expected an object with options; got ${show(value)}`);
    const single = scope.check(short[1], value, path);
    return single === undefined ? undefined : ({ [short[0]]: single } as OptionsOf<K>);
  }

  #single(
    kind: KindName,
    value: unknown,
    place: { path: Path; name: string },
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
    place: { path: Path; name: string },
    scope: Scope,
    previous: Flow,
    later: ReadonlySet<string>,
  ): Flow {
    const { path, name } = place;
    const written = typeof given === 'string' ? ['previous', given] : given;
    let values: Flow[] = [];
    if (!Array.isArray(written) || written.length === 0) {
      scope.report(
        path,
        `expected names of layers, or lists of layers; got ${show(given)}`,
        '{ "add": "skip" } adds the layer "skip" to what is before',
      );
    } else {
      values = written.map((entry: unknown, i) => {
        const own = typeof given === 'string' ? path : at(path, i);
        if (typeof entry === 'string') {
          const resolved = scope.substituted(entry, own);
          return typeof resolved === 'string' ? scope.named(resolved, own, previous, later) : undefined;
        }
        if (!Array.isArray(entry))
          return scope.report(own, `expected the name of a layer, or a list of layers; got ${show(entry)}`);
        return this.#list(entry, own, scope.inside(`${name}.${i}`), previous);
      });
    }
    const layer = new Layer({ ...place, kind, used: scope.used, container: scope.container }, this.#shop);
    const present = values.flatMap((v) => (v ? [v] : []));
    const result =
      present.length === values.length && present.length > 0 ? joined(layer, kind, present) : undefined;
    scope.names.set(name, result);
    return result;
  }

  #repeat(layer: Written, path: Path, scope: Scope, previous: Flow): Flow {
    const name = scope.nameOf(layer, 'repeat', path);
    const known = [...Object.keys(REPEAT), 'layers', 'name'];
    scope.checkKeys(layer, path, known);
    const given = scope.substituted(layer.repeat, at(path, 'repeat'));
    const times = given === undefined ? undefined : scope.check(REPEAT.repeat, given, at(path, 'repeat'));
    if (!Array.isArray(layer.layers))
      return scope.report(at(path, 'layers'), `expected a list of layers; got ${show(layer.layers)}`);
    let value = previous;
    for (let i = 0; i < (typeof times === 'number' ? times : 1); i++) {
      if (this.#layers > MOST_LAYERS) return undefined;
      const parameters = new Map([...scope.parameters, ['index', i]]);
      const inner = scope.inside(`${name}.${i}`, { parameters });
      value = this.#list(layer.layers, at(path, 'layers'), inner, value);
    }
    scope.names.set(name, value);
    return value;
  }

  #use(layer: Written, path: Path, scope: Scope, previous: Flow, later: ReadonlySet<string>): Flow {
    const from = this.#from(layer, path, scope, previous, later);
    const known = [...Object.keys(USE), ...Object.keys(COMMON)];
    scope.checkKeys(layer, path, known);
    const use = scope.check(USE.use, layer.use, at(path, 'use'));
    const given = scope.check(USE.with, layer.with, at(path, 'with')) ?? {};
    const name = scope.nameOf(layer, use ?? 'use', path);
    const block = use === undefined ? undefined : this.#blocks.get(use);
    if (use !== undefined && !block) {
      const all = [...this.#blocks.keys()];
      scope.report(
        at(path, 'use'),
        `there is no block "${show(use).slice(1, -1)}"`,
        didYouMean(use, all) ?? (all.length > 0 ? `there are ${all.join(', ')}` : 'define it under blocks'),
      );
    }
    let result: Flow;
    if (use !== undefined && block) {
      if (scope.blocks.includes(use))
        scope.report(at(path, 'use'), `the block uses itself: ${[...scope.blocks, use].join(' → ')}`);
      else {
        const parameters = this.#parameters(use, block, given, at(path, 'with'), scope);
        const inner = scope.inside(name, {
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
      scope.report(
        at(path, key),
        `the block "${use}" has no such parameter`,
        didYouMean(key, names) ?? (names.length > 0 ? `it has ${names.join(', ')}` : 'it has none'),
      );
    }
    for (const [key, fallback] of Object.entries(declared)) {
      const own = Object.hasOwn(given, key) ? scope.substituted(given[key], at(path, key)) : fallback;
      if (own === null && !Object.hasOwn(given, key))
        scope.report(at(path, key), `this is missing; the block "${use}" has no default for it`);
      parameters.set(key, own);
    }
    return parameters;
  }
}

const namesOf = (layers: readonly unknown[]): Set<string> =>
  new Set(layers.flatMap((l) => (isObject(l) && typeof l.name === 'string' ? [l.name] : [])));
