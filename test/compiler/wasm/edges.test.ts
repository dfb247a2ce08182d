/** What kernels must not get wrong at their edges: operands of lower rank, unread results, NaN, wide padding, long programs. */
import { describe, expect, test } from 'vitest';
import { Stepper } from '#compiler/check/stepper.ts';
import { wasmTarget } from '#compiler/targets/wasm/index.ts';
import { Builder } from '#ir/builder.ts';
import { CompileError } from '#ir/diagnostics.ts';
import { parseExpr } from '#ir/expr.ts';
import { f32, type Tensor } from '#ir/tensor.ts';
import type { Shape } from '#ir/types.ts';
import { noise } from '../../support/op.ts';
import { differences } from '../../support/wasm.ts';

const BOUND = 2e-6;

async function expectSame(b: Builder, inputs: ReadonlyMap<string, Tensor>): Promise<void> {
  for (const { op, relative } of await differences(b.graph, inputs)) expect(relative, op).toBeLessThan(BOUND);
}

describe('an operand of lower rank than the result', () => {
  const cases: readonly (readonly [Shape, Shape])[] = [
    [
      [2, 6, 4, 5],
      [6, 4, 5],
    ],
    [
      [2, 6, 4, 5],
      [6, 1, 5],
    ],
    [
      [2, 6, 4, 5],
      [6, 4, 1],
    ],
    [
      [2, 6, 4, 5],
      [4, 5],
    ],
    [[2, 6, 4, 5], [5]],
    [[2, 6, 4, 5], []],
    [
      [1, 1, 4, 5],
      [4, 5],
    ],
    [
      [2, 6, 7],
      [6, 7],
    ],
    [[2, 6, 7], [7]],
    [
      [2, 6, 2, 3, 4],
      [6, 2, 3, 4],
    ],
  ];
  test.each(cases)('in the epilogue of convolutions giving %o: %o', async (shape, operand) => {
    const rank = shape.length - 2;
    const spatial = shape.slice(2);
    const channels = shape[1] ?? 1;
    for (const kind of ['pointwise', 'depthwise', 'transposed'] as const) {
      const b = new Builder();
      const x = b.input('x', shape);
      const extra = b.input('extra', operand);
      const ones = spatial.map(() => 1);
      const pads = [...ones, ...ones].map(() => 0);
      const weight = b.constant('w', noise([channels, kind === 'depthwise' ? 1 : channels, ...ones], 3));
      const attrs = { strides: ones, dilations: ones, pads, group: kind === 'depthwise' ? channels : 1 };
      const node =
        kind === 'transposed'
          ? b.node('ConvTranspose', [x, weight], { ...attrs, outputPadding: new Array<number>(rank).fill(0) })
          : b.node('Conv', [x, weight], attrs);
      b.graph.setEpilogue(node as never, parseExpr('add(x0, x1)'), [extra]);
      b.output('y', node.outputs[0] ?? x);
      await expectSame(
        b,
        new Map([
          ['x', noise(shape, 1)],
          ['extra', noise(operand, 2)],
        ]),
      );
    }
  });

  test.each(cases)('of elementwise ops giving %o: %o', async (shape, operand) => {
    const b = new Builder();
    const x = b.input('x', shape);
    const extra = b.input('extra', operand);
    const w = b.constant('w', noise([shape[1] ?? 1, shape[1] ?? 1, ...shape.slice(2).map(() => 1)], 3));
    b.output('plain', b.op('Mul', [x, extra], {}));
    b.output('last', b.op('Mul', [b.conv(x, w), extra], {}));
    await expectSame(
      b,
      new Map([
        ['x', noise(shape, 1)],
        ['extra', noise(operand, 2)],
      ]),
    );
  });

  test('in the epilogue of a resize', async () => {
    for (const operand of [
      [1, 6, 8, 10],
      [6, 1, 1],
      [8, 10],
      [1, 1, 8, 10],
    ]) {
      const b = new Builder();
      const x = b.input('x', [1, 6, 4, 5]);
      const attrs = { scales: [1, 1, 2, 2], sizes: [1, 6, 8, 10] };
      const node = b.node('Resize', [x], attrs as never);
      b.graph.setEpilogue(node as never, parseExpr('max(add(x0, x1), 0)'), [b.input('extra', operand)]);
      b.output('y', node.outputs[0] ?? x);
      await expectSame(
        b,
        new Map([
          ['x', noise([1, 6, 4, 5], 1)],
          ['extra', noise(operand, 2)],
        ]),
      );
    }
  });
});

test('a split of which one part is read', async () => {
  for (const read of [0, 1, 2]) {
    const b = new Builder();
    const parts = b.node('Split', [b.relu(b.input('x', [1, 6, 3, 4]))], {
      axis: 1,
      sizes: [1, 2, 3],
    }).outputs;
    const part = parts[read];
    if (part) b.output('y', b.relu(part));
    await expectSame(b, new Map([['x', noise([1, 6, 3, 4])]]));
  }
});

test('NaN is not lost on the way', async () => {
  const values = noise([1, 4, 6, 6]);
  (values.data as Float32Array).set([Number.NaN, Number.NEGATIVE_INFINITY, Number.NaN], 17);
  const b = new Builder();
  const x = b.input('x', [1, 4, 6, 6]);
  const roots = b.op('Sqrt', [x], {});
  const [kernel, strides, pads] = [
    [3, 3],
    [1, 1],
    [1, 1, 1, 1],
  ];
  b.output('max', b.op('Max', [x, roots], {}));
  b.output('min', b.op('Min', [roots, x], {}));
  b.output('sign', b.op('Sign', [roots], {}));
  b.output('relu', b.relu(roots));
  b.output('clip', b.op('Clip', [roots], { min: -1, max: 1 }));
  b.output('maxConstant', b.op('Max', [x, b.scalar(Number.NaN)], {}));
  b.output('pool', b.op('MaxPool', [roots], { kernel, strides, dilations: [1, 1], pads, ceil: false }));
  b.output('reduceMax', b.op('ReduceMax', [roots], { axes: [2, 3], keepDims: true }));
  b.output('reduceMin', b.op('ReduceMin', [roots], { axes: [1], keepDims: true }));
  await expectSame(b, new Map([['x', values]]));
});

test('padding wider than the input folds or repeats', async () => {
  for (const mode of ['reflect', 'wrap', 'edge'] as const) {
    for (const [size, begin, end] of [
      [3, 2, 2],
      [3, 5, 7],
      [1, 3, 2],
      [2, 4, 0],
      [5, -2, 3],
    ] as const) {
      const b = new Builder();
      b.output('y', b.op('Pad', [b.input('x', [2, size, 4])], { mode, pads: [0, begin, 0, 0, end, 0] }));
      await expectSame(b, new Map([['x', noise([2, size, 4])]]));
    }
  }
});

test('programs of thousands of calls', async () => {
  const b = new Builder();
  const x = b.input('x', [1, 4]);
  const whole = b.op(
    'Concat',
    Array.from({ length: 3000 }, () => x),
    { axis: 1 },
  );
  b.output('y', b.relu(whole));
  await expectSame(b, new Map([['x', noise([1, 4])]]));
});

test('a network that no memory can hold is refused before anything is allocated', () => {
  const b = new Builder();
  b.output('y', b.relu(b.input('x', [1, 1, 30_000, 30_000])));
  expect(() => wasmTarget.lower(b.graph)).toThrow(CompileError);
  expect(() => wasmTarget.lower(b.graph)).toThrow(/memory-limit/);
});

test('a transposed convolution of very large stride is refused', () => {
  const b = new Builder();
  const weight = b.constant('w', noise([1, 1, 1, 1]));
  const attrs = { strides: [300, 300], dilations: [1, 1], pads: [0, 0, 0, 0], outputPadding: [0, 0] };
  b.output('y', b.op('ConvTranspose', [b.input('x', [1, 1, 2, 2]), weight], attrs));
  expect(wasmTarget.unsupported(b.graph).map((d) => d.message)).toEqual([expect.stringContaining('stride')]);
});

test('one result twice an output, and an input as an output', async () => {
  const b = new Builder();
  const x = b.input('x', [2, 3]);
  const y = b.relu(x);
  b.output('a', y);
  b.output('b', y);
  b.output('c', x);
  const stepper = await Stepper.load(wasmTarget.lower(b.graph));
  stepper.setInputs(new Map([['x', f32([2, 3], [1, -2, 3, -4, 5, -6])]]));
  stepper.run();
  const values = Object.fromEntries(
    [...stepper.outputs()].map(([name, t]) => [name, Array.from(t.data as Float32Array)]),
  );
  expect(values).toEqual({ a: [1, 0, 3, 0, 5, 0], b: [1, 0, 3, 0, 5, 0], c: [1, -2, 3, -4, 5, -6] });
});
