/** Networks of convolutions, pools and sums whose values are joined along their channels, again and again. */
import { Builder } from '#ir/builder.ts';
import type { Graph, Value } from '#ir/graph.ts';
import { Random } from './random.ts';

const SIZE = 5;
const POOL = { kernel: [3, 3], strides: [1, 1], dilations: [1, 1], pads: [1, 1, 1, 1] };
const MOST_CHANNELS = 48;

/** Values read by several, joined twice, joined in what is joined, of channels that are no whole vectors, and outputs. */
export function joinedGraph(seed: number): Graph {
  const random = new Random(seed);
  const b = new Builder(`joined${seed}`);
  const channelsOf = (value: Value) => value.type.shape[1] ?? 1;
  const conv = (x: Value): Value => {
    const depthwise = random.flip(0.2);
    const kernel = depthwise ? 3 : random.pick([1, 1, 3]);
    const channels = depthwise ? channelsOf(x) : random.pick([4, 8, 8, 12, 16, 6, 1]);
    const shape = [channels, depthwise ? 1 : channelsOf(x), kernel, kernel];
    const pad = (kernel - 1) / 2;
    const y = b.conv(x, b.constant(`w${b.graph.nodes.length}`, random.tensor(shape, -0.3, 0.3)), {
      pads: [pad, pad, pad, pad],
      group: depthwise ? channelsOf(x) : 1,
    });
    return random.flip() ? b.relu(y) : y;
  };
  const values = [b.input('x', [random.integer(1, 2), random.pick([4, 6, 8, 1]), SIZE, SIZE])];
  for (let i = random.integer(5, 14); i > 0; i--) {
    const recent = values.slice(-4);
    const x = random.pick(recent);
    const alike = values.filter((v) => v !== x && channelsOf(v) === channelsOf(x));
    const joined = Array.from({ length: random.integer(2, 4) }, () => random.pick(recent));
    const fits = joined.reduce((sum, v) => sum + channelsOf(v), 0) <= MOST_CHANNELS;
    const way = random.unit();
    if (way < 0.4 && fits) values.push(b.op('Concat', joined, { axis: 1 }));
    else if (way < 0.5 && alike.length > 0) values.push(b.add(x, random.pick(alike)));
    else if (way < 0.6) values.push(b.op('MaxPool', [x], POOL));
    else if (way < 0.65) values.push(b.op('AveragePool', [x], { ...POOL, countIncludePad: random.flip() }));
    else if (way < 0.7) values.push(b.op('Softmax', [x], { axis: 1 }));
    else if (way < 0.75) values.push(b.op('Mul', [x, b.op('GlobalAveragePool', [x], {})], {}));
    else values.push(conv(x));
  }
  // what the values that nobody reads make, and some that are read
  const outputs = values.filter((v, i) => i > 0 && (!b.graph.isUsed(v) || random.flip(0.2)));
  outputs.forEach((value, i) => {
    b.output(`y${i}`, value);
  });
  return b.graph;
}
