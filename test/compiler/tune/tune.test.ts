import { describe, expect, test } from 'vitest';
import { Stepper } from '#compiler/check/stepper.ts';
import { compileGraph, compileModel } from '#compiler/compile.ts';
import { BUILT_IN_COSTS } from '#compiler/targets/wasm/costs.ts';
import { ENGINES, kernelLabel } from '#compiler/targets/wasm/index.ts';
import type { WinogradLayer } from '#compiler/targets/wasm/lower/winograd-plan.ts';
import { type Candidates, candidatesOf } from '#compiler/tune/candidates.ts';
import { TunedChoices } from '#compiler/tune/choices.ts';
import { type TimeLayer, tuneGraph, tuneModel } from '#compiler/tune/index.ts';
import { layerKey, layerShapes, loneLayer } from '#compiler/tune/layer.ts';
import { CacheSweep, timedLayer } from '#compiler/tune/timing.ts';
import { layersOn, NO_TUNING, type Tuning, withLayers } from '#compiler/tune/tuning.ts';
import { Builder } from '#ir/builder.ts';
import type { Graph, Node } from '#ir/graph.ts';
import type { Tensor } from '#ir/tensor.ts';
import type { Shape } from '#ir/types.ts';
import { runPipeline } from '#passes/pass.ts';
import { PIPELINES } from '#passes/pipeline.ts';
import { supportedEngines } from '#runtime/engines.ts';
import { info, onnxModel, node as onnxNode, stored } from '../../support/onnx.ts';
import { noise } from '../../support/op.ts';
import { relativeDifference } from '../../support/wasm.ts';

const machine = { engine: 'V8 1', cpu: 'this' };
const settings = { machine, engine: 'simd', clock: () => 0 } as const;

/** The last node of what `build` makes, after all passes. */
function layer(build: (b: Builder) => void): Node {
  const b = new Builder('layer');
  build(b);
  for (const pipeline of Object.values(PIPELINES)) runPipeline(b.graph, pipeline);
  return b.graph.nodes[b.graph.nodes.length - 1] as Node;
}

const conv = (
  shape: Shape,
  weight: Shape,
  options: { strides?: number[]; pads?: number[]; group?: number; relu?: boolean; residual?: boolean } = {},
): Node =>
  layer((b) => {
    const { relu = false, residual = false, ...rest } = options;
    const bias = b.constant('b', noise([weight[0] ?? 1], 3));
    const y = b.conv(b.input('x', shape), b.constant('w', noise(weight, 2)), { ...rest, bias });
    const sum = residual ? b.add(y, b.input('r', y.type.shape)) : y;
    b.output('y', relu ? b.relu(sum) : sum);
  });

const candidates = (node: Node): Candidates => candidatesOf(loneLayer(node), BUILT_IN_COSTS);
const ways = (node: Node) => candidates(node).list.map(({ choice }) => choice);

describe('the candidates of a layer', () => {
  test('are the widths of its panels', () => {
    expect(ways(conv([1, 16, 20, 20], [48, 16, 1, 1]))).toEqual(
      [8, 16, 4, 24].map((width) => ({ way: 'direct', width })),
    );
    // no wider than the channels
    expect(ways(conv([1, 16, 20, 20], [12, 16, 1, 1]))).toHaveLength(3);
  });

  test('are blocks of minimal filtering too, where that is possible', () => {
    const found = ways(conv([1, 32, 24, 24], [32, 32, 3, 3], { pads: [1, 1, 1, 1] }));
    for (const outputs of [2, 4]) {
      const blocks = found.filter((choice) => choice.way === 'winograd' && choice.outputs === outputs);
      expect(blocks).toHaveLength(4);
      expect(new Set(blocks.map((choice) => JSON.stringify(choice))).size).toBe(4);
    }
    expect(found.filter(({ way }) => way === 'direct')).toHaveLength(4);
    expect(ways(conv([1, 32, 24, 24], [32, 32, 3, 3], { strides: [2, 2] }))).toHaveLength(4);
  });

  test('have among them what the cost model chooses', () => {
    const { list, usual } = candidates(conv([1, 64, 24, 24], [64, 64, 3, 3], { pads: [1, 1, 1, 1] }));
    expect(list[usual]?.choice).toMatchObject({ way: 'winograd' });
  });

  test('are one where nothing is to be chosen', () => {
    expect(ways(conv([1, 64, 20, 20], [64, 1, 3, 3], { group: 64 }))).toEqual([{ way: 'model' }]);
  });
});

const LAYERS: Readonly<Record<string, Node>> = {
  pointwise: conv([1, 20, 9, 7], [36, 20, 1, 1], { relu: true }),
  filtered: conv([2, 16, 13, 11], [24, 16, 3, 3], { pads: [1, 1, 1, 1], relu: true, residual: true }),
  strided: conv([1, 16, 13, 11], [40, 16, 3, 3], { strides: [2, 1], pads: [1, 0, 1, 2] }),
  grouped: conv([1, 24, 8, 8], [48, 12, 3, 3], { group: 2, pads: [1, 1, 1, 1] }),
  'one row': conv([1, 16, 40], [28, 16, 5]),
  transposed: layer((b) => {
    const x = b.input('x', [1, 12, 6, 7]);
    const attrs = { strides: [2, 2], dilations: [1, 1], pads: [1, 1, 1, 1], group: 1, outputPadding: [0, 0] };
    b.output('y', b.op('ConvTranspose', [x, b.constant('w', noise([12, 28, 4, 4], 2))], attrs));
  }),
  gemm: layer((b) => {
    const inputs = [
      b.input('x', [5, 40]),
      b.constant('w', noise([30, 40], 2)),
      b.constant('c', noise([30], 3)),
    ];
    b.output('y', b.relu(b.op('Gemm', inputs, { alpha: 1, beta: 1, transA: false, transB: true })));
  }),
  'a stack of products': layer((b) => {
    const y = b.op('MatMul', [b.input('x', [3, 6, 20]), b.constant('w', noise([20, 44], 2))], {});
    b.output('y', b.add(y, b.input('r', [3, 6, 44])));
  }),
};

describe.each(Object.entries(LAYERS))('%s', (_, node) => {
  test('every candidate gives what the usual one gives', async () => {
    const { graph } = loneLayer(node);
    const inputs = new Map<string, Tensor>(
      graph.inputs.map(({ name, type }, i) => [name, noise(type.shape, i + 7)]),
    );
    const { list, usual } = candidates(node);
    expect(list.length).toBeGreaterThan(1);
    const outputs: Tensor[] = [];
    for (const { program } of list) {
      const stepper = await Stepper.load(program, { engine: ENGINES.simd });
      stepper.setInputs(inputs);
      stepper.run();
      outputs.push([...stepper.outputs().values()][0] as Tensor);
    }
    const want = outputs[usual] as Tensor;
    for (const got of outputs) expect(relativeDifference(want, got)).toBeLessThan(2e-5);
  });

  test('its operands come from other nodes, in its layout: nothing of it is a transposition', async () => {
    const lone = loneLayer(node);
    const { list } = candidatesOf(lone, BUILT_IN_COSTS);
    // the layer has the program's node; candidates are lowered from the same graph
    for (const { program } of list) {
      const own = program.calls.filter((call) => call.node === lone.node);
      expect(own.map(({ kernel }) => kernelLabel(kernel)).filter((label) => /transpose/.test(label))).toEqual(
        [],
      );
    }
    const [first] = list;
    if (!first) throw new Error('there is no candidate');
    let now = 0;
    const engine = ENGINES[supportedEngines()[0] ?? 'simd'];
    const timed = await timedLayer(first.program, lone.node, {
      engine,
      clock: () => now++,
      sweep: new CacheSweep(),
    });
    timed.warm();
    expect(timed.time()).toBe(1);
  });
});

test('layers are alike by what they do, whatever they are called and weigh', () => {
  const b = new Builder('net');
  const x = b.input('x', [1, 32, 16, 16]);
  const w = (i: number) => b.constant(`w${i}`, noise([32, 32, 3, 3], i));
  const pads = [1, 1, 1, 1];
  const one = b.relu(b.conv(x, w(1), { pads, name: 'one' }));
  const two = b.relu(b.conv(one, w(2), { pads, name: 'two' }));
  const plain = b.conv(two, w(3), { pads, name: 'plain' });
  // read by two, so that it is not merged with the one after it
  b.output('plain', plain);
  b.output('y', b.conv(plain, b.constant('small', noise([1, 32, 1, 1], 4)), { name: 'small' }));
  for (const pipeline of Object.values(PIPELINES)) runPipeline(b.graph, pipeline);
  const shapes = layerShapes(b.graph);
  expect(shapes.map(({ node, count }) => [node.name, count])).toEqual([
    ['one', 2],
    ['plain', 1],
  ]);
  expect(shapes[0]?.key).toBe(
    'Conv(f32[1,32,16,16], f32[32,32,3,3] const) {dilations=[1,1], group=1, pads=[1,1,1,1], strides=[1,1]} -> max(x0, 0)',
  );
});

/** Two shapes of convolutions. */
function network(): Graph {
  const b = new Builder('net');
  const x = b.input('x', [1, 32, 16, 16]);
  const pads = [1, 1, 1, 1];
  const y = b.conv(x, b.constant('w', noise([32, 32, 3, 3], 1)), { pads, name: 'square' });
  b.output('y', b.conv(b.relu(y), b.constant('v', noise([96, 32, 1, 1], 2)), { name: 'point' }));
  return b.graph;
}

const lowered = (): Graph => {
  const graph = network();
  for (const pipeline of Object.values(PIPELINES)) runPipeline(graph, pipeline);
  return graph;
};

/** Times by choice, of which the last that is told fits. */
const told =
  (...times: readonly (readonly [part: string, ms: number])[]): TimeLayer =>
  async (list) =>
    list.map(
      ({ choice }) => times.filter(([part]) => JSON.stringify(choice).includes(part)).at(-1)?.[1] ?? 10,
    );

const tune = (timeLayer: TimeLayer, known?: Tuning) =>
  tuneGraph(lowered(), { ...settings, ...(known && { known }) }, BUILT_IN_COSTS, timeLayer);

describe('tuning', () => {
  test('takes the fastest of each shape', async () => {
    const { tuning, measured, known, left } = await tune(told(['"width":16', 6], ['"outputs":2', 5]));
    expect({ known, left }).toEqual({ known: 0, left: 0 });
    expect(measured.map(({ choice, ms, modelMs }) => [choice.way, ms, modelMs])).toEqual([
      ['winograd', 5, 10],
      ['direct', 6, expect.any(Number)],
    ]);
    expect(layersOn(tuning, machine)).toEqual(measured);
  });

  test('stays with the usual way where little is to be gained', async () => {
    const { measured } = await tune(told(['"width":16', 9.8], ['"outputs":2', 9.8]));
    const graph = lowered();
    const same = await tune(told());
    expect(measured.map(({ choice }) => choice)).toEqual(same.measured.map(({ choice }) => choice));
    expect(measured.map(({ layer: key }) => key)).toEqual(layerShapes(graph).map(({ key }) => key));
  });

  test('does not measure what is known for this machine', async () => {
    const first = await tune(told(['"width":16', 6]));
    const refuse: TimeLayer = () => Promise.reject(new Error('this was measured'));
    const again = await tune(refuse, first.tuning);
    expect(again).toEqual({ tuning: first.tuning, measured: [], known: 2, left: 0 });
    const elsewhere = { ...settings, machine: { ...machine, cpu: 'that' }, known: first.tuning };
    await expect(tuneGraph(lowered(), elsewhere, BUILT_IN_COSTS, refuse)).rejects.toThrow('was measured');
  });

  test('ends when its time is over, with the most work measured', async () => {
    let now = 0;
    const slow: TimeLayer = async (list) => {
      now += 1000;
      return list.map(() => 1);
    };
    const limited = { ...settings, clock: () => now, limitMs: 500 };
    const { measured, left } = await tuneGraph(lowered(), limited, BUILT_IN_COSTS, slow);
    expect(measured.map(({ layer: key }) => key)).toEqual([layerShapes(lowered())[0]?.key]);
    expect(left).toBe(1);
  });

  test('is aborted, and tells how far it is', async () => {
    const abort = new AbortController();
    const seen: number[] = [];
    const onProgress = (fraction: number) => {
      seen.push(fraction);
      if (fraction > 0) abort.abort(new Error('stop'));
    };
    const watched = { ...settings, signal: abort.signal, onProgress };
    await expect(tuneGraph(lowered(), watched, BUILT_IN_COSTS, told())).rejects.toThrow('stop');
    expect(seen).toEqual([0, 0.5]);
  });

  test('of a model finds the shapes that compiling it has', async () => {
    const model = onnxModel({
      inputs: [info('x', ['batch', 4, 8, 8])],
      nodes: [onnxNode('Conv', ['x', 'w'], ['y'])],
      initializers: [stored('w', [8, 4, 3, 3], noise([8, 4, 3, 3], 1).data as Float32Array)],
    });
    // too little work to be worth it
    expect(await tuneModel(model, settings)).toEqual({ tuning: NO_TUNING, measured: [], known: 0, left: 0 });
    await expect(tuneModel(model, { ...settings, fast: true } as never)).rejects.toThrow('no such option');
    const specialisations = [{ dims: { batch: 1 } }, { dims: { batch: 2 } }];
    await expect(tuneModel(model, { ...settings, specialisations })).rejects.toThrow('several sizes');
    await expect(compileModel(model, { tuning: NO_TUNING, specialisations })).rejects.toThrow(
      'several sizes',
    );
  });
});

describe('compiling with a tuning', () => {
  const labels = async (tuning?: Tuning) => {
    const { files } = await compileGraph(network(), { ...(tuning && { tuning }) });
    return files;
  };
  const keys = () => layerShapes(lowered()).map(({ key }) => key);
  const entry = (
    key: string | undefined,
    choice: Tuning['machines'][number]['layers'][number]['choice'],
  ) => ({
    layer: key ?? '',
    choice,
    ms: 1,
    modelMs: 2,
  });
  const tuningOf = (...layers: ReturnType<typeof entry>[]) => withLayers(NO_TUNING, machine, layers);

  test('gives the same bytes each time, and others than without', async () => {
    const [square, point] = keys();
    const tuning = tuningOf(
      entry(square, { way: 'winograd', outputs: 2, block: [1, 2] }),
      entry(point, { way: 'direct', width: 4 }),
    );
    const [one, two, without] = [await labels(tuning), await labels(tuning), await labels()];
    expect(one).toEqual(two);
    for (const file of ['model.wasm', 'model.relaxed.wasm', 'weights.bin']) {
      expect(one.get(file)).not.toEqual(without.get(file));
    }
  });

  test('that has other layers, or follows the model, changes nothing', async () => {
    const without = await labels();
    expect(await labels(NO_TUNING)).toEqual(without);
    const others = tuningOf(
      entry('Conv(…)', { way: 'direct', width: 4 }),
      entry(keys()[0], { way: 'model' }),
    );
    expect(await labels(others)).toEqual(without);
  });

  test('that does not fit a layer is refused', async () => {
    const [square, point] = keys();
    const far = tuningOf(entry(square, { way: 'winograd', outputs: 4, block: [5, 1] }));
    await expect(labels(far)).rejects.toThrow('in blocks of 5×1 for it, which do not fit');
    const never = tuningOf(entry(point, { way: 'winograd', outputs: 4, block: [1, 1] }));
    await expect(labels(never)).rejects.toThrow('which do not fit');
    await expect(labels({ version: 1 } as never)).rejects.toThrow('this is missing');
    const two = withLayers(tuningOf(), { engine: 'V8 2', cpu: 'that' }, []);
    await expect(labels(two)).rejects.toThrow('times of 2 machines');
  });

  test('filters that minimal filtering is not exact with are computed as without', () => {
    const node = conv([1, 32, 24, 24], [32, 32, 3, 3], { pads: [1, 1, 1, 1] });
    const plan = { outputs: 2, block: [3, 4] } as const;
    const tuning = tuningOf(entry(layerKey(node), { way: 'winograd', outputs: 2, block: [3, 4] }));
    const choices = TunedChoices.of(tuning, BUILT_IN_COSTS);
    const axis = { kernel: 3, stride: 1, dilation: 1, padBegin: 1, padEnd: 1 };
    const layerOf = (data: Float32Array): WinogradLayer => ({
      axes: [axis, axis],
      filters: { data, groups: 1, inputChannels: 32, channels: 32 },
      batch: 1,
      outSize: [24, 24],
    });
    const data = noise([32, 32, 3, 3], 1).data as Float32Array;
    expect(choices.winograd(node, layerOf(data))).toEqual(plan);
    const infinite = data.map((x, i) => (i === 5 ? Number.POSITIVE_INFINITY : x));
    expect(choices.winograd(node, layerOf(infinite))).toBeUndefined();
  });
});
