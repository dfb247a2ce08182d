import { describe, expect, test } from 'vitest';
import { fastest, stopwatch, type Timed } from '#compiler/tune/timing.ts';

/** Sides that take what a function says, by a clock of their own. */
function fake(...costs: readonly ((run: number) => number)[]) {
  let now = 0;
  const runs = costs.map(() => 0);
  const sides = costs.map((cost, i): Timed => {
    const run = () => {
      const ms = cost(runs[i] ?? 0);
      runs[i] = (runs[i] ?? 0) + 1;
      now += ms;
      return ms;
    };
    return { warm: run, time: run };
  });
  return { sides, runs, clock: () => now };
}

const always = (ms: number) => () => ms;

describe('of several sides', () => {
  test('each has its time', async () => {
    const { sides, clock } = fake(always(4), always(3), always(5));
    expect(await stopwatch({ clock })(sides, 0)).toEqual([4, 3, 5]);
  });

  test('the slow ones are left out early, the usual one never', async () => {
    const { sides, runs, clock } = fake(always(4), always(2), always(5), always(2.1));
    await stopwatch({ clock })(sides, 0);
    const [usual = 0, best = 0, slow = 0, near = 0] = runs;
    expect(slow).toBeLessThan(near);
    expect(near).toBeLessThan(best);
    expect(usual).toBeGreaterThan(slow);
  });

  test('single slow runs do not count', async () => {
    const { sides, clock } = fake(always(1), (run) => (run % 5 === 0 ? 50 : 0.9));
    expect(await stopwatch({ clock })(sides, 0)).toEqual([1, 0.9]);
  });

  test('there is an end, however slow they are', async () => {
    const { sides, runs, clock } = fake(always(30_000), always(20_000));
    expect(await stopwatch({ clock })(sides, 0)).toEqual([30_000, 20_000]);
    for (const n of runs) expect(n).toBeLessThan(20);
  });

  test('what is called between may end it', async () => {
    const { sides, clock } = fake(always(1), always(2));
    const between = () => Promise.reject(new Error('enough'));
    await expect(stopwatch({ clock, between })(sides, 0)).rejects.toThrow('enough');
  });
});

test('a way replaces the usual one if it is faster by three parts in a hundred', () => {
  expect(fastest([100, 97.5, 98], 0)).toBe(0);
  expect(fastest([100, 97, 98], 0)).toBe(1);
  expect(fastest([120, 97, 100], 2)).toBe(1);
  expect(fastest([90, 97, 100], 0)).toBe(0);
  // what has no time was not measured
  expect(fastest(Array<number>(18).fill(0), 9)).toBe(9);
  expect(fastest([0, 97, 100], 2)).toBe(1);
  expect(fastest([undefined, 97, 100], 2)).toBe(1);
  expect(fastest([50, 97, 0], 2)).toBe(2);
});
