/** Workers that run a model's kernels together with the thread that loaded it. Loaded where more threads are wanted. */

/** What a module for several threads exports, besides the runs of the network. */
interface CrewExports {
  /** Tells the instance its number, how many there are, and how often it looks before it waits; 0: it must not wait. */
  configure(thread: number, threads: number, patience: number): void;
  /** How many runs have been started so far. */
  started(): number;
  /** Does a thread's share of every run after the first `seen`, until they are told to leave. */
  work(seen: number): void;
  /** Tells the others to leave. */
  leave(): void;
}

/** By this a script knows that it was started as a worker of ours: a page may import it, and so may another worker. */
export const CREW = 'convolith crew';

/** What a worker is told first. */
export interface Assignment {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly thread: number;
  readonly threads: number;
  readonly patience: number;
  readonly seen: number;
}

/** About a tenth of a millisecond: longer than most layers keep another waiting. */
const PATIENCE = 100_000;

export const crewExports = (exports: WebAssembly.Exports): CrewExports => exports as unknown as CrewExports;

/** In a worker: instantiates the module, says that it is ready, and stays until the model is disposed of. */
export async function serve(assignment: Assignment, ready: () => void): Promise<void> {
  const { module, memory, thread, threads, patience, seen } = assignment;
  const { exports } = await WebAssembly.instantiate(module, { convolith: { memory } });
  const { configure, work } = crewExports(exports);
  configure(thread, threads, patience);
  ready();
  work(seen);
}

export interface Crew {
  readonly threads: number;
  /** Runs go on with so many threads: all, or one. */
  use(threads: number): void;
  dismiss(): void;
}

/** The module, its memory, the exports of this thread's instance, and how many threads there are to be. */
export type CrewArguments = readonly [
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  exports: WebAssembly.Exports,
  threads: number,
];

/** @throws Error where a worker does not start */
export async function hire(script: URL, ...[module, memory, exports, threads]: CrewArguments): Promise<Crew> {
  const { configure, started, leave } = crewExports(exports);
  const seen = started();
  const assigned = Array.from({ length: threads - 1 }, (_, i) => {
    const worker = startWorker(script);
    const at = { module, memory, thread: i + 1, threads, patience: PATIENCE, seen } satisfies Assignment;
    return { worker, ready: worker.begin(at) };
  });
  const stop = () => {
    for (const { worker } of assigned) worker.stop();
  };
  try {
    await Promise.all(assigned.map(({ ready }) => ready));
  } catch (error) {
    stop();
    throw error;
  }
  // a page's main thread traps when it waits
  const patience = typeof document === 'undefined' ? PATIENCE : 0;
  const use = (count: number) => configure(0, count, patience);
  use(threads);
  return {
    threads,
    use,
    dismiss() {
      use(1);
      leave();
      stop();
    },
  };
}

interface StartedWorker {
  /** Resolves once it is ready. */
  begin(assignment: Assignment): Promise<void>;
  stop(): void;
}

function startWorker(script: URL): StartedWorker {
  const port = typeof Worker === 'function' ? webWorker(script) : nodeWorker(script);
  return {
    async begin(assignment) {
      const worker = await port;
      await new Promise<void>((resolve, reject) => {
        worker.onMessage(() => resolve());
        worker.onError((message) => reject(new Error(message)));
        worker.post(assignment);
      });
    },
    stop: () => void port.then((worker) => worker.stop()).catch(() => {}),
  };
}

interface Port {
  post(assignment: Assignment): void;
  onMessage(listener: () => void): void;
  onError(listener: (message: string) => void): void;
  stop(): void;
}

async function webWorker(script: URL): Promise<Port> {
  const worker = new Worker(script, { type: 'module', name: CREW });
  return {
    post: (assignment) => worker.postMessage(assignment),
    onMessage: (listener) => worker.addEventListener('message', listener),
    onError: (listener) => worker.addEventListener('error', ({ message }) => listener(message)),
    stop: () => worker.terminate(),
  };
}

interface NodeThreads {
  readonly Worker: new (
    script: URL,
    options: { readonly workerData: string },
  ) => {
    postMessage(message: unknown): void;
    on(event: 'message' | 'error', listener: (value: unknown) => void): void;
    unref(): void;
    terminate(): Promise<unknown>;
  };
}

async function nodeWorker(script: URL): Promise<Port> {
  // a name that bundlers do not see: in a page there is nothing to bundle
  const name = 'node:worker_threads';
  const { Worker: Thread } = (await import(/* @vite-ignore */ /* webpackIgnore: true */ name)) as NodeThreads;
  const worker = new Thread(script, { workerData: CREW });
  return {
    post: (assignment) => worker.postMessage(assignment),
    onMessage(listener) {
      worker.on('message', () => {
        // the process may end although the worker waits for runs
        worker.unref();
        listener();
      });
    },
    onError: (listener) => worker.on('error', (error) => listener(String(error))),
    stop: () => void worker.terminate(),
  };
}
