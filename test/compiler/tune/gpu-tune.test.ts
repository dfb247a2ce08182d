/** Tiles of WebGPU that are chosen by measuring. */
import { describe, expect, test } from 'vitest';
import { compileGraph } from '#compiler/compile.ts';
import { optimised } from '#compiler/prepare.ts';
import { emitProgram, tilesFor, usualTile } from '#compiler/targets/webgpu/index.ts';
import { EVERY_DEVICE } from '#compiler/targets/webgpu/tiles.ts';
import {
  type AdapterKey,
  layersOnAdapter,
  tuningForAdapter,
  withAdapterLayers,
} from '#compiler/tune/adapters.ts';
import { type TimeTiles, type TuneGpuSettings, tileCandidates, tuneGpuGraph } from '#compiler/tune/gpu.ts';
import { layerShapes, loneLayer } from '#compiler/tune/layer.ts';
import { formatTuning, NO_TUNING, parseTuning, type Tuning } from '#compiler/tune/tuning.ts';
import { variantsOf } from '#compiler/variant.ts';
import { Builder } from '#ir/builder.ts';
import { fail } from '#ir/diagnostics.ts';
import type { Graph } from '#ir/graph.ts';
import { f32, type Tensor } from '#ir/tensor.ts';
import { GpuProgram } from '#runtime/gpu-program.ts';
import { fakeDevice } from '../../support/fake-gpu.ts';
import { Random } from '../../support/graphs.ts';
import { deviceOf, withAdapter } from '../../support/webgpu.ts';

const key: AdapterKey = { engine: 'Dawn', adapter: 'an adapter', precision: 'f32' };
const settings = {
  key,
  limits: EVERY_DEVICE,
  known: NO_TUNING,
  load: () => Promise.reject(new Error('none')),
};

/** Two convolutions of one shape, one of another, and a depthwise one. */
function network(): Graph {
  const random = new Random(3);
  const b = new Builder('net');
  const conv = (x: ReturnType<Builder['input']>, shape: readonly number[], group = 1) =>
    b.relu(b.conv(x, b.constant('', random.tensor(shape, -0.1, 0.1)), { pads: [1, 1, 1, 1], group }));
  const first = conv(b.input('x', [1, 16, 20, 20]), [16, 16, 3, 3]);
  const apart = conv(conv(first, [16, 16, 3, 3]), [16, 1, 3, 3], 16);
  b.output('y', conv(apart, [32, 16, 3, 3]));
  return b.graph;
}

const lowered = (graph: Graph) => optimised(variantsOf([graph], [], undefined)[0] as never, {});

/** One tile is twice as fast as all others. */
const fastAt =
  (pixels: number, workgroup: number): TimeTiles =>
  async (list) =>
    list.map(({ tile }) =>
      'pixels' in tile && tile.pixels === pixels && tile.workgroup === workgroup ? 1 : 2,
    );

describe('the candidates of a layer', () => {
  test('are the tiles that fit its rows, and the usual one is among them', async () => {
    const [shape] = layerShapes(await lowered(network()));
    if (!shape) throw new Error('there are layers');
    const { list, usual } = tileCandidates(loneLayer(shape.node), settings);
    expect(list.map(({ tile }) => tile)).toEqual(tilesFor(20));
    expect(list[usual]?.tile).toEqual(usualTile(20, (20 * 20 * 16) / 4));
    const narrow = { ...EVERY_DEVICE, maxComputeInvocationsPerWorkgroup: 64 };
    const fewer = tileCandidates(loneLayer(shape.node), { key, limits: narrow });
    expect(fewer.list.map(({ tile }) => tile)).toEqual(tilesFor(20, narrow));
    for (const { tile, program } of list)
      if ('workgroup' in tile)
        expect(emitProgram(program).wgsl).toContain(`@workgroup_size(${tile.workgroup})`);
  });

  test('are minimal filtering too, where it fits a layer, its filters and the memory of a workgroup', () => {
    const candidates = (weights: Tensor, limits = EVERY_DEVICE) => {
      const b = new Builder('conv');
      const x = b.conv(b.input('x', [1, 16, 30, 30]), b.constant('v', new Random(2).tensor([16, 16, 1, 1])));
      b.output('y', b.conv(x, b.constant('w', weights), { pads: [1, 1, 1, 1] }));
      const [, node] = b.graph.nodes;
      if (!node) throw new Error('there are nodes');
      const { list } = tileCandidates(loneLayer(node), { key, limits });
      return list.map(({ tile }) => tile).filter((tile) => 'quads' in tile);
    };
    const weights = new Random(1).tensor([16, 16, 3, 3], -0.1, 0.1);
    expect(candidates(weights)).toEqual([{ quads: 4 }, { quads: 8 }]);
    expect(candidates(weights, { ...EVERY_DEVICE, maxComputeWorkgroupStorageSize: 8192 })).toEqual([]);
    expect(candidates(new Random(1).tensor([16, 16, 2, 2]))).toEqual([]);
    // transformed, they are beyond what a float holds
    const large = f32([16, 16, 3, 3], new Float32Array(2304).fill(3e38));
    expect(candidates(large)).toEqual([]);
  });

  test('are none where nothing is to be chosen', () => {
    const random = new Random(1);
    const b = new Builder('depthwise');
    const weights = b.constant('w', random.tensor([16, 1, 3, 3]));
    b.output('y', b.conv(b.input('x', [1, 16, 9, 9]), weights, { group: 16 }));
    const [node] = b.graph.nodes;
    if (!node) throw new Error('there is a node');
    expect(tileCandidates(loneLayer(node), settings).list).toEqual([]);
  });
});

test('what is fastest is kept for each shape, and measured once', async () => {
  const graph = await lowered(network());
  const { tuning, measured, known } = await tuneGpuGraph(graph, settings, fastAt(8, 128));
  expect(measured.map(({ choice }) => choice)).toEqual([
    { pixels: 8, workgroup: 128 },
    { pixels: 8, workgroup: 128 },
  ]);
  expect(known).toBe(0);
  expect(parseTuning(JSON.parse(formatTuning(tuning)))).toEqual(tuning);
  const again = await tuneGpuGraph(graph, { ...settings, known: tuning }, () =>
    Promise.reject(new Error('no')),
  );
  expect(again).toMatchObject({ tuning, measured: [], known: 2 });
  // another adapter, or precision, is another matter
  for (const other of [
    { ...key, adapter: 'another' },
    { ...key, precision: 'f16' as const },
  ])
    expect((await tuneGpuGraph(graph, { ...settings, key: other, known: tuning }, fastAt(1, 32))).known).toBe(
      0,
    );
});

test('a bundle has the kernels that were chosen, in the precision that they were measured in', async () => {
  const { tuning } = await tuneGpuGraph(await lowered(network()), settings, fastAt(8, 128));
  const kernels = async (options: { tuning?: Tuning; gpuPrecision?: 'f16' }) => {
    const { files } = await compileGraph(network(), { target: ['wasm', 'webgpu'], ...options });
    return new TextDecoder().decode(files.get('kernels.wgsl'));
  };
  expect(await kernels({ tuning })).toContain('@workgroup_size(128)');
  expect(await kernels({ tuning })).toContain('_p8w128');
  expect(await kernels({ tuning, gpuPrecision: 'f16' })).toBe(await kernels({ gpuPrecision: 'f16' }));
});

test('a tile that does not fit is refused, and so is what leaves a choice', async () => {
  const { tuning } = await tuneGpuGraph(await lowered(network()), settings, fastAt(8, 128));
  const [layer] = layersOnAdapter(tuning, key);
  if (!layer) throw new Error('a layer was measured');
  const wide = withAdapterLayers(tuning, key, [{ ...layer, choice: { pixels: 8, workgroup: 512 } }]);
  await expect(compileGraph(network(), { target: ['wasm', 'webgpu'], tuning: wide })).rejects.toThrow(
    'the tuning has 8 pixels by 512 invocations for it, which do not fit',
  );
  const two = withAdapterLayers(tuning, { ...key, adapter: 'another' }, [layer]);
  expect(() => tuningForAdapter(two, 'f32', undefined)).toThrow('it has times of 2 adapters');
  expect(tuningForAdapter(two, 'f32', key)).toEqual(tuning);
  expect(tuningForAdapter(two, 'f16', undefined).adapters).toBeUndefined();
  const [entry] = tuning.adapters ?? [];
  expect(() => parseTuning({ ...tuning, adapters: [entry, entry] })).toThrow('is in it twice');
});

describe('on a device that does nothing', () => {
  const MS = 1_000_000n;
  type Load = TuneGpuSettings['load'];
  type Program = Parameters<Load>[0];

  const tuned = async (load: Load, limitMs = 1000) => {
    let now = 0;
    return tuneGpuGraph(await lowered(network()), { ...settings, load, limitMs, clock: () => now++ });
  };
  const on =
    (device: GPUDevice, dispatch: (program: Program) => void = () => {}): Load =>
    async (program) => ({ device, dispatch: () => dispatch(program), dispose() {} });

  test('a clock that tells nothing leaves every layer as it is', async () => {
    expect(await tuned(on(await fakeDevice(() => 0n)))).toMatchObject({
      measured: [],
      left: 2,
      tuning: NO_TUNING,
    });
  });

  test('a candidate that is refused is dropped, and a layer whose usual one is', async () => {
    const device = await fakeDevice(() => MS);
    const refusing = (name: (wgsl: string) => boolean): Load => {
      const load = on(device);
      return async (program) =>
        name(emitProgram(program).wgsl) ? fail('gpu-refused', 'webgpu', 'too large') : load(program);
    };
    const most = await tuned(refusing((wgsl) => wgsl.includes('@workgroup_size(256)')));
    expect(most).toMatchObject({ left: 0, measured: [{ modelMs: 1 }, { modelMs: 1 }] });
    // the usual workgroup
    expect(await tuned(refusing((wgsl) => !/_p\dw\d|winograd/.test(wgsl)))).toMatchObject({ left: 2 });
    expect(await tuned(refusing(() => true))).toMatchObject({ measured: [], left: 2 });
  });

  test('what fails otherwise ends it', async () => {
    await expect(tuned(() => Promise.reject(new TypeError('a fault of ours')))).rejects.toThrow(
      'a fault of ours',
    );
  });

  test('candidates take turns, each round begun by another', async () => {
    const order: Program[] = [];
    const seen = (program: Program) => {
      if (order.at(-1) !== program) order.push(program);
    };
    const device = await fakeDevice(() => MS);
    let now = 0;
    const graph = await lowered(network());
    await tuneGpuGraph(graph, { ...settings, load: on(device, seen), clock: () => now++, limitMs: 100 });
    const each = [...new Set(order)];
    const firsts = each.map((_, k) => order[k * each.length]);
    expect(new Set(firsts).size).toBeGreaterThan(8);
  });
});

test('a layer whose candidates would take more memory than there may be is left', async () => {
  const b = new Builder('wide');
  const weights = new Float32Array(4096 * 8192).fill(0.001);
  b.output('y', b.op('MatMul', [b.input('x', [8, 4096]), b.constant('w', f32([4096, 8192], weights))], {}));
  const none: TimeTiles = () => Promise.reject(new Error('it is not to be timed'));
  const result = await tuneGpuGraph(await lowered(b.graph), settings, none);
  expect(result).toMatchObject({ measured: [], left: 1 });
});

withAdapter.test('each tile is timed on a device', async () => {
  const device = await deviceOf('vulkan', ['timestamp-query']);
  const { measured } = await tuneGpuGraph(await lowered(network()), {
    ...settings,
    limits: device.limits,
    async load(program) {
      const { wgsl, plan, banks } = emitProgram(program);
      return GpuProgram.create(device, {
        plan,
        wgsl,
        banks: banks.map(({ bytes }) => new Uint8Array(bytes)),
        inputs: program.graph.inputs.map(({ name, type }) => ({ name, ...type })),
        outputs: [],
      });
    },
  });
  expect(measured).toHaveLength(2);
  for (const { choice, ms, modelMs } of measured) {
    expect(tilesFor(20)).toContainEqual(choice);
    expect(ms).toBeLessThanOrEqual(modelMs);
  }
});
