/** Recurrent layers, against the reference on the module's own operands. */
import fc from 'fast-check';
import { test } from 'vitest';
import { formatExpr } from '#ir/expr.ts';
import { RECURRENT_ACTIVATIONS } from '#ir/ops/recurrent.ts';
import type { Shape } from '#ir/types.ts';
import { check, list } from '../../support/kernel-tensors.ts';
import { RUNS, small } from '../../support/kernels.ts';
import { noise } from '../../support/op.ts';

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
      await check((b, input) => {
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
      }, 1e-5);
    }),
    { numRuns: RUNS },
  );
});
