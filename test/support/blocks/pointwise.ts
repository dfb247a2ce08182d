/** Random elementwise arithmetic, with operands of any rank. */
import type { Block } from '../random-net.ts';
import { residual } from './convolution.ts';

const activation: Block = (net) => {
  const { b } = net;
  const x = net.any();
  const choices = [
    () => b.relu(x),
    () => b.op('Clip', [x], { min: 0, max: 6 }),
    () => b.op('LeakyRelu', [x], { alpha: 0.1 }),
    () => b.op('Erf', [x], {}),
    () => b.op('Abs', [x], {}),
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
  const x = net.image();
  const op = net.random.pick(['Add', 'Mul', 'Sub', 'Div'] as const);
  const c = net.perChannel(x);
  const swap = net.random.flip(0.3) && op !== 'Div';
  net.add(net.b.op(op, swap ? [c, x] : [x, c], {}));
};

/** An operand with some axes of size 1 and leading ones left out: [C,H,W], [C,1,W], [W], []. */
const broadcast: Block = (net) => {
  const { random, b } = net;
  const x = net.any();
  const sizes = x.type.shape.map((size) => (random.flip(0.4) ? 1 : size));
  const shape = sizes.slice(random.integer(0, sizes.length));
  const other = random.flip() ? net.weight(shape, 0.5, 1.5) : net.input(shape);
  const op = random.pick(['Add', 'Mul', 'Sub', 'Max', 'Min'] as const);
  net.add(b.op(op, random.flip() ? [x, other] : [other, x], {}));
};

const combine: Block = (net) => {
  const { random, b } = net;
  const x = net.any();
  const alike = net.live.filter(
    ({ type: { shape: s } }) =>
      s.length === x.type.shape.length && s.every((size, i) => size === 1 || size === x.type.shape[i]),
  );
  if (alike.length < 2) return residual(net);
  const y = random.pick(alike);
  net.add(b.op(random.pick(['Add', 'Mul', 'Max', 'Sub'] as const), random.flip() ? [x, y] : [y, x], {}));
};

/** The same thing computed twice, and constants computed from constants. */
const redundant: Block = (net) => {
  const { b } = net;
  const x = net.image();
  const c = net.perChannel(x);
  const sum = b.add(c, b.scalar(net.random.between(-1, 1)));
  net.add(b.op('Max', [b.op('Mul', [x, sum], {}), b.op('Mul', [sum, x], {})], {}));
};

/** NaN where x is negative, in an output of its own: what is built on it would have little else. */
const roots: Block = (net) => {
  const { random, b } = net;
  const x = net.any();
  const root = b.op('Sqrt', [x], {});
  const choices = [
    () => b.relu(root),
    () => b.op('Clip', [root], { min: 0, max: 0.5 }),
    () => b.op('Max', [root, x], {}),
    () => b.op('Min', [x, root], {}),
  ];
  b.output(`roots${b.graph.outputs.length}`, random.pick(choices)());
};

export const POINTWISE: readonly Block[] = [
  activation,
  activation,
  affine,
  broadcast,
  broadcast,
  combine,
  redundant,
  roots,
];
