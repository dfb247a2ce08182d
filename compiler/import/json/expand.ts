/** Walks the layers of a description: names, branches, repeats and blocks; each layer is built as it is reached. */

import { z } from 'zod';
import type { Value } from '#ir/graph.ts';
import { didYouMean } from '../../suggest.ts';
import { calledHere } from './called-here.ts';
import { NOT_GIVEN, type Parameters } from './expressions.ts';
import { divisorsOf, nearOrAll, written } from './hints.ts';
import { joined, type Operand } from './joins.ts';
import { isKind, type KindName, kindNames, kinds, type OptionsOf } from './kinds.ts';
import { type Flow, Layer, type Workshop, type WrittenPlace } from './layer.ts';
import { LAYERS, type SingleKind } from './layers/index.ts';
import { at, type Path, show } from './problems.ts';
import { COMMON, isJoin, JOINS, type JoinName, LAYER_LIST, REPEAT, USE } from './schema.ts';
import { Scope } from './scope.ts';
import {
  activationLayer,
  allWords,
  bareWords,
  exampleLayer,
  isActivation,
  kindsApart,
  meant,
  nearWords,
  optionsTaking,
  renamed,
} from './words.ts';

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
  /** Blocks that layers of the network use. */
  readonly #used = new Set<string>();
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

  /** Checks blocks that no layer uses, as far as that is possible without what enters them. @returns their names */
  checkUnused(): readonly string[] {
    const unused = [...this.#blocks.keys()].filter((name) => !this.#used.has(name));
    for (const name of unused) {
      const block = this.#blocks.get(name);
      if (!block) continue;
      this.#layers = 0;
      const declared = Object.entries(block.parameters ?? {});
      const parameters = new Map(declared.map(([key, v]) => [key, v === null ? NOT_GIVEN : v]));
      const scope = Scope.draft(this.#shop.problems).inside(name, { parameters, blocks: [name] });
      this.#list(block.layers, at(at('blocks', name), 'layers'), scope, undefined);
    }
    return unused;
  }

  #list(layers: readonly unknown[], path: Path, scope: Scope, start: Flow): Flow {
    let value = start;
    const names = layers.map((layer) =>
      isObject(layer) && typeof layer.name === 'string' ? layer.name : undefined,
    );
    names.forEach((name, i) => {
      if (name !== undefined && !scope.later.has(name)) scope.later.set(name, at(path, i));
    });
    layers.forEach((layer, i) => {
      if (this.#layers > MOST_LAYERS) return;
      scope.current = names[i];
      value = this.#layer(layer, at(path, i), scope, value);
      scope.later.delete(names[i] ?? '');
    });
    scope.current = undefined;
    return value;
  }

  #layer(layer: unknown, path: Path, scope: Scope, previous: Flow): Flow {
    if (++this.#layers > MOST_LAYERS) {
      return scope.report(
        path,
        `the network has more than ${MOST_LAYERS} layers here, repeats and blocks expanded`,
        'write smaller numbers at "repeat": those of repeats in each other multiply',
      );
    }
    if (scope.depth > DEEPEST)
      return scope.report(
        path,
        `this is nested more than ${DEEPEST} deep`,
        'put the layers of blocks and branches one after the other, with names and "from"',
      );
    if (typeof layer === 'string') return this.#bare(layer, path, scope, previous);
    if (!isObject(layer))
      return scope.report(
        path,
        `expected a layer; got ${show(layer)}`,
        Array.isArray(layer)
          ? 'a list of layers stands in "add", "mul", "concat", "repeat" or a block; here its layers stand alone'
          : 'write a layer, for example { "conv": 64 } or "relu", or take this away',
      );
    const keys = Object.keys(layer);
    if (Object.hasOwn(layer, 'repeat')) return this.#repeat(layer, path, scope, previous);
    if (Object.hasOwn(layer, 'use')) return this.#use(layer, path, scope, previous);
    const named = keys.filter((key) => isKind(key) || isJoin(key));
    const [kind] = named;
    if (kind === undefined) return this.#unknown(layer, path, scope);
    if (named.length > 1)
      return scope.report(path, `one layer is one kind; this has ${named.join(' and ')}`, kindsApart(named));
    for (const key of keys) {
      if (key === kind || Object.hasOwn(COMMON, key)) continue;
      const inside = isKind(kind) && Object.hasOwn(kinds()[kind].options.shape, key);
      const hint = inside
        ? `it belongs inside: { "${kind}": { …, "${key}": … } }`
        : (didYouMean(key, Object.keys(COMMON)) ?? `take "${key}" away`);
      scope.report(at(path, key), `beside "${kind}" there are only name and from`, hint);
    }
    const place = { path: at(path, kind), name: scope.nameOf(layer, kind, path), written: layer[kind] };
    if (isJoin(kind)) return this.#join(kind, layer[kind], place, scope, previous);
    const from = this.#from(layer, path, scope, previous);
    return isKind(kind) ? this.#single(kind, layer[kind], place, scope, from) : undefined;
  }

  #unknown(layer: Written, path: Path, scope: Scope): undefined {
    const [key] = Object.keys(layer).filter((k) => !Object.hasOwn(COMMON, k));
    if (key === undefined)
      return scope.report(path, 'this says no kind of layer', `for example { "conv": 64 }`);
    if (this.#blocks.has(key))
      return scope.report(at(path, key), `"${key}" is a block`, `write { "use": "${key}", "with": { … } }`);
    if (isActivation(key))
      return scope.report(
        at(path, key),
        `"${key}" is an activation, not a kind of layer`,
        `write ${activationLayer(layer, key)}`,
      );
    const near = [...new Set(nearWords(key, allWords()).flat())].slice(0, 3);
    const all = [...kindNames(), ...JOINS, 'repeat', 'use'];
    const called = calledHere(key, allWords());
    let hint = near.length > 0 ? `did you mean ${near.join(' or ')}?` : `there are ${all.join(', ')}`;
    if (called !== undefined) hint = `here it is called "${called}": ${renamed(layer, key, called)}`;
    else if (near[0] !== undefined && isActivation(near[0])) hint = meant(key) ?? hint;
    return scope.report(at(path, key), 'there is no such kind of layer', hint);
  }

  /** A kind or an activation as text. */
  #bare(text: string, path: Path, scope: Scope, previous: Flow): Flow {
    if (isKind(text) && kinds()[text].bare) return this.#layer({ [text]: {} }, path, scope, previous);
    if (isActivation(text)) return this.#layer({ activation: text }, path, scope, previous);
    if (isKind(text)) return scope.report(path, `"${text}" needs options`, `write ${exampleLayer(text)}`);
    if (isJoin(text))
      return scope.report(
        path,
        `"${text}" needs names of layers, or lists of layers`,
        `write { "${text}": ["previous", "${scope.readable.at(-1) ?? 'input'}"] }`,
      );
    if (this.#blocks.has(text))
      return scope.report(path, `"${text}" is a block`, `write { "use": "${text}" }`);
    const hint = meant(text, this.#blocks.keys()) ?? `alone there are ${bareWords().join(', ')}`;
    return scope.report(path, `there is no layer "${text}"`, hint);
  }

  #from(layer: Written, path: Path, scope: Scope, previous: Flow): Flow {
    if (layer.from === undefined) return previous;
    const place = at(path, 'from');
    const from = scope.substituted(layer.from, place);
    const known = scope.readable;
    const name =
      from &&
      scope.check(COMMON.from, from.value, place, () => `for example "from": "${known.at(-1) ?? 'input'}"`);
    return name === undefined ? undefined : scope.named(name, place, previous);
  }

  #options<K extends KindName>(kind: K, given: unknown, path: Path, scope: Scope): OptionsOf<K> | undefined {
    const { options, short, bare } = kinds()[kind];
    const known = scope.substitutedOptions(given, path);
    if (!known) return undefined;
    const { value } = known;
    if (isObject(value)) return scope.check(options as unknown as z.ZodType<OptionsOf<K>>, value, path);
    if (value === true && bare) return {} as OptionsOf<K>;
    if (!short)
      return scope.report(
        path,
        `expected an object with options; got ${show(value)}`,
        bare ? `write "${kind}"` : `for example ${exampleLayer(kind)}`,
      );
    // a list may be what another option takes: the sizes of a split
    const taking = Array.isArray(value) ? optionsTaking(kind, value) : [];
    const hint =
      taking.length === 0
        ? undefined
        : `write ${taking.map((option) => written({ [kind]: { [option]: value } })).join(' or ')}`;
    const single = scope.check(short[1], value, path, (_, place) => (place === path ? hint : undefined));
    return single === undefined ? undefined : ({ [short[0]]: single } as OptionsOf<K>);
  }

  #single(kind: KindName, value: unknown, place: WrittenPlace, scope: Scope, from: Flow): Flow {
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
      return layer.wrong(
        '',
        parts === undefined ? 'it needs parts or sizes' : 'it has both parts and sizes',
        parts === undefined ? 'for example { "split": 2 }' : 'take one of them away',
      );
    if (parts !== undefined && channels % parts !== 0)
      return layer.wrong(
        'parts',
        `${parts} does not divide ${channels} input channels`,
        `${divisorsOf([channels])} would; parts of different sizes are { "split": { "sizes": [ … ] } }`,
      );
    const list = sizes ?? new Array<number>(parts ?? 1).fill(channels / (parts ?? 1));
    const sum = list.reduce((a, b) => a + b, 0);
    if (sum !== channels) {
      const rest = channels - sum + (list.at(-1) ?? 0);
      return layer.wrong(
        'sizes',
        `they add up to ${sum}; the input has ${channels} channels`,
        rest > 0
          ? `for example "sizes": ${written([...list.slice(0, -1), rest])}`
          : `take ${-rest + 1} or more away`,
      );
    }
    const { name } = layer.place;
    const taken = list.findIndex((_, i) => scope.names.has(`${name}.${i}`));
    if (taken >= 0)
      return layer.wrong(
        '',
        `its part ${taken} is called "${name}.${taken}", as a layer before it is`,
        'give one of them another "name"',
      );
    const values = layer.ops('Split', [x], { axis: 1, sizes: list });
    values?.forEach((value, i) => {
      scope.names.set(`${name}.${i}`, value);
    });
    return values?.[0];
  }

  #join(kind: JoinName, given: unknown, place: WrittenPlace, scope: Scope, previous: Flow): Flow {
    const { path, name } = place;
    const entries = typeof given === 'string' ? ['previous', given] : given;
    let operands: (Operand | undefined)[] = [];
    if (!Array.isArray(entries) || entries.length === 0) {
      scope.report(
        path,
        `expected names of layers, or lists of layers; got ${show(given)}`,
        isObject(given)
          ? `a list of lists of layers, one for each branch: { "${kind}": [[ … ], [ … ]] }`
          : `for example { "${kind}": ["previous", "${scope.readable.at(-1) ?? 'input'}"] }`,
      );
    } else {
      operands = entries.map((entry: unknown, i) => {
        const own = typeof given === 'string' ? path : at(path, i);
        const value = this.#operand(entry, own, name, i, scope, previous);
        return value && { value, name: typeof entry === 'string' ? entry : undefined };
      });
    }
    const layer = new Layer({ ...place, kind, used: scope.used, container: scope.container }, this.#shop);
    const present = operands.flatMap((v) => (v ? [v] : []));
    const result =
      present.length === operands.length && present.length > 0 ? joined(layer, kind, present) : undefined;
    scope.names.set(name, result);
    return result;
  }

  /** What a join reads: a named value, or the last of a list of layers. */
  #operand(entry: unknown, path: Path, join: string, i: number, scope: Scope, previous: Flow): Flow {
    if (typeof entry === 'string') {
      const resolved = scope.substituted(entry, path);
      if (!resolved) return undefined;
      const name = scope.check(z.string().meta({ description: 'the name of a layer' }), resolved.value, path);
      return name === undefined ? undefined : scope.named(name, path, previous);
    }
    if (Array.isArray(entry)) return this.#list(entry, path, scope.inside(`${join}.${i}`), previous);
    const [key] = isObject(entry) ? Object.keys(entry) : [];
    return scope.report(
      path,
      `expected the name of a layer, or a list of layers; got ${show(entry)}`,
      key === undefined
        ? 'for example "previous", or [{ "conv": 64 }] for a branch'
        : `put the layer in a list: [{ "${key}": … }]`,
    );
  }

  #repeat(layer: Written, path: Path, scope: Scope, previous: Flow): Flow {
    const name = scope.nameOf(layer, 'repeat', path);
    const known = [...Object.keys(REPEAT), 'layers', 'name'];
    const kinds: readonly string[] = Object.keys(layer).filter(
      (key) => isKind(key) || isJoin(key) || key === 'use',
    );
    for (const key of kinds)
      scope.report(
        at(path, key),
        'what is repeated stands in "layers"',
        `write { "repeat": ${written(layer.repeat)}, "layers": [{ "${key}": … }] }`,
      );
    const rest = Object.entries(layer).filter(([key]) => !kinds.includes(key));
    scope.checkKeys(Object.fromEntries(rest), path, known);
    const given = scope.substituted(layer.repeat, at(path, 'repeat'));
    const times = given && scope.check(REPEAT.repeat, given.value, at(path, 'repeat'));
    if (kinds.length > 0 && layer.layers === undefined) return undefined;
    const layers = scope.check(LAYER_LIST, layer.layers, at(path, 'layers'));
    if (!layers) return undefined;
    let value = previous;
    for (let i = 0; i < (typeof times === 'number' ? times : 1); i++) {
      if (this.#layers > MOST_LAYERS) return undefined;
      const parameters = new Map([...scope.parameters, ['index', i]]);
      const inner = scope.inside(`${name}.${i}`, { parameters });
      value = this.#list(layers, at(path, 'layers'), inner, value);
    }
    scope.names.set(name, value);
    return value;
  }

  #use(layer: Written, path: Path, scope: Scope, previous: Flow): Flow {
    const from = this.#from(layer, path, scope, previous);
    const known = [...Object.keys(USE), ...Object.keys(COMMON)];
    scope.checkKeys(layer, path, known);
    const names = [...this.#blocks.keys()];
    const define = 'define it at the top: "blocks": { "NAME": { "layers": [ … ] } }';
    const use = scope.check(USE.use, layer.use, at(path, 'use'), () =>
      names.length > 0 ? `for example "use": "${names[0]}"` : define,
    );
    const given = scope.check(USE.with, layer.with, at(path, 'with')) ?? {};
    const name = scope.nameOf(layer, use ?? 'use', path);
    const block = use === undefined ? undefined : this.#blocks.get(use);
    if (use !== undefined && !block) {
      scope.report(
        at(path, 'use'),
        `there is no block ${show(use)}`,
        nearOrAll(use, names, define.replace('NAME', show(use).slice(1, -1))),
      );
    }
    let result: Flow;
    if (use !== undefined && block) {
      if (!scope.isDraft) this.#used.add(use);
      if (scope.blocks.includes(use))
        scope.report(
          at(path, 'use'),
          `the block uses itself: ${[...scope.blocks, use].join(' → ')}`,
          'take this layer away, or use another block here; a block several times in a row is { "repeat": 2, "layers": [ … ] }',
        );
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
      scope.report(
        at(path, key),
        `the block "${use}" has no such parameter`,
        nearOrAll(
          key,
          Object.keys(declared),
          `take it away, or declare it: "blocks": { "${use}": { "parameters": { "${key}": null }, … } }`,
        ),
      );
    }
    for (const [key, fallback] of Object.entries(declared)) {
      const isGiven = Object.hasOwn(given, key);
      const own = isGiven ? scope.substituted(given[key], at(path, key)) : { value: fallback };
      if (!isGiven && fallback === null)
        scope.report(
          at(path, key),
          `this is missing; the block "${use}" has no default for it`,
          `write { "use": "${use}", "with": { "${key}": … } }, or a default in place of null: ${at(at(at('blocks', use), 'parameters'), key)}`,
        );
      parameters.set(key, own === undefined || (!isGiven && fallback === null) ? NOT_GIVEN : own.value);
    }
    return parameters;
  }
}
