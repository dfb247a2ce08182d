/** Values whose size depends on data: what carries the count on, what refuses to, and what a bundle gives. */
import { describe, expect, test } from 'vitest';
import { loadBundle } from '#compiler/files/index.ts';
import { importOnnx } from '#compiler/import/onnx/index.ts';
import { cloneGraph } from '#ir/clone.ts';
import { constantTensor, evaluateGraph, outputTensor } from '#ir/evaluate.ts';
import type { Graph } from '#ir/graph.ts';
import { f32, type Tensor, tensor } from '#ir/tensor.ts';
import { parseGraph, printGraph } from '#ir/text.ts';
import { verifyGraph } from '#ir/verify.ts';
import { bundleFolder } from '../../support/bundles.ts';
import { info, node, onnxModel, stored, storedInts, type TestModel } from '../../support/onnx.ts';
import { diagnosticsOf } from './codes.ts';

/** Boxes 0 and 1 overlap, box 2 stands apart; box 1 is the best. */
const BOXES = f32([1, 3, 4], [0, 0, 1, 1, 0, 0.1, 1, 1.1, 0, 10, 1, 11]);
const SCORES = f32([1, 1, 3], [0.8, 0.9, 0.3]);

const nms = node('NonMaxSuppression', ['boxes', 'scores', 'most', 'iou'], ['selected']);

/** A model of the suppression and of what follows it. */
const detector = (nodes: TestModel['nodes'] = [], output = 'selected', more: TestModel = {}): TestModel => ({
  nodes: [nms, ...(nodes ?? [])],
  inputs: [info('boxes', [1, 3, 4]), info('scores', [1, 1, 3])],
  outputs: [output],
  ...more,
  initializers: [
    storedInts('most', [3]),
    stored('iou', [1], Float32Array.of(0.5)),
    ...(more.initializers ?? []),
  ],
});

const graphOf = (model: TestModel): Graph => importOnnx(onnxModel(model)).graph;

function outputsOf(graph: Graph, inputs: Record<string, Tensor>): Tensor[] {
  const values = evaluateGraph(graph, new Map(Object.entries(inputs)));
  return graph.outputs.map((o) => outputTensor(o, (v) => values.get(v) ?? constantTensor(v)));
}

const run = (model: TestModel): Tensor =>
  outputsOf(graphOf(model), { boxes: BOXES, scores: SCORES })[0] ?? f32([], [0]);

test('an output has room for all boxes, and a count of those that stay', () => {
  const graph = graphOf(detector());
  const [output] = graph.outputs;
  expect(output?.value.type.shape).toEqual([3, 3]);
  expect(output?.count?.axis).toBe(0);
  expect(verifyGraph(graph)).toEqual([]);
  expect(run(detector())).toEqual(tensor('i64', [2, 3], [0, 0, 1, 0, 0, 2]));
});

test('the count survives copies and the text form', () => {
  const graph = graphOf(detector());
  const text = printGraph(graph);
  expect(text).toMatch(/output "selected" = %selected count %\S+ axis 0/);
  expect(printGraph(parseGraph(text))).toBe(text);
  expect(printGraph(cloneGraph(graph))).toBe(text);
});

describe('carried on by', () => {
  test('Gather of a column, Squeeze, Cast', () => {
    const column = [
      node('Gather', ['selected', 'two'], ['column'], { axis: 1n }),
      node('Squeeze', ['column', 'one'], ['flat']),
      node('Cast', ['flat'], ['y'], { to: 1n }),
    ];
    const initializers = [storedInts('two', [2]), storedInts('one', [1])];
    expect(run(detector(column, 'y', { initializers }))).toEqual(f32([2], [1, 2]));
  });

  test('Slice of columns, Transpose, Unsqueeze: the axis moves along', () => {
    const nodes = [
      node('Slice', ['selected', 'one', 'three', 'one'], ['part']),
      node('Transpose', ['part'], ['turned']),
      node('Unsqueeze', ['turned', 'zero'], ['y']),
    ];
    const initializers = [storedInts('zero', [0]), storedInts('one', [1]), storedInts('three', [3])];
    expect(run(detector(nodes, 'y', { initializers }))).toEqual(tensor('i64', [1, 2, 2], [0, 0, 1, 2]));
  });

  test('Gather by what was found, and arithmetic on it', () => {
    const nodes = [
      node('Gather', ['selected', 'two'], ['index'], { axis: 1n }),
      node('Gather', ['flat', 'index'], ['found']),
      node('Mul', ['found', 'factor'], ['y']),
    ];
    const initializers = [
      stored('two', [], BigInt64Array.of(2n)),
      stored('factor', [1], Float32Array.of(2)),
      stored('flat', [3, 1], Float32Array.of(5, 6, 7)),
    ];
    expect(run(detector(nodes, 'y', { initializers }))).toEqual(f32([2, 1], [12, 14]));
  });

  test('NonZero, Transpose, GatherND', () => {
    const graph = graphOf({
      nodes: [
        node('NonZero', ['x'], ['at']),
        node('Transpose', ['at'], ['tuples']),
        node('GatherND', ['x', 'tuples'], ['y']),
      ],
      inputs: [info('x', [2, 3])],
      outputs: ['y', 'at'],
    });
    const [found, at] = outputsOf(graph, { x: f32([2, 3], [0, 4, 0, 5, 0, 6]) });
    expect(found).toEqual(f32([3], [4, 5, 6]));
    expect(at).toEqual(tensor('i64', [2, 3], [0, 1, 1, 1, 0, 2]));
  });
});

describe('refused by name:', () => {
  test.each([
    ['Shape', [node('Shape', ['selected'], ['y'])]],
    ['Size', [node('Size', ['selected'], ['y'])]],
    ['ReduceSum', [node('ReduceSum', ['selected'], ['y'])]],
    ['Reshape', [node('Reshape', ['selected', 'nine'], ['y'])]],
    ['Concat', [node('Concat', ['selected', 'selected'], ['y'], { axis: 0n })]],
  ])('%s', (op, nodes) => {
    const model = detector(nodes, 'y', { initializers: [storedInts('nine', [9])] });
    const [problem] = diagnosticsOf(() => graphOf(model));
    expect(problem?.code).toBe('shape-data-dependent');
    expect(problem?.hint).toContain('end the model at the value whose size depends on data');
    expect(problem?.message).toContain(op);
    expect(problem?.message).toMatch(/depends on data/);
  });
});

test('of constants the size is known', () => {
  const graph = graphOf({
    nodes: [node('NonZero', ['c'], ['at']), node('Shape', ['at'], ['y'])],
    outputs: ['y'],
    initializers: [stored('c', [4], Float32Array.of(0, 1, 0, 2))],
  });
  expect(outputsOf(graph, {})).toEqual([tensor('i64', [2], [1, 2])]);
});

test('a bundle gives what counts, with its shape', async () => {
  const model = await loadBundle(await bundleFolder(graphOf(detector())));
  const outputs = await model.run({ boxes: BOXES.data, scores: SCORES.data });
  expect(outputs).toEqual({
    selected: { data: BigInt64Array.from([0, 0, 1, 0, 0, 2], BigInt), shape: [2, 3] },
  });
  const turned = detector([node('Transpose', ['selected'], ['y'])], 'y');
  const other = await loadBundle(await bundleFolder(graphOf(turned)));
  expect(await other.run({ boxes: BOXES.data, scores: SCORES.data }, { shapes: true })).toEqual({
    y: { data: BigInt64Array.from([0, 0, 0, 0, 1, 2], BigInt), shape: [3, 2] },
  });
});
