import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { wasmTarget } from '#compiler/targets/wasm/index.ts';
import { Builder } from '#ir/builder.ts';
import { check, RUNS, small } from '../../support/kernels.ts';
import { noise } from '../../support/op.ts';

describe('products', () => {
  test('Gemm: transposed operands, scales, every form of C', async () => {
    const shape = fc.record({
      m: small(1, 9),
      k: small(1, 20),
      n: small(1, 27),
      transA: fc.boolean(),
      transB: fc.boolean(),
      constantB: fc.boolean(),
      alpha: fc.constantFrom(1, 0.5),
      beta: fc.constantFrom(1, 2),
      c: fc.constantFrom('none', 'row', 'column', 'full', 'scalar', 'computed'),
    });
    await fc.assert(
      fc.asyncProperty(shape, async ({ m, k, n, transA, transB, constantB, alpha, beta, c }) => {
        await check((b, input, data) => {
          const a = input(transA ? [k, m] : [m, k]);
          const shapeB = transB ? [n, k] : [k, n];
          const second = constantB ? b.constant('w', data(shapeB, 7)) : input(shapeB);
          const shapes = { none: [], row: [n], column: [m, 1], full: [m, n], scalar: [], computed: [m, n] };
          const third =
            c === 'none' ? [] : [c === 'computed' ? input([m, n]) : b.constant('c', data(shapes[c], 8))];
          return b.op('Gemm', [a, second, ...third], { alpha, beta, transA, transB });
        });
      }),
      { numRuns: RUNS },
    );
  });

  test('MatMul: broadcast batches, vectors, constant and computed operands', async () => {
    for (const [a, w] of [
      [
        [3, 4],
        [4, 5],
      ],
      [
        [2, 3, 4],
        [4, 9],
      ],
      [
        [2, 3, 4],
        [2, 4, 9],
      ],
      [
        [2, 1, 3, 4],
        [5, 4, 6],
      ],
      [[4], [4, 5]],
      [[3, 4], [4]],
      [[4], [4]],
      [[2, 3, 4], [4]],
      [[4], [2, 4, 3]],
      [
        [1, 3, 4],
        [7, 4, 3],
      ],
    ] as const) {
      for (const constant of [true, false]) {
        await check((b, input, data) =>
          b.op('MatMul', [input(a), constant ? b.constant('w', data(w, 7)) : input(w)], {}),
        );
      }
    }
  });

  test('a constant matrix is kept once, as it is packed', () => {
    const b = new Builder();
    const w = b.constant('w', noise([16, 8], 1));
    b.output('y', b.op('MatMul', [b.input('x', [4, 16]), w], {}));
    expect(wasmTarget.lower(b.graph).constantBytes).toBe(16 * 8 * 4);
  });
});
