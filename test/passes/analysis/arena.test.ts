import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type ArenaRequest, planArena } from '#passes/analysis/arena.ts';
import { bestSweep } from '#passes/analysis/arena-sweep.ts';
import { blocksRun } from '../../support/work.ts';

const requests = (count: number, alignments: readonly number[]) =>
  fc
    .array(
      fc.record({
        bytes: fc.integer({ min: 0, max: 40 }),
        start: fc.integer({ min: 0, max: 12 }),
        length: fc.integer({ min: 0, max: 6 }),
        alignment: fc.constantFrom(...alignments),
      }),
      { minLength: 1, maxLength: count },
    )
    .map((list) =>
      list.map(({ length, ...r }, i): ArenaRequest => ({ ...r, id: `r${i}`, end: r.start + length })),
    );

const alive = (a: ArenaRequest, b: ArenaRequest): boolean => a.start <= b.end && b.start <= a.end;

test('no two live requests overlap, offsets are aligned, and the size is never below the bound', () => {
  fc.assert(
    fc.property(requests(24, [1, 4, 16]), (list) => {
      const plan = planArena(list);
      const at = (r: ArenaRequest) => plan.offsets.get(r.id) ?? Number.NaN;
      for (const a of list) {
        expect(at(a) % (a.alignment ?? 1)).toBe(0);
        expect(at(a) + a.bytes).toBeLessThanOrEqual(plan.size);
        for (const b of list) {
          if (a === b || a.bytes === 0 || b.bytes === 0 || !alive(a, b)) continue;
          expect(at(a) + a.bytes <= at(b) || at(b) + b.bytes <= at(a)).toBe(true);
        }
      }
      expect(plan.size).toBeGreaterThanOrEqual(plan.lowerBound);
      const liveAtPeak = list.filter((r) => r.start <= plan.peakAt && plan.peakAt <= r.end);
      expect(liveAtPeak.reduce((sum, r) => sum + r.bytes, 0)).toBe(plan.lowerBound);
    }),
  );
});

/** The least size over all integer offsets, by branch and bound. */
function optimum(list: readonly ArenaRequest[]): number {
  let best = list.reduce((sum, r) => sum + r.bytes, 0);
  const visit = (placed: readonly { r: ArenaRequest; at: number }[], size: number) => {
    const r = list[placed.length];
    if (!r) {
      best = Math.min(best, size);
      return;
    }
    for (let at = 0; at + r.bytes < best; at++) {
      const clash = placed.some((p) => alive(p.r, r) && p.at < at + r.bytes && at < p.at + p.r.bytes);
      if (!clash) visit([...placed, { r, at }], Math.max(size, at + r.bytes));
    }
  };
  visit([], 0);
  return best;
}

test('tiny instances are solved exactly', () => {
  const tiny = fc
    .array(
      fc.record({
        bytes: fc.integer({ min: 1, max: 5 }),
        start: fc.integer({ min: 0, max: 5 }),
        length: fc.integer({ min: 0, max: 3 }),
      }),
      { minLength: 1, maxLength: 5 },
    )
    .map((list) =>
      list.map(
        ({ bytes, start, length }, i): ArenaRequest => ({ id: `r${i}`, bytes, start, end: start + length }),
      ),
    );
  fc.assert(
    fc.property(tiny, (list) => {
      expect(planArena(list).size).toBe(optimum(list));
    }),
  );
});

test('the plan is the same each time, and the empty plan is empty', () => {
  const list = fc.sample(requests(40, [16]), { seed: 7, numRuns: 1 })[0] ?? [];
  expect([...planArena(list).offsets]).toEqual([...planArena(list).offsets]);
  expect(planArena([])).toEqual({ offsets: new Map(), size: 0, lowerBound: 0, peakAt: 0 });
});

test('a chain of equal buffers needs two of them', () => {
  const chain = Array.from({ length: 50 }, (_, i) => ({ id: i, bytes: 100, start: i, end: i + 1 }));
  const plan = planArena(chain);
  expect(plan.size).toBe(200);
  expect(plan.lowerBound).toBe(200);
});

test('swept, no two live buffers overlap, and offsets are aligned', () => {
  fc.assert(
    fc.property(requests(24, [1, 4, 16]), (list) => {
      const items = list
        .filter((r) => r.bytes > 0)
        .map((r, index) => ({ ...r, index, alignment: r.alignment ?? 1 }));
      const { offsets, size } = bestSweep(items, 0);
      const at = (r: { index: number }) => offsets[r.index] ?? Number.NaN;
      for (const a of items) {
        expect(at(a) % a.alignment).toBe(0);
        expect(at(a) + a.bytes).toBeLessThanOrEqual(size);
        for (const b of items) {
          if (a !== b && alive(a, b)) expect(at(a) + a.bytes <= at(b) || at(b) + b.bytes <= at(a)).toBe(true);
        }
      }
    }),
  );
});

test('thousands of buffers that are all alive at once are placed without a gap, in time that does not grow as their square', async () => {
  // the results of the first half of a network, each read again in the second half, the last first
  const skips = (count: number): readonly ArenaRequest[] =>
    Array.from({ length: count }, (_, i) => ({
      id: `${i}`,
      bytes: 64 + (i % 7),
      start: i,
      end: 2 * count - i,
    }));
  const few = skips(2000);
  const plan = planArena(few);
  expect(plan.size).toBe(plan.lowerBound);
  const [some = 0, twice = 0] = await blocksRun([() => planArena(few), () => planArena(skips(4000))]);
  expect(twice / some).toBeLessThan(2.5);
});
