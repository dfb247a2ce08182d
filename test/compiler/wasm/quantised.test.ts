/** Quantised products with known weights: the bits of the reference, whatever their shape. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { lowerGraph } from '#compiler/targets/wasm/index.ts';
import { Builder } from '#ir/builder.ts';
import type { Graph } from '#ir/graph.ts';
import { type Tensor, tensor } from '#ir/tensor.ts';
import type { Shape } from '#ir/types.ts';
import { runPipeline } from '#passes/pass.ts';
import { lowerPipeline } from '#passes/pipeline.ts';
import { bytesOf, type QuantisedConv, quantisedConv } from '../../support/quantised.ts';
import { Random } from '../../support/random.ts';
import { differences } from '../../support/wasm.ts';

interface Layer {
  readonly graph: Graph;
  readonly inputs: ReadonlyMap<string, Tensor>;
}

async function expectSameBits({ graph, inputs }: Layer): Promise<void> {
  runPipeline(graph, lowerPipeline);
  for (const { want, got } of await differences(graph, inputs)) expect(got.data).toEqual(want.data);
}

const familiesOf = (graph: Graph): string[] => lowerGraph(graph).calls.map(({ kernel }) => kernel.family);

const CONVOLUTIONS: Readonly<Record<string, QuantisedConv>> = {
  'a kernel of one pixel': { x: [1, 16, 7, 9], channels: 24, kernel: [1, 1] },
  'a border, an odd number of channels': {
    x: [2, 3, 9, 8],
    channels: 13,
    kernel: [3, 3],
    pads: [1, 1, 1, 1],
  },
  'strides and uneven borders': {
    x: [1, 6, 11, 9],
    channels: 8,
    kernel: [3, 3],
    strides: [2, 3],
    pads: [0, 1, 2, 1],
  },
  'dilated taps of one channel': {
    x: [1, 1, 12, 12],
    channels: 5,
    kernel: [3, 3],
    dilations: [2, 3],
  },
  'groups of an odd number of channels': {
    x: [1, 15, 6, 5],
    channels: 12,
    kernel: [3, 2],
    pads: [1, 0, 1, 1],
    group: 3,
    perChannel: true,
  },
  'one dimension': { x: [2, 5, 21], channels: 7, kernel: [4], strides: [2], pads: [2, 1] },
  'three dimensions': {
    x: [1, 3, 5, 6, 4],
    channels: 9,
    kernel: [2, 3, 3],
    pads: [1, 1, 1, 0, 1, 1],
    perChannel: true,
  },
  'many panels and one pixel': { x: [1, 40, 1, 1], channels: 70, kernel: [1, 1], perChannel: true },
};
const TYPES: readonly (readonly ['u8' | 'i8', 'u8' | 'i8', 'u8' | 'i8'])[] = [
  ['u8', 'i8', 'u8'],
  ['u8', 'u8', 'u8'],
  ['i8', 'i8', 'i8'],
  ['i8', 'u8', 'u8'],
  ['u8', 'i8', 'i8'],
];

describe('QLinearConv', () => {
  test.each(Object.keys(CONVOLUTIONS))('%s', async (name) => {
    const layer = CONVOLUTIONS[name] as QuantisedConv;
    for (const types of TYPES) {
      for (const bias of [false, true]) await expectSameBits(quantisedConv({ ...layer, types, bias }));
    }
  });

  test('is one product of the bytes, widened', () => {
    const { graph } = quantisedConv({ x: [1, 8, 5, 5], channels: 8, kernel: [3, 3] });
    runPipeline(graph, lowerPipeline);
    expect(familiesOf(graph)).toEqual(['widen', 'dot', 'copy']);
  });

  test('of single channels is computed in floats, where they hold every sum', async () => {
    const layer = { x: [2, 9, 7, 8], channels: 9, kernel: [3, 3], pads: [1, 1, 1, 1], group: 9 };
    const familiesWith = async (change: Partial<QuantisedConv>) => {
      const { graph, inputs } = quantisedConv({ ...layer, perChannel: true, bias: true, ...change });
      await expectSameBits({ graph, inputs });
      return familiesOf(graph);
    };
    for (const types of TYPES) {
      expect(await familiesWith({ types })).toContain('window');
      expect(await familiesWith({ types, dilations: [2, 1], strides: [1, 2] })).toContain('window');
    }
    const large = { x: [1, 2, 40, 40], channels: 2, group: 2, kernel: [40, 40], types: TYPES[1] };
    expect(await familiesWith({ ...large, pads: [0, 0, 0, 0] } as Partial<QuantisedConv>)).toContain('dot');
  });

  test.each([0.01, 3, 1e6, 1e12])('saturates and rounds: results are %s times the range', async (spread) => {
    const layer = { x: [1, 8, 6, 6], channels: 10, kernel: [3, 3], bias: true, spread };
    for (const types of TYPES) await expectSameBits(quantisedConv({ ...layer, types }));
  });

  test('halves are rounded to even', async () => {
    const b = new Builder('halves');
    const x = b.input('x', [1, 1, 256], 'u8');
    const [one, half] = [1, 0.5].map((v, i) => b.constant(`s${i}`, tensor('f32', [], [v])));
    const [zeroU, zeroI] = [b.constant('zu', tensor('u8', [], [0])), b.constant('zi', tensor('i8', [], [0]))];
    const w = b.constant('w', tensor('i8', [2, 1, 1], [1, -1]));
    const attrs = { strides: [1], dilations: [1], pads: [0, 0], group: 1 };
    b.output('y', b.op('QLinearConv', [x, half, zeroU, w, one, zeroI, one, zeroI], attrs));
    const ramp = Array.from({ length: 256 }, (_, i) => i);
    await expectSameBits({ graph: b.graph, inputs: new Map([['x', tensor('u8', [1, 1, 256], ramp)]]) });
  });

  test('sums wrap around, as 32 bits do', async () => {
    const { graph, inputs } = quantisedConv({
      x: [1, 40_000, 1, 1],
      channels: 4,
      kernel: [1, 1],
      types: ['u8', 'u8', 'u8'],
    });
    const all = tensor('u8', [1, 40_000, 1, 1], new Array<number>(40_000).fill(255));
    expect([...inputs.keys()]).toEqual(['x']);
    await expectSameBits({ graph, inputs: new Map([['x', all]]) });
  });

  test('of any shape', async () => {
    const size = (min: number, max: number) => fc.integer({ min, max });
    const three = (min: number, max: number) => fc.tuple(size(min, max), size(min, max), size(min, max));
    const shape = fc.record({
      rank: size(1, 3),
      group: size(1, 3),
      inPer: size(1, 5),
      outPer: size(1, 18),
      kernel: three(1, 3),
      strides: three(1, 3),
      dilations: three(1, 2),
      begins: three(0, 2),
      ends: three(0, 2),
      types: fc.constantFrom(...TYPES),
      perChannel: fc.boolean(),
      bias: fc.boolean(),
      seed: fc.nat(),
    });
    await fc.assert(
      fc.asyncProperty(shape, async ({ rank, group, inPer, outPer, seed, begins, ends, ...s }) => {
        const first = <T>(list: readonly T[]) => list.slice(0, rank);
        const layer = {
          ...s,
          x: [2, group * inPer, ...first([7, 6, 5])],
          channels: group * outPer,
          kernel: first(s.kernel),
          strides: first(s.strides),
          dilations: first(s.dilations),
          pads: [...first(begins), ...first(ends)],
          group,
        };
        await expectSameBits(quantisedConv(layer, seed));
      }),
      { numRuns: 60 },
    );
  });
});

describe('products of matrices', () => {
  const MATRICES: readonly (readonly [a: Shape, b: Shape, aZero: Shape, bZero: Shape])[] = [
    [[5, 16], [16, 24], [], []],
    [[3, 7], [7, 13], [3, 1], [13]],
    [
      [2, 3, 9],
      [9, 5],
      [2, 3, 1],
      [1, 5],
    ],
    [[9], [9, 5], [], []],
    [[4, 9], [9], [], []],
    [[1, 65], [65, 40], [], [40]],
  ];

  function operands(b: Builder, [a, w, aZero, bZero]: (typeof MATRICES)[number], random: Random) {
    const [aType, bType] = [random.pick(['u8', 'i8'] as const), random.pick(['u8', 'i8'] as const)];
    return {
      a: b.input('a', a, aType),
      b: b.constant('b', bytesOf(random, bType, w)),
      aZero: b.input('aZero', aZero, aType),
      bZero: b.constant('bZero', bytesOf(random, bType, bZero)),
      inputs: new Map([
        ['a', bytesOf(random, aType, a)],
        ['aZero', bytesOf(random, aType, aZero)],
      ]),
    };
  }

  test.each(MATRICES)('MatMulInteger of %j and %j', async (...shapes) => {
    for (const seed of [1, 2, 3, 4]) {
      const b = new Builder('product');
      const { inputs, ...o } = operands(b, shapes, new Random(seed));
      b.output('y', b.op('MatMulInteger', [o.a, o.b, o.aZero, o.bZero], {}));
      expect(familiesOf(b.graph)).toContain('dot');
      await expectSameBits({ graph: b.graph, inputs });
    }
  });

  test.each(MATRICES)('QLinearMatMul of %j and %j', async (...shapes) => {
    for (const seed of [1, 2, 3, 4]) {
      const random = new Random(seed);
      const b = new Builder('product');
      const { inputs, ...o } = operands(b, shapes, random);
      const scale = (name: string, shape: Shape, at: number) =>
        b.constant(name, random.tensor(shape, at, 3 * at));
      const yZero = b.constant('yZero', bytesOf(random, random.pick(['u8', 'i8']), []));
      const slots = [o.a, scale('aScale', [], 0.01), o.aZero, o.b, scale('bScale', shapes[3], 0.01), o.bZero];
      b.output('y', b.op('QLinearMatMul', [...slots, scale('yScale', [1], 0.05), yZero], {}));
      await expectSameBits({ graph: b.graph, inputs });
      expect(b.graph.nodes.map((n) => n.op)).toEqual(['QLinearMatMul']);
    }
  });
});
