/** Recurrent layers, against the reference on the module's own operands. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatExpr } from '#ir/expr.ts';
import { RECURRENT_ACTIVATIONS } from '#ir/ops/recurrent.ts';
import type { Tensor } from '#ir/tensor.ts';
import type { Shape } from '#ir/types.ts';
import { bothWays, list } from '../../support/kernel-tensors.ts';
import { RUNS, small } from '../../support/kernels.ts';
import { noise } from '../../support/op.ts';
import type { Difference } from '../../support/wasm.ts';

const shape = fc.record({
  steps: small(1, 5),
  batch: small(1, 3),
  input: small(1, 5),
  hidden: small(1, 9),
  direction: fc.constantFrom('forward' as const, 'reverse' as const, 'bidirectional' as const),
  bias: fc.boolean(),
  initial: fc.boolean(),
  peepholes: fc.boolean(),
  constant: fc.boolean(),
  clip: fc.constantFrom(0, 0.3),
  flag: fc.boolean(),
  lengths: fc.option(list(3, 0, 5), { nil: undefined }),
  activation: fc.constantFrom(...Object.keys(RECURRENT_ACTIVATIONS)),
  seed: small(1, 1000),
});
/** max |a − b|, where NaN and infinities must be the same. */
function largest(a: Tensor, b: Tensor): number {
  const differences = Array.from(a.data as Float32Array, (x, i) => {
    const y = Number(b.data[i]);
    return Object.is(x, y) ? 0 : Math.abs(x - y);
  });
  return Math.max(0, ...differences.map((d) => (Number.isFinite(d) ? d : Number.POSITIVE_INFINITY)));
}

const UNIT = 2 ** -24;
/** Roundings of the functions of a gate and of what joins the gates. */
const FUNCTIONS = 16;
const TRIALS = 6;

/**
 * How far rounding may move a result. A gate is a function of a sum of `terms` products and some biases; in f32 it is the
 * exact one for weights that are off by terms·u of themselves (Higham, Accuracy and Stability of Numerical Algorithms,
 * §3.1). Each step feeds its error to the next, through weights and functions that may enlarge it, so that no fixed bound
 * is right for all: five steps of GRU with an elu come to 1.01e-5 of the largest magnitude. So the reference is asked how
 * far such changes of its operands move it, and twice the largest of a few answers is allowed (2,500 random layers of
 * each kind stay below a sixth of that), beside the roundings of functions where no operand moves anything.
 */
function roundingBound({ want, again }: Difference, terms: number): number {
  const size = (terms + FUNCTIONS) * UNIT;
  const moved = Array.from({ length: TRIALS }, (_, trial) => {
    const changed = again(({ type, data }, index) => {
      const signs = noise(type.shape, 31 * trial + index + 1).data;
      const values = Float32Array.from(
        data as Float32Array,
        (x, i) => x * (1 + Math.sign(Number(signs[i])) * size),
      );
      return { type, data: values };
    });
    return largest(want, changed);
  });
  const scale = Math.max(1, ...Array.from(want.data as Float32Array, Math.abs));
  return 2 * Math.max(...moved) + FUNCTIONS * UNIT * scale;
}

test.each([
  ['LSTM', 4, 3],
  ['GRU', 3, 2],
  ['RNN', 1, 1],
] as const)('%s: directions, states, clip, lengths, activations', async (op, gates, functions) => {
  await fc.assert(
    fc.asyncProperty(shape, async (s) => {
      const d = s.direction === 'bidirectional' ? 2 : 1;
      const names = ['sigmoid', 'tanh', s.activation].slice(-functions);
      const expression = (name: string) =>
        formatExpr((RECURRENT_ACTIVATIONS[name] ?? (() => ({ kind: 'arg', index: 0 }) as const))());
      const attrs = {
        direction: s.direction,
        activations: Array.from({ length: d }, () => names)
          .flat()
          .map(expression)
          .join('; '),
        clip: s.clip,
        lengths:
          s.lengths?.slice(0, s.batch).map((n, b) => Math.max(b === 0 ? 1 : 0, Math.min(n, s.steps))) ?? [],
      };
      const found = await bothWays((b, input) => {
        const weight = (name: string, dims: Shape, seed: number) =>
          s.constant ? b.constant(name, noise(dims, seed)) : input(noise(dims, seed));
        const state = () => (s.initial ? input(noise([d, s.batch, s.hidden], s.seed + 4)) : undefined);
        const operands = [
          input(noise([s.steps, s.batch, s.input], s.seed)),
          weight('w', [d, gates * s.hidden, s.input], s.seed + 1),
          weight('r', [d, gates * s.hidden, s.hidden], s.seed + 2),
          s.bias ? weight('b', [d, 2 * gates * s.hidden], s.seed + 3) : undefined,
          state(),
        ];
        if (op === 'LSTM') {
          const more = [state(), s.peepholes ? weight('p', [d, 3 * s.hidden], s.seed + 5) : undefined];
          return [...b.node('LSTM', [...operands, ...more], { ...attrs, inputForget: s.flag }).outputs];
        }
        if (op === 'GRU')
          return [...b.node('GRU', operands, { ...attrs, linearBeforeReset: s.flag }).outputs];
        return [...b.node('RNN', operands, attrs).outputs];
      });
      for (const difference of found) {
        const error = largest(difference.want, difference.got);
        expect(error, op).toBeLessThanOrEqual(roundingBound(difference, s.input + s.hidden));
      }
    }),
    { numRuns: RUNS },
  );
});
