/** Ops that go where indices say, and those that look for elements. */
import { SCATTER_REDUCTIONS } from '#ir/ops/indexing.ts';
import type { ImportRule, NodeImport } from '../rule.ts';

const axisOf = (node: NodeImport, fallback: number): number =>
  node.axis(node.attrs.int('axis', fallback), node.shape(0).length);

/** Reductions came with opset 16, the least and largest with 18. */
function reductionOf(node: NodeImport): (typeof SCATTER_REDUCTIONS)[number] {
  const word = node.attrs.string('reduction', 'none');
  return SCATTER_REDUCTIONS.find((r) => r === word) ?? node.refuse(`reduction "${word}" is not known`);
}

const scatterInputs = (node: NodeImport) => [node.input(0), node.input(1), node.input(2)];

const scatterElements: ImportRule = (node) =>
  node.emit('ScatterElements', scatterInputs(node), { axis: axisOf(node, 0), reduction: reductionOf(node) });

const argReduction =
  (op: 'ArgMax' | 'ArgMin'): ImportRule =>
  (node) =>
    node.emit(op, [node.input(0)], {
      axis: axisOf(node, 0),
      keepDims: node.attrs.flag('keepdims', true),
      selectLast: node.attrs.flag('select_last_index'),
    });

/** k is an attribute before opset 10; the smallest can be asked for from 11 on. Unsorted results may be sorted. */
const topK: ImportRule = (node) => {
  const [given] = node.opset < 10 ? [node.attrs.int('k')] : node.requiredNumbers(1, 'k');
  const k = given ?? node.refuse('TopK has no k', 'graph-invalid');
  return node.emit('TopK', [node.input(0)], {
    axis: axisOf(node, -1),
    k,
    largest: node.attrs.flag('largest', true),
  });
};

const scan =
  (op: 'CumSum' | 'CumProd'): ImportRule =>
  (node) => {
    const [axis = 0] = node.requiredNumbers(1, 'axis');
    return node.emit(op, [node.input(0)], {
      axis: node.axis(axis, node.shape(0).length),
      exclusive: node.attrs.flag('exclusive'),
      reverse: node.attrs.flag('reverse'),
    });
  };

const nonMaxSuppression: ImportRule = (node) => {
  const inputs = [node.input(0), node.input(1), ...[2, 3, 4].map((i) => node.inputs[i])];
  return node.emit('NonMaxSuppression', inputs, { center: node.attrs.flag('center_point_box') }).slice(0, 1);
};

export const INDEXING = {
  GatherElements: (node) =>
    node.emit('GatherElements', [node.input(0), node.input(1)], { axis: axisOf(node, 0) }),
  GatherND: (node) =>
    node.emit('GatherND', [node.input(0), node.input(1)], { batchDims: node.attrs.int('batch_dims', 0) }),
  ScatterElements: scatterElements,
  Scatter: scatterElements,
  ScatterND: (node) => node.emit('ScatterND', scatterInputs(node), { reduction: reductionOf(node) }),
  ArgMax: argReduction('ArgMax'),
  ArgMin: argReduction('ArgMin'),
  TopK: topK,
  CumSum: scan('CumSum'),
  CumProd: scan('CumProd'),
  NonZero: (node) => node.emit('NonZero', [node.input(0)], {}).slice(0, 1),
  NonMaxSuppression: nonMaxSuppression,
} satisfies Record<string, ImportRule>;
