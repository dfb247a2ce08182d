/** Which layer of one model is which of another: by name, then by structure, in order. */
import type { AuditLayer } from '../audit/schema.ts';

/** A layer of the first model, of the second, or of both. */
export interface LayerPair {
  readonly a?: AuditLayer;
  readonly b?: AuditLayer;
  readonly by?: 'name' | 'structure';
}

/**
 * Layers of one name and op are the same. Of the rest, between two that are, those of one structure are matched in order, as
 * many as can be (a longest common subsequence). In the order of the second model, with what is gone where it was.
 */
export function matchLayers(a: readonly AuditLayer[], b: readonly AuditLayer[]): readonly LayerPair[] {
  const named = byName(a, b);
  const pairs: LayerPair[] = [];
  let [fromA, fromB] = [0, 0];
  const between = (toA: number, toB: number): void => {
    pairs.push(...byStructure(a.slice(fromA, toA), b.slice(fromB, toB)));
  };
  for (const [i, j] of named) {
    between(i, j);
    pairs.push({ a: a[i], b: b[j], by: 'name' } as LayerPair);
    [fromA, fromB] = [i + 1, j + 1];
  }
  between(a.length, b.length);
  return pairs;
}

const nameKey = ({ name, op }: AuditLayer): string => `${op} ${name}`;

/** Op, shapes and parameters: what makes two layers alike whatever they are called. */
const structureKey = (layer: AuditLayer): string =>
  [layer.label, layer.op, layer.outputShape.join('x'), layer.macs, layer.parameters].join(' ');

/** Pairs of positions of one name, ascending in both: where names have changed places, the most that keep their order. */
function byName(a: readonly AuditLayer[], b: readonly AuditLayer[]): readonly (readonly [number, number])[] {
  const places = new Map<string, number>();
  for (const [j, layer] of b.entries()) if (!places.has(nameKey(layer))) places.set(nameKey(layer), j);
  const seen = new Set<string>();
  const pairs = a.flatMap((layer, i): (readonly [number, number])[] => {
    const key = nameKey(layer);
    const j = places.get(key);
    if (layer.name === '' || j === undefined || seen.has(key)) return [];
    seen.add(key);
    return [[i, j]];
  });
  return longestAscending(pairs);
}

/** By patience sorting: O(n log n). */
function longestAscending(
  pairs: readonly (readonly [number, number])[],
): readonly (readonly [number, number])[] {
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
  const chain: (readonly [number, number])[] = [];
  for (let k = tops.at(-1) ?? -1; k >= 0; k = before[k] as number) {
    chain.push(pairs[k] as readonly [number, number]);
  }
  return chain.reverse();
}

/** Beyond so many comparisons layers are only matched from both ends. */
const MOST_COMPARED = 4_000_000;

function byStructure(a: readonly AuditLayer[], b: readonly AuditLayer[]): readonly LayerPair[] {
  const keys = [a.map(structureKey), b.map(structureKey)] as const;
  let start = 0;
  while (start < Math.min(a.length, b.length) && keys[0][start] === keys[1][start]) start++;
  let end = 0;
  while (
    end < Math.min(a.length, b.length) - start &&
    keys[0][a.length - 1 - end] === keys[1][b.length - 1 - end]
  ) {
    end++;
  }
  const alike = (i: number, j: number): LayerPair => ({ a: a[i], b: b[j], by: 'structure' }) as LayerPair;
  const middle = common(
    a.slice(start, a.length - end),
    b.slice(start, b.length - end),
    keys[0].slice(start, a.length - end),
    keys[1].slice(start, b.length - end),
  );
  return [
    ...Array.from({ length: start }, (_, k) => alike(k, k)),
    ...middle,
    ...Array.from({ length: end }, (_, k) => alike(a.length - end + k, b.length - end + k)),
  ];
}

/** A longest common subsequence; where it is too long to find, nothing is common. */
function common(
  a: readonly AuditLayer[],
  b: readonly AuditLayer[],
  keysA: readonly string[],
  keysB: readonly string[],
): LayerPair[] {
  const gone = (layer: AuditLayer): LayerPair => ({ a: layer });
  const added = (layer: AuditLayer): LayerPair => ({ b: layer });
  if (a.length * b.length > MOST_COMPARED) return [...a.map(gone), ...b.map(added)];
  const width = b.length + 1;
  const lengths = new Uint32Array((a.length + 1) * width);
  const at = (i: number, j: number): number => lengths[i * width + j] ?? 0;
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      lengths[i * width + j] =
        keysA[i] === keysB[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const pairs: LayerPair[] = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    const [x, y] = [a[i], b[j]];
    if (x && y && keysA[i] === keysB[j] && at(i, j) === at(i + 1, j + 1) + 1) {
      pairs.push({ a: x, b: y, by: 'structure' });
      i++;
      j++;
    } else if (x && (!y || at(i + 1, j) >= at(i, j + 1))) {
      pairs.push(gone(x));
      i++;
    } else if (y) {
      pairs.push(added(y));
      j++;
    }
  }
  return pairs;
}
