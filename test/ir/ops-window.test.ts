import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  ceilOutputSize,
  composeMaps,
  envelope,
  extent,
  IDENTITY_MAP,
  mapAt,
  outputSize,
  type PositionMap,
  samePadding,
  tapRange,
  transposedMap,
  transposedOutputSize,
  unionMaps,
  type WindowAxis,
  windowMap,
} from '#ir/window.ts';

const axes: fc.Arbitrary<WindowAxis> = fc.record({
  kernel: fc.integer({ min: 1, max: 5 }),
  stride: fc.integer({ min: 1, max: 4 }),
  dilation: fc.integer({ min: 1, max: 3 }),
  padBegin: fc.nat(3),
  padEnd: fc.nat(3),
});

const maps: fc.Arbitrary<PositionMap> = fc.oneof(
  axes.map(windowMap),
  axes.map(transposedMap),
  fc.record({
    advance: fc.integer({ min: 0, max: 4 }),
    phases: fc.array(fc.record({ start: fc.integer({ min: -4, max: 4 }), size: fc.nat(3) }), {
      minLength: 1,
      maxLength: 4,
    }),
  }),
);

const RANGE = Array.from({ length: 41 }, (_, i) => i - 10);

/** Smallest interval over the given ones; those of size 0 see nothing. */
function hull(intervals: readonly (readonly [number, number])[]): readonly [number, number] {
  const seen = intervals.filter(([, size]) => size > 0);
  if (seen.length === 0) return [0, 0];
  const low = Math.min(...seen.map(([start]) => start));
  return [low, Math.max(...seen.map(([start, size]) => start + size)) - low];
}

const sees = (map: PositionMap, o: number): readonly [number, number] => hull([mapAt(map, o)]);

describe('sizes', () => {
  test('an output position exists for each place where the window fits', () => {
    fc.assert(
      fc.property(axes, fc.integer({ min: 1, max: 20 }), (a, input) => {
        fc.pre(input + a.padBegin + a.padEnd >= extent(a));
        let count = 0;
        for (let o = -a.padBegin; o + extent(a) <= input + a.padEnd; o += a.stride) count++;
        expect(outputSize(a, input)).toBe(count);
        // the transposed size inverts it, up to the positions that the stride skips
        const back = transposedOutputSize(a, count, 0);
        expect(back <= input && input - back < a.stride).toBe(true);
      }),
    );
  });

  test('ceil mode adds at most one window, which starts inside the input or its begin padding', () => {
    fc.assert(
      fc.property(axes, fc.integer({ min: 1, max: 20 }), (a, input) => {
        fc.pre(input + a.padBegin + a.padEnd >= extent(a) && Math.max(a.padBegin, a.padEnd) < extent(a));
        const size = ceilOutputSize(a, input);
        expect(size - outputSize(a, input)).toBeLessThanOrEqual(1);
        expect((size - 1) * a.stride - a.padBegin).toBeLessThan(input);
      }),
    );
  });

  test('SAME keeps ⌈input / stride⌉ positions', () => {
    fc.assert(
      fc.property(axes, fc.integer({ min: 1, max: 20 }), fc.boolean(), (a, input, upper) => {
        const [padBegin, padEnd] = samePadding(a, input, upper);
        expect(outputSize({ ...a, padBegin, padEnd }, input)).toBe(Math.ceil(input / a.stride));
        expect(upper ? padEnd - padBegin : padBegin - padEnd).toBeOneOf([0, 1]);
      }),
    );
  });

  test('tapRange holds exactly the taps inside the input', () => {
    fc.assert(
      fc.property(axes, fc.integer({ min: 1, max: 9 }), fc.nat(12), (a, input, o) => {
        const [first, end] = tapRange(a, o, input);
        for (let t = 0; t < a.kernel; t++) {
          const p = o * a.stride - a.padBegin + t * a.dilation;
          expect(t >= first && t < end).toBe(p >= 0 && p < input);
        }
      }),
    );
  });
});

describe('position maps', () => {
  test('windowMap and transposedMap are the hulls of the taps', () => {
    fc.assert(
      fc.property(axes, (a) => {
        for (const o of RANGE) {
          const taps = Array.from({ length: a.kernel }, (_, t) => o * a.stride - a.padBegin + t * a.dilation);
          expect(mapAt(windowMap(a), o)).toEqual(hull(taps.map((p) => [p, 1] as const)));
          const sources = Array.from(
            { length: a.kernel },
            (_, t) => (o + a.padBegin - t * a.dilation) / a.stride,
          );
          expect(sees(transposedMap(a), o)).toEqual(
            hull(sources.filter(Number.isInteger).map((p) => [p, 1] as const)),
          );
        }
      }),
    );
  });

  test('a transposed k3 s2 sees [0], [0], [0,1], [1], [1,2]', () => {
    const map = transposedMap({ kernel: 3, stride: 2, dilation: 1, padBegin: 0, padEnd: 0 });
    const inside = [0, 1, 2, 3, 4].map((o) => {
      const [start, size] = mapAt(map, o);
      return Array.from({ length: size }, (_, i) => start + i).filter((p) => p >= 0);
    });
    expect(inside).toEqual([[0], [0], [0, 1], [1], [1, 2]]);
    expect(envelope(map)).toEqual({ size: 2, stride: 0.5, padding: 1, period: 2 });
  });

  test('composeMaps is what the positions in between see together', () => {
    fc.assert(
      fc.property(maps, maps, (outer, inner) => {
        const both = composeMaps(outer, inner);
        for (const o of RANGE) {
          const [start, size] = mapAt(outer, o);
          const middle = Array.from({ length: size }, (_, i) => mapAt(inner, start + i));
          expect(sees(both, o)).toEqual(hull(middle));
        }
      }),
      { numRuns: 500 },
    );
  });

  test('composeMaps has the identity as its unit, and later hulls only widen', () => {
    fc.assert(
      fc.property(maps, maps, maps, (a, b, c) => {
        const first = composeMaps(composeMaps(a, b), c);
        const last = composeMaps(a, composeMaps(b, c));
        for (const o of RANGE) {
          expect(sees(composeMaps(IDENTITY_MAP, a), o)).toEqual(sees(a, o));
          expect(sees(composeMaps(a, IDENTITY_MAP), o)).toEqual(sees(a, o));
          expect(hull([sees(first, o), sees(last, o)])).toEqual(sees(first, o));
        }
      }),
    );
  });

  test('unionMaps is the hull of both, for equal effective strides', () => {
    fc.assert(
      fc.property(maps, maps, (a, b) => {
        const both = unionMaps(a, b);
        expect(both !== undefined).toBe(a.advance * b.phases.length === b.advance * a.phases.length);
        if (!both) return;
        for (const o of RANGE) expect(sees(both, o)).toEqual(hull([mapAt(a, o), mapAt(b, o)]));
      }),
      { numRuns: 500 },
    );
  });

  test('envelope is the tightest affine interval around every phase', () => {
    fc.assert(
      fc.property(maps, (map) => {
        const { size, stride, padding } = envelope(map);
        let low = Number.POSITIVE_INFINITY;
        let high = Number.NEGATIVE_INFINITY;
        for (const o of RANGE) {
          const [start, n] = mapAt(map, o);
          if (n === 0) continue;
          low = Math.min(low, start - o * stride);
          high = Math.max(high, start + n - o * stride);
        }
        if (size === 0) {
          expect(low).toBe(Number.POSITIVE_INFINITY);
          return;
        }
        expect(low).toBeCloseTo(-padding, 9);
        expect(high - low).toBeCloseTo(size, 9);
      }),
    );
  });

  test('stacked 3×3 with dilations 1, 2, 4 see 3, 7, 15', () => {
    const conv = (dilation: number) =>
      windowMap({ kernel: 3, stride: 1, dilation, padBegin: dilation, padEnd: dilation });
    const two = composeMaps(conv(2), conv(1));
    expect(envelope(conv(1)).size).toBe(3);
    expect(envelope(two).size).toBe(7);
    expect(envelope(composeMaps(conv(4), two))).toEqual({ size: 15, stride: 1, padding: 7, period: 1 });
  });
});
