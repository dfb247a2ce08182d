/** The entry of the command. */
import { reportError } from './errors.ts';
import { runProgram } from './program.ts';
import { Terminal } from './terminal.ts';

const interruption = new AbortController();
process.on('SIGINT', () => {
  // asked twice: at once
  if (interruption.signal.aborted) process.exit(130);
  interruption.abort();
});

// whoever read the output has seen enough
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit();
  });
}

// what no promise of the command holds, as an error in a stream or thread of a library
process.on('uncaughtException', (error) => process.exit(reportError(error, new Terminal())));

process.exitCode = await runProgram(process.argv.slice(2), interruption.signal);
