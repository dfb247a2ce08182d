/** How times are taken: until they settle, side by side in turn, and what is said of many. */

/** Milliseconds since some moment. */
export type Clock = () => number;

/** Something that is timed. */
export type Run = () => unknown;

export interface Spread {
  readonly median: number;
  /** The 10th and the 90th percentile. */
  readonly low: number;
  readonly high: number;
}

export interface TimingOptions {
  readonly clock: Clock;
  /** Calls follow each other for at least this long before a time is taken, in milliseconds. */
  readonly batchMs: number;
  /** Called between batches; may throw to end the measurement. */
  readonly between?: () => Promise<void>;
}

export interface SettleOptions extends TimingOptions {
  /** The last three batches differ by at most this part. */
  readonly within: number;
  /** Gives up after this long, in milliseconds. */
  readonly limitMs: number;
}

/** Milliseconds per call, over one batch. */
export async function timeBatch(run: Run, { clock, batchMs }: TimingOptions): Promise<number> {
  const start = clock();
  let calls = 0;
  let elapsed: number;
  do {
    await run();
    calls++;
    elapsed = clock() - start;
  } while (elapsed < batchMs);
  return elapsed / calls;
}

const LEAST_BATCHES = 5;

/**
 * Engines optimise while code runs, in the background: goes on until three batches are alike.
 * @returns whether they were before the time limit
 */
export async function settle(run: Run, options: SettleOptions): Promise<boolean> {
  const { clock, within, limitMs, between } = options;
  const start = clock();
  const times: number[] = [];
  do {
    times.push(await timeBatch(run, options));
    await between?.();
    const last = times.slice(-3);
    if (times.length >= LEAST_BATCHES && Math.max(...last) <= (1 + within) * Math.min(...last)) return true;
  } while (clock() - start < limitMs);
  return false;
}

/** A batch of each side in turn, round by round. @returns per side, its milliseconds per call in each round */
export async function alternate(
  sides: readonly Run[],
  rounds: number,
  options: TimingOptions & { readonly onRound?: (done: number) => void },
): Promise<number[][]> {
  const times: number[][] = sides.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (const [i, side] of sides.entries()) {
      times[i]?.push(await timeBatch(side, options));
      await options.between?.();
    }
    options.onRound?.(round + 1);
  }
  return times;
}

/** The value below which a part of the list lies, interpolated. @throws RangeError for an empty list */
export function quantile(list: readonly number[], part: number): number {
  if (list.length === 0) throw new RangeError('no values');
  const sorted = [...list].sort((a, b) => a - b);
  const at = (sorted.length - 1) * part;
  const below = sorted[Math.floor(at)] as number;
  const above = sorted[Math.ceil(at)] as number;
  return below + (above - below) * (at - Math.floor(at));
}

export const median = (list: readonly number[]): number => quantile(list, 0.5);

export const spread = (list: readonly number[]): Spread => ({
  median: median(list),
  low: quantile(list, 0.1),
  high: quantile(list, 0.9),
});

/** The median of what a clock told; undefined where it told nothing. */
export function medianTold(times: readonly (number | undefined)[]): number | undefined {
  const told = times.filter((ms) => ms !== undefined);
  return told.length === 0 ? undefined : median(told);
}
