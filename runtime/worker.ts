/** `worker.js`: one more thread of a model; and, imported, what starts such threads. */
import { type Assignment, CREW, serve } from './threads.ts';

export { hire } from './threads.ts';

interface WebScope {
  readonly name?: string;
  postMessage(message: string): void;
  addEventListener(type: 'message', listener: (event: { readonly data: Assignment }) => void): void;
}

interface NodeThreads {
  readonly workerData: unknown;
  readonly parentPort: {
    once(type: 'message', listener: (assignment: Assignment) => void): void;
    postMessage(message: string): void;
  } | null;
}

if (typeof Worker === 'function') {
  const scope = globalThis as unknown as WebScope;
  if (scope.name === CREW && typeof document === 'undefined') {
    scope.addEventListener('message', ({ data }) => void serve(data, () => scope.postMessage('ready')));
  }
} else {
  const name = 'node:worker_threads';
  const { workerData, parentPort } = (await import(
    /* @vite-ignore */ /* webpackIgnore: true */ name
  )) as NodeThreads;
  if (workerData === CREW) {
    parentPort?.once(
      'message',
      (assignment) => void serve(assignment, () => parentPort.postMessage('ready')),
    );
  }
}
