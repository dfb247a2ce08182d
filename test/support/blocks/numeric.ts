/** Random sums, products and means along any axes. */
import type { Block } from '../random-net.ts';

const REDUCTIONS = ['ReduceMean', 'ReduceSum', 'ReduceMax', 'ReduceMin', 'ReduceL1', 'ReduceL2'] as const;

const reduce: Block = (net) => {
  const { random, b } = net;
  const x = net.any();
  const axes = x.type.shape.map((_, axis) => axis).filter(() => random.flip());
  if (axes.length === 0) return;
  net.add(b.op(random.pick(REDUCTIONS), [x], { axes, keepDims: random.flip(0.8) }));
};

/** Of what is bounded: the exponential of a large value makes much of its rounding. */
const softmax: Block = (net) => {
  const { random, b } = net;
  const x = net.any();
  const { shape } = x.type;
  if (shape.length === 0) return;
  const bounded = b.op('Clip', [x], { min: -3, max: 3 });
  net.add(b.op('Softmax', [bounded], { axis: random.integer(0, shape.length - 1) }));
};

/** With weights, with batches of weights, or with itself turned around. */
const product: Block = (net) => {
  const { random, b } = net;
  const x = net.any();
  const { shape } = x.type;
  const rank = shape.length;
  if (rank < 2) return;
  const inner = shape[rank - 1] ?? 1;
  const columns = random.integer(1, 5);
  const choices = [
    () => b.op('MatMul', [x, net.weight([inner, columns])], {}),
    () => b.op('MatMul', [x, net.weight([...shape.slice(0, -2), inner, columns])], {}),
    () => b.op('MatMul', [net.weight([columns, shape[rank - 2] ?? 1]), x], {}),
    () => {
      const bounded = b.op('Tanh', [x], {});
      const perm = [...shape.map((_, axis) => axis).slice(0, -2), rank - 1, rank - 2];
      return b.op('MatMul', [bounded, b.op('Transpose', [bounded], { perm })], {});
    },
  ];
  net.add(random.pick(choices)());
};

export const NUMERIC: readonly Block[] = [reduce, softmax, product];
