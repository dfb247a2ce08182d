import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Blocks,
  type DenseMatrix,
  divides,
  findBlocks,
  givenBlocks,
  spectralBasis,
} from '#passes/analysis/block-diagonal.ts';

const matrix = (lines: readonly (readonly number[])[]): DenseMatrix => ({
  rows: lines.length,
  columns: lines[0]?.length ?? 0,
  data: Float64Array.from(lines.flat()),
});

/** Numbers in [0, 1) from a seed. */
function random(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

function shuffled(size: number, next: () => number): readonly number[] {
  const order = Array.from({ length: size }, (_, i) => i);
  for (let i = size - 1; i > 0; i--) {
    const j = Math.floor(next() * (i + 1));
    [order[i], order[j]] = [order[j] ?? 0, order[i] ?? 0];
  }
  return order;
}

interface Hidden {
  readonly matrix: DenseMatrix;
  readonly ofRows: readonly number[];
  readonly ofColumns: readonly number[];
}

/** Full blocks of random magnitudes, rows and columns out of order, with noise between the blocks. */
function hidden(groups: number, height: number, width: number, noise: number, seed: number): Hidden {
  const next = random(seed);
  const ofRows = shuffled(groups * height, next).map((i) => Math.floor(i / height));
  const ofColumns = shuffled(groups * width, next).map((i) => Math.floor(i / width));
  const lines = ofRows.map((r) =>
    ofColumns.map((c) => (r === c ? (0.1 + 0.9 * next()) * (next() < 0.5 ? -1 : 1) : noise * (next() - 0.5))),
  );
  return { matrix: matrix(lines), ofRows, ofColumns };
}

/** Which rows and columns are together, whatever the groups are called. */
function together({ ofRows, ofColumns }: Pick<Blocks, 'ofRows' | 'ofColumns'>): readonly string[] {
  const groups = new Map<number, string[]>();
  const put = (name: string) => (group: number, i: number) =>
    groups.set(group, [...(groups.get(group) ?? []), `${name}${i}`]);
  ofRows.forEach(put('r'));
  ofColumns.forEach(put('c'));
  return [...groups.values()].map((names) => names.join()).sort();
}

const cases = fc.record({
  groups: fc.integer({ min: 1, max: 12 }),
  height: fc.integer({ min: 1, max: 8 }),
  width: fc.integer({ min: 1, max: 8 }),
  seed: fc.integer(),
});

describe('what is block-diagonal up to its order is found', () => {
  test('exactly', () => {
    fc.assert(
      fc.property(cases, ({ groups, height, width, seed }) => {
        const made = hidden(groups, height, width, 0, seed);
        const found = findBlocks(made.matrix, groups);
        expect(together(found)).toEqual(together(made));
        expect(found.share).toBe(1);
      }),
      { numRuns: 150 },
    );
  });

  test('under noise of a thousandth', () => {
    fc.assert(
      fc.property(cases, ({ groups, height, width, seed }) => {
        const made = hidden(groups, height, width, 1e-3, seed);
        const found = findBlocks(made.matrix, groups);
        expect(together(found)).toEqual(together(made));
        expect(found.share).toBeGreaterThan(0.999);
      }),
      { numRuns: 150 },
    );
  });

  test('at the size of a layer', () => {
    const made = hidden(16, 32, 16, 1e-3, 7);
    expect(together(findBlocks(made.matrix, 16))).toEqual(together(made));
  });
});

describe('of any matrix', () => {
  const anyMatrix = fc
    .record({
      groups: fc.constantFrom(1, 2, 3, 4),
      height: fc.integer({ min: 1, max: 4 }),
      width: fc.integer({ min: 1, max: 4 }),
      seed: fc.integer(),
      zeros: fc.constantFrom(0, 0.3, 0.9, 1),
    })
    .map(({ groups, height, width, seed, zeros }) => {
      const next = random(seed);
      const lines = Array.from({ length: groups * height }, () =>
        Array.from({ length: groups * width }, () => (next() < zeros ? 0 : next() - 0.5)),
      );
      return { groups, lines };
    });

  test('groups are equally large, the share is that of the groups, and no exchange of two is better', () => {
    fc.assert(
      fc.property(anyMatrix, ({ groups, lines }) => {
        const found = findBlocks(matrix(lines), groups);
        const given = givenBlocks(matrix(lines), groups);
        for (const of of [found.ofRows, found.ofColumns]) {
          const sizes = Array.from({ length: groups }, (_, k) => of.filter((group) => group === k).length);
          expect(new Set(sizes).size).toBe(1);
        }
        expect(found.share).toBeGreaterThanOrEqual(given.share - 1e-12);
        const share = shareOf(lines, found.ofRows, found.ofColumns, groups);
        expect(found.share).toBeCloseTo(share, 10);
        for (const which of ['ofRows', 'ofColumns'] as const) {
          for (let i = 0; i < found[which].length; i++) {
            for (let j = 0; j < i; j++) {
              const other = [...found[which]];
              [other[i], other[j]] = [other[j] ?? 0, other[i] ?? 0];
              const { ofRows, ofColumns } =
                which === 'ofRows' ? { ...found, ofRows: other } : { ...found, ofColumns: other };
              expect(shareOf(lines, ofRows, ofColumns, groups)).toBeLessThanOrEqual(share + 1e-9);
            }
          }
        }
      }),
      { numRuns: 150 },
    );
  });

  test('the same matrix gives the same groups, and the order of its rows does not matter to the share', () => {
    const next = random(3);
    const lines = Array.from({ length: 12 }, () => Array.from({ length: 8 }, () => next()));
    expect(findBlocks(matrix(lines), 4)).toEqual(findBlocks(matrix(lines), 4));
    expect(givenBlocks(matrix(lines), 1).share).toBe(1);
  });

  test('a basis for more groups serves fewer', () => {
    const made = hidden(4, 8, 8, 1e-3, 11);
    const basis = spectralBasis(made.matrix, 16);
    expect(together(findBlocks(made.matrix, 4, basis))).toEqual(together(made));
  });

  test('small ones are solved: compared with every grouping there is', () => {
    let [sum, best] = [0, 0];
    for (let seed = 0; seed < 60; seed++) {
      const next = random(seed);
      const lines = Array.from({ length: 6 }, () => Array.from({ length: 6 }, () => next() ** 2));
      const optimum = Math.max(
        ...halves(6).flatMap((ofRows) => halves(6).map((ofColumns) => shareOf(lines, ofRows, ofColumns, 2))),
      );
      const found = findBlocks(matrix(lines), 2).share;
      expect(found).toBeLessThanOrEqual(optimum + 1e-12);
      sum += found;
      best += optimum;
    }
    expect(sum / best).toBeGreaterThan(0.97);
  });
});

test('groups must divide rows and columns', () => {
  const plain = matrix([
    [1, 2, 3],
    [4, 5, 6],
  ]);
  expect(divides(plain, 2)).toBe(false);
  expect(() => findBlocks(plain, 2)).toThrow('2×3 does not divide into 2 groups');
});

function shareOf(
  lines: readonly (readonly number[])[],
  ofRows: readonly number[],
  ofColumns: readonly number[],
  groups: number,
): number {
  const all = lines.flatMap((line, r) =>
    line.map((x, c) => ({ square: x * x, inside: ofRows[r] === ofColumns[c] })),
  );
  const total = all.reduce((sum, { square }) => sum + square, 0);
  if (total === 0) return 1 / groups;
  return all.reduce((sum, { square, inside }) => sum + (inside ? square : 0), 0) / total;
}

/** Each way to divide so many in two. */
const halves = (size: number): readonly (readonly number[])[] =>
  Array.from({ length: 2 ** size }, (_, bits) =>
    Array.from({ length: size }, (_, i) => Math.floor(bits / 2 ** i) % 2),
  ).filter((of) => of.filter((group) => group === 1).length === size / 2);
