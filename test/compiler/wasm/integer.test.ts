/** Products of bytes are exact. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Builder } from '#ir/builder.ts';
import { type Tensor, tensor } from '#ir/tensor.ts';
import { elementCount, type Shape } from '#ir/types.ts';
import { differences } from '../../support/wasm.ts';

type Byte = 'u8' | 'i8';

const bytes = (dtype: Byte, shape: Shape, seed: number): Tensor =>
  tensor(
    dtype,
    shape,
    Array.from(
      { length: elementCount(shape) },
      (_, i) => ((i * 89 + seed * 31) % 256) - (dtype === 'i8' ? 128 : 0),
    ),
  );

async function expectExact(b: Builder, inputs: ReadonlyMap<string, Tensor>): Promise<void> {
  for (const { op, relative } of await differences(b.graph, inputs)) expect(relative, op).toBe(0);
}

const size = (min: number, max: number) => fc.integer({ min, max });
const type = fc.constantFrom<Byte>('u8', 'i8');
const zeros = fc.constantFrom('none', 'one', 'each');

test('ConvInteger: ranks, strides, padding, groups, zero points', async () => {
  const shape = fc.record({
    rank: size(1, 3),
    group: size(1, 2),
    inPer: size(1, 3),
    outPer: size(1, 4),
    k: size(1, 3),
    stride: size(1, 2),
    pad: size(0, 1),
    types: fc.tuple(type, type),
    zeros: fc.tuple(fc.boolean(), zeros),
  });
  await fc.assert(
    fc.asyncProperty(
      shape,
      async ({ rank, group, inPer, outPer, k, stride, pad, types, zeros: [xZero, wZero] }) => {
        const b = new Builder();
        const [cin, cout] = [group * inPer, group * outPer];
        const xShape = [2, cin, ...new Array<number>(rank).fill(5)];
        const wShape = [cout, inPer, ...new Array<number>(rank).fill(k)];
        const feeds = new Map([['x', bytes(types[0], xShape, 1)]]);
        const x = b.input('x', xShape, types[0]);
        const w = b.constant('w', bytes(types[1], wShape, 2));
        const zx = xZero ? b.constant('zx', bytes(types[0], [], 5)) : undefined;
        const zw =
          wZero === 'none' ? undefined : b.constant('zw', bytes(types[1], wZero === 'one' ? [] : [cout], 7));
        const fill = (v: number, n = rank) => new Array<number>(n).fill(v);
        const attrs = { strides: fill(stride), dilations: fill(1), pads: fill(pad, 2 * rank), group };
        b.output('y', b.op('ConvInteger', [x, w, zx, zw], attrs));
        await expectExact(b, feeds);
      },
    ),
    { numRuns: 60 },
  );
});

test('MatMulInteger: batches, vectors, zero points per row and column', async () => {
  for (const [a, w, za, zb] of [
    [[3, 40], [40, 5], [], []],
    [
      [3, 4],
      [4, 5],
      [3, 1],
      [1, 5],
    ],
    [[2, 3, 4], [4, 5], [], undefined],
    [
      [2, 3, 4],
      [2, 4, 5],
      [2, 3, 1],
      [2, 1, 5],
    ],
    [[4], [4, 5], undefined, []],
    [[3, 4], [4], [], []],
  ] as const) {
    for (const [ta, tb] of [
      ['u8', 'i8'],
      ['i8', 'u8'],
      ['u8', 'u8'],
    ] as const) {
      const b = new Builder();
      const x = b.input('x', a, ta);
      const y = b.input('w', w, tb);
      const zx = za && b.constant('za', bytes(ta, za, 5));
      const zy = zb && b.constant('zb', bytes(tb, zb, 7));
      b.output('y', b.op('MatMulInteger', [x, y, zx, zy], {}));
      await expectExact(
        b,
        new Map([
          ['x', bytes(ta, a, 1)],
          ['w', bytes(tb, w, 2)],
        ]),
      );
    }
  }
});
