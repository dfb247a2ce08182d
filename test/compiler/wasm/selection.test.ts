/** Kernels that look along an axis, count, sort or choose, against the reference on the module's own operands. */
import fc from 'fast-check';
import { describe, test } from 'vitest';
import { tensor } from '#ir/tensor.ts';
import { check, list, TYPES, values } from '../../support/kernel-tensors.ts';
import { RUNS, small } from '../../support/kernels.ts';
import { noise } from '../../support/op.ts';

const line = fc.record({
  shape: fc.array(small(1, 7), { minLength: 1, maxLength: 4 }),
  axis: small(0, 3),
  dtype: fc.constantFrom(...TYPES),
  k: small(1, 7),
  flags: list(3, 0, 1),
  seed: small(1, 1000),
});

describe('along an axis', () => {
  test('ArgMax, ArgMin, TopK: equal elements in order', async () => {
    await fc.assert(
      fc.asyncProperty(line, async ({ shape, axis, dtype, k, flags, seed }) => {
        const at = axis % shape.length;
        const [keepDims, selectLast, largest] = flags.map((f) => f === 1) as [boolean, boolean, boolean];
        await check((b, input) => {
          const x = input(values(dtype, shape, seed));
          const top = b.node('TopK', [x], { axis: at, k: Math.min(k, shape[at] ?? 1), largest });
          return [
            b.op('ArgMax', [x], { axis: at, keepDims, selectLast }),
            b.op('ArgMin', [x], { axis: at, keepDims, selectLast }),
            ...top.outputs,
          ];
        }, 0);
      }),
      { numRuns: RUNS },
    );
  });

  test('TopK of a long line', async () => {
    await check(
      (b, input) => [...b.node('TopK', [input(noise([2, 3000], 5))], { axis: 1, k: 40 }).outputs],
      0,
    );
  });

  test('CumSum and CumProd, exclusive and in reverse', async () => {
    await fc.assert(
      fc.asyncProperty(line, async ({ shape, axis, dtype, flags, seed }) => {
        const attrs = { axis: axis % shape.length, exclusive: flags[0] === 1, reverse: flags[1] === 1 };
        await check((b, input) => {
          const x = input(values(dtype, shape, seed));
          return [b.op('CumSum', [x], attrs), b.op('CumProd', [x], attrs)];
        });
      }),
      { numRuns: RUNS },
    );
  });

  test('NonZero of any type and rank, none and all', async () => {
    await fc.assert(
      fc.asyncProperty(line, async ({ shape, dtype, seed }) => {
        await check((b, input) => [...b.node('NonZero', [input(values(dtype, shape, seed))], {}).outputs], 0);
      }),
      { numRuns: RUNS },
    );
    await check((b, input) => [
      ...b.node('NonZero', [input(tensor('f32', [3, 2], [0, 0, 0, 0, 0, 0]))], {}).outputs,
      ...b.node('NonZero', [input(tensor('bool', [], [1]))], {}).outputs,
    ]);
  });
});

test('NonMaxSuppression: any limits, corners in any order, centres', async () => {
  const shape = fc.record({
    batch: small(1, 2),
    classes: small(1, 3),
    boxes: small(1, 30),
    most: fc.constantFrom(-1n, 0n, 1n, 3n, 1000n, 2n ** 40n),
    iou: fc.option(fc.constantFrom(0, 0.3, 0.5, 1), { nil: undefined }),
    score: fc.option(fc.constantFrom(-2, 0, 0.4), { nil: undefined }),
    center: fc.boolean(),
    constant: fc.boolean(),
    seed: small(1, 1000),
  });
  await fc.assert(
    fc.asyncProperty(shape, async ({ batch, classes, boxes, most, iou, score, center, constant, seed }) => {
      await check((b, input) => {
        const scalar = (x: number | undefined) =>
          x === undefined ? undefined : input(tensor('f32', [1], [x]));
        const limit = tensor('i64', [1], [most]);
        const operands = [
          input(noise([batch, boxes, 4], seed)),
          input(values('f32', [batch, classes, boxes], seed + 1)),
          constant ? b.constant('most', limit) : input(limit),
          scalar(iou),
          scalar(score),
        ];
        return [...b.node('NonMaxSuppression', operands, { center }).outputs];
      }, 0);
    }),
    { numRuns: RUNS },
  );
});
