import { fail } from '#ir/diagnostics.ts';
import { supportedEngines } from '#runtime/engines.ts';
import { writeFileAtomic } from '../../files/atomic.ts';
import { calibrate } from '../../tune/calibrate.ts';
import { formatProfile, type Profile } from '../../tune/profile.ts';
import { machineAtHand } from '../machine.ts';
import { requireOptimisedCode } from '../optimised-code.ts';
import { renderProfile } from '../profile-table.ts';
import type { CommandContext } from '../program.ts';

export interface CalibrateArguments {
  readonly backend?: Profile['kind'];
  readonly output: string;
  readonly format: 'table' | 'json';
}

export async function runCalibrate(
  { backend = 'wasm', output, format }: CalibrateArguments,
  { terminal, signal }: CommandContext,
): Promise<void> {
  if (backend === 'wasm') await requireOptimisedCode(signal);
  const progress = terminal.progress('calibrate');
  const watched = { signal, onProgress: (fraction: number) => progress.update(fraction, 1) };
  const measuring: Promise<Profile> =
    backend === 'wasm'
      ? calibrate({ machine: machineAtHand(), engines: supportedEngines(), ...watched })
      : onGpu(watched);
  const profile = await measuring.finally(() => progress.end());
  await writeFileAtomic(output, formatProfile(profile));
  if (format === 'json') terminal.print(formatProfile(profile));
  else if (!terminal.quiet) {
    const { width, colours } = terminal;
    terminal.print(`${renderProfile(profile, { width, colours })}\n\nwrote ${output}`);
  }
}

/** @throws CompileError `gpu-missing`, `gpu-refused` for a device without a clock */
async function onGpu(watched: {
  readonly signal: AbortSignal;
  readonly onProgress: (fraction: number) => void;
}): Promise<Profile> {
  const [{ openGpu }, { calibrateGpu }] = await Promise.all([
    import('../gpu/device.ts'),
    import('../../tune/calibrate-gpu.ts'),
  ]);
  const gpu = await openGpu();
  const device = await gpu.device();
  try {
    if (!device.features.has('timestamp-query')) {
      const hint = 'measure on another adapter, or predict by a data sheet: audit --device NAME';
      fail('gpu-refused', gpu.name, 'the device has no timestamp-query, by which kernels are timed', hint);
    }
    return await calibrateGpu(device, { adapter: gpu.name, software: gpu.software, ...watched });
  } finally {
    device.destroy();
  }
}
