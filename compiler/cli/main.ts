/** The entry of the command. */
import { runProgram } from './program.ts';

const interruption = new AbortController();
let interrupted = false;
process.on('SIGINT', () => {
  // asked twice: at once
  if (interrupted) process.exit(130);
  interrupted = true;
  interruption.abort();
});

// whoever read the output has seen enough
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

process.exitCode = await runProgram(process.argv.slice(2), interruption.signal);
