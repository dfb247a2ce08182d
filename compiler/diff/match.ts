/** Which layer of one model is which of another: by name and structure, in order. */
import type { AuditLayer } from '../audit/schema.ts';

/** A layer of the first model, of the second, or of both. */
export interface LayerPair {
  readonly a?: AuditLayer;
  readonly b?: AuditLayer;
  readonly by?: 'name' | 'structure';
}

/** A layer of the first model and one of the second, by their places. */
type Places = readonly [i: number, j: number];

/**
 * Layers of one name and op are the same if the name is the exporter's, or if their structure is the same too: made-up
 * names count layers, and move on with each that is added. Of the rest, between two that are, those of one structure are
 * matched in order, as many as can be (a longest common subsequence); then, between those, layers that do the same work
 * with other parameters, as a convolution does that has taken in a batch normalisation; then what has one name, wherever
 * it stands. In the order of the second model, with what is gone where it was.
 */
export function matchLayers(a: readonly AuditLayer[], b: readonly AuditLayer[]): readonly LayerPair[] {
  const partners = new Map<number, LayerPair & { readonly i: number }>();
  const matched = new Set<number>();
  const match = ([i, j]: Places, by: 'name' | 'structure'): void => {
    const [x, y] = [a[i], b[j]];
    if (x && y) partners.set(j, { i, a: x, b: y, by });
    matched.add(i);
  };
  const keys = { a: a.map(structureKey), b: b.map(structureKey) };
  const coarse = { a: a.map(workKey('a')), b: b.map(workKey('b')) };
  const sure = sameNames(a, b).filter(([i, j]) => isExported(a[i]) || keys.a[i] === keys.b[j]);
  let [fromA, fromB] = [0, 0];
  for (const [i, j] of [...longestAscending(sure), [a.length, b.length] as const]) {
    for (const places of between([fromA, fromB], [i, j], keys, coarse)) match(places, 'structure');
    if (j < b.length) match([i, j], 'name');
    [fromA, fromB] = [i + 1, j + 1];
  }
  for (const [i, j] of sameNames(a, b)) {
    if (!matched.has(i) && !partners.has(j)) match([i, j], 'name');
  }
  let next = 0;
  const goneBefore = (end: number): readonly LayerPair[] => {
    const gone = a.slice(next, end).flatMap((x, k) => (matched.has(next + k) ? [] : [{ a: x }]));
    next = Math.max(next, end);
    return gone;
  };
  const pairs = b.flatMap((y, j): readonly LayerPair[] => {
    const partner = partners.get(j);
    if (!partner) return [{ b: y }];
    const { i, ...pair } = partner;
    return [...goneBefore(i), pair];
  });
  return [...pairs, ...goneBefore(a.length)];
}

interface Keys {
  readonly a: readonly string[];
  readonly b: readonly string[];
}

/** What is matched from one pair of places to another, by fine keys, and between those by coarse ones. */
function between([fromA, fromB]: Places, [toA, toB]: Places, fine: Keys, coarse: Keys): readonly Places[] {
  const matched = ([a, b]: Places, [i, j]: Places, keys: Keys): readonly Places[] =>
    common(keys.a.slice(a, i), keys.b.slice(b, j)).map(([x, y]) => [a + x, b + y]);
  let at: Places = [fromA, fromB];
  return [...matched(at, [toA, toB], fine), [toA, toB] as const].flatMap((anchor): readonly Places[] => {
    const gap = matched(at, anchor, coarse);
    at = [anchor[0] + 1, anchor[1] + 1];
    return anchor[0] < toA ? [...gap, anchor] : gap;
  });
}

/** Do nested modules stand in its name? Then a training framework gave it. */
const isExported = (layer: AuditLayer | undefined): boolean => layer?.module.includes('.') ?? false;

const nameKey = ({ name, op }: AuditLayer): string => `${op} ${name}`;

/** Op, shapes and parameters: what makes two layers alike whatever they are called. */
const structureKey = (layer: AuditLayer): string =>
  [layer.label, layer.op, layer.outputShape.join('x'), layer.macs, layer.parameters].join(' ');

/** The structure but for the parameters; layers without MACs do no work that would tell them apart. */
const workKey =
  (model: string) =>
  (layer: AuditLayer, place: number): string =>
    layer.macs === 0
      ? `${model} ${place}`
      : [layer.label, layer.op, layer.outputShape.join('x'), layer.macs].join(' ');

/** Places of one name and op in both, in the order of the first; the first of each name. */
function sameNames(a: readonly AuditLayer[], b: readonly AuditLayer[]): readonly Places[] {
  const places = new Map<string, number>();
  for (const [j, layer] of b.entries()) if (!places.has(nameKey(layer))) places.set(nameKey(layer), j);
  const seen = new Set<string>();
  return a.flatMap((layer, i): readonly Places[] => {
    const key = nameKey(layer);
    const j = places.get(key);
    if (layer.name === '' || j === undefined || seen.has(key)) return [];
    seen.add(key);
    return [[i, j]];
  });
}

/** By patience sorting: O(n log n). */
function longestAscending(pairs: readonly Places[]): readonly Places[] {
  const tops: number[] = [];
  const before: number[] = [];
  pairs.forEach(([, j], k) => {
    let [low, high] = [0, tops.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((pairs[tops[middle] as number]?.[1] ?? 0) < j) low = middle + 1;
      else high = middle;
    }
    before[k] = low === 0 ? -1 : (tops[low - 1] as number);
    tops[low] = k;
  });
  const chain: Places[] = [];
  for (let k = tops.at(-1) ?? -1; k >= 0; k = before[k] as number) {
    chain.push(pairs[k] as Places);
  }
  return chain.reverse();
}

/** Beyond so many comparisons layers are only matched from both ends. */
const MOST_COMPARED = 4_000_000;

/** The places of a longest common subsequence. */
function common(a: readonly string[], b: readonly string[]): readonly Places[] {
  const shorter = Math.min(a.length, b.length);
  let start = 0;
  while (start < shorter && a[start] === b[start]) start++;
  let end = 0;
  while (end < shorter - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;
  const middle = longestCommon(a.slice(start, a.length - end), b.slice(start, b.length - end));
  return [
    ...Array.from({ length: start }, (_, k): Places => [k, k]),
    ...middle.map(([i, j]): Places => [start + i, start + j]),
    ...Array.from({ length: end }, (_, k): Places => [a.length - end + k, b.length - end + k]),
  ];
}

function longestCommon(a: readonly string[], b: readonly string[]): readonly Places[] {
  if (a.length * b.length > MOST_COMPARED) return [];
  const width = b.length + 1;
  const lengths = new Uint32Array((a.length + 1) * width);
  const at = (i: number, j: number): number => lengths[i * width + j] ?? 0;
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      lengths[i * width + j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const places: Places[] = [];
  let [i, j] = [0, 0];
  while (i < a.length && j < b.length) {
    if (a[i] === b[j] && at(i, j) === at(i + 1, j + 1) + 1) places.push([i++, j++]);
    else if (at(i + 1, j) >= at(i, j + 1)) i++;
    else j++;
  }
  return places;
}
