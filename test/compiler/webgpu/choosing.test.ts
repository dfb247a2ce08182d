/** Kernels in WGSL that choose elements by comparing them, against the reference. */
import fc from 'fast-check';
import { tensor } from '#ir/tensor.ts';
import { elementCount } from '#ir/types.ts';
import { expectKernelsOf } from '../../support/gpu-agreement.ts';
import { list, TYPES, values } from '../../support/kernel-tensors.ts';
import { small } from '../../support/kernels.ts';
import { noise } from '../../support/op.ts';
import { withAdapter } from '../../support/webgpu.ts';

const EXACT = { f32: 0 };
const RUNS = 12;

withAdapter.test('TopK of any type and axis, equal elements in order', async () => {
  const line = fc.record({
    shape: fc.array(small(1, 7), { minLength: 1, maxLength: 4 }),
    axis: small(0, 3),
    dtype: fc.constantFrom(...TYPES),
    k: small(1, 7),
    largest: fc.boolean(),
    seed: small(1, 1000),
  });
  await fc.assert(
    fc.asyncProperty(line, async ({ shape, axis, dtype, k, largest, seed }) => {
      const at = axis % shape.length;
      const attrs = { axis: at, k: Math.min(k, shape[at] ?? 1), largest };
      await expectKernelsOf(EXACT, (b, input) => [
        ...b.node('TopK', [input(values(dtype, shape, seed))], attrs).outputs,
      ]);
    }),
    { numRuns: 2 * RUNS },
  );
});

withAdapter.test('TopK of long lines, and of what is computed in another layout', async () => {
  await expectKernelsOf(EXACT, (b, input) => [
    ...b.node('TopK', [input(noise([2, 3000], 5))], { axis: 1, k: 40 }).outputs,
  ]);
  await expectKernelsOf({ f32: 1e-6, f16: 1e-6 }, (b, input) => {
    const x = b.conv(input(noise([1, 4, 6, 6], 1)), b.constant('w', noise([8, 4, 1, 1], 2)));
    return [...b.node('TopK', [x], { axis: 1, k: 3 }).outputs];
  });
});

withAdapter.test('the largest of windows of any type and rank, and where they were', async () => {
  const shape = fc.record({
    rank: small(1, 3),
    kernel: list(3, 1, 3),
    strides: list(3, 1, 3),
    dilations: list(3, 1, 2),
    extra: list(3, 0, 4),
    padded: fc.boolean(),
    columnMajor: fc.boolean(),
    dtype: fc.constantFrom('f32' as const, 'u8' as const, 'i8' as const),
    seed: small(1, 1000),
  });
  await fc.assert(
    fc.asyncProperty(shape, async ({ rank, padded, columnMajor, dtype, seed, ...s }) => {
      const cut = (a: readonly number[]) => a.slice(0, rank);
      const kernel = cut(s.kernel);
      const extent = kernel.map((k, i) => (k - 1) * (s.dilations[i] ?? 1) + 1);
      const pads = [...kernel, ...kernel].map((k) => (padded && k > 1 ? 1 : 0));
      const image = extent.map((e, i) => e + (s.extra[i] ?? 0));
      const attrs = { kernel, strides: cut(s.strides), dilations: cut(s.dilations), pads };
      await expectKernelsOf(EXACT, (b, input) => {
        const x = input(values(dtype, [2, 3, ...image], seed));
        return [
          ...b.node('MaxPoolWithIndices', [x], { ...attrs, columnMajor }).outputs,
          b.op('MaxPool', [x], attrs),
        ];
      });
    }),
    { numRuns: RUNS },
  );
});

withAdapter.test('MaxUnpool puts back what pooling took, and loses what lies outside', async () => {
  const attrs = { kernel: [2, 2], strides: [2, 2], dilations: [1, 1], pads: [0, 0, 0, 0] };
  await expectKernelsOf(EXACT, (b, input) => {
    const pooled = b.node('MaxPoolWithIndices', [input(noise([2, 3, 6, 4], 1))], attrs).outputs;
    return [b.op('MaxUnpool', pooled, { shape: [2, 3, 6, 4] })];
  });
  const indices = tensor('i64', [4], [2, -1, 7, 100]);
  await expectKernelsOf(EXACT, (b, input) => [
    b.op('MaxUnpool', [input(noise([4], 2)), input(indices)], { shape: [elementCount([8])] }),
  ]);
});
