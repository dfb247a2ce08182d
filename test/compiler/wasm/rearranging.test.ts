import { describe, expect, test } from 'vitest';
import type { Builder } from '#ir/builder.ts';
import type { Value } from '#ir/graph.ts';
import { check } from '../../support/kernels.ts';
import { noise } from '../../support/op.ts';

describe('reductions', () => {
  test.each([
    'ReduceSum',
    'ReduceMean',
    'ReduceMax',
    'ReduceMin',
    'ReduceProd',
    'ReduceL1',
    'ReduceL2',
    'ReduceSumSquare',
  ] as const)('%s over any axes, in both layouts', async (op) => {
    for (const axes of [[0], [1], [2], [3], [2, 3], [1, 2, 3], [0, 1, 2, 3], [1, 3]]) {
      for (const keepDims of [true, false]) {
        await check((b, input) => b.op(op, [input([2, 6, 3, 5])], { axes, keepDims }));
        await check((b, input) => {
          const x = b.conv(input([2, 3, 3, 5]), b.constant('w', noise([6, 3, 1, 1], 7)));
          return b.op(op, [x], { axes, keepDims });
        });
      }
    }
  });

  test('softmax along any axis, in both layouts', async () => {
    for (const axis of [0, 1, 2, 3]) {
      await check((b, input) => b.op('Softmax', [input([2, 6, 3, 5])], { axis }));
      await check((b, input) =>
        b.op('Softmax', [b.conv(input([2, 3, 3, 5]), b.constant('w', noise([6, 3, 1, 1], 7)))], { axis }),
      );
    }
    await check((b, input) => b.op('Softmax', [input([3, 1003])], { axis: 1 }));
  });
});

describe('resize', () => {
  test.each(['nearest', 'linear', 'cubic'] as const)(
    '%s, up and down, every coordinate rule',
    async (mode) => {
      for (const coordinates of [
        'half_pixel',
        'asymmetric',
        'align_corners',
        'pytorch_half_pixel',
      ] as const) {
        for (const [h, w] of [
          [8, 10],
          [3, 4],
          [7, 5],
          [4, 15],
        ] as const) {
          await check((b, input) => {
            const scales = [1, 1, h / 4, w / 5];
            return b.op('Resize', [input([2, 6, 4, 5])], {
              mode,
              coordinates,
              scales,
              sizes: [2, 6, h, w],
            } as never);
          });
        }
      }
    },
  );
});

describe('movement', () => {
  const x = (b: Builder, input: (shape: readonly number[]) => Value, shape: readonly number[]): Value[] => {
    const plain = input(shape);
    return shape.length === 4
      ? [plain, b.conv(plain, b.constant('w', noise([shape[1] ?? 1, shape[1] ?? 1, 1, 1], 7)))]
      : [plain];
  };

  test('transpose by every permutation of four axes', async () => {
    const perms = [0, 1, 2, 3].flatMap((a) =>
      [0, 1, 2, 3].flatMap((b) =>
        [0, 1, 2, 3].flatMap((c) => (new Set([a, b, c]).size === 3 ? [[a, b, c, 6 - a - b - c]] : [])),
      ),
    );
    expect(perms).toHaveLength(24);
    for (const perm of perms) {
      await check((b, input) => x(b, input, [2, 5, 4, 9]).map((v) => b.op('Transpose', [v], { perm })));
    }
  });

  test('concat and split along every axis', async () => {
    for (const axis of [0, 1, 2, 3]) {
      await check((b, input) => {
        const shape = [2, 5, 4, 6];
        const parts = [1, 2, 3].map((size) => input(shape.map((s, a) => (a === axis ? size : s))));
        const whole = b.op('Concat', parts, { axis });
        const [first, second] = b.node('Split', [whole], { axis, sizes: [2, 4] }).outputs;
        return [whole, first as Value, second as Value];
      });
    }
  });

  test('slices with steps, also backwards', async () => {
    await check((b, input) =>
      x(b, input, [2, 6, 7, 8]).flatMap((v) => [
        b.op('Slice', [v], { starts: [0, 2, 1, 0], steps: [1, 1, 2, 3], sizes: [2, 3, 3, 3] }),
        b.op('Slice', [v], { starts: [1, 5, 6, 7], steps: [-1, -1, -2, -1], sizes: [2, 6, 3, 8] }),
      ]),
    );
  });

  test('padding in every mode, also negative', async () => {
    for (const mode of ['constant', 'reflect', 'edge', 'wrap'] as const) {
      await check((b, input) =>
        x(b, input, [1, 3, 4, 5]).map((v) =>
          b.op('Pad', [v], { mode, pads: [0, 0, 2, 1, 0, 0, 1, 3], value: 0.5 }),
        ),
      );
    }
    await check((b, input) =>
      x(b, input, [1, 3, 4, 5]).map((v) =>
        b.op('Pad', [v], { mode: 'constant', pads: [0, 1, -1, 2, 0, 0, 2, -2], value: -1 }),
      ),
    );
  });

  test('shuffle, depth to space, expand, tile, gather', async () => {
    await check((b, input) =>
      x(b, input, [2, 12, 3, 5]).flatMap((v) => [
        b.op('ChannelShuffle', [v], { groups: 3 }),
        b.op('DepthToSpace', [v], { blocksize: 2, mode: 'DCR' }),
        b.op('DepthToSpace', [v], { blocksize: 2, mode: 'CRD' }),
        b.op('Tile', [v], { repeats: [1, 2, 1, 3] }),
      ]),
    );
    await check((b, input) => b.op('Expand', [input([3, 1, 5])], { shape: [2, 3, 4, 5] }));
    for (const axis of [0, 1, 2, 3]) {
      await check((b, input) => {
        const indices = b.constant('i', {
          type: { dtype: 'i64', shape: [4] },
          data: BigInt64Array.of(1n, 0n, -1n, 1n),
        });
        return x(b, input, [2, 6, 3, 5]).map((v) => b.op('Gather', [v, indices], { axis }));
      });
    }
    await check((b, input) => {
      const indices = b.constant('i', {
        type: { dtype: 'i64', shape: [2, 2] },
        data: BigInt64Array.of(1n, 0n, -1n, 1n),
      });
      return b.op('Gather', [input([3, 6, 5]), indices], { axis: 1 });
    });
  });

  test('views: reshape, flatten, squeeze of both layouts; one value twice an output', async () => {
    await check((b, input) =>
      x(b, input, [2, 6, 1, 5]).flatMap((v) => [
        b.op('Reshape', [v], { shape: [3, 20] }),
        b.op('Flatten', [v], { axis: 1 }),
        b.op('Squeeze', [v], { axes: [2] }),
        b.op('Unsqueeze', [v], { axes: [1] }),
        v,
        v,
      ]),
    );
  });

  test('the input itself may be an output', async () => {
    await check((_, input) => input([2, 3]));
  });
});
