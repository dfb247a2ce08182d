/** A process in which modules are optimised before they run, for commands that take times. */
import { spawn } from 'node:child_process';

/** V8 runs a quick translation first and replaces it in the background; on a busy machine that is what would be timed. */
const FLAG = '--no-liftoff';

/** The command ran in another process, which has printed all that there is to say. */
export class EndedElsewhere extends Error {
  readonly code: number;

  constructor(code: number) {
    super(`another process ended with ${code}`);
    this.code = code;
  }
}

/**
 * Returns in such a process; elsewhere runs the whole command in one. The flag has to be there from the start: V8 14 does
 * not survive its change.
 * @throws EndedElsewhere
 */
export async function requireOptimisedCode(signal: AbortSignal): Promise<void> {
  if (process.execArgv.includes(FLAG)) return;
  const args = [FLAG, ...process.execArgv, ...process.argv.slice(1)];
  const code = await new Promise<number>((resolve, reject) => {
    const child = spawn(process.execPath, args, { stdio: 'inherit' });
    const stop = () => child.kill('SIGINT');
    signal.addEventListener('abort', stop);
    child.on('error', reject);
    child.on('close', (ended) => {
      signal.removeEventListener('abort', stop);
      resolve(ended ?? 1);
    });
  });
  throw new EndedElsewhere(code);
}
