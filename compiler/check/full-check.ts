/** Holds the outputs of a compiled network against the reference of the whole network. */
import { fail } from '#ir/diagnostics.ts';
import { evaluateGraph } from '#ir/evaluate.ts';
import type { Graph } from '#ir/graph.ts';
import type { TensorArray } from '#runtime/abi.ts';
import { isClose, magnitude } from './compare.ts';
import { type CheckContext, seededTensor } from './self-check.ts';

/** How much of a full check the sampled one before it is, in time. */
export const SAMPLED_PART = 0.1;

/**
 * @param reference the network as it was given, before any pass
 * @param outputs the module's outputs on the seeded inputs, in the order of the network's
 * @throws CompileError `self-check-failed`
 */
export function checkWhole(
  reference: Graph,
  outputs: readonly TensorArray[],
  seed: number,
  { signal, onProgress }: CheckContext = {},
): void {
  const inputs = new Map(
    reference.inputs.map(({ name, type }, i) => [name, seededTensor({ type }, seed, i)]),
  );
  const values = evaluateGraph(reference, inputs, {
    ...(signal && { signal }),
    // random indices may be outside small axes
    anyData: true,
    onNode: (_, done, total) => onProgress?.(done / total),
  });
  reference.outputs.forEach(({ name, value }, i) => {
    const expected = values.get(value)?.data ?? [];
    const got = outputs[i] ?? [];
    const scale = magnitude(Array.from(expected as ArrayLike<number>, Number));
    for (let k = 0; k < expected.length; k++) {
      const [e, g] = [Number(expected[k]), Number(got[k])];
      if (isClose(g, e, scale)) continue;
      fail('self-check-failed', name, `element ${k} of this output: expected ${e}, got ${g}`);
    }
  });
}
