/** Whether two sides compute the same, asked before either is timed. */
import { fail } from '#ir/diagnostics.ts';
import { differenceOf, type Values } from '../check/difference.ts';

/** Elements of each output, by name. */
export type Outputs = ReadonlyMap<string, Values>;

/** Largest difference allowed, relative to the largest magnitude of an output. */
export const AGREEMENT = 1e-3;

/**
 * The largest difference of an element, relative to the largest magnitude of its output.
 * @throws CompileError `comparison-failed` where it is beyond the tolerance, or an output is missing
 */
export function agreement(
  names: readonly [string, string],
  ours: Outputs,
  theirs: Outputs,
  tolerance = AGREEMENT,
): number {
  let worst = 0;
  for (const [output, want] of ours) {
    const got = theirs.get(output);
    if (!got) fail('comparison-failed', output, `${names[1]} does not give this output`, HINT);
    if (got.length !== want.length) {
      const sizes = `${want.length} elements by ${names[0]}, ${got.length} by ${names[1]}`;
      fail('comparison-failed', output, sizes, HINT);
    }
    const { relative } = differenceOf(want, got);
    if (!(relative <= tolerance)) {
      const much = Number.isFinite(relative) ? `by ${relative.toExponential(1)} of the largest` : 'in kind';
      const message = `${names.join(' and ')} differ ${much}; ${tolerance} is allowed`;
      fail('comparison-failed', output, message, HINT);
    }
    worst = Math.max(worst, relative);
  }
  return worst;
}

const HINT =
  'run MODEL --random 1 --compare reference,wasm shows what the reference says; --against none times ours alone';
