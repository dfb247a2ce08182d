import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { i64, type Tensor, tensor } from '#ir/tensor.ts';
import type { DType } from '#ir/types.ts';
import { at, build, counting, evalOp, evalOpAll, noise, typesOf, values } from '../support/op.ts';

const shapes = (min: number, max: number, largest = 5) =>
  fc.array(fc.integer({ min: 1, max: largest }), { minLength: min, maxLength: max });

/** The result of the op is, element by element, the input at the position that `source` names. */
function expectSources(got: Tensor, x: Tensor, source: (out: number[]) => number[] | number): void {
  const want = build(got.type.shape, (out) => {
    const from = source(out);
    return typeof from === 'number' ? from : at(x, from);
  });
  expect(values(got)).toEqual(values(want));
}

describe('movement against nd-indexing', () => {
  test('Transpose', () => {
    fc.assert(
      fc.property(
        shapes(1, 5, 4).chain((shape) =>
          fc.tuple(fc.constant(shape), fc.shuffledSubarray([...shape.keys()], { minLength: shape.length })),
        ),
        ([shape, perm]) => {
          const x = counting(shape);
          const got = evalOp('Transpose', { perm }, [x]);
          expect(got.type.shape).toEqual(perm.map((axis) => shape[axis]));
          expectSources(got, x, (out) => shape.map((_, axis) => out[perm.indexOf(axis)] ?? 0));
        },
      ),
    );
  });

  test('Slice, steps of either sign', () => {
    const axis = fc
      .tuple(fc.integer({ min: 1, max: 9 }), fc.constantFrom(-3, -2, -1, 1, 2, 3), fc.nat(8))
      .map(([size, step, at0]) => {
        const start = at0 % size;
        const room = step > 0 ? size - 1 - start : start;
        return { size, step, start, count: Math.floor(room / Math.abs(step)) + 1 };
      });
    fc.assert(
      fc.property(fc.array(axis, { minLength: 1, maxLength: 3 }), (axes) => {
        const x = counting(axes.map((a) => a.size));
        const starts = axes.map((a) => a.start);
        const steps = axes.map((a) => a.step);
        const got = evalOp('Slice', { starts, steps, sizes: axes.map((a) => a.count) }, [x]);
        expectSources(got, x, (out) => out.map((o, i) => (starts[i] ?? 0) + o * (steps[i] ?? 1)));
      }),
    );
  });

  test('Pad, every mode, negative pads too', () => {
    /** By walking step by step instead of by arithmetic. */
    const walk = (mode: string, i: number, size: number): number => {
      let p = i < 0 ? 0 : size - 1;
      let direction = i < 0 ? -1 : 1;
      for (let left = i < 0 ? -i : i - size + 1; left > 0; left--) {
        if (mode === 'wrap') p = (p + direction + size) % size;
        if (mode === 'reflect' && size > 1) {
          if (p + direction < 0 || p + direction >= size) direction = -direction;
          p += direction;
        }
      }
      return p;
    };
    fc.assert(
      fc.property(
        shapes(1, 3).chain((shape) =>
          fc.tuple(
            fc.constant(shape),
            fc.constantFrom('constant', 'reflect', 'edge', 'wrap'),
            fc.array(fc.integer({ min: -2, max: 6 }), {
              minLength: 2 * shape.length,
              maxLength: 2 * shape.length,
            }),
          ),
        ),
        ([shape, mode, pads]) => {
          fc.pre(
            shape.every(
              (s, i) => s + Math.min(0, pads[i] ?? 0) + Math.min(0, pads[shape.length + i] ?? 0) >= 0,
            ),
          );
          const x = counting(shape);
          const got = evalOp('Pad', { mode, pads, value: -7 }, [x]);
          expectSources(got, x, (out) => {
            const from = out.map((o, i) => o - (pads[i] ?? 0));
            const outside = from.some((p, i) => p < 0 || p >= (shape[i] ?? 0));
            if (outside && mode === 'constant') return -7;
            return from.map((p, i) => (p < 0 || p >= (shape[i] ?? 0) ? walk(mode, p, shape[i] ?? 0) : p));
          });
        },
      ),
      { numRuns: 300 },
    );
  });

  test('Gather, negative indices from the end', () => {
    fc.assert(
      fc.property(
        shapes(1, 3).chain((shape) =>
          fc.nat(shape.length - 1).chain((axis) => {
            const size = shape[axis] ?? 1;
            const index = fc.integer({ min: -size, max: size - 1 });
            return fc.tuple(
              fc.constant(shape),
              fc.constant(axis),
              shapes(0, 2, 3).chain((is) => {
                const count = is.reduce((a, b) => a * b, 1);
                return fc.tuple(fc.constant(is), fc.array(index, { minLength: count, maxLength: count }));
              }),
            );
          }),
        ),
        ([shape, axis, [indexShape, list]]) => {
          const x = counting(shape);
          const indices = i64(list, indexShape);
          const got = evalOp('Gather', { axis }, [x, indices]);
          expectSources(got, x, (out) => {
            const index = at(indices, out.slice(axis, axis + indexShape.length));
            return [
              ...out.slice(0, axis),
              index < 0 ? index + (shape[axis] ?? 0) : index,
              ...out.slice(axis + indexShape.length),
            ];
          });
        },
      ),
    );
  });

  test('Concat undoes Split', () => {
    fc.assert(
      fc.property(shapes(1, 3), fc.nat(2), shapes(1, 4), (shape, pick, sizes) => {
        const axis = pick % shape.length;
        const x = counting(
          shape.with(
            axis,
            sizes.reduce((a, b) => a + b, 0),
          ),
        );
        const parts = evalOpAll('Split', { axis, sizes }, [x]);
        expect(parts.map((p) => p.type.shape[axis])).toEqual(sizes);
        let start = 0;
        for (const part of parts) {
          const from = start;
          expectSources(part, x, (out) => out.with(axis, (out[axis] ?? 0) + from));
          start += part.type.shape[axis] ?? 0;
        }
        expect(evalOp('Concat', { axis }, parts)).toEqual(x);
      }),
    );
  });

  test('Tile and Expand', () => {
    fc.assert(
      fc.property(shapes(1, 3, 4), shapes(3, 3, 3), (shape, counts) => {
        const x = counting(shape);
        const repeats = counts.slice(0, shape.length);
        expectSources(evalOp('Tile', { repeats }, [x]), x, (out) => out.map((o, i) => o % (shape[i] ?? 1)));
        const target = [2, ...shape.map((s, i) => (s === 1 ? (counts[i] ?? 1) : s))];
        const got = evalOp('Expand', { shape: target }, [x]);
        expect(got.type.shape).toEqual(target);
        expectSources(got, x, (out) => out.slice(1).map((o, i) => (shape[i] === 1 ? 0 : o)));
      }),
    );
  });

  test('rows longer than one copying table', () => {
    const x = counting([3, 5000]);
    const got = evalOp('Pad', { mode: 'constant', pads: [1, 2, 1, 0], value: 9 }, [x]);
    expectSources(got, x, ([r = 0, c = 0]) => (r < 1 || r > 3 || c < 2 ? 9 : [r - 1, c - 2]));
    expectSources(evalOp('Transpose', { perm: [1, 0] }, [x]), x, ([a = 0, b = 0]) => [b, a]);
  });
});

describe('interleaving', () => {
  test('DepthToSpace in both channel orders', () => {
    const x = counting([2, 12, 2, 3]);
    const block = (mode: string) => evalOp('DepthToSpace', { blocksize: 2, mode }, [x]);
    expect(block('DCR').type.shape).toEqual([2, 3, 4, 6]);
    expectSources(block('DCR'), x, ([n = 0, c = 0, h = 0, w = 0]) => [
      n,
      ((h % 2) * 2 + (w % 2)) * 3 + c,
      h >> 1,
      w >> 1,
    ]);
    expectSources(block('CRD'), x, ([n = 0, c = 0, h = 0, w = 0]) => [
      n,
      c * 4 + (h % 2) * 2 + (w % 2),
      h >> 1,
      w >> 1,
    ]);
  });

  test('ChannelShuffle by g, then by C/g, is the identity', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 5 }),
        shapes(0, 2, 3),
        (g, m, spatial) => {
          const x = counting([2, g * m, ...spatial]);
          const once = evalOp('ChannelShuffle', { groups: g }, [x]);
          expectSources(once, x, ([n = 0, c = 0, ...rest]) => [n, (c % g) * m + Math.floor(c / g), ...rest]);
          expect(evalOp('ChannelShuffle', { groups: m }, [once])).toEqual(x);
        },
      ),
    );
  });
});

describe('views', () => {
  test.each([
    ['Reshape', { shape: [6, 4] }, [6, 4]],
    ['Flatten', { axis: 1 }, [2, 12]],
    ['Flatten', { axis: 0 }, [1, 24]],
    ['Flatten', { axis: 4 }, [24, 1]],
    ['Squeeze', { axes: [1] }, [2, 3, 4]],
    ['Unsqueeze', { axes: [0, 3] }, [1, 2, 1, 1, 3, 4]],
    ['Identity', {}, [2, 1, 3, 4]],
  ] as const)('%s keeps the order of elements', (op, attrs, shape) => {
    const x = counting([2, 1, 3, 4]);
    const got = evalOp(op, attrs, [x]);
    expect(got.type.shape).toEqual(shape);
    expect(got.data).toEqual(x.data);
  });
});

test.each(['i8', 'u8', 'i16', 'u16', 'i32', 'u32', 'i64', 'u64', 'bool'] as const)(
  'any type moves: %s',
  (dtype: DType) => {
    const x = tensor(dtype, [2, 3], [1, 0, 1, 1, 0, 0]);
    expect(values(evalOp('Transpose', { perm: [1, 0] }, [x]))).toEqual([1, 1, 0, 0, 1, 0]);
    expect(values(evalOp('Concat', { axis: 0 }, [x, x]))).toEqual([1, 0, 1, 1, 0, 0, 1, 0, 1, 1, 0, 0]);
    expect(values(evalOp('Pad', { pads: [0, 1, 0, 0], value: 1 }, [x]))).toEqual([1, 1, 0, 1, 1, 1, 0, 0]);
  },
);

test.each([
  ['Reshape', { shape: [5] }, '6 elements'],
  ['Reshape', { shape: [-1] }, 'is not a shape'],
  ['Squeeze', { axes: [0] }, 'axis 0 has size 2'],
  ['Transpose', { perm: [0, 0] }, 'repeat'],
  ['Slice', { starts: [0, 1], steps: [1, 1], sizes: [2, 3] }, 'axis 1 has 3 positions; 1 to 3 are read'],
  ['Split', { axis: 1, sizes: [1, 1] }, 'sizes add up to 2'],
  ['Pad', { pads: [-2, 0, -1, 0] }, 'remove more'],
  ['Expand', { shape: [4] }, 'do not broadcast'],
  ['Tile', { repeats: [2 ** 20, 2 ** 20] }, 'too large'],
  ['ChannelShuffle', { groups: 2 }, 'do not divide'],
  ['DepthToSpace', { blocksize: 2 }, 'rank 2, not 4'],
] as const)('%s refuses %o', (op, attrs, message) => {
  expect(() => typesOf(op, attrs, [noise([2, 3])])).toThrow(message);
});

test('Gather refuses an index outside its axis', () => {
  expect(() => evalOp('Gather', { axis: 0 }, [noise([2, 3]), i64([2])])).toThrow(
    'index 2 is outside an axis of 2',
  );
});
