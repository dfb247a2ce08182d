/** Products of integers in WGSL are exact, and quantised ones have the bits of the reference. */
import fc from 'fast-check';
import { tensor } from '#ir/tensor.ts';
import { elementCount, type Shape } from '#ir/types.ts';
import { expectKernels, expectKernelsOf } from '../../support/gpu-agreement.ts';
import { quantisedConv } from '../../support/quantised.ts';
import { withAdapter } from '../../support/webgpu.ts';

const EXACT = 0;

type Byte = 'u8' | 'i8';

const bytes = (dtype: Byte, shape: Shape, seed: number) =>
  tensor(
    dtype,
    shape,
    Array.from(
      { length: elementCount(shape) },
      (_, i) => ((i * 89 + seed * 31) % 256) - (dtype === 'i8' ? 128 : 0),
    ),
  );

const size = (min: number, max: number) => fc.integer({ min, max });
const type = fc.constantFrom<Byte>('u8', 'i8');

withAdapter.test('ConvInteger: ranks, strides, padding, groups, zero points', async () => {
  const shape = fc.record({
    rank: size(1, 3),
    group: size(1, 2),
    inPer: size(1, 3),
    outPer: size(1, 4),
    k: size(1, 3),
    stride: size(1, 2),
    pad: size(0, 1),
    types: fc.tuple(type, type),
    zeros: fc.tuple(fc.boolean(), fc.constantFrom('none', 'one', 'each')),
  });
  await fc.assert(
    fc.asyncProperty(shape, async ({ rank, group, inPer, outPer, k, stride, pad, types, zeros }) => {
      const [xZero, wZero] = zeros;
      const [cin, cout] = [group * inPer, group * outPer];
      const fill = (v: number, n = rank) => new Array<number>(n).fill(v);
      const attrs = { strides: fill(stride), dilations: fill(1), pads: fill(pad, 2 * rank), group };
      await expectKernelsOf(EXACT, (b, input) => {
        const x = input(bytes(types[0], [2, cin, ...fill(5)], 1));
        const w = b.constant('w', bytes(types[1], [cout, inPer, ...fill(k)], 2));
        const zx = xZero ? b.constant('zx', bytes(types[0], [], 5)) : undefined;
        const shapeOf = wZero === 'one' ? [] : [cout];
        const zw = wZero === 'none' ? undefined : b.constant('zw', bytes(types[1], shapeOf, 7));
        return [b.op('ConvInteger', [x, w, zx, zw], attrs)];
      });
    }),
    { numRuns: 15 },
  );
});

withAdapter.test('MatMulInteger: batches, vectors, zero points per row and column', async () => {
  for (const [a, w, za, zb] of [
    [[3, 40], [40, 5], [], []],
    [[2, 3, 4], [4, 5], [], undefined],
    [
      [2, 3, 4],
      [2, 4, 5],
      [2, 3, 1],
      [2, 1, 5],
    ],
    [[4], [4, 5], undefined, []],
    [[3, 4], [4], [], []],
  ] as const) {
    await expectKernelsOf(EXACT, (b, input) => {
      const zero = (name: string, dtype: Byte, shape: Shape | undefined) =>
        shape && b.constant(name, bytes(dtype, shape, 5));
      const operands = [input(bytes('u8', a, 1)), input(bytes('i8', w, 2))];
      return [b.op('MatMulInteger', [...operands, zero('za', 'u8', za), zero('zb', 'i8', zb)], {})];
    });
  }
});

withAdapter.test('QLinearConv of known weights: types, groups, factors per channel, bias', async () => {
  const layer = { x: [2, 6, 7, 5], kernel: [3, 2], pads: [1, 0, 1, 1] } as const;
  for (const types of [
    ['u8', 'i8', 'u8'],
    ['i8', 'i8', 'i8'],
  ] as const) {
    for (const more of [{ perChannel: true, bias: true }, { group: 3 }, { spread: 1e6, bias: true }]) {
      const { graph, inputs } = quantisedConv({ ...layer, channels: 9, types, ...more });
      await expectKernels(graph, EXACT, inputs);
    }
  }
});

withAdapter.test('QLinearMatMul of known weights', async () => {
  for (const a of [[3, 20], [2, 3, 20], [20]]) {
    await expectKernelsOf(EXACT, (b, input) => {
      const scalar = (name: string, dtype: 'f32' | Byte, value: number) =>
        b.constant(name, tensor(dtype, [], [value]));
      const w = b.constant('w', bytes('i8', [20, 7], 2));
      const x = input(bytes('u8', a, 1));
      const operands = [x, scalar('xs', 'f32', 0.02), scalar('xz', 'u8', 128), w];
      const scales = b.constant(
        'ws',
        tensor(
          'f32',
          [7],
          [1, 2, 3, 4, 5, 6, 7].map((n) => n * 1e-5),
        ),
      );
      const rest = [scales, scalar('wz', 'i8', 3), scalar('ys', 'f32', 0.01), scalar('yz', 'u8', 9)];
      return [b.op('QLinearMatMul', [...operands, ...rest], {})];
    });
  }
});
