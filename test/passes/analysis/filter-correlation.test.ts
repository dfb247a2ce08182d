import { describe, expect, test } from 'vitest';
import { Builder, type ConvOptions } from '#ir/builder.ts';
import { evaluateGraph } from '#ir/evaluate.ts';
import { type Graph, producer, type Value } from '#ir/graph.ts';
import { f32, type Tensor } from '#ir/tensor.ts';
import { elementCount, type Shape } from '#ir/types.ts';
import {
  correlationOfWeights,
  type FilterCorrelation,
  ResponseCorrelation,
  type StandardConv,
  standardConv,
} from '#passes/analysis/filter-correlation.ts';
import { absent } from './networks.ts';

/** Normally distributed, the same each time. */
function noise(shape: Shape, seed: number): Tensor {
  let state = seed >>> 0 || 1;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
  const values = Array.from(
    { length: elementCount(shape) },
    () => Math.sqrt(-2 * Math.log(next())) * Math.cos(2 * Math.PI * next()),
  );
  return f32(shape, values);
}

class Net {
  readonly b = new Builder('net');
  readonly x: Value;
  constructor(shape: Shape = [1, 6, 40, 40]) {
    this.x = this.b.input('x', shape);
  }
  conv(x: Value, weight: Tensor, options: ConvOptions = {}): Value {
    return this.b.conv(x, this.b.constant('w', weight), options);
  }
  batchNorm(x: Value, scale: readonly number[]): Value {
    const c = scale.length;
    const [zeros, ones] = [0, 1].map((n) => f32([c], new Array<number>(c).fill(n)));
    const constants = [f32([c], scale), zeros, zeros, ones].map((t, i) =>
      this.b.constant(`bn${i}`, t ?? absent([c])),
    );
    return this.b.op('BatchNormalization', [x, ...constants], { epsilon: 0 });
  }
  graph(y: Value): Graph {
    this.b.output('y', y);
    return this.b.graph;
  }
}

function layer(value: Value): StandardConv {
  const node = producer(value);
  if (!node) throw new Error('an input');
  return standardConv(node);
}

const rowsOf = ({ matrix: { rows, columns, data } }: FilterCorrelation) =>
  Array.from({ length: rows }, (_, i) => [...data.slice(i * columns, (i + 1) * columns)]);

function measured(graph: Graph, conv: StandardConv, inputs: readonly Tensor[]): FilterCorrelation {
  const responses = new ResponseCorrelation(conv);
  for (const x of inputs) {
    const values = evaluateGraph(graph, new Map([['x', x]]), { keep: new Set(responses.values) });
    const [read, made] = responses.values.map((v) => values.get(v));
    if (read && made) responses.add(read, made);
  }
  return responses.correlation();
}

describe('by weights', () => {
  test('without a convolution before it: norms of kernels by those of their filters', () => {
    const net = new Net([1, 2, 8, 8]);
    const y = net.conv(net.x, f32([2, 2, 1, 2], [3, 0, 0, 4, 0, 0, 5, 12]));
    const found = correlationOfWeights(layer(y));
    expect(rowsOf(found)).toEqual([
      [0.6, 0.8],
      [0, 1],
    ]);
    expect(found.basis).toEqual({ kind: 'kernels', because: 'it reads an input of the network' });
  });

  test('with one: what responses to noise come to, batch norm between them', () => {
    const net = new Net();
    const first = net.conv(net.x, noise([5, 6, 1, 1], 1));
    const y = net.conv(net.batchNorm(first, [3, -1, 0.2, 1, 2]), noise([4, 5, 1, 1], 2));
    const graph = net.graph(y);
    const found = correlationOfWeights(layer(y));
    expect(found.basis).toEqual({ kind: 'filters', producer: producer(first) });
    const samples = Array.from({ length: 6 }, (_, i) => noise([1, 6, 40, 40], 10 + i));
    const responses = measured(graph, layer(y), samples);
    expect(responses.basis).toEqual({ kind: 'responses', samples: 6 });
    // 9,600 positions: within three standard errors of 1/√9,600
    const apart = (a: FilterCorrelation, b: FilterCorrelation) =>
      Math.max(...a.matrix.data.map((r, i) => Math.abs(r - (b.matrix.data[i] ?? 0))));
    expect(apart(responses, found)).toBeLessThan(0.031);
    // and that is not what the kernels alone say
    const alone = new Net([1, 5, 4, 4]);
    const norms = correlationOfWeights(layer(alone.conv(alone.x, noise([4, 5, 1, 1], 2))));
    expect(apart(norms, found)).toBeGreaterThan(0.1);
  });

  test('where filters before it are orthonormal it is the norms again, over all taps', () => {
    const net = new Net([1, 3, 8, 8]);
    const identity = f32([3, 3, 1, 1], [1, 0, 0, 0, 1, 0, 0, 0, 1]);
    const weight = noise([4, 3, 3, 3], 5);
    const [through, direct] = [
      net.conv(net.b.relu(net.conv(net.x, identity)), weight),
      net.conv(net.x, weight),
    ];
    const [a, b] = [through, direct].map((v) => rowsOf(correlationOfWeights(layer(v))).flat());
    for (const [i, r] of (a ?? []).entries()) expect(r).toBeCloseTo(b?.[i] ?? 0, 6);
    expect(a?.slice(0, 3).reduce((sum, r) => sum + r * r, 0)).toBeCloseTo(1, 6);
  });

  test('groups before it read different inputs', () => {
    const net = new Net([1, 4, 8, 8]);
    const first = net.conv(net.x, f32([4, 2, 1, 1], new Array(8).fill(1)), { group: 2 });
    const y = net.conv(first, f32([1, 4, 1, 1], [1, 0, 0, 0]));
    // channels 0 and 1 are the same sum; 2 and 3 have nothing of it
    const [row] = rowsOf(correlationOfWeights(layer(y)));
    expect(row).toEqual([1, 1, 0, 0]);
  });

  test('is followed through pooling, activations and gates by itself, and no further', () => {
    const net = new Net([1, 4, 8, 8]);
    const { b } = net;
    const square = () => noise([4, 4, 1, 1], 3);
    const first = net.conv(net.x, square());
    const pooled = b.op('MaxPool', [b.relu(first)], {
      kernel: [2, 2],
      strides: [2, 2],
      dilations: [1, 1],
      pads: [0, 0, 0, 0],
    });
    const second = net.conv(pooled, square());
    const gated = b.op('Mul', [second, b.op('Sigmoid', [second], {})], {});
    const third = net.conv(gated, square());
    const fourth = net.conv(b.add(third, third), square());
    const bases = [second, third, fourth].map((v) => correlationOfWeights(layer(v)).basis);
    expect(bases).toEqual([
      { kind: 'filters', producer: producer(first) },
      { kind: 'filters', producer: producer(second) },
      { kind: 'kernels', because: 'it reads the result of a Add' },
    ]);
  });

  test('without the weights before it: says so; without its own: an error', () => {
    const net = new Net([1, 4, 8, 8]);
    const first = net.b.conv(net.x, net.b.constant('w', absent([4, 4, 1, 1])), { name: 'first' });
    const y = net.conv(first, noise([4, 4, 1, 1], 1));
    expect(correlationOfWeights(layer(y)).basis).toEqual({
      kind: 'kernels',
      because: 'the weights of first are missing',
    });
    expect(() => correlationOfWeights(layer(first))).toThrow('weights-missing');
  });
});

describe('by responses', () => {
  test('an output that is one of the inputs correlates with that alone, whatever stride, padding and dilation', () => {
    const weight = new Float32Array(2 * 2 * 3 * 3);
    // the middle of the kernel: output 0 is input 1 upside down, output 1 is input 0
    weight[9 + 4] = -2;
    weight[18 + 4] = 1;
    for (const options of [
      { pads: [1, 1, 1, 1] },
      { strides: [2, 3] },
      { strides: [2, 1], dilations: [2, 3], pads: [3, 0, 1, 4] },
    ]) {
      const net = new Net([1, 2, 21, 17]);
      const y = net.conv(net.x, f32([2, 2, 3, 3], weight), options);
      const found = rowsOf(measured(net.graph(y), layer(y), [noise([1, 2, 21, 17], 4)]));
      expect(found[0]?.[1]).toBeCloseTo(1, 6);
      expect(found[1]?.[0]).toBeCloseTo(1, 6);
      expect(found[0]?.[0]).toBeLessThan(0.5);
    }
  });

  test('is Pearson’s, over all positions of all samples', () => {
    const net = new Net([2, 3, 5, 4]);
    const y = net.conv(net.b.relu(net.x), noise([2, 3, 1, 1], 8));
    const graph = net.graph(y);
    const samples = [noise([2, 3, 5, 4], 1), noise([2, 3, 5, 4], 2)];
    const found = measured(graph, layer(y), samples);
    expect(found.basis).toEqual({ kind: 'responses', samples: 4 });
    const [read, made] = new ResponseCorrelation(layer(y)).values.map((value) =>
      samples.map(
        (x) => evaluateGraph(graph, new Map([['x', x]]), { keep: new Set([value]) }).get(value)?.data,
      ),
    );
    const channel = (all: typeof read, c: number, channels: number) =>
      (all ?? []).flatMap((data) =>
        [0, 1].flatMap((n) =>
          Array.from(data ?? [], Number).slice((n * channels + c) * 20, (n * channels + c + 1) * 20),
        ),
      );
    for (const i of [0, 1]) {
      for (const j of [0, 1, 2]) {
        const expected = pearson(channel(made, i, 2), channel(read, j, 3));
        expect(found.matrix.data[i * 3 + j]).toBeCloseTo(Math.abs(expected), 9);
      }
    }
  });

  test('a channel that never changes correlates with none', () => {
    const net = new Net([1, 2, 6, 6]);
    const still = net.b.op('Mul', [net.x, net.b.constant('m', f32([1, 2, 1, 1], [0, 1]))], {});
    const y = net.conv(
      net.b.add(still, net.b.constant('a', f32([1, 2, 1, 1], [0.1, 0]))),
      noise([2, 2, 1, 1], 3),
    );
    const found = rowsOf(measured(net.graph(y), layer(y), [noise([1, 2, 6, 6], 9)]));
    expect(found.map(([still]) => still)).toEqual([0, 0]);
    expect(found[0]?.[1]).toBeCloseTo(1, 5);
  });
});

test('only convolutions without groups have channels that could be divided', () => {
  const net = new Net([1, 4, 8, 8]);
  const grouped = net.conv(net.x, noise([4, 2, 1, 1], 1), { group: 2, name: 'pair' });
  const active = net.b.relu(grouped);
  expect(() => layer(grouped)).toThrow('this convolution has 2 groups already');
  expect(() => layer(active)).toThrow('this is a Relu, not a convolution');
});

function pearson(a: readonly number[], b: readonly number[]): number {
  const mean = (of: readonly number[]) => of.reduce((sum, x) => sum + x, 0) / of.length;
  const [ma, mb] = [mean(a), mean(b)];
  const product = mean(a.map((x, i) => (x - ma) * ((b[i] ?? 0) - mb)));
  return product / Math.sqrt(mean(a.map((x) => (x - ma) ** 2)) * mean(b.map((x) => (x - mb) ** 2)));
}
