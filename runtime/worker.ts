/** `worker.js`: one more thread of a model. */
import { type Assignment, serve } from './threads.ts';

interface Scope {
  postMessage?(message: string): void;
  addEventListener?(type: 'message', listener: (event: { readonly data: Assignment }) => void): void;
}

interface NodePort {
  once(type: 'message', listener: (assignment: Assignment) => void): void;
  postMessage(message: string): void;
}

const scope = globalThis as Scope;
if (scope.postMessage && scope.addEventListener) {
  scope.addEventListener('message', ({ data }) => void serve(data, () => scope.postMessage?.('ready')));
} else {
  const name = 'node:worker_threads';
  const { parentPort } = (await import(/* @vite-ignore */ /* webpackIgnore: true */ name)) as {
    readonly parentPort: NodePort;
  };
  parentPort.once('message', (assignment) => void serve(assignment, () => parentPort.postMessage('ready')));
}
