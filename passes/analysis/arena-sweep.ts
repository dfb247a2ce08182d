/** Placing buffers in the order of time, whatever number of them is alive at once. */

/** A buffer that is alive in steps `start` to `end`, both included. */
export interface Swept {
  readonly index: number;
  readonly bytes: number;
  readonly start: number;
  readonly end: number;
  readonly alignment: number;
}

export interface Sweep {
  /** By index. */
  readonly offsets: readonly (number | undefined)[];
  readonly size: number;
}

export const roundUp = (n: number, alignment: number): number => Math.ceil(n / alignment) * alignment;

/** In the order of time, forwards and backwards: stacks that grow and shrink are packed without a gap. */
export function bestSweep(items: readonly Swept[], target: number): Sweep {
  const forwards = sweep(items);
  if (forwards.size <= target) return forwards;
  const backwards = sweep(items.map((item) => ({ ...item, start: -item.end, end: -item.start })));
  return backwards.size < forwards.size ? backwards : forwards;
}

/** Each item in the tightest gap between those that are alive when it starts, by a list of the gaps. */
function sweep(items: readonly Swept[]): Sweep {
  const offsets: (number | undefined)[] = [];
  const gaps: Gap[] = [{ from: 0, to: Number.POSITIVE_INFINITY }];
  const byStart = [...items].sort((a, b) => a.start - b.start || b.bytes - a.bytes || a.index - b.index);
  const byEnd = [...items].sort((a, b) => a.end - b.end);
  let size = 0;
  let dead = 0;
  for (const item of byStart) {
    for (let at = byEnd[dead]; at && at.end < item.start; at = byEnd[++dead]) {
      const from = offsets[at.index] ?? 0;
      release(gaps, from, from + at.bytes);
    }
    const offset = take(gaps, item);
    offsets[item.index] = offset;
    size = Math.max(size, offset + item.bytes);
  }
  return { offsets, size };
}

/** Bytes that nobody has, before `to`. */
interface Gap {
  readonly from: number;
  readonly to: number;
}

function take(gaps: Gap[], { bytes, alignment }: Swept): number {
  let best = gaps.length - 1;
  let bestWaste = Number.POSITIVE_INFINITY;
  gaps.forEach(({ from, to }, i) => {
    const waste = to - roundUp(from, alignment) - bytes;
    if (waste >= 0 && waste < bestWaste) [best, bestWaste] = [i, waste];
  });
  const { from, to } = gaps[best] ?? { from: 0, to: 0 };
  const offset = roundUp(from, alignment);
  const left = [
    { from, to: offset },
    { from: offset + bytes, to },
  ].filter((gap) => gap.from < gap.to);
  gaps.splice(best, 1, ...left);
  return offset;
}

function release(gaps: Gap[], from: number, to: number): void {
  let next = gaps.findIndex((gap) => gap.from >= to);
  if (next < 0) next = gaps.length;
  const [before, after] = [gaps[next - 1], gaps[next]];
  const joinsBefore = before?.to === from;
  const joinsAfter = after?.from === to;
  const joined = {
    from: joinsBefore ? before.from : from,
    to: joinsAfter ? after.to : to,
  };
  gaps.splice(joinsBefore ? next - 1 : next, Number(joinsBefore) + Number(joinsAfter), joined);
}
