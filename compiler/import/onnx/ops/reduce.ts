/** Reductions, products, normalisation. */
import type { OpName } from '#ir/graph.ts';
import type { ImportRule } from '../rule.ts';

type Reduction = Extract<OpName, `Reduce${string}`>;

/** Axes are an attribute before opset `since`, an input from then on; none means all, or with noop none. */
const reduction =
  (op: Reduction, since = 18): ImportRule =>
  (node) => {
    const { shape } = node.input(0).type;
    const given = node.opset >= since ? node.knownNumbers(1, 'axes') : node.attrs.ints('axes');
    const keepDims = node.attrs.flag('keepdims', true);
    if (given?.length)
      return node.emit(op, [node.input(0)], { axes: node.axes(given, shape.length), keepDims });
    const none = node.opset >= since && node.attrs.flag('noop_with_empty_axes');
    return node.emit(op, [node.input(0)], { axes: none ? [] : shape.map((_, axis) => axis), keepDims });
  };

const gemm: ImportRule = (node) => {
  const c = node.inputs[2];
  return node.emit('Gemm', [node.input(0), node.input(1), c], {
    alpha: node.attrs.float('alpha', 1),
    beta: node.attrs.float('beta', 1),
    transA: node.attrs.flag('transA'),
    transB: node.attrs.flag('transB'),
  });
};

/** The other outputs, statistics of a training step, are not supported. */
const batchNormalization: ImportRule = (node) => {
  node.requireFloats();
  const training =
    node.opset >= 14
      ? node.attrs.flag('training_mode')
      : [1, 2, 3, 4].some((i) => node.wants(i)) || (node.opset < 7 && !node.attrs.flag('is_test'));
  if (training) {
    node.refuse(
      'BatchNormalization in training mode is not supported',
      'op-unsupported-form',
      'export the model in evaluation mode',
    );
  }
  if (node.opset < 9 && !node.attrs.flag('spatial', true))
    node.refuse('BatchNormalization with spatial = 0 is not supported');
  const inputs = [0, 1, 2, 3, 4].map((i) => node.input(i));
  return node.emit('BatchNormalization', inputs, { epsilon: node.attrs.float('epsilon', 1e-5) }).slice(0, 1);
};

export const REDUCTIONS = {
  ReduceSum: reduction('ReduceSum', 13),
  ReduceMean: reduction('ReduceMean'),
  ReduceMax: reduction('ReduceMax'),
  ReduceMin: reduction('ReduceMin'),
  ReduceProd: reduction('ReduceProd'),
  ReduceL1: reduction('ReduceL1'),
  ReduceL2: reduction('ReduceL2'),
  ReduceLogSum: reduction('ReduceLogSum'),
  ReduceLogSumExp: reduction('ReduceLogSumExp'),
  ReduceSumSquare: reduction('ReduceSumSquare'),
  Gemm: gemm,
  MatMul: (node) => node.emit('MatMul', [node.input(0), node.input(1)], {}),
  BatchNormalization: batchNormalization,
} satisfies Record<string, ImportRule>;
