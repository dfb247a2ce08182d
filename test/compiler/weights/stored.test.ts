/** Weights in fewer bytes: what is loaded is what was packed, and rounding is as good as it can be. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { verifyBundle } from '#compiler/bundle/verify.ts';
import { compileGraph, compileModel } from '#compiler/compile.ts';
import { loadBundle } from '#compiler/files/index.ts';
import { floatToHalf } from '#compiler/weights/half.ts';
import { roundWeights } from '#compiler/weights/rounding.ts';
import { Builder } from '#ir/builder.ts';
import { evaluateGraph } from '#ir/evaluate.ts';
import { constantOf, type Graph, operand } from '#ir/graph.ts';
import { f32 } from '#ir/tensor.ts';
import { halfToFloat } from '#runtime/stored-weights.ts';
import { write } from '../../support/bundles.ts';
import { Random } from '../../support/random.ts';

/** Minimal filtering, a depthwise layer, groups with padded panels, a transposed layer and a matrix. */
function mixed(): Graph {
  const random = new Random(5);
  const b = new Builder('mixed');
  const weight = (...shape: number[]) => b.constant('w', random.tensor(shape, -0.4, 0.4));
  const pads = { pads: [1, 1, 1, 1] };
  let x = b.input('x', [1, 16, 12, 12]);
  x = b.relu(b.conv(x, weight(48, 16, 3, 3), { ...pads, bias: weight(48) }));
  x = b.relu(b.conv(x, weight(48, 1, 3, 3), { ...pads, group: 48 }));
  x = b.conv(x, weight(30, 16, 1, 1), { group: 3 });
  x = b.op('ConvTranspose', [x, weight(30, 9, 2, 2)], {
    strides: [2, 2],
    dilations: [1, 1],
    pads: [0, 0, 0, 0],
    outputPadding: [0, 0],
  });
  const flat = b.op('Flatten', [b.op('GlobalAveragePool', [x], {})], {});
  b.output('y', b.op('Gemm', [flat, weight(9, 40), weight(40)], {}));
  return b.graph;
}

const image = () => new Random(6).tensor([1, 16, 12, 12]);

describe.each(['raw', 'f16', 'i8'] as const)('%s', (format) => {
  test('a bundle gives what the same weights give as f32', async () => {
    const bundle = await compileGraph(mixed(), { weights: format, threads: 2 });
    expect(await verifyBundle((name) => bundle.files.get(name))).toEqual([]);
    const whole = await compileGraph(format === 'raw' ? mixed() : roundWeights(mixed(), format));
    const x = image().data as Float32Array;
    const run = async (of: typeof bundle, options: object) =>
      (await loadBundle(await write(of), { warmup: false, relaxed: false, ...options })).run({ x });
    const expected = await run(whole, {});
    expect(await run(bundle, {})).toEqual(expected);
    expect(await run(bundle, { threads: 2, verify: true })).toEqual(expected);
    expect(bundle.stats.storedBytes).toBeLessThan(whole.stats.storedBytes);
  });

  test('several sizes share what is stored', async () => {
    const description = {
      name: 'sizes',
      input: { name: 'x', shape: [1, 16, 'height', 'width'] },
      layers: [
        { conv: { channels: 48, kernel: 3 } },
        { depthwise: { kernel: 3 } },
        { conv: { channels: 20, kernel: 1 } },
      ],
    };
    const model = new TextEncoder().encode(JSON.stringify(description));
    const at = (size: number) => ({ dims: { height: size, width: size } });
    const both = await compileModel(model, { weights: format, specialisations: [at(8), at(12)] });
    const one = await compileModel(model, { weights: format, ...at(8) });
    expect(await verifyBundle((name) => both.files.get(name))).toEqual([]);
    // equal constants, such as biases of zero, are kept once where there are several sizes
    expect(both.stats.storedBytes).toBeLessThanOrEqual(one.stats.storedBytes);
  });
});

test('the error that rounding makes is told: bytes make more than halves, and f32 none', async () => {
  const errors = await Promise.all(
    (['f32', 'raw', 'f16', 'i8'] as const).map(async (weights) => {
      const { stats } = await compileGraph(mixed(), { weights });
      return stats.weightsError;
    }),
  );
  const [f32Error, raw, f16 = 0, i8 = 0] = errors;
  expect([f32Error, raw]).toEqual([null, null]);
  expect(f16).toBeGreaterThan(0);
  // half a unit of 11 bits each, of which most cancel
  expect(f16).toBeLessThan(2 ** -11);
  expect(i8).toBeGreaterThan(f16 as number);
  expect(i8).toBeLessThan(0.05);
});

test('bytes of a channel are at most half its step away', () => {
  const graph = mixed();
  const rounded = roundWeights(graph, 'i8');
  const weights = (g: Graph, k: number) => constantOf(operand(g.nodes[k] as never, 1))?.data as Float32Array;
  for (const [k, channels] of [
    [0, 48],
    [2, 48],
  ] as const) {
    const [a, b] = [weights(graph, k), weights(rounded, k)];
    const each = a.length / channels;
    for (let c = 0; c < channels; c++) {
      const own = a.subarray(c * each, (c + 1) * each);
      const step = Math.max(...own.map(Math.abs)) / 127;
      own.forEach((x, i) => {
        // the step has 16 bits
        expect(Math.abs(x - (b[c * each + i] as number))).toBeLessThanOrEqual(step * (0.5 + 2 ** -8));
      });
    }
  }
});

test('the reference on rounded weights is what the bundle says of itself', async () => {
  const { stats } = await compileGraph(mixed(), { weights: 'i8', check: 'full' });
  const x = new Map([['x', f32([1, 16, 12, 12], image().data as Float32Array)]]);
  const output = (g: Graph) => {
    const [port] = g.outputs;
    return (port && evaluateGraph(g, x).get(port.value)?.data) as Float32Array;
  };
  const [a, b] = [output(mixed()), output(roundWeights(mixed(), 'i8'))];
  const largest = Math.max(...a.map(Math.abs));
  const difference = Math.max(...a.map((y, i) => Math.abs(y - (b[i] as number)))) / largest;
  // on another input, so of the same order only
  expect(stats.weightsError).toBeGreaterThan(difference / 10);
  expect(stats.weightsError).toBeLessThan(difference * 10);
});

describe('half precision', () => {
  test('every half is found again, and is the nearest of what lies around it', () => {
    for (let bits = 0; bits < 0x10000; bits++) {
      const value = halfToFloat(bits);
      if (Number.isNaN(value)) expect(Number.isNaN(halfToFloat(floatToHalf(value)))).toBe(true);
      else expect(floatToHalf(value)).toBe(bits);
    }
  });

  test('rounds to the nearest, ties to even', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 0x7bfe }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (bits, t) => {
          const [low, high] = [halfToFloat(bits), halfToFloat(bits + 1)];
          const x = Math.fround(low + (high - low) * t);
          const got = floatToHalf(x);
          const nearer = x - low < high - x || (x - low === high - x && bits % 2 === 0) ? bits : bits + 1;
          return got === nearer && floatToHalf(-x) === (nearer | 0x8000);
        },
      ),
      { numRuns: 20_000 },
    );
    expect([65_519, 65_520, Number.MAX_VALUE, 2 ** -25, 2 ** -26].map(floatToHalf)).toEqual([
      0x7bff, 0x7c00, 0x7c00, 0, 0,
    ]);
  });
});
