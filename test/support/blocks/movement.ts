/** Random changes of where elements lie. */
import { i64 } from '#ir/tensor.ts';
import { elementCount } from '#ir/types.ts';
import type { Block } from '../random-net.ts';

const shuffle: Block = (net) => {
  const { random, b } = net;
  const x = net.image();
  const [n = 1, c = 1, ...sizes] = x.type.shape;
  const g = net.groups(c);
  const tail = random.flip(0.3) ? [elementCount(sizes)] : sizes;
  const perm = [0, 2, 1, ...tail.map((_, i) => i + 3)];
  const view = b.op('Reshape', [x], { shape: [n, g, c / g, ...tail] });
  net.add(b.op('Reshape', [b.op('Transpose', [view], { perm })], { shape: [n, c, ...sizes] }));
};

const views: Block = (net) => {
  const { random, b } = net;
  const x = net.image();
  const { shape } = x.type;
  const [n = 1, c = 1, ...sizes] = shape;
  const spatial = sizes.map((_, i) => i + 2);
  const last = shape.length - 1;
  const back = [0, last, ...spatial.map((axis) => axis - 1)];
  const choices = [
    () => b.op('Identity', [x], {}),
    () => b.op('Reshape', [b.op('Reshape', [x], { shape: [n * c, elementCount(sizes)] })], { shape }),
    () => b.op('Transpose', [b.op('Transpose', [x], { perm: [0, ...spatial, 1] })], { perm: back }),
    () => b.op('Transpose', [x], { perm: [0, 1, ...random.shuffled(spatial)] }),
    () => b.op('Slice', [x], { starts: shape.map(() => 0), steps: shape.map(() => 1), sizes: shape }),
    () => b.op('Cast', [x], { to: 'f32' }),
  ];
  net.add(random.pick(choices)());
};

const transpose: Block = (net) => {
  const x = net.any();
  net.add(net.b.op('Transpose', [x], { perm: net.random.shuffled(x.type.shape.map((_, axis) => axis)) }));
};

/** Axes merged, split off or turned around. */
const reshape: Block = (net) => {
  const { random, b } = net;
  const x = net.any();
  const { shape } = x.type;
  const at = random.integer(0, shape.length);
  const [before, after] = [shape.slice(0, at), shape.slice(at)];
  const choices = [
    [elementCount(shape)],
    [elementCount(before), elementCount(after)],
    [...before, 1, ...after],
    [...shape].reverse(),
  ];
  net.add(b.op('Reshape', [x], { shape: random.pick(choices) }));
};

/** Along channels, with a value twice now and then. */
const concatChannels: Block = (net) => {
  const { random, b } = net;
  const x = net.image();
  const fits = net.live.filter(
    (v) => net.isImage(v) && v.type.shape.every((size, i) => i === 1 || size === x.type.shape[i]),
  );
  const y = random.pick([...fits, x]);
  if ((x.type.shape[1] ?? 0) + (y.type.shape[1] ?? 0) <= 12) net.add(b.op('Concat', [x, y], { axis: 1 }));
};

/** Along any axis, one to three values, the same one more than once too. */
const concat: Block = (net) => {
  const { random, b } = net;
  const x = net.any();
  const { shape } = x.type;
  if (shape.length === 0) return;
  const axis = random.integer(0, shape.length - 1);
  const fits = net.live.filter(
    ({ type: { shape: s } }) =>
      s.length === shape.length && s.every((size, i) => i === axis || size === shape[i]),
  );
  const values = Array.from({ length: random.integer(1, 3) }, () => random.pick(fits));
  net.add(b.op('Concat', values, { axis }));
};

/** Steps forward and backward, along any axes. */
const slice: Block = (net) => {
  const { random, b } = net;
  const x = net.any();
  const parts = x.type.shape.map((size) => {
    const step = random.pick([1, 1, 2, -1, -2]);
    const count = Math.ceil(random.integer(1, size) / Math.abs(step));
    const span = (count - 1) * Math.abs(step);
    const low = random.integer(0, size - 1 - span);
    return { start: step > 0 ? low : low + span, step, count };
  });
  net.add(
    b.op('Slice', [x], {
      starts: parts.map((p) => p.start),
      steps: parts.map((p) => p.step),
      sizes: parts.map((p) => p.count),
    }),
  );
};

/** Parts of which some may not be read. */
const split: Block = (net) => {
  const { random, b } = net;
  const x = net.any();
  const axes = x.type.shape.flatMap((size, axis) => (size > 1 ? [axis] : []));
  if (axes.length === 0) return;
  const axis = random.pick(axes);
  const size = x.type.shape[axis] ?? 1;
  const first = random.integer(1, size - 1);
  const rest = size - first;
  const sizes = rest > 1 && random.flip() ? [first, 1, rest - 1] : [first, rest];
  const { outputs } = b.node('Split', [x], { axis, sizes });
  net.add(...outputs.filter(() => random.flip(0.7)));
};

const pad: Block = (net) => {
  const { random, b } = net;
  const x = net.any();
  const { shape } = x.type;
  const mode = random.pick(['constant', 'edge', 'reflect', 'wrap'] as const);
  // a reflection repeats where a border is wider than the input; negative borders cut off
  const wide = random.flip(0.2);
  const pads = [...shape, ...shape].map((size) => {
    if (random.flip()) return 0;
    return random.integer(size > 2 ? -1 : 0, wide ? size + 2 : Math.min(2, size - 1));
  });
  if (mode === 'reflect' && shape.includes(1)) return;
  net.add(b.op('Pad', [x], { mode, pads, value: mode === 'constant' ? random.pick([0, 0, 1.5, -2]) : 0 }));
};

const gather: Block = (net) => {
  const { random, b } = net;
  const x = net.any();
  const { shape } = x.type;
  if (shape.length === 0) return;
  const axis = random.integer(0, shape.length - 1);
  const size = shape[axis] ?? 1;
  const count = random.pick([[], [1], [3], [2, 2]]);
  const indices = Array.from({ length: elementCount(count) }, () => random.integer(-size, size - 1));
  net.add(b.op('Gather', [x, b.constant('indices', i64(indices, count))], { axis }));
};

const tile: Block = (net) => {
  const { random, b } = net;
  const x = net.any();
  if (elementCount(x.type.shape) > 300) return;
  net.add(b.op('Tile', [x], { repeats: x.type.shape.map(() => random.pick([1, 1, 1, 2, 3])) }));
};

export const MOVEMENT: readonly Block[] = [
  shuffle,
  views,
  transpose,
  reshape,
  concatChannels,
  concat,
  slice,
  split,
  pad,
  gather,
  tile,
];
