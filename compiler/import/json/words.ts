/** The words that layers are written with, and how a layer is written. */
import { once } from '../../once.ts';
import { similar } from '../../suggest.ts';
import { calledHere } from './called-here.ts';
import { either, exampleOf, written } from './hints.ts';
import {
  ACTIVATIONS,
  type ActivationName,
  isKind,
  type KindName,
  kindNames,
  kinds,
  NORMS,
  SLOPED,
} from './kinds.ts';
import { JOINS } from './schema.ts';

export const isActivation = (word: string): word is ActivationName =>
  ACTIVATIONS.some((name) => name === word);
/** What may stand alone as text. */
export const bareWords = once((): readonly string[] => [
  ...new Set([...ACTIVATIONS, ...kindNames().filter((name) => kinds()[name].bare)]),
]);
export const allWords = once((): readonly string[] => [
  ...new Set([...kindNames(), ...JOINS, 'repeat', 'use', ...ACTIVATIONS]),
]);

/** `maxPool` is `max` and `pool`. */
const wordsIn = (name: string): readonly string[] => name.split(/(?=[A-Z])/).map((w) => w.toLowerCase());

/**
 * What a word may have meant, best first: the name of another framework, names, or names that it is a word of. Names
 * that are equally near are in one list.
 */
export function nearWords(word: string, known: readonly string[]): readonly (readonly string[])[] {
  const own = calledHere(word, known);
  if (own !== undefined) return [[own]];
  const parts = new Set(known.flatMap((name) => (wordsIn(name).length > 1 ? wordsIn(name) : [])));
  const near = similar(word, [...known, ...[...parts].filter((part) => !known.includes(part))]);
  return near.map((found) =>
    known.includes(found) ? [found] : known.filter((name) => wordsIn(name).includes(found)),
  );
}

/** A layer of a kind as it may be written. */
export function exampleLayer(kind: KindName): string {
  const { options, short } = kinds()[kind];
  const needed = exampleOf(options) as object;
  const alone = short && Object.keys(needed).every((key) => key === short[0]);
  return written({ [kind]: alone ? exampleOf(short[1]) : needed });
}

/** Options of a kind that the value fits, where no other is needed. */
export const optionsTaking = (kind: KindName, value: unknown): readonly string[] => {
  const { options } = kinds()[kind];
  return Object.keys(options.shape).filter((key) => options.safeParse({ [key]: value }).success);
};

type Written = Readonly<Record<string, unknown>>;
const besides = (layer: Written, key: string): Written =>
  Object.fromEntries(Object.entries(layer).filter(([k]) => k !== key));

/** `{ "relu": {}, "from": "stem" }` as it is written; what is beside it stays. */
export function activationLayer(layer: Written, name: ActivationName): string {
  const value = layer[name];
  const alpha = typeof value === 'object' && value !== null ? (value as Written).alpha : value;
  const sloped = SLOPED.includes(name) && typeof alpha === 'number';
  const rest = besides(layer, name);
  if (!sloped && Object.keys(rest).length === 0) return `"${name}"`;
  return written({ activation: sloped ? { name, alpha } : name, ...rest });
}

/** A layer that has a word of another framework in place of `name`. */
export function renamed(layer: Written, key: string, name: string): string {
  const rest = besides(layer, key);
  if (isActivation(name)) return activationLayer({ [name]: layer[key], ...rest }, name);
  if (name === 'norm')
    return written({ norm: NORMS.find((n) => key.toLowerCase().startsWith(n)) ?? 'batch', ...rest });
  if (!isKind(name)) return written({ [name]: layer[key], ...rest });
  const { options, short } = kinds()[name];
  const fits = short?.[1].safeParse(layer[key]).success || options.safeParse(layer[key]).success;
  return fits || Object.keys(rest).length > 0
    ? written({ [name]: fits ? layer[key] : exampleOf(short?.[1] ?? options), ...rest })
    : exampleLayer(name);
}

/** How to write a layer of several kinds. */
export function kindsApart(names: readonly string[]): string {
  const apart = `as layers of their own: ${names.map((kind) => `{ "${kind}": … }`).join(', ')}`;
  const [outer, inner] = names.flatMap((kind) =>
    names
      .filter((k) => isKind(kind) && k !== kind && Object.hasOwn(kinds()[kind].options.shape, k))
      .map((k) => [kind, k]),
  )[0] ?? [undefined, undefined];
  return outer === undefined
    ? `write them ${apart}`
    : `write { "${outer}": { …, "${inner}": … } }, or them ${apart}`;
}

/** The layers that a mistyped word may have meant, as they are written: `did you mean { "conv": 64 }?` */
export function meant(word: string, blocks: Iterable<string> = []): string | undefined {
  const names = [...blocks];
  const [nearest = []] = nearWords(word, [...allWords(), ...names]);
  const layers = nearest.slice(0, 3).map((near) => {
    if (names.includes(near)) return `{ "use": "${near}" }`;
    if (bareWords().includes(near)) return `"${near}"`;
    return isKind(near) ? exampleLayer(near) : `{ "${near}": … }`;
  });
  return layers.length === 0 ? undefined : `did you mean ${either(layers)}?`;
}
