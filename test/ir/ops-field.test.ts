/** The receptive field that an op states, against what its reference does when inputs are disturbed. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { OpName } from '#ir/graph.ts';
import type { AxisField } from '#ir/op.ts';
import { f32, i64, type Tensor } from '#ir/tensor.ts';
import { elementCount } from '#ir/types.ts';
import { extent, mapAt, transposedOutputSize, windowAxis } from '#ir/window.ts';
import { evalOpAll, fieldOf, noise, positions, values } from '../support/op.ts';

/** For each output element, the input positions that change it. A large disturbance, so that it wins any maximum. */
function influences(
  op: OpName,
  attrs: object,
  inputs: readonly Tensor[],
  output: number,
  input: number,
): number[][][] {
  const given = inputs[input] as Tensor;
  const run = (x: Tensor) => evalOpAll(op, attrs as never, inputs.with(input, x))[output] as Tensor;
  const base = run(given);
  const seen = Array.from({ length: base.data.length }, (): number[][] => []);
  positions(given.type.shape).forEach((position, i) => {
    const data = Float32Array.from(given.data as Float32Array);
    data[i] = 1000;
    const changed = run({ type: given.type, data });
    seen.forEach((list, o) => {
      if (changed.data[o] !== base.data[o]) list.push(position);
    });
  });
  return seen;
}

/**
 * Every influence lies in the stated field; and where the field of an axis lies inside the input, its ends are attained
 * (elsewhere the border hides them). `tight: false` for ops whose fields are bounds by declaration; `clamps` for those
 * that read the border for what lies outside.
 */
function expectField(
  op: OpName,
  attrs: object,
  inputs: readonly Tensor[],
  { output = 0, input = 0, tight = true, clamps = false } = {},
): void {
  const fields = fieldOf(op, attrs as never, inputs, output, input);
  const shape = (inputs[input] as Tensor).type.shape;
  const out = (evalOpAll(op, attrs as never, inputs)[output] as Tensor).type.shape;
  expect(fields.length).toBe(out.length);
  const seen = influences(op, attrs, inputs, output, input);
  const intervals = (at: readonly number[]) =>
    fields.flatMap((f: AxisField, o) =>
      f.kind === 'axis' ? [{ axis: f.axis, interval: mapAt(f.map, at[o] ?? 0) }] : [],
    );
  positions(out).forEach((at, index) => {
    const list = seen[index] ?? [];
    const stated = intervals(at);
    const inside = stated.every(
      ({ axis, interval: [start, size] }) => start >= 0 && start + size <= (shape[axis] ?? 0),
    );
    for (const { axis, interval } of stated) {
      const [start, size] = interval;
      const hit = list.map((p) => p[axis] ?? 0);
      const last = (shape[axis] ?? 1) - 1;
      const from = clamps ? Math.max(0, Math.min(last, start)) : start;
      const to = clamps ? Math.max(0, Math.min(last, start + size - 1)) : start + size - 1;
      for (const p of hit)
        expect(p >= from && p <= to, `${op} output ${at} input axis ${axis} at ${p}`).toBe(true);
      if (!tight || !inside || stated.some((s) => s.interval[1] === 0)) continue;
      expect(Math.min(...hit), `${op} output ${at} axis ${axis} first`).toBe(start);
      expect(Math.max(...hit), `${op} output ${at} axis ${axis} last`).toBe(start + size - 1);
    }
  });
}

const windows = (rank: number) =>
  fc
    .record({
      input: fc.array(fc.integer({ min: 3, max: rank === 1 ? 14 : 7 }), { minLength: rank, maxLength: rank }),
      kernel: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: rank, maxLength: rank }),
      strides: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: rank, maxLength: rank }),
      dilations: fc.array(fc.integer({ min: 1, max: 2 }), { minLength: rank, maxLength: rank }),
      pads: fc.array(fc.nat(2), { minLength: 2 * rank, maxLength: 2 * rank }),
    })
    .filter((c) =>
      c.input.every((size, i) => {
        const a = windowAxis(c, i);
        return size + a.padBegin + a.padEnd >= extent(a) && Math.max(a.padBegin, a.padEnd) < extent(a);
      }),
    );

const ones = (shape: readonly number[]): Tensor => f32(shape, new Float32Array(elementCount(shape)).fill(1));

describe.each([1, 2])('windows of rank %i', (rank) => {
  const numRuns = rank === 1 ? 50 : 15;

  test('Conv', () => {
    fc.assert(
      fc.property(windows(rank), ({ input, kernel, ...attrs }) => {
        expectField('Conv', attrs, [noise([1, 2, ...input]), ones([2, 2, ...kernel])]);
      }),
      { numRuns },
    );
  });

  test('ConvTranspose', () => {
    fc.assert(
      fc.property(windows(rank), ({ input: wide, kernel, ...attrs }) => {
        const input = wide.map((s) => Math.ceil(s / 2));
        const outputPadding = input.map((_, i) => (attrs.strides[i] ?? 1) - 1);
        fc.pre(
          input.every(
            (s, i) => transposedOutputSize(windowAxis({ kernel, ...attrs }, i), s, outputPadding[i] ?? 0) > 0,
          ),
        );
        expectField('ConvTranspose', { ...attrs, outputPadding }, [
          noise([1, 1, ...input]),
          ones([1, 1, ...kernel]),
        ]);
      }),
      { numRuns },
    );
  });

  test.each(['MaxPool', 'AveragePool', 'LpPool'] as const)('%s, floor and ceil', (op) => {
    fc.assert(
      fc.property(windows(rank), fc.boolean(), ({ input, ...attrs }, ceil) => {
        expectField(op, { ...attrs, ceil }, [noise([1, 2, ...input])]);
      }),
      { numRuns },
    );
  });

  test('Resize where it repeats', () => {
    const size = fc.integer({ min: 1, max: rank === 1 ? 12 : 5 });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(size, size), { minLength: rank, maxLength: rank }),
        fc.constantFrom('nearest', 'linear', 'cubic'),
        fc.constantFrom(
          'half_pixel',
          'asymmetric',
          'align_corners',
          'pytorch_half_pixel',
          'half_pixel_symmetric',
        ),
        (axes, mode, coordinates) => {
          const sizes = [1, 1, ...axes.map(([, to]) => to)];
          const scales = [1, 1, ...axes.map(([from, to]) => to / from)];
          const x = noise([1, 1, ...axes.map(([from]) => from)]);
          expectField('Resize', { mode, coordinates, scales, sizes }, [x], {
            tight: mode !== 'cubic',
            clamps: true,
          });
        },
      ),
      { numRuns },
    );
  });
});

describe('everything else', () => {
  const x = noise([2, 4, 4, 5]);
  test.each([
    ['GlobalAveragePool', {}],
    ['Softmax', { axis: 1 }],
    ['LogSoftmax', { axis: 2 }],
    ['Hardmax', { axis: 3 }],
    ['MeanVarianceNormalization', { axes: [0, 2] }],
    ['LpNormalization', { axis: 1 }],
    ['LRN', { size: 2, alpha: 1 }],
    ['LRN', { size: 3, alpha: 1 }],
    ['Einsum', { equation: 'abcd->dba' }],
    ['Elu', {}],
    ['Transpose', { perm: [0, 3, 1, 2] }],
    ['Slice', { starts: [0, 1, 1, 0], steps: [1, 1, 2, 3], sizes: [2, 3, 2, 2] }],
    ['Pad', { mode: 'constant', pads: [0, 0, 1, -1, 0, 0, 2, 1] }],
    ['DepthToSpace', { blocksize: 2, mode: 'CRD' }],
    ['ChannelShuffle', { groups: 2 }],
    ['Squeeze', { axes: [] }],
    ['Unsqueeze', { axes: [0, 3] }],
    ['Identity', {}],
    ['Flatten', { axis: 1 }],
    ['Reshape', { shape: [2, 4, 20] }],
    ['Tile', { repeats: [1, 1, 2, 1] }],
    ['Expand', { shape: [3, 2, 4, 4, 5] }],
    ['ReduceMean', { axes: [2, 3] }],
    ['ReduceMax', { axes: [1], keepDims: false }],
    ['Cast', { to: 'f32' }],
    ['Shape', { end: 4 }],
  ] as const)('%s %o', (op, attrs) => {
    expectField(op, attrs, [x]);
  });

  test('BatchNormalization', () => {
    expectField('BatchNormalization', {}, [x, ones([4]), ones([4]), ones([4]), ones([4])]);
  });

  test('normalisation by statistics of the data', () => {
    const [scale, bias] = [ones([4]), ones([4])];
    for (const input of [0, 1, 2]) {
      expectField('InstanceNormalization', {}, [x, scale, bias], { input });
      expectField('GroupNormalization', { groups: 2 }, [x, scale, bias], { input });
      expectField('LayerNormalization', { axis: 2 }, [x, ones([4, 5]), ones([5])], { input });
    }
    expectField('RMSNormalization', { axis: 3 }, [x, ones([5])]);
  });

  test('Einsum and Det', () => {
    for (const input of [0, 1, 2]) {
      const operands = [noise([2, 3, 4]), noise([2, 4, 3], 2), noise([3], 3)];
      expectField('Einsum', { equation: 'bij,bjk,k->bki' }, operands, { input });
    }
    expectField('Det', {}, [noise([2, 3, 3, 3])]);
  });

  test('scales of quantised tensors', () => {
    const loud = (shape: readonly number[]) =>
      f32(
        shape,
        values(noise(shape)).map((v) => 50 + 40 * v),
      );
    for (const input of [0, 1]) {
      const axis = [loud([2, 4, 3]), f32([4], [0.5, 1, 2, 3])];
      expectField('QuantizeLinear', { axis: 1, to: 'i16' }, axis, { input });
      const blocks = [loud([1, 4, 2]), f32([1, 2, 2], [0.5, 1, 2, 3])];
      expectField('QuantizeLinear', { axis: 1, block: 2, to: 'i16' }, blocks, { input });
    }
  });

  test('Split and Concat', () => {
    for (const output of [0, 1]) expectField('Split', { axis: 2, sizes: [1, 3] }, [x], { output });
    for (const input of [0, 1]) {
      expectField('Concat', { axis: 1 }, [x, x], { input });
      expectField('Concat', { axis: 2 }, [x, x], { input, tight: false });
    }
  });

  test('reflect, edge and wrap padding shift their interior', () => {
    const fields = fieldOf('Pad', { mode: 'reflect', pads: [0, 0, 2, 1, 0, 0, 1, 1] }, [x]);
    expect(fields.map((f) => (f.kind === 'axis' ? f.map.phases[0]?.start : f.kind))).toEqual([0, 0, -2, -1]);
  });

  test('Gather', () => {
    expectField('Gather', { axis: 1 }, [x, i64([0, 3])]);
    expectField('Gather', { axis: 1 }, [x, i64([2], [])]);
    expect(fieldOf('Gather', { axis: 1 }, [x, i64([0, 3])], 0, 1).map((f) => f.kind)).toEqual([
      'none',
      'axis',
      'none',
      'none',
    ]);
  });

  test('Gemm and MatMul keep rows of the first operand and columns of the second', () => {
    for (const transA of [false, true]) {
      for (const input of [0, 1])
        expectField('Gemm', { transA, transB: true }, [noise([3, 3]), noise([4, 3], 2)], { input });
    }
    for (const input of [0, 1]) {
      expectField('MatMul', {}, [noise([2, 1, 3, 4]), noise([5, 4, 2], 2)], { input });
      expectField('MatMul', {}, [noise([4]), noise([5, 4, 2], 2)], { input });
      expectField('MatMul', {}, [noise([2, 3, 4]), noise([4], 2)], { input });
    }
  });
});
