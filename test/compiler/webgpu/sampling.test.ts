/** Kernels in WGSL that read between positions, as data says, against the reference. */
import fc from 'fast-check';
import { tensor } from '#ir/tensor.ts';
import { elementCount } from '#ir/types.ts';
import { expectKernelsOf } from '../../support/gpu-agreement.ts';
import { list, wide } from '../../support/kernel-tensors.ts';
import { small } from '../../support/kernels.ts';
import { noise } from '../../support/op.ts';
import { withAdapter } from '../../support/webgpu.ts';

/** Positions are computed in f32, in units of a pixel. */
const BOUND = 2e-5;
const RUNS = 12;

/** So that positions are exact in f32, and their nearest pixels the same. */
const dyadic = (list: Float32Array): Float32Array => list.map((x) => Math.round(x * 64) / 64);

withAdapter.test(
  'GridSample: every mode, padding and rank; positions far outside and no numbers',
  async () => {
    const shape = fc.record({
      rank: small(1, 3),
      sizes: list(3, 1, 5),
      points: list(3, 1, 3),
      channels: small(1, 3),
      mode: fc.constantFrom('linear' as const, 'nearest' as const, 'cubic' as const),
      padding: fc.constantFrom('zeros' as const, 'border' as const, 'reflection' as const),
      alignCorners: fc.boolean(),
      reach: fc.constantFrom(0.9, 1.5, 5),
      odd: fc.constantFrom(undefined, Number.NaN, Number.POSITIVE_INFINITY, -1e30, 1),
      seed: small(1, 1000),
    });
    await fc.assert(
      fc.asyncProperty(shape, async (s) => {
        const mode = s.rank === 3 && s.mode === 'cubic' ? 'linear' : s.mode;
        const grid = dyadic(wide([2, ...s.points.slice(0, s.rank), s.rank], s.seed, s.reach));
        if (s.odd !== undefined) grid[0] = s.odd;
        await expectKernelsOf(BOUND, (b, input) => {
          const x = input(noise([2, s.channels, ...s.sizes.slice(0, s.rank)], s.seed + 1));
          const at = input(tensor('f32', [2, ...s.points.slice(0, s.rank), s.rank], grid));
          return [b.op('GridSample', [x, at], { mode, padding: s.padding, alignCorners: s.alignCorners })];
        });
      }),
      { numRuns: 2 * RUNS },
    );
  },
);

withAdapter.test('RoiAlign: means and largest, both coordinate rules, boxes outside and empty', async () => {
  const shape = fc.record({
    mode: fc.constantFrom('avg' as const, 'max' as const),
    size: list(2, 1, 3),
    samples: small(0, 3),
    scale: fc.constantFrom(1, 0.5, 3),
    halfPixel: fc.boolean(),
    image: list(2, 1, 6),
    index: fc.constantFrom('i32' as const, 'i64' as const),
    seed: small(1, 1000),
  });
  await fc.assert(
    fc.asyncProperty(shape, async ({ mode, size, samples, scale, halfPixel, image, index, seed }) => {
      const rois = wide([4, 4], seed, 6);
      await expectKernelsOf(BOUND, (b, input) => {
        const x = input(noise([2, 3, ...image], seed + 1));
        const batch = input(tensor(index, [4], [1, 0, 1, 0]));
        return [
          b.op('RoiAlign', [x, input(tensor('f32', [4, 4], rois)), batch], {
            mode,
            size,
            samples,
            scale,
            halfPixel,
          }),
        ];
      });
    }),
    { numRuns: RUNS },
  );
});

withAdapter.test('DeformConv: groups, offset groups, mask, bias, wild offsets', async () => {
  const shape = fc.record({
    group: small(1, 2),
    offsetGroups: small(1, 2),
    kernel: list(2, 1, 3),
    strides: list(2, 1, 2),
    dilations: list(2, 1, 2),
    pads: list(4, 0, 2),
    extra: list(2, 0, 4),
    mask: fc.boolean(),
    bias: fc.boolean(),
    reach: fc.constantFrom(0, 2, 100),
    seed: small(1, 1000),
  });
  await fc.assert(
    fc.asyncProperty(shape, async ({ group, offsetGroups, kernel, strides, dilations, pads, ...s }) => {
      const extent = kernel.map((k, i) => (k - 1) * (dilations[i] ?? 1) + 1);
      const image = extent.map((e, i) => e + (s.extra[i] ?? 0));
      const out = image.map((size, i) =>
        Math.floor((size + (pads[i] ?? 0) + (pads[i + 2] ?? 0) - (extent[i] ?? 1)) / (strides[i] ?? 1) + 1),
      );
      const taps = offsetGroups * (kernel[0] ?? 1) * (kernel[1] ?? 1);
      const offsets = wide([2, 2 * taps, ...out], s.seed, s.reach);
      await expectKernelsOf(BOUND, (b, input) => {
        const operands = [
          input(noise([2, 4, ...image], s.seed + 1)),
          b.constant('w', noise([6, 4 / group, ...kernel], s.seed + 2)),
          input(tensor('f32', [2, 2 * taps, ...out], offsets)),
          s.bias ? b.constant('b', noise([6], s.seed + 3)) : undefined,
          s.mask ? input(noise([2, taps, ...out], s.seed + 4)) : undefined,
        ];
        return [b.op('DeformConv', operands, { strides, dilations, pads, group, offsetGroups })];
      });
    }),
    { numRuns: RUNS },
  );
});

withAdapter.test('Col2Im of any rank, overlapping and padded', async () => {
  const shape = fc.record({
    rank: small(1, 3),
    block: list(3, 1, 3),
    strides: list(3, 1, 3),
    dilations: list(3, 1, 2),
    pads: list(6, 0, 2),
    extra: list(3, 0, 3),
    seed: small(1, 1000),
  });
  await fc.assert(
    fc.asyncProperty(shape, async ({ rank, seed, ...s }) => {
      const cut = (a: readonly number[]) => a.slice(0, rank);
      const block = cut(s.block);
      const extent = block.map((k, i) => (k - 1) * (s.dilations[i] ?? 1) + 1);
      const image = extent.map((e, i) => e + (s.extra[i] ?? 0));
      const pads = s.pads.slice(0, 2 * rank);
      const windows = image.map((size, i) =>
        Math.floor(
          (size + (pads[i] ?? 0) + (pads[i + rank] ?? 0) - (extent[i] ?? 1)) / (s.strides[i] ?? 1) + 1,
        ),
      );
      await expectKernelsOf(BOUND, (b, input) => {
        const x = input(noise([2, 2 * elementCount(block), elementCount(windows)], seed));
        const attrs = { image, block, strides: cut(s.strides), dilations: cut(s.dilations), pads };
        return [b.op('Col2Im', [x], attrs)];
      });
    }),
    { numRuns: RUNS },
  );
});
