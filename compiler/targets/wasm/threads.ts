/**
 * What several threads of one module do to run it together. Each has an instance of its own over one shared memory, and
 * knows its number. They meet between layers at a barrier with a generation: the last to come opens it for the others, who
 * spin, and wait if that takes long. A page's main thread must not wait; it spins on.
 */
import { choose } from './choose.ts';
import {
  type Func,
  type FunctionBody,
  type Global,
  i32,
  i64,
  type ModuleBuilder,
  op,
} from './encoder/index.ts';
import type { Body } from './kernels/family.ts';
import type { Share, Team } from './team.ts';

/** Cells that several threads write, a line of a cache apart. */
const ARRIVED = 64;
const GENERATION = 128;
const WAITING = 192;
/** How many runs have been started, and the number of the last one. */
const STARTED = 256;
const JOB = 260;
/** All of them lie below. */
export const THREAD_CELLS_END = 320;

/** In place of the number of a run: the others leave. */
export const LEAVE = -1;

const atomicLoad = (address: number) => op('i32.atomic.load', i32(address));
const EVERYONE = i32(-1);

export class ThreadCrew implements Team {
  readonly #module: ModuleBuilder;
  readonly #thread: Global<'i32'>;
  readonly #threads: Global<'i32'>;
  /** How often to look before waiting; 0 where this thread must not wait. */
  readonly #patience: Global<'i32'>;
  readonly #meet: Func<Record<never, never>, readonly []>;

  constructor(module: ModuleBuilder) {
    this.#module = module;
    const cell = (init: number) => module.global({ type: 'i32', mutable: true, init: i32(init) });
    this.#thread = cell(0);
    this.#threads = cell(1);
    this.#patience = cell(0);
    this.#meet = module.func({ name: 'meet', params: {}, results: [] }, (body) => this.#emitMeet(body));
  }

  share(body: Body, pieces: number): Share {
    const [first, end] = [body.local('i32'), body.local('i32')];
    const upTo = (thread: typeof first | Global<'i32'> | ReturnType<typeof i32>) =>
      op('i32.div_u', op('i32.mul', i32(pieces), thread), this.#threads);
    body.set(first, upTo(this.#thread));
    body.set(end, op('i32.add', this.#thread, i32(1)));
    body.set(end, upTo(end));
    return { first, end, thread: this.#thread };
  }

  meet(body: Body): void {
    body.call(this.#meet, {});
  }

  /** Statements that only the first thread runs. */
  byFirst(body: Body, statements: () => void): void {
    body.if(op('i32.eqz', this.#thread), statements);
  }

  /**
   * Exports `count` functions that run a job on all threads, each under its name; `configure`, which tells an instance its
   * number, how many there are and its patience; and `work`, in which the others stay, from so many started runs on.
   */
  define(
    count: number,
    exportName: (job: number) => string,
    emitJob: (body: Body, job: number) => void,
  ): void {
    const module = this.#module;
    const jobs = Array.from({ length: count }, (_, job) =>
      module.func({ name: `job${job}`, params: {}, results: [] }, (body) => emitJob(body, job)),
    );
    jobs.forEach((func, job) => {
      module.func({ name: exportName(job), params: {}, results: [], export: exportName(job) }, (body) => {
        body.if(op('i32.gt_s', this.#threads, i32(1)), () => announce(body, i32(job)));
        body.call(func, {});
      });
    });
    module.func({ name: 'leave', params: {}, results: [], export: 'leave' }, (body) =>
      announce(body, i32(LEAVE)),
    );
    const settings = { thread: 'i32', threads: 'i32', patience: 'i32' } as const;
    module.func({ name: 'configure', params: settings, results: [], export: 'configure' }, (body, given) => {
      body.set(this.#thread, given.thread);
      body.set(this.#threads, given.threads);
      body.set(this.#patience, given.patience);
    });
    module.func({ name: 'started', params: {}, results: ['i32'], export: 'started' }, () =>
      atomicLoad(STARTED),
    );
    module.func({ name: 'work', params: { seen: 'i32' }, results: [], export: 'work' }, (body, { seen }) => {
      body.loop((again) => {
        this.#until(body, STARTED, seen);
        body.set(seen, op('i32.add', seen, i32(1)));
        const job = body.local('i32');
        body.set(job, atomicLoad(JOB));
        body.if(op('i32.ge_s', job, i32(0)), () => {
          choose(body, job, count, (i) => {
            const func = jobs[i];
            if (func) body.call(func, {});
          });
          body.br(again);
        });
      });
    });
  }

  #emitMeet(body: Body): void {
    body.if(op('i32.gt_s', this.#threads, i32(1)), () => {
      const generation = body.local('i32');
      body.set(generation, atomicLoad(GENERATION));
      const before = op('i32.atomic.rmw.add', i32(ARRIVED), i32(1));
      body.if(
        op('i32.eq', before, op('i32.sub', this.#threads, i32(1))),
        () => {
          body.store('i32.atomic.store', i32(ARRIVED), i32(0));
          body.drop(op('i32.atomic.rmw.add', i32(GENERATION), i32(1)));
          body.if(op('i32.atomic.rmw.xchg', i32(WAITING), i32(0)), () => wake(body, GENERATION));
        },
        () => this.#until(body, GENERATION, generation),
      );
    });
  }

  /** Goes on once the cell is another than `seen`. */
  #until(body: Body, cell: number, seen: ReturnType<Body['local']> & { type: 'i32' }): void {
    const left = body.local('i32');
    body.set(left, this.#patience);
    body.block((done) => {
      body.loop((again) => {
        body.brIf(done, op('i32.ne', atomicLoad(cell), seen));
        body.set(left, op('i32.sub', left, i32(1)));
        body.brIf(again, op('i32.or', left, op('i32.eqz', this.#patience)));
        // said before waiting: who changes the cell sees it, or the wait sees the change
        body.store('i32.atomic.store', i32(WAITING), i32(1));
        body.drop(op('memory.atomic.wait32', i32(cell), seen, i64(-1n)));
        body.br(again);
      });
    });
  }
}

/** Starts a run of the others. */
function announce(body: FunctionBody<readonly []>, job: ReturnType<typeof i32>): void {
  body.store('i32.atomic.store', i32(JOB), job);
  body.drop(op('i32.atomic.rmw.add', i32(STARTED), i32(1)));
  wake(body, STARTED);
}

const wake = (body: FunctionBody<readonly []>, cell: number): void =>
  body.drop(op('memory.atomic.notify', i32(cell), EVERYONE));
