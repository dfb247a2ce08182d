/** Kernels in WGSL against the reference: sizes around whole vectors, layouts of operands, batches, integers. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { emitProgram, lowerGraph } from '#compiler/targets/webgpu/index.ts';
import { Builder } from '#ir/builder.ts';
import { type Tensor, tensor } from '#ir/tensor.ts';
import { differenceOnGpu, expectKernelsOf } from '../../support/gpu-agreement.ts';
import { Random } from '../../support/graphs.ts';
import { values } from '../../support/kernel-tensors.ts';
import { complaintsOf, optimisedForGpu, withAdapter } from '../../support/webgpu.ts';

/** Sums of a few hundred terms near 1 in another order. */
const BOUND = 1e-5;
const EXACT = 0;

withAdapter.test('convolutions of any sizes, groups, strides and batches', async () => {
  const sizes = fc.record({
    batch: fc.integer({ min: 1, max: 2 }),
    groups: fc.integer({ min: 1, max: 3 }),
    perGroup: fc.integer({ min: 1, max: 9 }),
    channels: fc.integer({ min: 1, max: 9 }),
    kernel: fc.integer({ min: 1, max: 3 }),
    stride: fc.integer({ min: 1, max: 2 }),
    transposed: fc.boolean(),
    seed: fc.nat(),
  });
  await fc.assert(
    fc.asyncProperty(
      sizes,
      async ({ batch, groups, perGroup, channels, kernel, stride, transposed, seed }) => {
        const random = new Random(seed);
        const b = new Builder('conv');
        const x = b.input('x', [batch, groups * perGroup, 6, 5]);
        const shape = transposed ? [groups * perGroup, channels] : [groups * channels, perGroup];
        const w = b.constant('w', random.tensor([...shape, kernel, kernel], -0.5, 0.5));
        const bias = b.constant('b', random.tensor([groups * channels]));
        const attrs = { strides: [stride, stride], dilations: [1, 1], pads: [1, 0, 0, 1], group: groups };
        const y = transposed
          ? b.op('ConvTranspose', [x, w, bias], { ...attrs, outputPadding: [0, 0] })
          : b.op('Conv', [x, w, bias], attrs);
        b.output('y', b.relu(y));
        expect(await differenceOnGpu(b.graph)).toBeLessThan(BOUND);
      },
    ),
    { numRuns: 20 },
  );
});

withAdapter.test('rows of a product that are channels of one pixel each', async () => {
  const random = new Random(7);
  const b = new Builder('pixels');
  const x = b.conv(b.input('x', [2, 4, 3, 4]), b.constant('w', random.tensor([8, 4, 1, 1])), {});
  const pixel = b.op('ReduceL2', [x], { axes: [2, 3], keepDims: true });
  b.output('y', b.op('MatMul', [pixel, b.constant('m', random.tensor([1, 5]))], {}));
  expect(await differenceOnGpu(b.graph)).toBeLessThan(BOUND);
});

withAdapter.test('a depthwise layer reads a residual that lies channels first', async () => {
  const random = new Random(5);
  const b = new Builder('residual');
  const x = b.input('x', [2, 4, 3, 3]);
  const r = b.input('r', [2, 8, 3, 3]);
  const first = b.conv(x, b.constant('w', random.tensor([8, 4, 1, 1])), {});
  const depthwise = b.conv(first, b.constant('v', random.tensor([8, 1, 3, 3])), {
    group: 8,
    pads: [1, 1, 1, 1],
  });
  b.output('y', b.op('Add', [depthwise, r], {}));
  expect(await differenceOnGpu(b.graph)).toBeLessThan(BOUND);
});

withAdapter.test('a bias that is a part of something is read where it begins', async () => {
  const random = new Random(6);
  const b = new Builder('bias');
  const x = b.input('x', [1, 4, 3, 3]);
  const s = b.op('Exp', [b.input('s', [12])], {});
  const bias = b.op('Slice', [s], { starts: [1], sizes: [8], steps: [1] });
  b.output('y', b.conv(x, b.constant('w', random.tensor([8, 4, 1, 1])), { bias }));
  expect(await differenceOnGpu(b.graph)).toBeLessThan(BOUND);
});

test('integers divided by a constant 0 leave the other kernels valid', async () => {
  const b = new Builder('zero');
  const x = b.input('x', [4], 'i64');
  const zero = b.constant('z', {
    type: { dtype: 'i64', shape: [1] },
    data: new BigInt64Array([0n]),
  } as Tensor);
  b.output('q', b.op('Div', [x, zero], {}));
  b.output('r', b.op('Mod', [x, zero], {}));
  expect(await complaintsOf(emitProgram(lowerGraph(optimisedForGpu(b.graph))))).toEqual([]);
});

withAdapter.test('means and powers of integers, and integers resized to their nearest', async () => {
  await expectKernelsOf(EXACT, (b, input) => {
    const x = input(values('i32', [3, 5], 1));
    const y = input(tensor('i32', [3, 5], [0, 1, 2, 3, -1, -2, 4, 5, 1, 0, 2, 3, -3, 31, 7]));
    return [
      b.op('ReduceMean', [x], { axes: [1], keepDims: false }),
      b.op('ReduceMean', [input(values('u8', [3, 5], 2))], { axes: [0, 1], keepDims: true }),
      b.op('Pow', [x, y], {}),
      b.op('Resize', [input(values('u8', [1, 2, 3, 4], 3))], {
        mode: 'nearest',
        coordinates: 'asymmetric',
        nearestMode: 'floor',
        scales: [1, 1, 2, 1.5],
        sizes: [1, 2, 6, 6],
      }),
    ];
  });
});
