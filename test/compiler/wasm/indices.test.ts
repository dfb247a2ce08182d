/** Kernels that go where indices say, hostile ones too, against the reference on the module's own operands. */
import fc from 'fast-check';
import { test } from 'vitest';
import type { Value } from '#ir/graph.ts';
import { tensor } from '#ir/tensor.ts';
import { check, indices, list, TYPES, values } from '../../support/kernel-tensors.ts';
import { RUNS, small } from '../../support/kernels.ts';

const indexed = fc.record({
  shape: fc.array(small(1, 5), { minLength: 1, maxLength: 4 }),
  axis: small(0, 3),
  count: small(1, 6),
  dtype: fc.constantFrom(...TYPES),
  index: fc.constantFrom('i32' as const, 'i64' as const),
  hostile: fc.boolean(),
  reduction: fc.constantFrom('none' as const, 'add' as const, 'mul' as const, 'min' as const, 'max' as const),
  seed: small(1, 1000),
});

test('GatherElements and ScatterElements, any type, indices outside too', async () => {
  await fc.assert(
    fc.asyncProperty(indexed, async ({ shape, axis, count, dtype, index, hostile, reduction, seed }) => {
      const at = axis % shape.length;
      const picked = shape.map((size, a) => (a === at ? count : Math.max(1, size - (seed % 2))));
      const where = indices(index, picked, shape[at] ?? 1, seed, hostile);
      await check((b, input) => {
        const x = input(values(dtype, shape, seed + 1));
        const i = input(where);
        const updates = input(values(dtype, picked, seed + 2));
        return [
          b.op('GatherElements', [x, i], { axis: at }),
          b.op('ScatterElements', [x, i, updates], { axis: at, reduction }),
        ];
      });
    }),
    { numRuns: RUNS },
  );
});

test('Gather, any type, indices outside too', async () => {
  await fc.assert(
    fc.asyncProperty(indexed, async ({ shape, axis, count, dtype, index, hostile, seed }) => {
      const at = axis % shape.length;
      const where = indices(index, [count, 2], shape[at] ?? 1, seed, hostile);
      await check((b, input) => [
        b.op('Gather', [input(values(dtype, shape, seed + 1)), input(where)], { axis: at }),
      ]);
    }),
    { numRuns: RUNS },
  );
});

test('GatherND and ScatterND, any depth of tuples and batch axes', async () => {
  const nd = fc.record({
    batch: small(0, 2),
    width: small(0, 2),
    slice: small(0, 2),
    tuples: fc.array(small(1, 3), { minLength: 0, maxLength: 2 }),
  });
  await fc.assert(
    fc.asyncProperty(indexed, nd, async ({ dtype, index, hostile, reduction, seed }, n) => {
      const size = 3;
      const batch = new Array<number>(n.batch).fill(2);
      const shape = [
        ...batch,
        ...new Array<number>(n.width).fill(size),
        ...new Array<number>(n.slice).fill(2),
      ];
      const where = indices(index, [...batch, ...n.tuples, n.width], size, seed, hostile);
      const flat = indices(index, [...n.tuples, n.width], size, seed, hostile);
      await check((b, input) => {
        const gathered = b.op('GatherND', [input(values(dtype, shape, seed + 1)), input(where)], {
          batchDims: n.batch,
        });
        const inner = shape.slice(n.batch);
        const updates = input(values(dtype, [...n.tuples, ...inner.slice(n.width)], seed + 3));
        const target = input(values(dtype, inner, seed + 2));
        return [gathered, b.op('ScatterND', [target, input(flat), updates], { reduction })];
      });
    }),
    { numRuns: RUNS },
  );
});

test('MaxPoolWithIndices and MaxUnpool, any rank, type and storage order', async () => {
  const pool = fc.record({
    rank: small(1, 3),
    dtype: fc.constantFrom('f32' as const, 'i8' as const, 'u8' as const),
    kernel: list(3, 1, 3),
    strides: list(3, 1, 2),
    dilations: list(3, 1, 2),
    pads: list(6, 0, 1),
    extra: list(3, 0, 4),
    columnMajor: fc.boolean(),
    ceil: fc.boolean(),
    seed: small(1, 1000),
  });
  await fc.assert(
    fc.asyncProperty(pool, async ({ rank, dtype, columnMajor, ceil, seed, ...w }) => {
      const cut = (a: readonly number[]) => a.slice(0, rank);
      const kernel = cut(w.kernel);
      const extent = (i: number) => ((kernel[i] ?? 1) - 1) * (w.dilations[i] ?? 1) + 1;
      const pads = Array.from({ length: 2 * rank }, (_, i) => Math.min(w.pads[i] ?? 0, extent(i % rank) - 1));
      const shape = [2, 2, ...kernel.map((_, i) => extent(i) + (w.extra[i] ?? 0))];
      const attrs = { kernel, strides: cut(w.strides), dilations: cut(w.dilations), pads, ceil };
      await check((b, input) => {
        const x = input(values(dtype, shape, seed));
        const { outputs } = b.node('MaxPoolWithIndices', [x], { ...attrs, columnMajor });
        const [pooled, places] = outputs as readonly [Value, Value];
        return [pooled, places, b.op('MaxUnpool', [pooled, places], { shape }), b.op('MaxPool', [x], attrs)];
      }, 0);
    }),
    { numRuns: RUNS },
  );
});

test('MaxUnpool drops what is outside', async () => {
  const places = tensor('i64', [1, 1, 4], [2n ** 62n, -1n, 3n, 8n]);
  await check((b, input) => [
    b.op('MaxUnpool', [input(values('f32', [1, 1, 4], 3)), input(places)], { shape: [1, 1, 8] }),
  ]);
});
