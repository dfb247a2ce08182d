import { expect, test } from 'vitest';
import { canonicalFactors } from '#passes/factorize/alternating.ts';
import { Random } from '../../support/random.ts';

type Vectors = readonly (readonly number[])[];

/** A sum of products of one vector per axis, row-major. */
function sumOf(terms: readonly Vectors[]): Float32Array {
  const sizes = terms[0]?.map((v) => v.length) ?? [];
  const count = sizes.reduce((a, b) => a * b, 1);
  return Float32Array.from({ length: count }, (_, i) => {
    let rest = i;
    const place = sizes.toReversed().map((n) => {
      const at = rest % n;
      rest = Math.floor(rest / n);
      return at;
    });
    place.reverse();
    return terms.reduce((sum, term) => sum + term.reduce((p, v, a) => p * (v[place[a] ?? 0] ?? 0), 1), 0);
  });
}

test('a sum of products is found again', () => {
  for (let seed = 1; seed <= 5; seed++) {
    const random = new Random(seed);
    const vector = (n: number) => Array.from(random.tensor([n]).data as Float32Array);
    const terms = Array.from({ length: 2 }, () => [vector(6), vector(5), vector(3), vector(3)]);
    const tensor = sumOf(terms);
    const factors = canonicalFactors(tensor, [6, 5, 3, 3], 3);
    if (!factors) throw new Error('no factors');
    const found = sumOf(Array.from({ length: 3 }, (_, r) => factors.map((f) => Array.from(f.getColumn(r)))));
    const off = tensor.reduce((sum, w, i) => sum + (w - (found[i] ?? 0)) ** 2, 0);
    expect(off / tensor.reduce((sum, w) => sum + w * w, 0)).toBeLessThan(0.01);
  }
});

// de Silva and Lim, 2008: of rank 3, and a limit of tensors of rank 2, whose terms grow without end
test('terms that cancel do not grow without end, or there is no fit', () => {
  const [a, b] = [
    [1, 0],
    [0, 1],
  ];
  const tensor = sumOf([
    [a, a, b],
    [a, b, a],
    [b, a, a],
  ]);
  const factors = canonicalFactors(tensor, [2, 2, 2], 2);
  const terms = Math.hypot(...(factors?.[0]?.to1DArray() ?? []));
  expect(terms).toBeLessThanOrEqual(4 * Math.sqrt(3));
});
