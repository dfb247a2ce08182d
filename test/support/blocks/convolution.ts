/** Random layers over images of any rank. */
import type { Block } from '../random-net.ts';

const conv: Block = (net) => {
  const { random, b } = net;
  const x = net.image();
  const cin = x.type.shape[1] ?? 1;
  const sizes = net.spatial(x);
  const kernel = net.each(sizes, 1, (size) => Math.min(3, size));
  const group = net.groups(cin);
  const cout = group * random.integer(1, Math.max(1, Math.floor(6 / group)));
  const most = random.flip(0.7) ? 1 : 2;
  const dilations = kernel.map((k, i) => (2 * (k - 1) < (sizes[i] ?? 1) && random.flip(0.2) ? 2 : 1));
  const strides = sizes.map((size) => random.integer(1, size > 4 ? 2 : 1));
  const bias = random.flip() ? { bias: net.weight([cout]) } : {};
  const pads = net.each([...sizes, ...sizes], 0, most);
  net.add(
    b.conv(x, net.weight([cout, cin / group, ...kernel]), { group, strides, dilations, pads, ...bias }),
  );
};

const convTranspose: Block = (net) => {
  const { random, b } = net;
  const x = net.image();
  const cin = x.type.shape[1] ?? 1;
  const sizes = net.spatial(x);
  if (sizes.reduce((a, n) => a * n, 1) > 100) return;
  const group = cin % 2 === 0 && random.flip() ? 2 : 1;
  const perGroup = random.integer(1, 3);
  const kernel = net.each(sizes, 2, 3);
  const inputs = [x, net.weight([cin, perGroup, ...kernel])];
  if (random.flip()) inputs.push(net.weight([perGroup * group]));
  const strides = net.each(sizes, 1, 2);
  const attrs = { strides, dilations: sizes.map(() => 1), pads: net.each([...sizes, ...sizes], 0, 1), group };
  const outputPadding = strides.map((s) => random.integer(0, s - 1));
  if (sizes.every((n) => n > 1)) net.add(b.op('ConvTranspose', inputs, { ...attrs, outputPadding }));
};

const batchNorm: Block = (net) => {
  const x = net.image();
  const c = [x.type.shape[1] ?? 1];
  const parameters = [net.weight(c), net.weight(c), net.weight(c), net.weight(c, 0.5, 2)];
  net.add(net.b.op('BatchNormalization', [x, ...parameters], { epsilon: 1e-3 }));
};

export const residual: Block = (net) => {
  const { b } = net;
  const x = net.image();
  const c = x.type.shape[1] ?? 1;
  const sizes = net.spatial(x);
  const weight = net.weight([c, c, ...sizes.map(() => 3)]);
  const y = b.conv(x, weight, { pads: [...sizes, ...sizes].map(() => 1) });
  net.add(b.relu(b.add(y, x)));
};

const gate: Block = (net) => {
  const { b } = net;
  const x = net.image();
  const c = x.type.shape[1] ?? 1;
  const ones = net.spatial(x).map(() => 1);
  const axes = ones.map((_, i) => i + 2);
  const mean = net.random.flip()
    ? b.op('GlobalAveragePool', [x], {})
    : b.op('ReduceMean', [x], { axes, keepDims: true });
  const squeezed = b.conv(mean, net.weight([c, c, ...ones]));
  net.add(b.op('Mul', [x, b.op('Sigmoid', [squeezed], {})], {}));
};

const pool: Block = (net) => {
  const { random, b } = net;
  const x = net.image();
  const sizes = net.spatial(x);
  if (sizes.some((size) => size < 3)) return;
  const padded = random.flip(0.4)
    ? b.op('Pad', [x], {
        mode: 'constant',
        pads: [0, 0, ...sizes.map(() => 1), 0, 0, ...net.each(sizes, 0, 1)],
        value: 0,
      })
    : x;
  const attrs = {
    kernel: sizes.map(() => 3),
    strides: net.each(sizes, 1, 2),
    dilations: sizes.map(() => 1),
    pads: net.each([...sizes, ...sizes], 0, 1),
  };
  net.add(
    random.flip()
      ? b.op('MaxPool', [padded], attrs)
      : b.op('AveragePool', [padded], { ...attrs, countIncludePad: random.flip() }),
  );
};

const padThenConv: Block = (net) => {
  const { random, b } = net;
  const x = net.image();
  const c = x.type.shape[1] ?? 1;
  const sizes = net.spatial(x);
  const pads = [0, 0, ...net.each(sizes, 0, 2), 0, 0, ...net.each(sizes, 0, 1)];
  const mode = random.pick(['constant', 'constant', 'edge'] as const);
  const padded = b.op('Pad', [x], { mode, pads, value: 0 });
  if (net.spatial(padded).every((size) => size > 1))
    net.add(b.conv(padded, net.weight([2, c, ...sizes.map(() => 2)])));
};

const resize: Block = (net) => {
  const { random, b } = net;
  const x = net.image();
  const { shape } = x.type;
  const sizes = shape.map((size, axis) => (axis < 2 ? size : random.integer(1, 2 * size)));
  net.add(
    b.op('Resize', [x], {
      mode: random.pick(['nearest', 'linear', 'cubic'] as const),
      coordinates: random.pick(['half_pixel', 'asymmetric', 'align_corners', 'pytorch_half_pixel'] as const),
      nearestMode: random.pick(['floor', 'round_prefer_floor', 'ceil'] as const),
      scales: sizes.map((size, axis) => size / (shape[axis] ?? 1)),
      sizes,
    }),
  );
};

export const CONVOLUTION: readonly Block[] = [
  conv,
  conv,
  conv,
  convTranspose,
  batchNorm,
  batchNorm,
  residual,
  gate,
  pool,
  padThenConv,
  resize,
];
