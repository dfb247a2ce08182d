/** The time that a piece of work takes when nothing comes between. */
import { alternate, settle, type TimingOptions } from '../../bench/measure.ts';

export interface Probe {
  readonly run: () => unknown;
}

/** Short batches, so that some of them are free of other processes; many, as machines change their pace. */
const BATCH_MS = 4;
const ROUNDS = 40;
const WARM = { batchMs: 15, within: 0.1, limitMs: 400 } as const;

/** Milliseconds per run of each, the least of many rounds in turn. */
export async function leastTimes(
  probes: readonly Probe[],
  options: Pick<TimingOptions, 'clock' | 'between'>,
): Promise<readonly number[]> {
  for (const { run } of probes) await settle(run, { ...options, ...WARM });
  const times = await alternate(
    probes.map(({ run }) => run),
    ROUNDS,
    { ...options, batchMs: BATCH_MS },
  );
  return times.map((list) => Math.min(...list));
}
