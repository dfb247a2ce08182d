/** The words that layers are written with, and how a layer is written. */
import { similar } from '../../suggest.ts';
import { exampleOf, written } from './hints.ts';
import { ACTIVATIONS, type ActivationName, isKind, KIND_NAMES, KINDS, type KindName } from './kinds.ts';
import { JOINS } from './schema.ts';

export const isActivation = (word: string): word is ActivationName =>
  ACTIVATIONS.some((name) => name === word);
/** What may stand alone as text. */
export const BARE_WORDS: readonly string[] = [
  ...new Set([...ACTIVATIONS, ...KIND_NAMES.filter((name) => KINDS[name].bare)]),
];
export const ALL_WORDS: readonly string[] = [
  ...new Set([...KIND_NAMES, ...JOINS, 'repeat', 'use', ...ACTIVATIONS]),
];

/** A layer of a kind as it may be written. */
export function exampleLayer(kind: KindName): string {
  const { options, short } = KINDS[kind];
  const needed = exampleOf(options) as object;
  const alone = short && Object.keys(needed).every((key) => key === short[0]);
  return written({ [kind]: alone ? exampleOf(short[1]) : needed });
}

/** How to write a layer of several kinds. */
export function kindsApart(kinds: readonly string[]): string {
  const apart = `as layers of their own: ${kinds.map((kind) => `{ "${kind}": … }`).join(', ')}`;
  const [outer, inner] = kinds.flatMap((kind) =>
    kinds
      .filter((k) => isKind(kind) && k !== kind && Object.hasOwn(KINDS[kind].options.shape, k))
      .map((k) => [kind, k]),
  )[0] ?? [undefined, undefined];
  return outer === undefined
    ? `write them ${apart}`
    : `write { "${outer}": { …, "${inner}": … } }, or them ${apart}`;
}

/** The layer that a mistyped word may have meant, as it is written: `did you mean { "conv": 64 }?` */
export function meant(word: string, blocks: Iterable<string> = []): string | undefined {
  const names = [...blocks];
  const [near] = similar(word, [...ALL_WORDS, ...names]);
  if (near === undefined) return undefined;
  let layer = `{ "${near}": … }`;
  if (names.includes(near)) layer = `{ "use": "${near}" }`;
  else if (BARE_WORDS.includes(near)) layer = `"${near}"`;
  else if (isKind(near)) layer = exampleLayer(near);
  return `did you mean ${layer}?`;
}
