/**
 * The kernels that go where data says, and recurrent layers: on random shapes, attributes and indices (hostile ones
 * too), against the reference evaluator on the module's own operands.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Builder } from '#ir/builder.ts';
import { formatExpr } from '#ir/expr.ts';
import type { Value } from '#ir/graph.ts';
import { RECURRENT_ACTIVATIONS } from '#ir/ops/recurrent.ts';
import { type Tensor, tensor } from '#ir/tensor.ts';
import { type DType, elementCount, type Shape } from '#ir/types.ts';
import { noise } from '../../support/op.ts';
import { differences } from '../../support/wasm.ts';

const RUNS = 60;
/** Sums of a few terms, rounded to f32 in another order. */
const BOUND = 2e-6;

/** Runs a graph of one op (or a few) on the given inputs both ways. */
async function check(
  build: (b: Builder, input: (tensor: Tensor) => Value) => readonly Value[],
  bound = BOUND,
): Promise<void> {
  const b = new Builder('test');
  const inputs = new Map<string, Tensor>();
  const results = build(b, (given) => {
    const name = `input${inputs.size}`;
    inputs.set(name, given);
    return b.input(name, given.type.shape, given.type.dtype);
  });
  for (const [i, value] of results.entries()) b.output(`out${i}`, value);
  for (const { op, relative } of await differences(b.graph, inputs)) {
    expect(relative, op).toBeLessThanOrEqual(bound);
  }
}

const small = (min: number, max: number) => fc.integer({ min, max });
const list = (length: number, min: number, max: number) =>
  fc.array(small(min, max), { minLength: length, maxLength: length });

const TYPES = ['f32', 'i8', 'u8', 'i32', 'i64', 'u64'] as const satisfies readonly DType[];

/** Few distinct values, so that equal ones meet. */
function values(dtype: DType, shape: Shape, seed: number): Tensor {
  const from = noise(shape, seed).data;
  const scaled = Array.from(from as Float32Array, (x) => {
    if (dtype === 'f32') return Math.round(x * 8) / 4;
    return dtype.startsWith('u') || dtype === 'bool' ? Math.abs(Math.round(x * 5)) : Math.round(x * 5);
  });
  return tensor(dtype, shape, dtype === 'bool' ? scaled.map((x) => (x > 2 ? 1 : 0)) : scaled);
}

/** Noise in [−reach, reach). */
const wide = (shape: Shape, seed: number, reach: number): Float32Array =>
  Float32Array.from(noise(shape, seed).data as Float32Array, (x) => x * reach);

/** Indices of which most are positions, some count from the end, and some are far outside. */
function indices(dtype: 'i32' | 'i64', shape: Shape, size: number, seed: number, hostile: boolean): Tensor {
  const from = noise(shape, seed).data as Float32Array;
  const far = dtype === 'i64' ? [2n ** 32n, -(2n ** 40n), 2n ** 63n - 1n] : [2 ** 31 - 1, -(2 ** 31), size];
  const list = Array.from(from, (x, i): number | bigint => {
    if (hostile && i % 4 === 3) return far[i % 3] ?? 0;
    return Math.min(size - 1, Math.floor(x * size));
  });
  return tensor(dtype, shape, list);
}

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

describe('indices', () => {
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
        const pads = Array.from({ length: 2 * rank }, (_, i) =>
          Math.min(w.pads[i] ?? 0, extent(i % rank) - 1),
        );
        const shape = [2, 2, ...kernel.map((_, i) => extent(i) + (w.extra[i] ?? 0))];
        const attrs = { kernel, strides: cut(w.strides), dilations: cut(w.dilations), pads, ceil };
        await check((b, input) => {
          const x = input(values(dtype, shape, seed));
          const { outputs } = b.node('MaxPoolWithIndices', [x], { ...attrs, columnMajor });
          const [pooled, places] = outputs as readonly [Value, Value];
          return [
            pooled,
            places,
            b.op('MaxUnpool', [pooled, places], { shape }),
            b.op('MaxPool', [x], attrs),
          ];
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
});

const line = fc.record({
  shape: fc.array(small(1, 7), { minLength: 1, maxLength: 4 }),
  axis: small(0, 3),
  dtype: fc.constantFrom(...TYPES),
  k: small(1, 7),
  flags: list(3, 0, 1),
  seed: small(1, 1000),
});

describe('along an axis', () => {
  test('ArgMax, ArgMin, TopK: equal elements in order', async () => {
    await fc.assert(
      fc.asyncProperty(line, async ({ shape, axis, dtype, k, flags, seed }) => {
        const at = axis % shape.length;
        const [keepDims, selectLast, largest] = flags.map((f) => f === 1) as [boolean, boolean, boolean];
        await check((b, input) => {
          const x = input(values(dtype, shape, seed));
          const top = b.node('TopK', [x], { axis: at, k: Math.min(k, shape[at] ?? 1), largest });
          return [
            b.op('ArgMax', [x], { axis: at, keepDims, selectLast }),
            b.op('ArgMin', [x], { axis: at, keepDims, selectLast }),
            ...top.outputs,
          ];
        }, 0);
      }),
      { numRuns: RUNS },
    );
  });

  test('TopK of a long line', async () => {
    await check(
      (b, input) => [...b.node('TopK', [input(noise([2, 3000], 5))], { axis: 1, k: 40 }).outputs],
      0,
    );
  });

  test('CumSum and CumProd, exclusive and in reverse', async () => {
    await fc.assert(
      fc.asyncProperty(line, async ({ shape, axis, dtype, flags, seed }) => {
        const attrs = { axis: axis % shape.length, exclusive: flags[0] === 1, reverse: flags[1] === 1 };
        await check((b, input) => {
          const x = input(values(dtype, shape, seed));
          return [b.op('CumSum', [x], attrs), b.op('CumProd', [x], attrs)];
        });
      }),
      { numRuns: RUNS },
    );
  });

  test('NonZero of any type and rank, none and all', async () => {
    await fc.assert(
      fc.asyncProperty(line, async ({ shape, dtype, seed }) => {
        await check((b, input) => [...b.node('NonZero', [input(values(dtype, shape, seed))], {}).outputs], 0);
      }),
      { numRuns: RUNS },
    );
    await check((b, input) => [
      ...b.node('NonZero', [input(tensor('f32', [3, 2], [0, 0, 0, 0, 0, 0]))], {}).outputs,
      ...b.node('NonZero', [input(tensor('bool', [], [1]))], {}).outputs,
    ]);
  });
});

test('NonMaxSuppression: any limits, corners in any order, centres', async () => {
  const shape = fc.record({
    batch: small(1, 2),
    classes: small(1, 3),
    boxes: small(1, 30),
    most: fc.constantFrom(-1n, 0n, 1n, 3n, 1000n, 2n ** 40n),
    iou: fc.option(fc.constantFrom(0, 0.3, 0.5, 1), { nil: undefined }),
    score: fc.option(fc.constantFrom(-2, 0, 0.4), { nil: undefined }),
    center: fc.boolean(),
    constant: fc.boolean(),
    seed: small(1, 1000),
  });
  await fc.assert(
    fc.asyncProperty(shape, async ({ batch, classes, boxes, most, iou, score, center, constant, seed }) => {
      await check((b, input) => {
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
      }, 0);
    }),
    { numRuns: RUNS },
  );
});

describe('sampling', () => {
  test('GridSample: every mode, padding and rank; positions far outside and no numbers', async () => {
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
        const grid = wide([2, ...s.points.slice(0, s.rank), s.rank], s.seed, s.reach);
        if (s.odd !== undefined) grid[0] = s.odd;
        await check((b, input) => {
          const x = input(noise([2, s.channels, ...s.sizes.slice(0, s.rank)], s.seed + 1));
          const at = input(tensor('f32', [2, ...s.points.slice(0, s.rank), s.rank], grid));
          return [b.op('GridSample', [x, at], { mode, padding: s.padding, alignCorners: s.alignCorners })];
        });
      }),
      { numRuns: 4 * RUNS },
    );
  });

  test('RoiAlign: means and largest, both coordinate rules, boxes outside, empty and huge', async () => {
    const shape = fc.record({
      mode: fc.constantFrom('avg' as const, 'max' as const),
      size: list(2, 1, 3),
      samples: small(0, 3),
      scale: fc.constantFrom(1, 0.5, 3),
      halfPixel: fc.boolean(),
      image: list(2, 1, 6),
      index: fc.constantFrom('i32' as const, 'i64' as const),
      huge: fc.boolean(),
      seed: small(1, 1000),
    });
    await fc.assert(
      fc.asyncProperty(shape, async ({ mode, size, samples, scale, halfPixel, image, index, huge, seed }) => {
        const rois = wide([4, 4], seed, 6);
        if (huge) rois.set([-1e9, 0, 1e9, Number.NaN], 4);
        await check((b, input) => {
          const x = input(noise([2, 3, ...image], seed + 1));
          const batch = input(indices(index, [4], 2, seed + 2, true));
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

  test('DeformConv: groups, offset groups, mask, bias, wild offsets', async () => {
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
        await check((b, input) => {
          const operands = [
            input(noise([2, 4, ...image], s.seed + 1)),
            b.constant('w', noise([6, 4 / group, ...kernel], s.seed + 2)),
            input(tensor('f32', [2, 2 * taps, ...out], offsets)),
            s.bias ? b.constant('b', noise([6], s.seed + 3)) : undefined,
            s.mask ? input(noise([2, taps, ...out], s.seed + 4)) : undefined,
          ];
          return [b.op('DeformConv', operands, { strides, dilations, pads, group, offsetGroups })];
        }, 1e-5);
      }),
      { numRuns: RUNS },
    );
  });

  test('Col2Im of any rank, overlapping and padded', async () => {
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
        await check((b, input) => {
          const x = input(noise([2, 2 * elementCount(block), elementCount(windows)], seed));
          const attrs = { image, block, strides: cut(s.strides), dilations: cut(s.dilations), pads };
          return [b.op('Col2Im', [x], attrs)];
        });
      }),
      { numRuns: RUNS },
    );
  });

  test('Resize by crop reads nothing outside', async () => {
    const attrs = {
      coordinates: 'tf_crop_and_resize',
      scales: [1, 1, 1.5, 1.5],
      sizes: [1, 2, 6, 6],
    } as const;
    const roi = [0, 0, 0.4, -0.3, 1, 1, 1.2, 0.8];
    await check((b, input) =>
      (['nearest', 'linear', 'cubic'] as const).map((mode) =>
        b.op('Resize', [input(noise([1, 2, 4, 4], 3))], { ...attrs, mode, roi }),
      ),
    );
  });
});

describe('recurrent layers', () => {
  const shape = fc.record({
    steps: small(1, 5),
    batch: small(1, 3),
    input: small(1, 5),
    hidden: small(1, 9),
    direction: fc.constantFrom('forward' as const, 'reverse' as const, 'bidirectional' as const),
    bias: fc.boolean(),
    initial: fc.boolean(),
    peepholes: fc.boolean(),
    constant: fc.boolean(),
    clip: fc.constantFrom(0, 0.3),
    flag: fc.boolean(),
    lengths: fc.option(list(3, 0, 5), { nil: undefined }),
    activation: fc.constantFrom(...Object.keys(RECURRENT_ACTIVATIONS)),
    seed: small(1, 1000),
  });
  test.each([
    ['LSTM', 4, 3],
    ['GRU', 3, 2],
    ['RNN', 1, 1],
  ] as const)('%s: directions, states, clip, lengths, activations', async (op, gates, functions) => {
    await fc.assert(
      fc.asyncProperty(shape, async (s) => {
        const d = s.direction === 'bidirectional' ? 2 : 1;
        const names = ['sigmoid', 'tanh', s.activation].slice(-functions);
        const expression = (name: string) =>
          formatExpr((RECURRENT_ACTIVATIONS[name] ?? (() => ({ kind: 'arg', index: 0 }) as const))());
        const attrs = {
          direction: s.direction,
          activations: Array.from({ length: d }, () => names)
            .flat()
            .map(expression)
            .join('; '),
          clip: s.clip,
          lengths:
            s.lengths?.slice(0, s.batch).map((n, b) => Math.max(b === 0 ? 1 : 0, Math.min(n, s.steps))) ?? [],
        };
        await check((b, input) => {
          const weight = (name: string, dims: Shape, seed: number) =>
            s.constant ? b.constant(name, noise(dims, seed)) : input(noise(dims, seed));
          const state = () => (s.initial ? input(noise([d, s.batch, s.hidden], s.seed + 4)) : undefined);
          const operands = [
            input(noise([s.steps, s.batch, s.input], s.seed)),
            weight('w', [d, gates * s.hidden, s.input], s.seed + 1),
            weight('r', [d, gates * s.hidden, s.hidden], s.seed + 2),
            s.bias ? weight('b', [d, 2 * gates * s.hidden], s.seed + 3) : undefined,
            state(),
          ];
          if (op === 'LSTM') {
            const more = [state(), s.peepholes ? weight('p', [d, 3 * s.hidden], s.seed + 5) : undefined];
            return [...b.node('LSTM', [...operands, ...more], { ...attrs, inputForget: s.flag }).outputs];
          }
          if (op === 'GRU')
            return [...b.node('GRU', operands, { ...attrs, linearBeforeReset: s.flag }).outputs];
          return [...b.node('RNN', operands, attrs).outputs];
        }, 1e-5);
      }),
      { numRuns: RUNS },
    );
  });
});
