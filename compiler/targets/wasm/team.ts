/** Threads that run a kernel together: each does its share of the pieces, and they meet where one needs what others did. */

import type { Ex, FunctionBody, Local } from './encoder/index.ts';

type Body = FunctionBody<readonly []>;

/** Pieces of a kernel's work that are the current thread's: from `first` up to `end`. */
export interface Share {
  readonly first: Local<'i32'>;
  readonly end: Local<'i32'>;
  /** The number of the thread. */
  readonly thread: Ex<'i32'>;
}

export interface Team {
  /** The current thread's part of `pieces`; undefined where one thread does them all. */
  share(body: Body, pieces: number): Share | undefined;
  /** Waits until all threads are here. */
  meet(body: Body): void;
}

/** One thread. */
export const ALONE: Team = { share: () => undefined, meet: () => {} };

/** How much longer than its due the slowest of some threads takes for pieces of one size, for 2 threads and for 4. */
export const unevenness = (pieces: number): number =>
  [2, 4].reduce((sum, n) => sum + (Math.ceil(pieces / n) * n) / pieces - 1, 0);
