import { supportedEngines } from '#runtime/engines.ts';
import { writeFileAtomic } from '../../files/atomic.ts';
import { calibrate } from '../../tune/calibrate.ts';
import { formatProfile } from '../../tune/profile.ts';
import { machineAtHand } from '../machine.ts';
import { requireOptimisedCode } from '../optimised-code.ts';
import { renderProfile } from '../profile-table.ts';
import type { CommandContext } from '../program.ts';

export interface CalibrateArguments {
  readonly output: string;
  readonly format: 'table' | 'json';
}

export async function runCalibrate(
  { output, format }: CalibrateArguments,
  { terminal, signal }: CommandContext,
): Promise<void> {
  await requireOptimisedCode(signal);
  const progress = terminal.progress('calibrate');
  const profile = await calibrate({
    machine: machineAtHand(),
    engines: supportedEngines(),
    signal,
    onProgress: (fraction) => progress.update(fraction, 1),
  }).finally(() => progress.end());
  await writeFileAtomic(output, formatProfile(profile));
  if (format === 'json') terminal.print(formatProfile(profile));
  else if (!terminal.quiet) {
    const { width, colours } = terminal;
    terminal.print(`${renderProfile(profile, { width, colours })}\n\nwrote ${output}`);
  }
}
