/** Networks in parts, on a software adapter: what goes between the parts, and what is refused. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Builder } from '#ir/builder.ts';
import { evaluateGraph } from '#ir/evaluate.ts';
import type { Graph } from '#ir/graph.ts';
import type { DeviceTensor } from '#runtime/model-types.ts';
import type { AnyModel } from '#runtime/session.ts';
import { expectAlike, loadFrom, smallNet } from '../support/bundles.ts';
import { countOn } from '../support/counting-device.ts';
import { cutBundle, lowered } from '../support/cut.ts';
import { Random, randomInputs } from '../support/graphs.ts';
import { makeDevice, withAdapter } from '../support/webgpu.ts';

const image = Float32Array.from({ length: 3 * 9 * 7 }, (_, i) => Math.sin(i));

/** Layers of which the second and the fourth read the first. */
function twiceRead(): Graph {
  const b = new Builder('twice');
  const random = new Random(3);
  const conv = (x: ReturnType<typeof b.input>, from: number, to: number, name: string) =>
    b.relu(b.conv(x, b.constant('w', random.tensor([to, from, 1, 1], -0.5, 0.5)), { name }));
  const one = conv(b.input('x', [1, 2, 3, 3]), 2, 4, 'one');
  const three = conv(conv(one, 4, 5, 'two'), 5, 6, 'three');
  b.output('y', conv(b.op('Concat', [one, three], { axis: 1 }, { name: 'join' }), 10, 3, 'four'));
  return b.graph;
}

withAdapter.describe('a network in parts', () => {
  let device: GPUDevice;
  beforeAll(async () => {
    device = await makeDevice();
  });
  afterAll(() => device.destroy());
  const load = (folder: string): Promise<AnyModel> => loadFrom(folder, { device, warmup: false });
  const outputsOf = async (model: AnyModel, given: object, into?: object) =>
    (await model.runOnDevice(given as never, (into ? { into } : {}) as never)) as Record<
      string,
      DeviceTensor<{ data: unknown }>
    >;

  test('copies just what its info says, however many layers read a value', async () => {
    const model = await load(await cutBundle(twiceRead(), ({ name }) => !['two', 'join'].includes(name)));
    const inputs = randomInputs(twiceRead(), 5);
    const x = inputs.get('x')?.data as Float32Array<ArrayBuffer>;
    const counts = countOn(device);
    expect(model.info.copies?.values).toBe(4);
    const { y } = await model.run({ x });
    counts.undo();
    // of the input and of the output there is one copy each besides
    const copies = (counts.made.get('reading') ?? 0) - 1 + counts.writes - 1;
    expect(copies).toBe(model.info.copies?.values);
    const graph = twiceRead();
    const values = evaluateGraph(graph, inputs);
    expectAlike({ y }, { y: values.get(graph.outputs[0]?.value as never)?.data });
    model.dispose();
  });

  test('refuses buffers for outputs before anything is run, wherever these are computed', async () => {
    const last = (await lowered(smallNet())).graph.nodes.at(-1);
    for (const off of ['second', last?.name]) {
      const model = await load(await cutBundle(smallNet(), ({ name }) => name !== off));
      await model.run({ image });
      const counts = countOn(device);
      const { submit } = device.queue;
      let submitted = 0;
      Object.assign(device.queue, { submit: () => submitted++ });
      const small = device.createBuffer({ size: 4, usage: GPUBufferUsage.COPY_DST });
      for (const name of ['features', 'scores'])
        await expect(outputsOf(model, { image }, { [name]: small })).rejects.toThrow(
          `into "${name}": what was given has 4 bytes`,
        );
      Object.assign(device.queue, { submit });
      expect(submitted).toBe(0);
      expect([...counts.buffers]).toEqual([small]);
      counts.undo();
      model.dispose();
    }
  });

  test('says where the device refuses one, and destroys what is not the caller’s', async () => {
    const last = (await lowered(smallNet())).graph.nodes.at(-1);
    for (const off of ['second', last?.name]) {
      const model = await load(await cutBundle(smallNet(), ({ name }) => name !== off));
      const want = await model.run({ image });
      const counts = countOn(device);
      for (const name of ['features', 'scores']) {
        const gone = device.createBuffer({ size: 4096, usage: GPUBufferUsage.COPY_DST });
        gone.destroy();
        await expect(outputsOf(model, { image }, { [name]: gone })).rejects.toThrow(
          /^the device refuses this run: .*destroyed/s,
        );
      }
      const given = device.createBuffer({ size: image.byteLength, usage: GPUBufferUsage.COPY_SRC });
      given.destroy();
      await expect(outputsOf(model, { image: given })).rejects.toThrow(
        /the device refuses this run.*destroyed/s,
      );
      expect(counts.buffers.size).toBe(0);
      counts.undo();
      expect(await model.run({ image })).toEqual(want);
      model.dispose();
    }
  });

  test('names the file that is not the bundle’s', async () => {
    const folder = await cutBundle(smallNet(), ({ name }) => name !== 'second');
    const path = join(folder, 'split.bin');
    const bytes = readFileSync(path);
    const options = { device, backend: 'webgpu', warmup: false, verify: true } as const;
    writeFileSync(path, bytes.subarray(4));
    await expect(loadFrom(folder, options)).rejects.toThrow(/^split.bin has \d+ bytes/);
    writeFileSync(
      path,
      bytes.map((byte) => byte ^ 1),
    );
    await expect(loadFrom(folder, options)).rejects.toThrow(/^split.bin is corrupt/);
  });

  test('integers beyond 32 bits are refused where they would go to the device', async () => {
    const b = new Builder('wide');
    const i = b.input('i', [2], 'i64');
    b.output('sum', b.op('Add', [i, i], {}));
    b.output('y', b.relu(b.input('x', [4])));
    const model = await load(await cutBundle(b.graph, (node) => node.outputs[0]?.type.dtype === 'f32'));
    const x = Float32Array.of(1, -1, 2, -2);
    const near = BigInt64Array.of(2n ** 30n, -5n);
    expect((await model.run({ i: near, x })).sum).toEqual(BigInt64Array.of(2n ** 31n, -10n));
    await expect(outputsOf(model, { i: near, x })).rejects.toThrow(
      'output "sum": 2147483648 does not fit the 32 bits of a GPU',
    );
    const small = await outputsOf(model, { i: BigInt64Array.of(3n, -5n), x });
    expect((await small.sum?.read())?.data).toEqual(BigInt64Array.of(6n, -10n));
    await expect(model.run({ i: BigInt64Array.of(2n ** 40n, 0n), x })).rejects.toThrow(
      'input "i": 1099511627776 does not fit the 32 bits of a GPU',
    );
    model.dispose();
  });
});
