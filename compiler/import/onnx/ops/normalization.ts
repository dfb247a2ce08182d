/** Normalisation, and what is like softmax. */
import type { Value } from '#ir/graph.ts';
import { tensor } from '#ir/tensor.ts';
import { product } from '#ir/types.ts';
import type { ImportRule, NodeImport } from '../rule.ts';

/** Before opset 13 everything from `axis` on is one axis. */
const alongAxis =
  (op: 'Softmax' | 'LogSoftmax' | 'Hardmax'): ImportRule =>
  (node) => {
    const x = node.input(0);
    const { shape } = x.type;
    const axis = node.axis(node.attrs.int('axis', node.opset < 13 ? 1 : -1), Math.max(shape.length, 1));
    const inner = product(shape.slice(axis + 1));
    if (node.opset >= 13 || inner === 1) return node.emit(op, [x], { axis });
    const flat = node.step('Reshape', [x], {
      shape: [product(shape.slice(0, axis)), product(shape.slice(axis))],
    });
    return node.emit('Reshape', [node.step(op, [flat], { axis: 1 })], { shape: [...shape] });
  };

/** Mean and inverse deviation, which are further outputs, are computed beside it. */
const layerNormalization: ImportRule = (node) => {
  node.requireFloats();
  const x = node.input(0);
  const { shape } = x.type;
  const axis = node.axis(node.attrs.int('axis', -1), shape.length);
  const epsilon = node.attrs.float('epsilon', 1e-5);
  const [y] = node.emit('LayerNormalization', [x, node.input(1), node.inputs[2]], { axis, epsilon });
  const results = y ? [y] : [];
  if (!node.wants(1) && !node.wants(2)) return results;
  const axes = shape.map((_, i) => i).slice(axis);
  const mean = node.step('ReduceMean', [x], { axes });
  const difference = node.step('Sub', [x, mean], {});
  const variance = node.step('ReduceMean', [node.step('Mul', [difference, difference], {})], { axes });
  const square = node.step('Add', [variance, node.literal(tensor('f32', [], [epsilon]))], {});
  return [...results, mean, node.step('Reciprocal', [node.step('Sqrt', [square], {})], {})];
};

const rmsNormalization: ImportRule = (node) => {
  node.requireFloats();
  return node.emit('RMSNormalization', [node.input(0), node.input(1)], {
    axis: node.axis(node.attrs.int('axis', -1), node.shape(0).length),
    epsilon: node.attrs.float('epsilon', 1e-5),
  });
};

/** Before opset 21 scale and bias belong to groups. */
const groupNormalization: ImportRule = (node) => {
  node.requireFloats();
  const groups =
    node.attrs.int('num_groups') ?? node.refuse('GroupNormalization has no num_groups', 'graph-invalid');
  const channels = node.shape(0)[1] ?? 0;
  const perChannel = (value: Value): Value => {
    if (node.opset >= 21 || groups === channels || channels % groups !== 0) return value;
    const column = node.step('Reshape', [value], { shape: [groups, 1] });
    const repeated = node.step('Expand', [column], { shape: [groups, channels / groups] });
    return node.step('Reshape', [repeated], { shape: [channels] });
  };
  const inputs = [node.input(0), perChannel(node.input(1)), perChannel(node.input(2))];
  return node.emit('GroupNormalization', inputs, { groups, epsilon: node.attrs.float('epsilon', 1e-5) });
};

const instanceNormalization: ImportRule = (node) => {
  node.requireFloats();
  const inputs = [node.input(0), node.input(1), node.input(2)];
  return node.emit('InstanceNormalization', inputs, { epsilon: node.attrs.float('epsilon', 1e-5) });
};

/** What the operator meant before it was standardised in opset 9 is not known. */
const meanVarianceNormalization: ImportRule = (node) => {
  node.requireFloats();
  if (node.opset < 9) node.refuse('MeanVarianceNormalization before opset 9 is not supported');
  const axes = node.attrs.ints('axes') ?? [0, 2, 3];
  return node.emit('MeanVarianceNormalization', [node.input(0)], {
    axes: node.axes(axes, node.shape(0).length),
  });
};

const lpNormalization: ImportRule = (node) =>
  node.emit('LpNormalization', [node.input(0)], {
    axis: node.axis(node.attrs.int('axis', -1), node.shape(0).length),
    p: node.attrs.int('p', 2),
  });

const lrn = (node: NodeImport) =>
  node.emit('LRN', [node.input(0)], {
    size: node.attrs.int('size') ?? node.refuse('LRN has no size', 'graph-invalid'),
    alpha: node.attrs.float('alpha', 1e-4),
    beta: node.attrs.float('beta', 0.75),
    bias: node.attrs.float('bias', 1),
  });

export const NORMALIZATIONS = {
  Softmax: alongAxis('Softmax'),
  LogSoftmax: alongAxis('LogSoftmax'),
  Hardmax: alongAxis('Hardmax'),
  LayerNormalization: layerNormalization,
  RMSNormalization: rmsNormalization,
  GroupNormalization: groupNormalization,
  InstanceNormalization: instanceNormalization,
  MeanVarianceNormalization: meanVarianceNormalization,
  LpNormalization: lpNormalization,
  LRN: lrn,
} satisfies Record<string, ImportRule>;
