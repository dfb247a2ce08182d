/** Placing buffers of known lifetime in one block of memory. */
import { bestSweep, roundUp } from './arena-sweep.ts';

/** A buffer that must hold its bytes in steps `start` to `end`, both included. */
export interface ArenaRequest<Id = string> {
  readonly id: Id;
  readonly bytes: number;
  readonly start: number;
  readonly end: number;
  /** The offset is a multiple of it; 1 unless said. */
  readonly alignment?: number;
}

export interface ArenaPlan<Id = string> {
  /** Byte offset of each request. */
  readonly offsets: ReadonlyMap<Id, number>;
  /** Bytes of the whole arena. */
  readonly size: number;
  /** The largest sum of bytes alive in one step: no plan is smaller. */
  readonly lowerBound: number;
  /** The first step in which that sum is alive. */
  readonly peakAt: number;
}

/**
 * Offsets such that no two requests that are alive in one step overlap. Requests are placed one by one into the
 * tightest gap, in several orders; the smallest arena wins. Where none of them reaches the bound, up to six requests
 * are solved exactly and larger instances improved by a bounded search; where too many are alive at once for that, they
 * are placed in the order of time only, forwards and backwards. The same requests give the same plan.
 *
 * Dynamic storage allocation is NP-hard; greedy by size is within a few percent on networks (Pisarchyk and Lee,
 * Efficient Memory Management for Deep Neural Net Inference, 2020).
 */
export function planArena<Id = string>(requests: readonly ArenaRequest<Id>[]): ArenaPlan<Id> {
  const { lowerBound, peakAt } = largestLiveSet(requests);
  const items = requests.map(toItem).filter((item) => item.bytes > 0);
  const best = bestPlacement(items, lowerBound);
  return {
    offsets: new Map(requests.map((r, index) => [r.id, best.offsets[index] ?? 0])),
    size: items.length === 0 ? 0 : best.size,
    lowerBound,
    peakAt,
  };
}

function bestPlacement(items: readonly Item[], lowerBound: number): Placement {
  const target = alignedBound(items, lowerBound);
  if (neighbourCount(items) > MOST_NEIGHBOURS) return { ...bestSweep(items, target), order: [] };
  linkNeighbours(items);
  let best = EMPTY;
  for (const order of ORDERS) {
    best = smaller(best, place([...items].sort(order), items.length));
    if (best.size <= target) return best;
  }
  return items.length <= EXACT_LIMIT ? smaller(best, exact(items)) : improve(best, items, target);
}

/** The largest sum of bytes alive in one step, and the first step where it occurs. */
export function largestLiveSet(requests: readonly Omit<ArenaRequest<unknown>, 'id'>[]): {
  readonly lowerBound: number;
  readonly peakAt: number;
} {
  const change = new Map<number, number>();
  for (const { bytes, start, end } of requests) {
    change.set(start, (change.get(start) ?? 0) + bytes);
    change.set(end + 1, (change.get(end + 1) ?? 0) - bytes);
  }
  let live = 0;
  let lowerBound = 0;
  let peakAt = 0;
  for (const step of Float64Array.from(change.keys()).sort()) {
    live += change.get(step) ?? 0;
    if (live > lowerBound) {
      lowerBound = live;
      peakAt = step;
    }
  }
  return { lowerBound, peakAt };
}

/** The sum of bytes alive in each of the first `steps` steps. */
export function liveSizes(requests: readonly Omit<ArenaRequest<unknown>, 'id'>[], steps: number): number[] {
  const change = new Float64Array(steps + 1);
  for (const { bytes, start, end } of requests) {
    change[start] = (change[start] ?? 0) + bytes;
    change[Math.min(end, steps - 1) + 1] = (change[Math.min(end, steps - 1) + 1] ?? 0) - bytes;
  }
  let live = 0;
  return Array.from({ length: steps }, (_, step) => {
    live += change[step] ?? 0;
    return live;
  });
}

interface Item {
  readonly index: number;
  readonly bytes: number;
  readonly start: number;
  readonly end: number;
  readonly alignment: number;
  /** Items alive in a common step. */
  readonly neighbours: Item[];
}

interface Placement {
  /** By index of the request. */
  readonly offsets: readonly (number | undefined)[];
  readonly size: number;
  readonly order: readonly Item[];
}

const EXACT_LIMIT = 6;
/** Beyond so many pairs of items that are alive in a common step, looking at each takes seconds. */
const MOST_NEIGHBOURS = 500_000;
/** Placements of one item that the search may spend, times neighbours: well under a second. */
const SEARCH_WORK = 4_000_000;
const EMPTY: Placement = { offsets: [], size: Number.POSITIVE_INFINITY, order: [] };

const smaller = (a: Placement, b: Placement): Placement => (b.size < a.size ? b : a);
const duration = (item: Item): number => item.end - item.start + 1;

const ORDERS: readonly ((a: Item, b: Item) => number)[] = [
  (a, b) => b.bytes - a.bytes || duration(b) - duration(a) || a.index - b.index,
  (a, b) => b.bytes * duration(b) - a.bytes * duration(a) || a.index - b.index,
  (a, b) => duration(b) - duration(a) || b.bytes - a.bytes || a.index - b.index,
  (a, b) => a.start - b.start || b.bytes - a.bytes || a.index - b.index,
  (a, b) => b.end - a.end || b.bytes - a.bytes || a.index - b.index,
  (a, b) => b.bytes * b.neighbours.length - a.bytes * a.neighbours.length || a.index - b.index,
];

function toItem({ bytes, start, end, alignment = 1 }: ArenaRequest<unknown>, index: number): Item {
  if (!(bytes >= 0 && start <= end && alignment >= 1)) {
    throw new RangeError(`arena request ${index}: ${bytes} bytes, steps ${start} to ${end}`);
  }
  return { index, bytes, start, end, alignment, neighbours: [] };
}

function linkNeighbours(items: readonly Item[]): void {
  const byStart = [...items].sort((a, b) => a.start - b.start);
  byStart.forEach((a, i) => {
    for (let j = i + 1; j < byStart.length; j++) {
      const b = byStart[j];
      if (!b || b.start > a.end) break;
      a.neighbours.push(b);
      b.neighbours.push(a);
    }
  });
}

/** How many neighbours all items have together. */
function neighbourCount(items: readonly Item[]): number {
  const ends = items.map((item) => item.end).sort((a, b) => a - b);
  let pairs = 0;
  let dead = 0;
  [...items]
    .sort((a, b) => a.start - b.start)
    .forEach((item, before) => {
      while ((ends[dead] ?? item.start) < item.start) dead++;
      pairs += before - dead;
    });
  return 2 * pairs;
}

/** A bound that knows of the alignment that all requests share: only the topmost of a step may end unaligned. */
function alignedBound(items: readonly Item[], lowerBound: number): number {
  const step = items.reduce((low, item) => Math.min(low, item.alignment), Number.POSITIVE_INFINITY);
  if (items.some((item) => item.alignment % step !== 0)) return lowerBound;
  const slack = items.reduce((high, item) => Math.max(high, roundUp(item.bytes, step) - item.bytes), 0);
  if (slack === 0) return lowerBound;
  const padded = items.map((item) => ({ ...item, bytes: roundUp(item.bytes, step) }));
  return Math.max(lowerBound, largestLiveSet(padded).lowerBound - slack);
}

/** Places items in order, each in the tightest gap (or, `lowest`, the lowest) between its placed neighbours. */
function place(order: readonly Item[], count: number, lowest = false): Placement {
  const offsets: (number | undefined)[] = new Array(count).fill(undefined);
  let size = 0;
  for (const item of order) {
    const taken = item.neighbours
      .flatMap((n) => {
        const at = offsets[n.index];
        return at === undefined ? [] : [{ at, end: at + n.bytes }];
      })
      .sort((a, b) => a.at - b.at);
    const offset = gap(item, taken, lowest);
    offsets[item.index] = offset;
    size = Math.max(size, offset + item.bytes);
  }
  return { offsets, size, order };
}

function gap(item: Item, taken: readonly { at: number; end: number }[], lowest: boolean): number {
  let free = 0;
  let best: number | undefined;
  let bestWaste = Number.POSITIVE_INFINITY;
  for (const { at, end } of taken) {
    const offset = roundUp(free, item.alignment);
    const waste = at - offset - item.bytes;
    if (waste >= 0 && waste < bestWaste) {
      if (lowest) return offset;
      best = offset;
      bestWaste = waste;
    }
    free = Math.max(free, end);
  }
  return best ?? roundUp(free, item.alignment);
}

/** The optimum: some order, each item at the lowest free offset, gives it. */
function exact(items: readonly Item[]): Placement {
  let best = EMPTY;
  const visit = (order: readonly Item[], rest: readonly Item[]) => {
    if (rest.length === 0) best = smaller(best, place(order, items.length, true));
    for (const item of rest) {
      visit(
        [...order, item],
        rest.filter((r) => r !== item),
      );
    }
  };
  visit([], items);
  return best;
}

/** Moves items to the front of the order and back in a fixed pseudo-random sequence; keeps what does not grow. */
function improve(start: Placement, items: readonly Item[], target: number): Placement {
  const work = items.reduce((sum, item) => sum + item.neighbours.length + 1, 0);
  const rounds = Math.min(400, Math.floor(SEARCH_WORK / work));
  const random = sequence();
  let best = start;
  for (let round = 0; round < rounds && best.size > target; round++) {
    const order = [...best.order];
    const top = order.findIndex((item) => (best.offsets[item.index] ?? 0) + item.bytes === best.size);
    const from = round % 2 === 0 ? top : Math.floor(random() * order.length);
    const [moved] = order.splice(from, 1);
    if (moved) order.splice(Math.floor(random() * (from + 1)), 0, moved);
    const next = place(order, items.length, round % 3 === 0);
    if (next.size <= best.size) best = next;
  }
  return best;
}

/** Numbers in [0, 1) of a 32-bit linear congruential generator (Numerical Recipes). */
function sequence(): () => number {
  let state = 1;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
