/**
 * Every lowering on random shapes, strides, pads and groups, against the reference evaluator on the module's own operands.
 *
 * The bound: f32 sums of at most some hundred terms of magnitude 1 differ from double arithmetic by about √n·2⁻²⁴ of the
 * largest result; 2e-6 of the largest magnitude leaves a factor of ten.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Builder } from '#ir/builder.ts';
import { parseExpr } from '#ir/expr.ts';
import type { Value } from '#ir/graph.ts';
import { type Tensor, tensor } from '#ir/tensor.ts';
import type { DType } from '#ir/types.ts';
import { noise } from '../../support/op.ts';
import { differences } from '../../support/wasm.ts';

const BOUND = 2e-6;
const RUNS = 60;

/** Builds a graph whose inputs are noise, runs it both ways. */
async function check(
  build: (b: Builder, input: (shape: readonly number[]) => Value) => Value | readonly Value[],
  options: { bound?: number; values?: (t: Tensor) => Tensor } = {},
): Promise<void> {
  const b = new Builder('test');
  const inputs = new Map<string, Tensor>();
  const input = (shape: readonly number[]): Value => {
    const name = `input${inputs.size}`;
    const tensor = noise(shape, inputs.size + 1);
    inputs.set(name, options.values?.(tensor) ?? tensor);
    return b.input(name, shape);
  };
  const results = build(b, input);
  for (const [i, value] of (Array.isArray(results) ? results : [results]).entries())
    b.output(`out${i}`, value);
  for (const { op, relative } of await differences(b.graph, inputs)) {
    expect(relative, op).toBeLessThan(options.bound ?? BOUND);
  }
}

const small = (min: number, max: number) => fc.integer({ min, max });

const window = fc.integer({ min: 1, max: 3 }).chain((rank) =>
  fc.record({
    rank: fc.constant(rank),
    kernel: fc.array(small(1, rank === 3 ? 2 : 4), { minLength: rank, maxLength: rank }),
    strides: fc.array(small(1, 3), { minLength: rank, maxLength: rank }),
    dilations: fc.array(small(1, 2), { minLength: rank, maxLength: rank }),
    pads: fc.array(small(0, 2), { minLength: 2 * rank, maxLength: 2 * rank }),
    extra: fc.array(small(0, rank === 3 ? 4 : 9), { minLength: rank, maxLength: rank }),
    batch: small(1, 2),
  }),
);

/** Input sizes that hold at least one window. */
const sizes = (w: { kernel: number[]; dilations: number[]; extra: number[] }): number[] =>
  w.kernel.map((k, i) => (k - 1) * (w.dilations[i] ?? 1) + 1 + (w.extra[i] ?? 0));

/** A parameter of a layer: known when it is compiled, or computed by the network. */
const parameter = (
  b: Builder,
  input: (shape: readonly number[]) => Value,
  shape: readonly number[],
  constant: boolean,
): Value => (constant ? b.constant('parameter', noise(shape, 7)) : input(shape));

const EPILOGUES = ['none', 'relu', 'residual', 'scale'] as const;

/** Adds one of a few epilogues to the producer of `value`. */
function withEpilogue(
  b: Builder,
  value: Value,
  kind: (typeof EPILOGUES)[number],
  input: (shape: readonly number[]) => Value,
): Value {
  if (kind === 'none' || value.source.kind !== 'node') return value;
  const { shape } = value.type;
  const { node } = value.source;
  const perChannel = shape.map((s, axis) => (axis < 2 ? s : 1));
  if (kind === 'relu') b.graph.setEpilogue(node, parseExpr('min(max(x0, 0), 6)'), []);
  if (kind === 'residual') b.graph.setEpilogue(node, parseExpr('max(add(x0, x1), 0)'), [input(shape)]);
  if (kind === 'scale') b.graph.setEpilogue(node, parseExpr('mul(x0, x1)'), [input(perChannel)]);
  return value;
}

describe('convolution', () => {
  test('any rank, stride, dilation, padding, groups, epilogue', async () => {
    const shape = fc.record({
      w: window,
      group: small(1, 3),
      inPer: small(1, 9),
      outPer: small(1, 21),
      bias: fc.boolean(),
      constant: fc.boolean(),
      epilogue: fc.constantFrom(...EPILOGUES),
    });
    await fc.assert(
      fc.asyncProperty(shape, async ({ w, group, inPer, outPer, bias, constant, epilogue }) => {
        await check((b, input) => {
          const x = input([w.batch, group * inPer, ...sizes(w)]);
          const weight = parameter(b, input, [group * outPer, inPer, ...w.kernel], constant);
          const extra = bias ? { bias: parameter(b, input, [group * outPer], constant) } : {};
          return withEpilogue(b, b.conv(x, weight, { ...w, group, ...extra }), epilogue, input);
        });
      }),
      { numRuns: RUNS * 2 },
    );
  });

  test('depthwise: every kernel, stride and border', async () => {
    const shape = fc.record({
      w: window,
      channels: small(2, 13),
      bias: fc.boolean(),
      constant: fc.boolean(),
      epilogue: fc.constantFrom(...EPILOGUES),
    });
    await fc.assert(
      fc.asyncProperty(shape, async ({ w, channels, bias, constant, epilogue }) => {
        await check((b, input) => {
          const x = input([w.batch, channels, ...sizes(w)]);
          const weight = parameter(b, input, [channels, 1, ...w.kernel], constant);
          const extra = bias ? { bias: parameter(b, input, [channels], constant) } : {};
          return withEpilogue(b, b.conv(x, weight, { ...w, group: channels, ...extra }), epilogue, input);
        });
      }),
      { numRuns: RUNS },
    );
  });

  test.each([1, 2, 3, 4, 5, 7, 8, 9, 13])(
    'pointwise over %i pixels meets every tile and remainder',
    async (pixels) => {
      for (const channels of [1, 3, 4, 7, 8, 12, 15, 16, 24, 25, 33]) {
        await check((b, input) => {
          const weight = b.constant('w', noise([channels, 5, 1, 1], 7));
          return b.conv(input([1, 5, 1, pixels]), weight, { bias: b.constant('b', noise([channels], 8)) });
        });
      }
    },
  );

  test('large dilation with padding makes a padded copy', async () => {
    await check((b, input) => {
      const x = input([1, 6, 20, 20]);
      const options = { dilations: [6, 6], pads: [6, 6, 6, 6] };
      const depthwise = b.conv(x, b.constant('w', noise([6, 1, 3, 3], 7)), { ...options, group: 6 });
      return b.conv(depthwise, b.constant('v', noise([4, 6, 3, 3], 8)), options);
    });
  });

  test('transposed: any rank, stride, dilation, padding, output padding, groups', async () => {
    const shape = fc.record({
      w: window,
      group: small(1, 2),
      inPer: small(1, 5),
      outPer: small(1, 6),
      bias: fc.boolean(),
      constant: fc.boolean(),
      more: small(0, 1),
      epilogue: fc.constantFrom(...EPILOGUES),
    });
    await fc.assert(
      fc.asyncProperty(shape, async ({ w, group, inPer, outPer, bias, constant, more, epilogue }) => {
        const spatial = w.extra.map((e) => 2 + Math.min(e, 4));
        const size = spatial.map(
          (s, i) => (s - 1) * (w.strides[i] ?? 1) + ((w.kernel[i] ?? 1) - 1) * (w.dilations[i] ?? 1) + 1,
        );
        fc.pre(size.every((s, i) => s > (w.pads[i] ?? 0) + (w.pads[w.rank + i] ?? 0)));
        const outputPadding = w.strides.map((s) => Math.min(more, s - 1));
        await check((b, input) => {
          const x = input([w.batch, group * inPer, ...spatial]);
          const weight = parameter(b, input, [group * inPer, outPer, ...w.kernel], constant);
          const operands = bias ? [x, weight, parameter(b, input, [group * outPer], constant)] : [x, weight];
          const { strides, dilations, pads } = w;
          const y = b.op('ConvTranspose', operands, { strides, dilations, pads, group, outputPadding });
          return withEpilogue(b, y, epilogue, input);
        });
      }),
      { numRuns: RUNS },
    );
  });
});

describe('pooling', () => {
  test.each(['MaxPool', 'AveragePool'] as const)('%s of any rank, ceil mode and padding', async (op) => {
    const shape = fc.record({
      w: window,
      channels: small(1, 9),
      ceil: fc.boolean(),
      countIncludePad: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(shape, async ({ w, channels, ceil, countIncludePad }) => {
        // a window wholly inside the padding has no value
        const pads = w.pads.map((p, i) => Math.min(p, (w.kernel[i % w.rank] ?? 1) - 1));
        const { kernel, strides, dilations } = w;
        const attrs = { kernel, strides, dilations, pads, ceil };
        await check((b, input) => {
          const x = input([w.batch, channels, ...sizes(w)]);
          return op === 'MaxPool' ? b.op(op, [x], attrs) : b.op(op, [x], { ...attrs, countIncludePad });
        });
      }),
      { numRuns: RUNS },
    );
  });

  test('global average', async () => {
    await check((b, input) => [
      b.op('GlobalAveragePool', [input([2, 7, 5, 6])], {}),
      b.op('GlobalAveragePool', [input([1, 16, 9])], {}),
    ]);
  });
});

describe('products', () => {
  test('Gemm: transposed operands, scales, every form of C', async () => {
    const shape = fc.record({
      m: small(1, 9),
      k: small(1, 20),
      n: small(1, 27),
      transA: fc.boolean(),
      transB: fc.boolean(),
      constantB: fc.boolean(),
      alpha: fc.constantFrom(1, 0.5),
      beta: fc.constantFrom(1, 2),
      c: fc.constantFrom('none', 'row', 'column', 'full', 'scalar', 'computed'),
    });
    await fc.assert(
      fc.asyncProperty(shape, async ({ m, k, n, transA, transB, constantB, alpha, beta, c }) => {
        await check((b, input) => {
          const a = input(transA ? [k, m] : [m, k]);
          const shapeB = transB ? [n, k] : [k, n];
          const second = constantB ? b.constant('w', noise(shapeB, 7)) : input(shapeB);
          const shapes = { none: [], row: [n], column: [m, 1], full: [m, n], scalar: [], computed: [m, n] };
          const third =
            c === 'none' ? [] : [c === 'computed' ? input([m, n]) : b.constant('c', noise(shapes[c], 8))];
          return b.op('Gemm', [a, second, ...third], { alpha, beta, transA, transB });
        });
      }),
      { numRuns: RUNS },
    );
  });

  test('MatMul: broadcast batches, vectors, constant and computed operands', async () => {
    for (const [a, w] of [
      [
        [3, 4],
        [4, 5],
      ],
      [
        [2, 3, 4],
        [4, 9],
      ],
      [
        [2, 3, 4],
        [2, 4, 9],
      ],
      [
        [2, 1, 3, 4],
        [5, 4, 6],
      ],
      [[4], [4, 5]],
      [[3, 4], [4]],
      [[4], [4]],
      [[2, 3, 4], [4]],
      [[4], [2, 4, 3]],
      [
        [1, 3, 4],
        [7, 4, 3],
      ],
    ] as const) {
      for (const constant of [true, false]) {
        await check((b, input) =>
          b.op('MatMul', [input(a), constant ? b.constant('w', noise(w, 7)) : input(w)], {}),
        );
      }
    }
  });
});

describe('elementwise', () => {
  const wide = (t: Tensor): Tensor => ({ ...t, data: (t.data as Float32Array).map((v) => v * 12) });
  const positive = (t: Tensor): Tensor => ({
    ...t,
    data: (t.data as Float32Array).map((v) => Math.abs(v) * 9 + 0.01),
  });

  // bounds: the approximations' stated errors (Cephes: 2 ulp; erf 1.5e-7 absolute), relative to the largest value
  test.each([
    ['Relu', {}],
    ['LeakyRelu', { alpha: 0.1 }],
    ['Clip', { min: -1, max: 2 }],
    ['Clip', {}],
    ['Sigmoid', {}],
    ['HardSigmoid', { alpha: 0.2, beta: 0.5 }],
    ['HardSwish', {}],
    ['Tanh', {}],
    ['Erf', {}],
    ['Exp', {}],
    ['Neg', {}],
    ['Abs', {}],
    ['Floor', {}],
    ['Ceil', {}],
    ['Round', {}],
    ['Sign', {}],
    ['Reciprocal', {}],
  ] as const)('%s %o over a wide range', async (op, attrs) => {
    await check((b, input) => b.op(op, [input([3, 5, 7])], attrs as never), { values: wide });
  });

  test.each(['Log', 'Sqrt'] as const)('%s of positive numbers', async (op) => {
    await check((b, input) => b.op(op, [input([301])], {}), { values: positive });
  });

  test('special values pass through as IEEE says', async () => {
    const special = Float32Array.of(0, -0, Infinity, -Infinity, NaN, 1e-40, 3e38, -3e38, 88.8, -103.9, 1, -1);
    const values = (t: Tensor): Tensor => ({ ...t, data: special });
    for (const op of [
      'Relu',
      'Sigmoid',
      'Tanh',
      'Exp',
      'Neg',
      'Abs',
      'Sqrt',
      'Log',
      'Clip',
      'HardSwish',
    ] as const) {
      await check((b, input) => b.op(op, [input([special.length])], {} as never), { values, bound: 1e-5 });
    }
  });

  test.each(['Add', 'Sub', 'Mul', 'Div', 'Min', 'Max'] as const)('%s broadcasts', async (op) => {
    for (const [x, y] of [
      [
        [2, 5, 4, 6],
        [2, 5, 4, 6],
      ],
      [
        [2, 5, 4, 6],
        [5, 1, 1],
      ],
      [[2, 5, 4, 6], [1]],
      [
        [2, 5, 1, 1],
        [2, 5, 4, 6],
      ],
      [
        [2, 5, 4, 6],
        [2, 1, 4, 6],
      ],
      [
        [5, 1],
        [1, 7],
      ],
      [[2, 5, 4, 6], [6]],
      [
        [2, 5, 4, 6],
        [4, 1],
      ],
    ] as const) {
      await check((b, input) => b.op(op, [input(x), input(y)], {}));
      // channels last: both come out of a convolution
      await check(
        (b, input) => {
          const w = (c: number, seed: number) => b.constant(`w${seed}`, noise([c, c, 1, 1], seed));
          const through = (v: Value, seed: number) =>
            v.type.shape.length === 4 ? b.conv(v, w(v.type.shape[1] ?? 1, seed)) : v;
          return b.op(op, [through(input(x), 7), through(input(y), 8)], {});
        },
        { bound: op === 'Div' ? 2e-5 : BOUND },
      );
    }
  });

  test('powers by constants', async () => {
    for (const exponent of [0, 1, 2, 3, 5, 0.5, -1]) {
      await check((b, input) => b.op('Pow', [input([37]), b.scalar(exponent)], {}), { values: positive });
    }
  });
});

describe('element types', () => {
  const TYPES = ['i8', 'u8', 'i16', 'u16', 'i32', 'u32', 'i64', 'u64', 'bool', 'f32'] as const;
  const LIMITS: Record<DType, readonly number[]> = {
    i8: [-128, 127, 0, 3, -7],
    u8: [0, 255, 1, 3, 200],
    i16: [-32768, 32767, 0, 3, -7],
    u16: [0, 65535, 1, 3, 40000],
    i32: [-2147483648, 2147483647, 0, 3, -7],
    u32: [0, 4294967295, 1, 3, 7],
    i64: [-9007199254740991, 9007199254740991, 0, 3, -7],
    u64: [0, 9007199254740991, 1, 3, 7],
    bool: [0, 1, 1, 0, 1],
    f32: [-3.7, 2.5, 0, 100.2, -0.4],
  };

  /** Runs a graph over inputs of the given types, made of each type's limits. */
  async function checkTyped(
    types: readonly DType[],
    build: (b: Builder, inputs: Value[]) => Value,
  ): Promise<void> {
    const b = new Builder('test');
    const feeds = new Map<string, Tensor>();
    const inputs = types.map((dtype, k) => {
      const values = LIMITS[dtype];
      const list = Array.from(
        { length: 15 },
        (_, i) => values[(k === 0 ? i : Math.floor(i / 3) + i) % 5] ?? 0,
      );
      feeds.set(`x${k}`, tensor(dtype, [3, 5], list));
      return b.input(`x${k}`, [3, 5], dtype);
    });
    b.output('out', build(b, inputs));
    for (const { op, relative } of await differences(b.graph, feeds)) {
      expect(relative, `${op} of ${types.join(', ')}`).toBeLessThan(BOUND);
    }
  }

  test('casts between all types', async () => {
    for (const from of TYPES) {
      for (const to of TYPES) {
        // a float outside the range of an integer type, or negative for an unsigned one, has no defined cast
        if (from === 'f32' && to !== 'bool' && (to.startsWith('u') || to === 'i8')) continue;
        await checkTyped([from], (b, [x]) => b.op('Cast', [x], { to }));
      }
    }
  });

  test.each(['Add', 'Sub', 'Mul', 'Div', 'Min', 'Max', 'Equal', 'Less', 'GreaterOrEqual'] as const)(
    '%s of every integer type',
    async (op) => {
      for (const type of TYPES) {
        if (type === 'bool') continue;
        // only dividends may hold the one value whose quotient overflows
        await checkTyped([type, type], (b, [x, y]) => b.op(op, [x, y], {}));
      }
    },
  );

  test('logic, selection by bool, comparisons of floats', async () => {
    await checkTyped(['bool', 'bool'], (b, [x, y]) => b.op('And', [x, y], {}));
    await checkTyped(['bool', 'bool'], (b, [x, y]) => b.op('Or', [x, y], {}));
    await checkTyped(['bool'], (b, [x]) => b.op('Not', [x], {}));
    await checkTyped(['f32', 'f32'], (b, [x, y]) => b.op('Less', [x, y], {}));
    for (const type of ['f32', 'i64', 'u8'] as const) {
      await checkTyped(['bool', type, type], (b, [c, x, y]) => b.op('Where', [c, x, y], {}));
    }
  });

  test('reductions of integers', async () => {
    for (const op of ['ReduceSum', 'ReduceMax', 'ReduceMin', 'ReduceMean'] as const) {
      for (const type of ['i8', 'u8', 'i32', 'i64'] as const) {
        if (op === 'ReduceSum' && type !== 'i32') continue;
        await checkTyped([type], (b, [x]) => b.op(op, [x], { axes: [1], keepDims: true }));
      }
    }
  });

  test('data of every type moves', async () => {
    for (const type of TYPES) {
      await checkTyped([type], (b, [x]) => b.op('Transpose', [x], { perm: [1, 0] }));
      await checkTyped([type], (b, [x]) =>
        b.op('Pad', [x], { mode: 'constant', pads: [1, 0, 0, 2], value: 3 }),
      );
      await checkTyped([type, type], (b, [x, y]) => b.op('Concat', [x, y], { axis: 1 }));
    }
  });
});

describe('reductions', () => {
  test.each([
    'ReduceSum',
    'ReduceMean',
    'ReduceMax',
    'ReduceMin',
    'ReduceProd',
    'ReduceL1',
    'ReduceL2',
    'ReduceSumSquare',
  ] as const)('%s over any axes, in both layouts', async (op) => {
    for (const axes of [[0], [1], [2], [3], [2, 3], [1, 2, 3], [0, 1, 2, 3], [1, 3]]) {
      for (const keepDims of [true, false]) {
        await check((b, input) => b.op(op, [input([2, 6, 3, 5])], { axes, keepDims }));
        await check((b, input) => {
          const x = b.conv(input([2, 3, 3, 5]), b.constant('w', noise([6, 3, 1, 1], 7)));
          return b.op(op, [x], { axes, keepDims });
        });
      }
    }
  });

  test('softmax along any axis, in both layouts', async () => {
    for (const axis of [0, 1, 2, 3]) {
      await check((b, input) => b.op('Softmax', [input([2, 6, 3, 5])], { axis }));
      await check((b, input) =>
        b.op('Softmax', [b.conv(input([2, 3, 3, 5]), b.constant('w', noise([6, 3, 1, 1], 7)))], { axis }),
      );
    }
    await check((b, input) => b.op('Softmax', [input([3, 1003])], { axis: 1 }));
  });
});

describe('resize', () => {
  test.each(['nearest', 'linear', 'cubic'] as const)(
    '%s, up and down, every coordinate rule',
    async (mode) => {
      for (const coordinates of [
        'half_pixel',
        'asymmetric',
        'align_corners',
        'pytorch_half_pixel',
      ] as const) {
        for (const [h, w] of [
          [8, 10],
          [3, 4],
          [7, 5],
          [4, 15],
        ] as const) {
          await check((b, input) => {
            const scales = [1, 1, h / 4, w / 5];
            return b.op('Resize', [input([2, 6, 4, 5])], {
              mode,
              coordinates,
              scales,
              sizes: [2, 6, h, w],
            } as never);
          });
        }
      }
    },
  );
});

describe('movement', () => {
  const x = (b: Builder, input: (shape: readonly number[]) => Value, shape: readonly number[]): Value[] => {
    const plain = input(shape);
    return shape.length === 4
      ? [plain, b.conv(plain, b.constant('w', noise([shape[1] ?? 1, shape[1] ?? 1, 1, 1], 7)))]
      : [plain];
  };

  test('transpose by every permutation of four axes', async () => {
    const perms = [0, 1, 2, 3].flatMap((a) =>
      [0, 1, 2, 3].flatMap((b) =>
        [0, 1, 2, 3].flatMap((c) => (new Set([a, b, c]).size === 3 ? [[a, b, c, 6 - a - b - c]] : [])),
      ),
    );
    expect(perms).toHaveLength(24);
    for (const perm of perms) {
      await check((b, input) => x(b, input, [2, 5, 4, 9]).map((v) => b.op('Transpose', [v], { perm })));
    }
  });

  test('concat and split along every axis', async () => {
    for (const axis of [0, 1, 2, 3]) {
      await check((b, input) => {
        const shape = [2, 5, 4, 6];
        const parts = [1, 2, 3].map((size) => input(shape.map((s, a) => (a === axis ? size : s))));
        const whole = b.op('Concat', parts, { axis });
        const [first, second] = b.node('Split', [whole], { axis, sizes: [2, 4] }).outputs;
        return [whole, first as Value, second as Value];
      });
    }
  });

  test('slices with steps, also backwards', async () => {
    await check((b, input) =>
      x(b, input, [2, 6, 7, 8]).flatMap((v) => [
        b.op('Slice', [v], { starts: [0, 2, 1, 0], steps: [1, 1, 2, 3], sizes: [2, 3, 3, 3] }),
        b.op('Slice', [v], { starts: [1, 5, 6, 7], steps: [-1, -1, -2, -1], sizes: [2, 6, 3, 8] }),
      ]),
    );
  });

  test('padding in every mode, also negative', async () => {
    for (const mode of ['constant', 'reflect', 'edge', 'wrap'] as const) {
      await check((b, input) =>
        x(b, input, [1, 3, 4, 5]).map((v) =>
          b.op('Pad', [v], { mode, pads: [0, 0, 2, 1, 0, 0, 1, 3], value: 0.5 }),
        ),
      );
    }
    await check((b, input) =>
      x(b, input, [1, 3, 4, 5]).map((v) =>
        b.op('Pad', [v], { mode: 'constant', pads: [0, 1, -1, 2, 0, 0, 2, -2], value: -1 }),
      ),
    );
  });

  test('shuffle, depth to space, expand, tile, gather', async () => {
    await check((b, input) =>
      x(b, input, [2, 12, 3, 5]).flatMap((v) => [
        b.op('ChannelShuffle', [v], { groups: 3 }),
        b.op('DepthToSpace', [v], { blocksize: 2, mode: 'DCR' }),
        b.op('DepthToSpace', [v], { blocksize: 2, mode: 'CRD' }),
        b.op('Tile', [v], { repeats: [1, 2, 1, 3] }),
      ]),
    );
    await check((b, input) => b.op('Expand', [input([3, 1, 5])], { shape: [2, 3, 4, 5] }));
    for (const axis of [0, 1, 2, 3]) {
      await check((b, input) => {
        const indices = b.constant('i', {
          type: { dtype: 'i64', shape: [4] },
          data: BigInt64Array.of(1n, 0n, -1n, 1n),
        });
        return x(b, input, [2, 6, 3, 5]).map((v) => b.op('Gather', [v, indices], { axis }));
      });
    }
    await check((b, input) => {
      const indices = b.constant('i', {
        type: { dtype: 'i64', shape: [2, 2] },
        data: BigInt64Array.of(1n, 0n, -1n, 1n),
      });
      return b.op('Gather', [input([3, 6, 5]), indices], { axis: 1 });
    });
  });

  test('views: reshape, flatten, squeeze of both layouts; one value twice an output', async () => {
    await check((b, input) =>
      x(b, input, [2, 6, 1, 5]).flatMap((v) => [
        b.op('Reshape', [v], { shape: [3, 20] }),
        b.op('Flatten', [v], { axis: 1 }),
        b.op('Squeeze', [v], { axes: [2] }),
        b.op('Unsqueeze', [v], { axes: [1] }),
        v,
        v,
      ]),
    );
  });

  test('the input itself may be an output', async () => {
    await check((_, input) => input([2, 3]));
  });
});
