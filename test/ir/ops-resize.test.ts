import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { resizeAxis } from '#ir/ops/resize.ts';
import { f32, type Tensor } from '#ir/tensor.ts';
import { costOf, counting, evalOp, fieldOf, noise, values } from '../support/op.ts';

/** 1, 2, 3, … as an image. */
const image = (h: number, w: number): Tensor =>
  f32(
    [1, 1, h, w],
    Array.from({ length: h * w }, (_, i) => i + 1),
  );

const byScales = (x: Tensor, attrs: object, scales: readonly [number, number]) => {
  const full = [1, 1, ...scales];
  return { ...attrs, scales: full, sizes: x.type.shape.map((s, i) => Math.floor(s * (full[i] ?? 1))) };
};
const bySizes = (x: Tensor, attrs: object, sizes: readonly [number, number]) => ({
  ...attrs,
  sizes: [1, 1, ...sizes],
  scales: [1, 1, ...sizes].map((s, i) => s / (x.type.shape[i] ?? 1)),
});

/** Vectors of the ONNX operator documentation (Resize, test cases); the first row or all of the result. */
describe('documented results', () => {
  const cubic = { mode: 'cubic', coordinates: 'half_pixel' };
  const linear = { mode: 'linear', coordinates: 'half_pixel' };
  const sharp = { ...cubic, cubicA: -0.5, excludeOutside: true };
  test.each([
    ['upsample_scales_linear', image(2, 2), linear, [2, 2], [1, 1.25, 1.75, 2, 1.5, 1.75, 2.25, 2.5]],
    ['downsample_scales_linear', image(2, 4), linear, [0.6, 0.6], [2.6666665, 4.3333331]],
    [
      'upsample_scales_linear_align_corners',
      image(2, 2),
      { mode: 'linear', coordinates: 'align_corners' },
      [2, 2],
      [1, 1.33333333, 1.66666667, 2, 1.66666667, 2, 2.33333333, 2.66666667],
    ],
    [
      'upsample_scales_cubic',
      image(4, 4),
      cubic,
      [2, 2],
      [0.47265625, 0.76953125, 1.24609375, 1.875, 2.28125, 2.91015625, 3.38671875, 3.68359375],
    ],
    [
      'downsample_scales_cubic',
      image(4, 4),
      cubic,
      [0.8, 0.8],
      [1.47119141, 2.78125, 4.08251953, 6.71142578],
    ],
    [
      'upsample_scales_cubic_align_corners',
      image(4, 4),
      { mode: 'cubic', coordinates: 'align_corners' },
      [2, 2],
      [1, 1.34110787, 1.80029155, 2.32944606, 2.67055394, 3.19970845, 3.65889213, 4],
    ],
    [
      'upsample_scales_cubic_asymmetric',
      image(4, 4),
      { mode: 'cubic', coordinates: 'asymmetric' },
      [2, 2],
      [1, 1.40625, 2, 2.5, 3, 3.59375, 4, 4.09375],
    ],
    [
      'upsample_scales_cubic_A_n0p5_exclude_outside',
      image(4, 4),
      sharp,
      [2, 2],
      [0.55882353, 0.81494204, 1.35698249, 1.89705882, 2.39705882, 2.93713516, 3.47917561, 3.73529412],
    ],
    [
      'downsample_scales_cubic_A_n0p5_exclude_outside',
      image(4, 4),
      sharp,
      [0.8, 0.8],
      [1.36812675, 2.6695014, 4.0133367, 6.57362535, 7.875, 9.2188353, 11.94896657, 13.25034122, 14.59417652],
    ],
    [
      'upsample_scales_nearest',
      image(2, 2),
      { mode: 'nearest' },
      [2, 3],
      [1, 1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 2, 3],
    ],
    ['downsample_scales_nearest', image(2, 4), { mode: 'nearest' }, [0.6, 0.6], [1, 3]],
    [
      'downsample_scales_linear_half_pixel_symmetric',
      image(1, 4),
      { mode: 'linear', coordinates: 'half_pixel_symmetric' },
      [1, 0.6],
      [1.6666667, 3.3333333],
    ],
    [
      'upsample_scales_linear_half_pixel_symmetric',
      image(2, 2),
      { mode: 'linear', coordinates: 'half_pixel_symmetric' },
      [2.3, 2.94],
      [1, 1.15986395, 1.5, 1.84013605, 2, 1.56521738, 1.72508133, 2.06521738, 2.40535343, 2.56521738],
    ],
  ] as const)('%s', (_, x, attrs, scales, want) => {
    const got = values(evalOp('Resize', byScales(x, attrs, scales), [x]));
    want.forEach((v, i) => {
      expect(got[i]).toBeCloseTo(v, 5);
    });
  });

  test.each([
    ['nearest_floor_align_corners', 'align_corners', 'floor', [1, 1, 1, 2, 2, 3, 3, 4]],
    ['nearest_round_prefer_ceil_asymmetric', 'asymmetric', 'round_prefer_ceil', [1, 2, 2, 3, 3, 4, 4, 4]],
    ['nearest_ceil_half_pixel', 'half_pixel', 'ceil', [1, 2, 2, 3, 3, 4, 4, 4]],
  ] as const)('upsample_sizes_%s', (_, coordinates, nearestMode, want) => {
    const x = image(4, 4);
    const got = values(
      evalOp('Resize', bySizes(x, { mode: 'nearest', coordinates, nearestMode }, [8, 8]), [x]),
    );
    expect(got.slice(0, 8)).toEqual(want);
  });

  test('downsample_sizes_linear_pytorch_half_pixel', () => {
    const x = image(4, 4);
    const attrs = bySizes(x, { mode: 'linear', coordinates: 'pytorch_half_pixel' }, [3, 1]);
    values(evalOp('Resize', attrs, [x])).forEach((v, i) => {
      expect(v).toBeCloseTo([1.6666666, 7, 12.333333][i] ?? 0, 5);
    });
  });
});

const attrsOf = fc.record({
  mode: fc.constantFrom('nearest', 'linear', 'cubic'),
  coordinates: fc.constantFrom(
    'half_pixel',
    'asymmetric',
    'align_corners',
    'pytorch_half_pixel',
    'half_pixel_symmetric',
  ),
  nearestMode: fc.constantFrom('round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil'),
  cubicA: fc.constantFrom(-0.5, -0.75),
  excludeOutside: fc.boolean(),
} as const);

test('every position reads taps inside the input whose weights add up to 1', () => {
  fc.assert(
    fc.property(
      attrsOf,
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 1, max: 20 }),
      (attrs, input, output) => {
        const taps = resizeAxis({ ...attrs, scales: [output / input], sizes: [output] }, 0, input);
        expect(taps.length).toBe(output);
        for (const list of taps) {
          expect(list.length).toBeGreaterThan(0);
          expect(list.reduce((sum, t) => sum + t.weight, 0)).toBeCloseTo(1, 10);
          for (const t of list) expect(t.index >= 0 && t.index < input).toBe(true);
        }
      },
    ),
  );
});

test('axes resize one after the other as they do at once, in any rank', () => {
  fc.assert(
    fc.property(
      attrsOf,
      fc.array(fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 5 })), {
        minLength: 1,
        maxLength: 4,
      }),
      (attrs, axes) => {
        const x = noise(axes.map(([size]) => size));
        const at = (from: readonly number[], to: readonly number[]) => ({
          ...attrs,
          sizes: to,
          scales: to.map((s, i) => s / (from[i] ?? 1)),
        });
        const sizes = axes.map(([, size]) => size);
        const once = evalOp('Resize', at(x.type.shape, sizes), [x]);
        let each = x;
        axes.forEach(([, size], axis) => {
          const to = each.type.shape.with(axis, size);
          each = evalOp('Resize', at(each.type.shape, to), [each]);
        });
        values(once).forEach((v, i) => {
          expect(v).toBeCloseTo(Number(each.data[i]), 4);
        });
      },
    ),
  );
});

test('upsampling by 2 repeats every 2 positions; a scale of 3/2 every 3', () => {
  const field = (coordinates: string, from: number, to: number, mode = 'linear') =>
    fieldOf('Resize', { mode, coordinates, nearestMode: 'floor', scales: [to / from], sizes: [to] }, [
      counting([from]),
    ])[0];
  expect(field('asymmetric', 8, 16, 'nearest')).toEqual({
    kind: 'axis',
    axis: 0,
    border: 'edge',
    map: {
      advance: 1,
      phases: [
        { start: 0, size: 1 },
        { start: 0, size: 1 },
      ],
    },
  });
  expect(field('half_pixel', 8, 16)).toEqual({
    kind: 'axis',
    axis: 0,
    border: 'edge',
    map: {
      advance: 1,
      phases: [
        { start: -1, size: 2 },
        { start: 0, size: 2 },
      ],
    },
  });
  expect(field('asymmetric', 8, 12)).toMatchObject({
    kind: 'axis',
    map: { advance: 2, phases: { length: 3 } },
  });
  expect(field('half_pixel', 8, 8)).toMatchObject({ map: { advance: 1, phases: [{ start: 0, size: 1 }] } });
});

test('costs a multiplication and an addition per tap', () => {
  const x = noise([1, 2, 4, 4]);
  const attrs = { scales: [1, 1, 2, 2], sizes: [1, 2, 8, 8] };
  expect(costOf('Resize', { mode: 'linear', ...attrs }, [x])).toEqual({ macs: 0, otherOps: 2 * 4 * 128 });
  expect(costOf('Resize', { mode: 'nearest', ...attrs }, [x])).toEqual({ macs: 0, otherOps: 0 });
});

test('antialias: where an axis shrinks, every input position counts', () => {
  const shrink = { mode: 'linear', antialias: true, excludeOutside: true, scales: [0.25], sizes: [2] };
  // the triangle around 1.5, less the two positions outside
  const weights = [5, 7, 7, 5, 3, 1].map((w) => w / 28);
  const input = Array.from({ length: 8 }, (_, i) => i * i);
  const left = weights.reduce((sum, w, i) => sum + w * (input[i] ?? 0), 0);
  expect(values(evalOp('Resize', shrink, [f32([8], input)]))[0]).toBeCloseTo(left, 5);
  const grow = { mode: 'linear', scales: [2], sizes: [16] };
  expect(evalOp('Resize', { ...grow, antialias: true }, [f32([8], input)])).toEqual(
    evalOp('Resize', grow, [f32([8], input)]),
  );
});
