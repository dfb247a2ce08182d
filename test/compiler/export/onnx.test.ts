import fc from 'fast-check';
import { expect, test } from 'vitest';
import { exportOnnx } from '#compiler/export/onnx/index.ts';
import { importOnnx } from '#compiler/import/onnx/index.ts';
import { Builder } from '#ir/builder.ts';
import { CompileError } from '#ir/diagnostics.ts';
import { evaluateGraph } from '#ir/evaluate.ts';
import { parseExpr } from '#ir/expr.ts';
import type { Graph } from '#ir/graph.ts';
import { f32 } from '#ir/tensor.ts';
import {
  compareGraphs,
  graphArbitrary,
  randomGraph,
  randomInputs,
  withoutWeights,
} from '../../support/graphs.ts';
import { runOnnxruntime } from '../../support/onnxruntime.ts';

const roundTrip = (graph: Graph) => importOnnx(exportOnnx(graph).model).graph;

test('what is exported and imported again computes the same', () => {
  fc.assert(
    fc.property(graphArbitrary(), (graph) => {
      const back = roundTrip(graph);
      expect(back.inputs.map((v) => [v.name, v.type])).toEqual(graph.inputs.map((v) => [v.name, v.type]));
      expect(compareGraphs(graph, back)).toBeLessThan(1e-6);
    }),
    { seed: 2, numRuns: 120 },
  );
});

/** Ops that random graphs lack, each with attributes other than the defaults. */
function assorted(): Graph {
  const b = new Builder('assorted');
  const x = b.input('x', [2, 6, 5, 4]);
  const out = (name: string, value: ReturnType<typeof b.op>) => b.output(name, value);
  out('shuffle', b.op('ChannelShuffle', [x], { groups: 3 }));
  out(
    'space',
    b.op(
      'DepthToSpace',
      [b.op('Slice', [x], { starts: [0, 1, 0, 0], steps: [1, 1, 1, 1], sizes: [2, 4, 5, 4] })],
      { blocksize: 2, mode: 'CRD' },
    ),
  );
  out('reversed', b.op('Slice', [x], { starts: [1, 5, 4, 0], steps: [-1, -2, -3, 1], sizes: [2, 3, 2, 2] }));
  const [first, second] = b.node('Split', [x], { axis: 1, sizes: [2, 4] }).outputs;
  if (first && second) {
    out('first', first);
    out('second', second);
  }
  out(
    'twice',
    b.op('Resize', [x], {
      mode: 'linear',
      coordinates: 'half_pixel',
      scales: [1, 1, 2, 2],
      sizes: [2, 6, 10, 8],
    }),
  );
  out(
    'sized',
    b.op('Resize', [x], {
      mode: 'nearest',
      coordinates: 'asymmetric',
      nearestMode: 'floor',
      scales: [1, 1, 7 / 5, 3 / 4],
      sizes: [2, 6, 7, 3],
    }),
  );
  out('padded', b.op('Pad', [x], { mode: 'constant', pads: [0, 0, 1, 2, 0, 0, 0, 1], value: 2.5 }));
  out('reflected', b.op('Pad', [x], { mode: 'reflect', pads: [0, 0, 1, 2, 0, 0, 0, 1] }));
  out('largest', b.op('ReduceMax', [x], { axes: [2, 3], keepDims: false }));
  out('squares', b.op('ReduceSumSquare', [x], { axes: [1], keepDims: true }));
  out('soft', b.op('Softmax', [x], { axis: 1 }));
  out('clipped', b.op('Clip', [x], { min: -0.25 }));
  out('hard', b.op('HardSigmoid', [x], { alpha: 0.3, beta: 0.4 }));
  out('swish', b.op('Swish', [x], { alpha: 1.5 }));
  out('gelu', b.op('Gelu', [x], { approximate: 'tanh' }));
  out('elu', b.op('Elu', [x], { alpha: 0.7 }));
  out('cast', b.op('Cast', [x], { to: 'i32' }));
  out(
    'expanded',
    b.op('Expand', [b.op('ReduceMean', [x], { axes: [0, 1], keepDims: true })], { shape: [3, 2, 5, 4] }),
  );
  out('tiled', b.op('Tile', [x], { repeats: [1, 2, 1, 3] }));
  const flat = b.op('Squeeze', [b.op('GlobalAveragePool', [x], {})], { axes: [2, 3] });
  const w = b.constant(
    'w',
    f32(
      [3, 6],
      Float32Array.from({ length: 18 }, (_, i) => i / 9 - 1),
    ),
  );
  out('gemm', b.op('Gemm', [flat, w], { transB: true, alpha: 0.5 }));
  out('views', b.op('Unsqueeze', [b.op('Flatten', [x], { axis: 2 })], { axes: [0, 2] }));
  out(
    'pool',
    b.op('AveragePool', [x], {
      kernel: [3, 2],
      strides: [2, 2],
      dilations: [1, 1],
      pads: [1, 0, 1, 1],
      ceil: true,
      countIncludePad: true,
    }),
  );
  out('same', x);
  return b.graph;
}

test('ops with attributes of every kind', () => {
  const graph = assorted();
  expect(compareGraphs(graph, roundTrip(graph))).toBeLessThan(1e-6);
});

const networks: readonly (readonly [string, Graph])[] = [
  ['assorted', assorted()],
  // 5 reflects over a border wider than the input, which onnxruntime refuses
  ...[3, 4, 8, 13, 21, 34].map((seed) => [`random ${seed}`, randomGraph(seed)] as const),
];

test.each(networks)('onnxruntime takes it and agrees: %s', async (_, graph) => {
  const inputs = randomInputs(graph, 7);
  const feeds = Object.fromEntries(
    [...inputs].map(([name, t]) => [name, { data: t.data as Float32Array, shape: t.type.shape }]),
  );
  const theirs = await runOnnxruntime(exportOnnx(graph).model, feeds);
  const ours = evaluateGraph(graph, inputs);
  for (const { name, value } of graph.outputs) {
    const [want, got] = [ours.get(value), theirs[name]];
    expect(got?.shape, name).toEqual([...value.type.shape]);
    const numbers = Array.from((want?.data ?? []) as ArrayLike<number | bigint>, Number);
    const scale = Math.max(1, ...numbers.map(Math.abs));
    const worst = Math.max(...numbers.map((v, i) => Math.abs(v - Number(got?.data[i]))));
    expect(worst / scale, name).toBeLessThan(1e-5);
  }
});

test.each(['MaxPool', 'AveragePool', 'LpPool', 'MaxPoolWithIndices'] as const)(
  '%s: onnxruntime reads alike a pool that rounds up on one axis and has no window in the padding of another',
  async (op) => {
    const b = new Builder('pools');
    const x = b.input('x', [2, 3, 6, 5]);
    // three windows of 6 for rounding up; two of 5, as a third would start in the padding
    const window = { kernel: [3, 2], strides: [2, 3], dilations: [1, 1], pads: [0, 1, 0, 1], ceil: true };
    for (const more of op === 'AveragePool'
      ? [{ countIncludePad: false }, { countIncludePad: true }]
      : [{}]) {
      const node = b.node(op, [x], { ...window, ...more });
      node.outputs.forEach((value, i) => {
        expect(value.type.shape).toEqual([2, 3, 3, 2]);
        b.output(`y${b.graph.nodes.length}_${i}`, value);
      });
    }
    const [[, { data = new Float32Array(), type } = {}] = []] = randomInputs(b.graph, 7);
    const feeds = { x: { data: data as Float32Array, shape: type?.shape ?? [] } };
    const theirs = await runOnnxruntime(exportOnnx(b.graph).model, feeds);
    const ours = evaluateGraph(b.graph, randomInputs(b.graph, 7));
    for (const { name, value } of b.graph.outputs) {
      const [want, got] = [ours.get(value)?.data, theirs[name]];
      expect(got?.shape, name).toEqual([2, 3, 3, 2]);
      Array.from((want ?? []) as ArrayLike<number>, Number).forEach((v, i) => {
        expect(Number(got?.data[i]), `${name} ${i}`).toBeCloseTo(v, 6);
      });
    }
    expect(compareGraphs(b.graph, roundTrip(b.graph))).toBeLessThan(1e-6);
  },
);

test('weights go to a file beside the model where one is named', () => {
  const graph = randomGraph(5);
  const { model, data } = exportOnnx(graph, { dataFile: 'net.data', inlineLimit: 16 });
  expect(data?.length).toBeGreaterThan(0);
  const back = importOnnx(model, { externalData: (name) => (name === 'net.data' ? data : undefined) });
  expect(compareGraphs(graph, back.graph)).toBeLessThan(1e-6);
  expect(exportOnnx(graph).data).toBeUndefined();
});

test('what ONNX cannot say is refused by node, all of it', () => {
  const b = new Builder('refused');
  const x = b.input('x', [1, 2, 3, 3]);
  const relu = b.node(
    'Relu',
    [x],
    {},
    { name: 'act', epilogue: { expr: parseExpr('mul(x0, 2)'), operands: [] } },
  );
  b.output('y', relu.outputs[0] ?? x);
  expect(() => exportOnnx(b.graph)).toThrow('error[export-unsupported] act: Relu has an epilogue');
  try {
    exportOnnx(withoutWeights(randomGraph(3)));
    expect.unreachable();
  } catch (error) {
    expect(error).toBeInstanceOf(CompileError);
    expect((error as CompileError).diagnostics.every((d) => d.code === 'weights-missing')).toBe(true);
  }
});
