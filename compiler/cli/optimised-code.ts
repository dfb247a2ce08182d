import { setFlagsFromString } from 'node:v8';

/**
 * Modules that are compiled during `body` are optimised at once: V8 otherwise runs a quick translation first and replaces
 * it in the background, and on a busy machine that is what would be timed.
 */
export async function withOptimisedCode<T>(body: () => Promise<T>): Promise<T> {
  setFlagsFromString('--no-liftoff');
  try {
    return await body();
  } finally {
    setFlagsFromString('--liftoff');
  }
}
