/** Networks of which some layers have no kernel on WebGPU. */

import { createHash } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { formatManifest, sealManifest } from '#compiler/bundle/manifest.ts';
import { verifyBundle } from '#compiler/bundle/verify.ts';
import { compileGraph } from '#compiler/compile.ts';
import type { CompiledBundle, CompileGraphOptions } from '#compiler/compile-options.ts';
import { partition } from '#compiler/schedule/partition.ts';
import { Builder } from '#ir/builder.ts';
import type { CompileError } from '#ir/diagnostics.ts';
import { evaluateGraph } from '#ir/evaluate.ts';
import type { Graph, Node, Value } from '#ir/graph.ts';
import { f32, type Tensor } from '#ir/tensor.ts';
import type { SplitManifest } from '#runtime/abi.ts';
import type { DeviceTensor } from '#runtime/model-types.ts';
import type { AnyModel, ShapedOutput } from '#runtime/session.ts';
import { expectAlike, loadFrom, smallNet, write } from '../../support/bundles.ts';
import { cutBundle, lowered } from '../../support/cut.ts';
import { Random, randomInputs } from '../../support/graphs.ts';
import { splitNetwork as network, UNITS } from '../../support/split-network.ts';
import { deviceOf, withAdapter } from '../../support/webgpu.ts';

const BOTH = ['wasm', 'webgpu'] as const;

let bundle: CompiledBundle;
let folder: string;
beforeAll(async () => {
  bundle = await compileGraph(network(), { target: BOTH });
  folder = await write(bundle);
}, 60_000);

function reference(graph: Graph, inputs: ReadonlyMap<string, Tensor>): Record<string, unknown> {
  const values = evaluateGraph(graph, inputs);
  return Object.fromEntries(graph.outputs.map(({ name, value }) => [name, values.get(value)?.data]));
}

test('the parts, and what is copied between them, are in the manifest and in the report', () => {
  const { manifest, stats, diagnostics, files } = bundle;
  const split = manifest.webgpu?.split;
  // convolution and pooling; the recurrent layer; the products
  expect(split?.parts.map(({ run }) => run !== undefined)).toEqual([false, true, false]);
  // its steps to WebAssembly, its states back; what the first part gives to the third stays
  const copies = { copies: 2, bytes: 4 * (2 * 32 + 2 * UNITS) };
  expect(stats.split).toEqual({ parts: 3, ...copies });
  expect(split?.copies).toEqual({ values: copies.copies, bytes: copies.bytes });
  const [note] = diagnostics.filter(({ code }) => code === 'gpu-split');
  expect(note?.message).toContain(`RNN on WebGPU: RNN of ${UNITS} units`);
  expect(note?.message).toContain(`3 parts and copies 2 values of ${copies.bytes} bytes`);
  expect([...files.keys()]).toEqual(expect.arrayContaining(['split.wasm', 'split.bin']));
  // the weights of the recurrent layer are not among the GPU's
  expect(files.get('weights.webgpu.bin')?.length).toBeLessThan(UNITS * 32 * 4);
});

test('it is verified as any other, and a changed part is found', async () => {
  const { files, manifest } = bundle;
  expect(await verifyBundle((name) => files.get(name))).toEqual([]);
  const wrong = { ...manifest, webgpu: { ...manifest.webgpu, split: { parts: [{}] } } };
  const [problem] = await verifyBundle((name) =>
    name === 'manifest.json' ? new TextEncoder().encode(JSON.stringify(wrong)) : files.get(name),
  );
  expect(problem?.message).toBe('fields are missing or ill-typed');
});

test('a part that is no module, or has tensors beyond its memory, is found', async () => {
  const { files, digest, ...rest } = structuredClone(bundle.manifest);
  const sealed = async (change: (split: SplitManifest) => void, entries = files): Promise<Uint8Array> => {
    const { webgpu } = structuredClone(rest);
    change(webgpu?.split as SplitManifest);
    const text = formatManifest(
      await sealManifest({ ...rest, ...(webgpu ? { webgpu } : {}), files: entries }),
    );
    return new TextEncoder().encode(text);
  };
  const verified = async (changed: Readonly<Record<string, Uint8Array>>) =>
    (await verifyBundle((name) => changed[name] ?? bundle.files.get(name))).map(({ message }) => message);
  expect(await verified({ 'manifest.json': await sealed(() => {}) })).toEqual([]);
  for (const change of [
    ({ wasm }: SplitManifest) => Object.assign(wasm, { memoryBytes: 65536 }),
    ({ wasm }: SplitManifest) => Object.assign(wasm, { weightsAddress: wasm.memoryBytes }),
    ({ parts }: SplitManifest) => Object.assign(parts[1]?.outputTensors[0] ?? {}, { address: 2 ** 31 }),
  ])
    expect(await verified({ 'manifest.json': await sealed(change) })).toEqual([
      'fields are missing or ill-typed',
    ]);

  const module = Uint8Array.from(bundle.files.get('split.wasm') ?? []);
  module[module.length - 1] = 0;
  const entry = { bytes: module.length, sha256: createHash('sha256').update(module).digest('hex') };
  const manifest = await sealed(({ wasm }) => Object.assign(wasm.modules[0] ?? {}, entry), {
    ...files,
    'split.wasm': entry,
  });
  expect(await verified({ 'manifest.json': manifest, 'split.wasm': module })).toEqual([
    'it is no module that this engine accepts',
  ]);
});

const messageOf = (graph: Graph, options: CompileGraphOptions): Promise<string> =>
  compileGraph(graph, options).then(
    () => '',
    (error: CompileError) => error.message,
  );

test('what would leave a GPU nothing to do is refused, as is a split without WebAssembly', async () => {
  const b = new Builder('units');
  const operands = [b.input('x', [1, 1, 1]), b.input('w', [1, 2000, 1]), b.input('r', [1, 2000, 2000])];
  b.output('y', b.op('RNN', operands, { direction: 'forward', activations: 'tanh(x0)' }));
  expect(await messageOf(b.graph, { target: BOTH })).toContain('RNN of 2000 units');
  expect(await messageOf(network(), { target: ['webgpu'] })).toMatch(
    /RNN on WebGPU.*give the target wasm,webgpu/s,
  );
  // which would be refused as well
  const alone = await messageOf(b.graph, { target: ['webgpu'] });
  expect(alone).toContain('RNN of 2000 units');
  expect(alone).not.toContain('give the target');
});

test('several sizes are refused with a way out that there is', async () => {
  const pictures = { source: [8, 9].map((size) => ({ width: size, height: size })) };
  const of = (target: CompileGraphOptions['target']) =>
    messageOf(smallNet(), { ...(target ? { target } : {}), preprocess: pictures });
  expect(await of(BOTH)).toContain('give one size, or leave out webgpu');
  expect(await of(['webgpu'])).toContain('give one size, or compile for WebAssembly, which takes several');
  expect(await of(['wasm'])).toBe('');
});

test('what no target has room for is refused before kernels are chosen, by the limit of its target', async () => {
  const picture = (side: number, dtype: 'f32' | 'u8'): Graph => {
    const b = new Builder('large');
    const x = b.input('x', [1, 3, side, side], dtype);
    b.output(
      'y',
      b.op('ReduceMean', [dtype === 'f32' ? x : b.op('Cast', [x], { to: 'f32' })], { axes: [2, 3] }),
    );
    return b.graph;
  };
  const wide = new Builder('wide');
  const weights = wide.constant('w', new Random(1).tensor([8, 1, 1, 1], -1, 1));
  const pixels = wide.op('Cast', [wide.input('x', [1, 1, 20000, 20000], 'u8')], { to: 'f32' });
  wide.output(
    'y',
    wide.op('GlobalAveragePool', [wide.relu(wide.conv(pixels, weights, { name: 'layer' }))], {}),
  );
  for (const target of [['webgpu'], BOTH] as const) {
    const stages: string[] = [];
    const onProgress = (stage: string) => stages.push(stage);
    const message = await messageOf(wide.graph, { target, onProgress });
    expect(message).toMatch(/layer.*: its result takes 11.9 GiB; WebGPU binds less than 4 GiB/);
    expect(stages).not.toContain('generate');
  }
  for (const [side, dtype, target, message] of [
    [30000, 'f32', ['webgpu'], 'its inputs take 10.1 GiB; WebGPU binds less than 4 GiB'],
    [30000, 'f32', ['wasm'], 'its inputs take 10.1 GiB; WebAssembly has at most 4 GiB'],
    // a byte is a word on a GPU
    [20000, 'u8', BOTH, 'its inputs take 4.5 GiB; WebGPU binds less than 4 GiB, a word for each element'],
  ] as const) {
    const stages: string[] = [];
    const onProgress = (stage: string) => stages.push(stage);
    expect(await messageOf(picture(side, dtype), { target, onProgress })).toContain(message);
    expect(stages).toEqual([]);
  }
});

withAdapter.describe('on a device', () => {
  const inputs = randomInputs(network(), 3);
  const x = inputs.get('x')?.data as Float32Array<ArrayBuffer>;
  const load = async (from: string): Promise<AnyModel> =>
    loadFrom(from, { device: await deviceOf('vulkan'), warmup: false, verify: true });
  const read = async (tensors: Readonly<Record<string, DeviceTensor<unknown>>>) =>
    Object.fromEntries(
      await Promise.all(
        Object.entries(tensors).map(async ([name, tensor]) => [
          name,
          ((await tensor.read()) as ShapedOutput).data,
        ]),
      ),
    );

  test('it gives what the reference gives, however runs overlap', async () => {
    const model = await load(folder);
    expect(model.info).toMatchObject({ backend: 'webgpu', copies: bundle.manifest.webgpu?.split?.copies });
    const want = reference(network(), inputs);
    expectAlike(await model.run({ x }), want, 1e-4);
    const other = x.map((value) => -value);
    const [a, b] = [await model.run({ x }), await model.run({ x: other })];
    expect(await Promise.all([model.run({ x }), model.run({ x: other }), model.run({ x })])).toEqual([
      a,
      b,
      a,
    ]);
    model.dispose();
  });

  test('inputs and outputs may be on the device', async () => {
    const model = await load(folder);
    const want = await model.run({ x });
    const device = await deviceOf('vulkan');
    const { COPY_SRC, COPY_DST } = GPUBufferUsage;
    const given = device.createBuffer({ size: x.byteLength, usage: COPY_SRC | COPY_DST });
    device.queue.writeBuffer(given, 0, x);
    const states = device.createBuffer({ size: 8 * UNITS, usage: COPY_SRC | COPY_DST });
    const got = (await model.runOnDevice({ x: given }, { into: { states } })) as Record<
      string,
      DeviceTensor<unknown>
    >;
    expect(got.states?.buffer).toBe(states);
    expect(await read(got)).toEqual(want);
    await model.run({ x: x.map((value) => 2 * value) });
    expect(await read(got)).toEqual(want);
    model.dispose();
  });

  test('any layer may be the one that is missing', async () => {
    const image = randomInputs(smallNet(), 4);
    const want = reference(smallNet(), image);
    const device = await deviceOf('vulkan');
    const layers = (await lowered(smallNet())).graph.nodes;
    expect(layers.length).toBeGreaterThan(2);
    for (const { name } of layers) {
      const from = await cutBundle(smallNet(), (node) => node.name !== name);
      const model = await loadFrom(from, { device, warmup: false, verify: true });
      expect(model.info.copies?.values).toBeGreaterThan(0);
      expectAlike(
        await model.run({ image: image.get('image')?.data as Float32Array<ArrayBuffer> }),
        want,
        1e-4,
      );
      model.dispose();
    }
  });

  test('an output whose size depends on data is cut, wherever it is computed', async () => {
    const found = (): Graph => {
      const b = new Builder('found');
      const x = b.input('x', [2, 3]);
      const [positions, count] = b.node('NonZero', [b.relu(x)], {}).outputs as [Value, Value];
      b.graph.addOutput('found', positions, { axis: 1, value: count });
      b.output('more', b.op('Add', [positions, positions], {}));
      return b.graph as Graph;
    };
    const device = await deviceOf('vulkan');
    const whole = await loadFrom(await write(await compileGraph(found(), { target: BOTH })), { device });
    for (const op of ['NonZero', 'Add']) {
      const model = await loadFrom(await cutBundle(found(), (node) => node.op !== op), { device });
      for (const data of [Float32Array.of(0, 0, 0, 0, 0, 0), Float32Array.of(0, 7, 0, -1, 2, 0)]) {
        const want = await whole.run({ x: data });
        expect(await model.run({ x: data })).toEqual(want);
        const tensors = (await model.runOnDevice({ x: data })) as Record<string, DeviceTensor<unknown>>;
        expect(await tensors.found?.read()).toEqual(want.found);
      }
      model.dispose();
    }
    whole.dispose();
  });

  test('a picture goes to the part that reads it, unless that is on WebAssembly', async () => {
    const device = await deviceOf('vulkan');
    const { graph } = await lowered(smallNet(), {});
    const first = graph.nodes.find(({ operands }) =>
      operands.some((value) => value?.source.kind === 'input'),
    );
    const last = graph.nodes[graph.nodes.length - 1];
    const bytes = Uint8Array.from({ length: 7 * 9 * 4 }, (_, i) => (i * 7919) % 256);
    const texture = device.createTexture({
      size: [7, 9],
      format: 'rgba8unorm',
      usage: GPUTextureUsage.TEXTURE_BINDING | GPUTextureUsage.COPY_DST,
    });
    device.queue.writeTexture({ texture }, bytes, { bytesPerRow: 28 }, [7, 9]);
    const cut = async (off: Node | undefined) =>
      loadFrom(await cutBundle(smallNet(), ({ name }) => name !== off?.name, {}), { device });
    const model = await cut(last);
    expect(await model.run({ image: texture })).toEqual(await model.run({ image: bytes }));
    model.dispose();
    const other = await cut(first);
    await other.run({ image: bytes });
    await expect(other.run({ image: texture })).rejects.toThrow(
      'input "image": a layer on WebAssembly reads it, which takes data',
    );
    other.dispose();
  });

  test('in half precision too', async () => {
    const half = await write(await compileGraph(network(), { target: BOTH, gpuPrecision: 'f16' }));
    const model = await load(half);
    expectAlike(await model.run({ x }), reference(network(), inputs), 1e-2);
    model.dispose();
  });
});

describe('partition', () => {
  /** Units in a row and beside each other, of which those of Tanh are off the device. */
  const chain = (ops: readonly ('Tanh' | 'Relu')[]): Graph => {
    const b = new Builder('chain');
    let value = b.input('x', [4]);
    for (const op of ops) value = b.op(op, [value], {});
    b.output('y', value);
    return b.graph as Graph;
  };
  const onDevice = (node: Node) => node.op !== 'Tanh';
  const kinds = (graph: Graph) => partition(graph, onDevice)?.parts.map((part) => part.onDevice);

  test('looks at each layer a few times, however many parts there are', () => {
    const looks = (pairs: number): number => {
      const graph = chain(Array.from({ length: 2 * pairs }, (_, i) => (i % 2 === 0 ? 'Relu' : 'Tanh')));
      let count = 0;
      for (const node of graph.nodes) {
        const { operands } = node;
        Object.defineProperty(node, 'operands', {
          get: () => {
            count++;
            return operands;
          },
        });
      }
      expect(partition(graph, onDevice)?.parts).toHaveLength(2 * pairs);
      return count;
    };
    expect(looks(200)).toBe(2 * looks(100));
  });

  test('has as few parts as there can be', () => {
    expect(kinds(chain(['Relu', 'Relu']))).toEqual([true]);
    expect(kinds(chain(['Tanh', 'Relu', 'Relu', 'Tanh']))).toEqual([false, true, false]);
    const b = new Builder('beside');
    const x = b.input('x', [4]);
    const branches = [b.op('Relu', [b.op('Tanh', [x], {})], {}), b.op('Relu', [b.op('Tanh', [x], {})], {})];
    b.output('y', b.op('Add', branches, {}));
    expect(kinds(b.graph as Graph)).toEqual([false, true]);
  });

  test('its parts in a row compute what the whole does', () => {
    const b = new Builder('joined');
    const x = b.input('x', [4]);
    const first = b.relu(b.op('Add', [x, b.constant('c', f32([4], [1, -2, 3, -4]))], {}));
    const second = b.op('Tanh', [first], {});
    b.output('y', b.op('Mul', [b.relu(second), first], {}));
    b.output('same', second);
    b.output('again', second);
    b.output('x', x);
    const graph = b.graph as Graph;
    const { parts = [], outputs = [] } = partition(graph, onDevice) ?? {};
    const inputs = new Map([['x', f32([4], [0.5, -1, 2, 8])]]);
    const held = new Map<number, Tensor>([[0, inputs.get('x') as Tensor]]);
    for (const part of parts) {
      const given = part.graph.inputs.map(
        ({ name }, i) => [name, held.get(part.inputs[i] ?? -1) as Tensor] as const,
      );
      const values = evaluateGraph(part.graph, new Map(given));
      part.graph.outputs.forEach(({ value }, i) => {
        held.set(part.outputs[i] ?? -1, values.get(value) as Tensor);
      });
    }
    const values = evaluateGraph(graph, inputs);
    expect(outputs.map((number) => held.get(number))).toEqual(
      graph.outputs.map(({ value }) => values.get(value)),
    );
  });
});
