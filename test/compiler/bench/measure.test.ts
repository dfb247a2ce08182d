import { describe, expect, test } from 'vitest';
import { alternate, median, quantile, settle, spread, timeBatch } from '#compiler/bench/measure.ts';

/** A clock that only moves when a run says so. */
function fakeClock() {
  let now = 0;
  return {
    clock: () => now,
    /** A run that takes these times in turn, the last one from then on. */
    taking:
      (...times: readonly number[]) =>
      () => {
        now += (times.length > 1 ? (times as number[]).shift() : times[0]) ?? 0;
      },
  };
}

describe('statistics', () => {
  test.each([
    [[3], 3],
    [[4, 1], 2.5],
    [[9, 1, 5], 5],
    [[4, 1, 2, 3], 2.5],
  ])('the median of %j is %d', (list, expected) => {
    const before = [...list];
    expect(median(list)).toBe(expected);
    expect(list).toEqual(before);
  });

  test('percentiles are interpolated', () => {
    const list = Array.from({ length: 11 }, (_, i) => 10 - i);
    expect(spread(list)).toEqual({ median: 5, low: 1, high: 9 });
    expect(quantile([0, 10], 0.25)).toBe(2.5);
    expect(() => median([])).toThrow(RangeError);
  });
});

describe('a batch', () => {
  test('goes on for its time and gives the time of one call', async () => {
    const { clock, taking } = fakeClock();
    expect(await timeBatch(taking(3, 5, 4, 100), { clock, batchMs: 12 })).toBe(4);
  });

  test('is one call at least', async () => {
    const { clock, taking } = fakeClock();
    expect(await timeBatch(taking(50), { clock, batchMs: 10 })).toBe(50);
  });
});

describe('settling', () => {
  const limits = { batchMs: 1, within: 0.1, limitMs: 10_000 };

  test('waits for three batches that are alike', async () => {
    const { clock, taking } = fakeClock();
    expect(await settle(taking(100, 80, 60, 40, 30, 20, 20.5, 21, 1000), { clock, ...limits })).toBe(true);
    expect(clock()).toBe(100 + 80 + 60 + 40 + 30 + 20 + 20.5 + 21);
  });

  test('does not take the first batches for it', async () => {
    const { clock, taking } = fakeClock();
    expect(await settle(taking(10), { clock, ...limits })).toBe(true);
    expect(clock()).toBe(50);
  });

  test('gives up at the limit', async () => {
    const { clock, taking } = fakeClock();
    const restless = Array.from({ length: 99 }, (_, i) => (i % 2 === 0 ? 100 : 200));
    expect(await settle(taking(...restless), { clock, ...limits, limitMs: 1000 })).toBe(false);
    expect(clock()).toBe(1000);
  });

  test('can be ended from outside', async () => {
    const { clock, taking } = fakeClock();
    const between = () => Promise.reject(new Error('enough'));
    await expect(settle(taking(10), { clock, ...limits, between })).rejects.toThrow('enough');
  });
});

test('sides alternate, batch by batch', async () => {
  const { clock, taking } = fakeClock();
  const order: string[] = [];
  const side = (name: string, ...times: readonly number[]) => {
    const run = taking(...times);
    return () => {
      order.push(name);
      run();
    };
  };
  const rounds: number[] = [];
  const times = await alternate([side('a', 6, 8, 10), side('b', 20, 30, 40)], 3, {
    clock,
    batchMs: 10,
    onRound: (done) => rounds.push(done),
  });
  expect(order.join('')).toBe('aababab');
  expect(times[0]).toEqual([7, 10, 10]);
  expect(times[1]).toEqual([20, 30, 40]);
  expect(rounds).toEqual([1, 2, 3]);
});
