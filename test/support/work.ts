import { Session } from 'node:inspector/promises';

/**
 * How often blocks of the repository's own code run in each of `bodies`: a measure of work that no other load of the machine
 * changes. What the engine does inside one call, as a sort, counts by what it calls.
 */
export async function blocksRun(bodies: readonly (() => void)[]): Promise<readonly number[]> {
  const session = new Session();
  session.connect();
  try {
    await session.post('Profiler.enable');
    await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
    const counts: number[] = [];
    for (const body of bodies) {
      body();
      // taking them sets them to zero
      const { result } = await session.post('Profiler.takePreciseCoverage');
      const own = result.filter(
        ({ url }) => /\/(ir|passes|compiler)\/[^?]*\.ts/.test(url) && !url.includes('/test/'),
      );
      const blocks = own.flatMap(({ functions }) => functions.flatMap(({ ranges }) => ranges));
      counts.push(blocks.reduce((sum, { count }) => sum + count, 0));
    }
    await session.post('Profiler.stopPreciseCoverage');
    return counts;
  } finally {
    session.disconnect();
  }
}
