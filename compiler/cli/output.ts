/** Results: to stdout, or to a file that appears complete or not at all. */
import { writeFileAtomic } from '../files/atomic.ts';
import type { CommandContext } from './program.ts';

export async function writeResult(
  content: string | Uint8Array,
  file: string | undefined,
  { terminal, signal }: CommandContext,
): Promise<void> {
  signal.throwIfAborted();
  if (file === undefined || file === '-') {
    if (typeof content === 'string') terminal.print(content);
    else process.stdout.write(content);
    return;
  }
  await writeFileAtomic(file, content);
  terminal.note(`wrote ${file}`);
}
