/** The time that a piece of work takes when nothing comes between. */
import { alternate, settle, type TimingOptions } from '../../bench/measure.ts';

export interface Probe {
  readonly run: () => unknown;
}

/** Short batches, so that some of them are free of other processes; many, as machines change their pace. */
const BATCH_MS = 4;
const ROUNDS = 40;
const WARM = { batchMs: 15, within: 0.1, limitMs: 400 } as const;

/** How much of all is warming up, in time. */
const WARM_PART = 0.3;

/** Milliseconds per run of each, the least of many rounds in turn. */
export async function leastTimes(
  probes: readonly Probe[],
  {
    onProgress,
    ...options
  }: Pick<TimingOptions, 'clock' | 'between'> & {
    readonly onProgress?: (fraction: number) => void;
  },
): Promise<readonly number[]> {
  for (const [i, { run }] of probes.entries()) {
    onProgress?.((WARM_PART * i) / probes.length);
    await settle(run, { ...options, ...WARM });
  }
  const times = await alternate(
    probes.map(({ run }) => run),
    ROUNDS,
    {
      ...options,
      batchMs: BATCH_MS,
      onRound: (done) => onProgress?.(WARM_PART + (1 - WARM_PART) * (done / ROUNDS)),
    },
  );
  return times.map((list) => Math.min(...list));
}
