/** Kernels in WGSL that choose elements by comparing them, against the reference. */
import fc from 'fast-check';
import { Builder } from '#ir/builder.ts';
import type { Value } from '#ir/graph.ts';
import { tensor } from '#ir/tensor.ts';
import { elementCount } from '#ir/types.ts';
import { expectKernels, expectKernelsOf } from '../../support/gpu-agreement.ts';
import { list, TYPES, values } from '../../support/kernel-tensors.ts';
import { small } from '../../support/kernels.ts';
import { noise } from '../../support/op.ts';
import { withAdapter } from '../../support/webgpu.ts';

const EXACT = 0;
const RUNS = 12;

const line = fc.record({
  shape: fc.array(small(1, 7), { minLength: 1, maxLength: 4 }),
  axis: small(0, 3),
  dtype: fc.constantFrom(...TYPES),
  k: small(1, 7),
  largest: fc.boolean(),
  seed: small(1, 1000),
});

withAdapter.test('TopK of any type and axis, equal elements in order', async () => {
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
  await expectKernelsOf(1e-6, (b, input) => {
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

withAdapter.test('NonZero of any type and rank, none and all', async () => {
  await fc.assert(
    fc.asyncProperty(line, async ({ shape, dtype, seed }) => {
      await expectKernelsOf(EXACT, (b, input) => [
        ...b.node('NonZero', [input(values(dtype, shape, seed))], {}).outputs,
      ]);
    }),
    { numRuns: RUNS },
  );
  await expectKernelsOf(EXACT, (b, input) => [
    ...b.node('NonZero', [input(tensor('f32', [3, 2], [0, 0, 0, 0, 0, 0]))], {}).outputs,
    ...b.node('NonZero', [input(tensor('bool', [], [1]))], {}).outputs,
  ]);
});

withAdapter.test('NonMaxSuppression: any limits, corners in any order, centres', async () => {
  const shape = fc.record({
    batch: small(1, 2),
    classes: small(1, 3),
    boxes: small(1, 30),
    most: fc.constantFrom(-1n, 0n, 1n, 3n, 1000n),
    iou: fc.option(fc.constantFrom(0, 0.3, 0.5, 1), { nil: undefined }),
    score: fc.option(fc.constantFrom(-2, 0, 0.4), { nil: undefined }),
    center: fc.boolean(),
    constant: fc.boolean(),
    seed: small(1, 1000),
  });
  await fc.assert(
    fc.asyncProperty(shape, async ({ batch, classes, boxes, most, iou, score, center, constant, seed }) => {
      await expectKernelsOf(EXACT, (b, input) => {
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
      });
    }),
    { numRuns: RUNS },
  );
});

withAdapter.test('outputs whose size depends on data have it', async () => {
  const b = new Builder('counted');
  const x = b.input('x', [3, 4]);
  const { outputs } = b.node('NonZero', [x], {});
  const [found, count] = outputs as [Value, Value];
  b.graph.addOutput('found', found, { axis: 1, value: count });
  b.graph.addOutput('rows', b.op('Transpose', [found], { perm: [1, 0] }), { axis: 0, value: count });
  for (const list of [[], [5], [0, 3, 11]]) {
    const data = Array.from({ length: 12 }, (_, i) => (list.includes(i) ? i + 1 : 0));
    await expectKernels(b.graph, EXACT, new Map([['x', tensor('f32', [3, 4], data)]]));
  }
});
