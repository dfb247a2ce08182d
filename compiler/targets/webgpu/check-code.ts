/** What can be said of a program for a device without one. */
import { InternalError } from '#ir/diagnostics.ts';
import type { GpuCode } from './emit.ts';
import { WORD_BYTES } from './words.ts';

/** Of one dimension of a dispatch, on every device. */
export const MOST_WORKGROUPS = 65535;

/** Every call has an entry point, constants, places and a size that are there. @throws InternalError where one has not */
export function checkCode({ wgsl, plan, banks }: GpuCode): void {
  const require = (holds: boolean, what: string) => {
    if (!holds) throw new InternalError(`the program for WebGPU is not valid: ${what}`);
  };
  const defined = new Set([...wgsl.matchAll(/^fn (\w+)\(@builtin/gm)].map(([, name]) => name));
  require(defined.size === plan.kernels.length &&
    plan.kernels.every((name) => defined.has(name)), 'entry points');
  const elements = Math.max(
    plan.arenaBytes / WORD_BYTES,
    plan.halves ?? 0,
    ...banks.map(({ bytes }) => bytes / 2),
  );
  plan.calls.forEach(([kernel = -1, bank = -1, x = 0, y = 0, ...places], k) => {
    require(kernel in plan.kernels, `the kernel of call ${k}`);
    require(bank in banks || (bank === 0 && banks.length === 0), `the constants of call ${k}`);
    require([x, y].every((n) => n >= 1 && n <= MOST_WORKGROUPS), `the workgroups of call ${k}`);
    require(places.every(
      (at) => Number.isInteger(at) && at >= 0 && at <= elements,
    ), `the places of call ${k}`);
  });
  for (const at of [...plan.inputs, ...plan.outputs]) {
    require(Number.isInteger(at) && at >= 0 && at * WORD_BYTES <= plan.arenaBytes, 'inputs and outputs');
  }
}
