/** Random small networks and their comparison, for property tests of passes and backends. */
import fc from 'fast-check';
import { Builder } from '#ir/builder.ts';
import { cloneGraph } from '#ir/clone.ts';
import { evaluateGraph } from '#ir/evaluate.ts';
import type { Graph, Value } from '#ir/graph.ts';
import { f32, type Tensor, tensor } from '#ir/tensor.ts';
import { elementCount, type Shape } from '#ir/types.ts';

/** Seeded random numbers (mulberry32). */
export class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** In [0, 1). */
  unit(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  between = (low: number, high: number): number => low + (high - low) * this.unit();
  /** Whole, both ends included. */
  integer = (low: number, high: number): number => low + Math.floor(this.unit() * (high - low + 1));
  flip = (probability = 0.5): boolean => this.unit() < probability;

  pick<T>(list: readonly T[]): T {
    const item = list[Math.floor(this.unit() * list.length)];
    if (item === undefined) throw new RangeError('nothing to pick from');
    return item;
  }

  tensor = (shape: Shape, low = -1, high = 1): Tensor =>
    f32(
      shape,
      Float32Array.from({ length: elementCount(shape) }, () => this.between(low, high)),
    );
}

export interface RandomGraphOptions {
  /** Building blocks after the input. */
  readonly steps?: number;
}

/** A random small convolutional network of rank 2 with random weights; the same seed gives the same network. */
export function randomGraph(seed: number, { steps = 8 }: RandomGraphOptions = {}): Graph {
  const random = new Random(seed);
  const net = new RandomNet(random, seed);
  for (let i = 0; i < steps; i++) random.pick(BLOCKS)(net);
  net.finish();
  return net.b.graph;
}

/** For fast-check; shrinks the number of blocks. */
export const graphArbitrary = (mostSteps = 10): fc.Arbitrary<Graph> =>
  fc
    .record({ seed: fc.nat(), steps: fc.integer({ min: 1, max: mostSteps }) })
    .map(({ seed, steps }) => randomGraph(seed, { steps }));

/** Values for the graph's inputs, by name. */
export function randomInputs(graph: Graph, seed: number): Map<string, Tensor> {
  const random = new Random(seed);
  return new Map(
    graph.inputs.map(({ name, type }) => {
      if (type.dtype === 'f32') return [name, random.tensor(type.shape)];
      const values = Array.from({ length: elementCount(type.shape) }, () =>
        random.integer(0, type.dtype === 'bool' ? 1 : 9),
      );
      return [name, tensor(type.dtype, type.shape, values)];
    }),
  );
}

/** The largest difference between two graphs' outputs of one name, relative to the output's largest magnitude. */
export function compareGraphs(a: Graph, b: Graph, seed = 1): number {
  const run = (graph: Graph) => evaluateGraph(graph, randomInputs(a, seed));
  const [before, after] = [run(a), run(b)];
  let worst = 0;
  if (a.outputs.length !== b.outputs.length) throw new Error('the graphs have different outputs');
  for (const { name, value } of a.outputs) {
    const other = b.outputs.find((o) => o.name === name)?.value;
    const x = before.get(value);
    const y = other && after.get(other);
    if (!x || !y || x.data.length !== y.data.length) throw new Error(`output "${name}" differs in size`);
    let scale = 1e-3;
    let difference = 0;
    for (let i = 0; i < x.data.length; i++) {
      const [p, q] = [Number(x.data[i]), Number(y.data[i])];
      if (Object.is(p, q)) continue;
      scale = Math.max(scale, Number.isFinite(p) ? Math.abs(p) : 0);
      const d = Math.abs(p - q);
      difference = Math.max(difference, Number.isNaN(d) ? Number.POSITIVE_INFINITY : d);
    }
    for (let i = 0; i < x.data.length; i++) scale = Math.max(scale, Math.abs(Number(x.data[i])) || 0);
    worst = Math.max(worst, difference / scale);
  }
  return worst;
}

/** The graph with its f32 constants of more than one element missing, as a model without its weights has them. */
export const withoutWeights = (graph: Graph): Graph =>
  cloneGraph(graph, (c) =>
    c.type.dtype === 'f32' && elementCount(c.type.shape) > 1
      ? { type: c.type, data: null, missing: 'no weights' }
      : c,
  );

class RandomNet {
  readonly b: Builder;
  readonly random: Random;
  /** Values of rank 4 that blocks may read, the newest last. */
  readonly live: Value[];

  constructor(random: Random, seed: number) {
    this.random = random;
    this.b = new Builder(`random-${seed}`);
    const shape = [
      random.integer(1, 2),
      random.pick([2, 3, 4, 6]),
      random.integer(5, 9),
      random.integer(5, 9),
    ];
    this.live = [this.b.input('image', shape)];
  }

  /** Mostly the newest value, now and then an older one. */
  source(): Value {
    const newest = this.live.at(-1);
    return newest && this.random.flip(0.8) ? newest : this.random.pick(this.live);
  }

  add(value: Value): void {
    this.live.push(value);
  }

  weight(shape: Shape, low = -1, high = 1): Value {
    return this.b.constant('w', this.random.tensor(shape, low, high));
  }

  /** A constant that broadcasts along channels only. */
  perChannel(x: Value, low = 0.5, high = 2): Value {
    const channels = x.type.shape[1] ?? 1;
    return this.weight(this.random.pick([[channels, 1, 1], [1, channels, 1, 1], [], [1]]), low, high);
  }

  finish(): void {
    const { b, random } = this;
    let last = this.live.at(-1) ?? random.pick(this.live);
    if (random.flip(0.3)) b.output('middle', random.pick(this.live));
    if (random.flip(0.3)) {
      const channels = last.type.shape[1] ?? 1;
      const flat = b.op('Flatten', [b.op('GlobalAveragePool', [last], {})], {});
      const product = b.op('MatMul', [flat, this.weight([channels, 3])], {});
      last = b.op('Add', [product, this.weight(random.pick([[3], [1, 3]]))], {});
    }
    b.output('result', last);
  }
}

type Block = (net: RandomNet) => void;

const conv: Block = (net) => {
  const { random, b } = net;
  const x = net.source();
  const [, cin = 1, h = 1, w = 1] = x.type.shape;
  const kernel = [random.integer(1, Math.min(3, h)), random.integer(1, Math.min(3, w))];
  const groups = [1, 2, 3, cin].filter((g) => cin % g === 0);
  const group = random.pick(groups);
  const cout = group * random.integer(1, Math.max(1, Math.floor(6 / group)));
  const pad = random.flip(0.7) ? random.integer(0, 1) : random.integer(0, 2);
  const bias = random.flip() ? { bias: net.weight([cout]) } : {};
  net.add(
    b.conv(x, net.weight([cout, cin / group, ...kernel]), {
      group,
      strides: [random.integer(1, h > 4 ? 2 : 1), random.integer(1, w > 4 ? 2 : 1)],
      pads: [pad, random.integer(0, 1), random.integer(0, 1), pad],
      ...bias,
    }),
  );
};

const convTranspose: Block = (net) => {
  const { random, b } = net;
  const x = net.source();
  const [, cin = 1, h = 1, w = 1] = x.type.shape;
  if (h * w > 100) return;
  const group = cin % 2 === 0 && random.flip() ? 2 : 1;
  const perGroup = random.integer(1, 3);
  const inputs = [x, net.weight([cin, perGroup, 3, 2])];
  if (random.flip()) inputs.push(net.weight([perGroup * group]));
  const attrs = {
    strides: [random.integer(1, 2), 2],
    dilations: [1, 1],
    pads: [1, 0, random.integer(0, 1), 0],
  };
  net.add(b.op('ConvTranspose', inputs, { ...attrs, group, outputPadding: [0, random.integer(0, 1)] }));
};

const batchNorm: Block = (net) => {
  const x = net.source();
  const c = [x.type.shape[1] ?? 1];
  const parameters = [net.weight(c), net.weight(c), net.weight(c), net.weight(c, 0.5, 2)];
  net.add(net.b.op('BatchNormalization', [x, ...parameters], { epsilon: 1e-3 }));
};

const activation: Block = (net) => {
  const { b } = net;
  const x = net.source();
  const choices = [
    () => b.relu(x),
    () => b.op('Clip', [x], { min: 0, max: 6 }),
    () => b.op('LeakyRelu', [x], { alpha: 0.1 }),
    () => b.op('Mul', [x, b.op('Sigmoid', [x], {})], {}),
    () => b.op('Mul', [x, b.op('HardSigmoid', [x], {})], {}),
    () => b.op('Where', [b.op('Less', [x, b.scalar(0)], {}), b.op('Tanh', [x], {}), x], {}),
    () => {
      const clipped = b.op('Clip', [b.add(x, b.scalar(3))], { min: 0, max: 6 });
      return b.op('Div', [b.op('Mul', [x, clipped], {}), b.scalar(6)], {});
    },
  ];
  net.add(net.random.pick(choices)());
};

const affine: Block = (net) => {
  const x = net.source();
  const op = net.random.pick(['Add', 'Mul', 'Sub', 'Div'] as const);
  const c = net.perChannel(x);
  const swap = net.random.flip(0.3) && op !== 'Div';
  net.add(net.b.op(op, swap ? [c, x] : [x, c], {}));
};

const combine: Block = (net) => {
  const { random, b } = net;
  const x = net.source();
  const alike = net.live.filter((v) => v !== x && v.type.shape.join() === x.type.shape.join());
  if (alike.length === 0) return residual(net);
  net.add(b.op(random.pick(['Add', 'Mul', 'Max', 'Sub'] as const), [x, random.pick(alike)], {}));
};

const residual: Block = (net) => {
  const { b } = net;
  const x = net.source();
  const c = x.type.shape[1] ?? 1;
  const y = b.conv(x, net.weight([c, c, 3, 3]), { pads: [1, 1, 1, 1] });
  net.add(b.relu(b.add(y, x)));
};

const gate: Block = (net) => {
  const { b } = net;
  const x = net.source();
  const c = x.type.shape[1] ?? 1;
  const mean = net.random.flip()
    ? b.op('GlobalAveragePool', [x], {})
    : b.op('ReduceMean', [x], { axes: [2, 3], keepDims: true });
  const squeezed = b.conv(mean, net.weight([c, c, 1, 1]));
  net.add(b.op('Mul', [x, b.op('Sigmoid', [squeezed], {})], {}));
};

const pool: Block = (net) => {
  const { random, b } = net;
  const x = net.source();
  const [, , h = 1, w = 1] = x.type.shape;
  if (h < 3 || w < 3) return;
  const padded = random.flip(0.4)
    ? b.op('Pad', [x], { mode: 'constant', pads: [0, 0, 1, 1, 0, 0, 0, 1], value: 0 })
    : x;
  const attrs = {
    kernel: [3, 3],
    strides: [random.integer(1, 2), 1],
    dilations: [1, 1],
    pads: [random.integer(0, 1), 0, 1, random.integer(0, 1)],
  };
  net.add(
    random.flip()
      ? b.op('MaxPool', [padded], attrs)
      : b.op('AveragePool', [padded], { ...attrs, countIncludePad: random.flip() }),
  );
};

const padThenConv: Block = (net) => {
  const { random, b } = net;
  const x = net.source();
  const c = x.type.shape[1] ?? 1;
  const pads = [0, 0, random.integer(0, 2), 1, 0, 0, 1, random.integer(0, 1)];
  const padded = b.op('Pad', [x], {
    mode: random.pick(['constant', 'constant', 'edge'] as const),
    pads,
    value: 0,
  });
  net.add(b.conv(padded, net.weight([2, c, 2, 2])));
};

const shuffle: Block = (net) => {
  const { random, b } = net;
  const x = net.source();
  const [n = 1, c = 1, h = 1, w = 1] = x.type.shape;
  const g = random.pick([1, 2, 3].filter((k) => c % k === 0));
  const merged = random.flip(0.3);
  const view = merged ? [n, g, c / g, h * w] : [n, g, c / g, h, w];
  const perm = merged ? [0, 2, 1, 3] : [0, 2, 1, 3, 4];
  const turned = b.op('Transpose', [b.op('Reshape', [x], { shape: view })], { perm });
  net.add(b.op('Reshape', [turned], { shape: [n, c, h, w] }));
};

const views: Block = (net) => {
  const { random, b } = net;
  const x = net.source();
  const [n = 1, c = 1, h = 1, w = 1] = x.type.shape;
  const choices = [
    () => b.op('Identity', [x], {}),
    () => b.op('Reshape', [b.op('Reshape', [x], { shape: [n * c, h * w] })], { shape: [n, c, h, w] }),
    () => b.op('Transpose', [b.op('Transpose', [x], { perm: [0, 2, 3, 1] })], { perm: [0, 3, 1, 2] }),
    () => b.op('Transpose', [x], { perm: [0, 1, 3, 2] }),
    () => b.op('Slice', [x], { starts: [0, 0, 0, 0], steps: [1, 1, 1, 1], sizes: [n, c, h, w] }),
    () => b.op('Cast', [x], { to: 'f32' }),
  ];
  net.add(random.pick(choices)());
};

const concat: Block = (net) => {
  const { random, b } = net;
  const x = net.source();
  const fits = net.live.filter(({ type: { shape: s } }) =>
    s.every((size, i) => i === 1 || size === x.type.shape[i]),
  );
  const y = random.pick(fits);
  if ((x.type.shape[1] ?? 0) + (y.type.shape[1] ?? 0) <= 12) net.add(b.op('Concat', [x, y], { axis: 1 }));
};

/** The same thing computed twice, and constants computed from constants. */
const redundant: Block = (net) => {
  const { b } = net;
  const x = net.source();
  const c = net.perChannel(x);
  const sum = b.add(c, b.scalar(net.random.between(-1, 1)));
  net.add(b.op('Max', [b.op('Mul', [x, sum], {}), b.op('Mul', [sum, x], {})], {}));
};

const BLOCKS: readonly Block[] = [
  conv,
  conv,
  convTranspose,
  batchNorm,
  batchNorm,
  activation,
  activation,
  affine,
  combine,
  residual,
  gate,
  pool,
  padThenConv,
  shuffle,
  views,
  concat,
  redundant,
];
