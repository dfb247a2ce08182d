/** Several threads: the same bits as one, whatever the layers are. */
import { spawnSync } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compileGraph } from '#compiler/compile.ts';
import { loadBundle } from '#compiler/files/index.ts';
import { Builder } from '#ir/builder.ts';
import type { Graph } from '#ir/graph.ts';
import type { Tensor } from '#ir/tensor.ts';
import { launchBrowser, serve, withBrowser } from '../support/browser.ts';
import { smallNet, temporaryFolder, write } from '../support/bundles.ts';
import { buildStack, stackArbitrary } from '../support/conv-stacks.ts';
import { Random } from '../support/graphs.ts';
import { type QuantisedConv, quantisedConv } from '../support/quantised.ts';

const MOST = 4;

const bundleFor = async (graph: Graph): Promise<string> =>
  write(await compileGraph(graph, { threads: MOST }));

async function run(
  folder: string,
  inputs: ReadonlyMap<string, Tensor>,
  threads: number,
): Promise<Record<string, unknown>> {
  const model = await loadBundle(folder, { threads, warmup: false });
  expect(model.info).toMatchObject({ threads });
  const given = Object.fromEntries([...inputs].map(([name, { data }]) => [name, data as Float32Array]));
  const first = await model.run(given);
  // whoever comes late in one run must not be late for the next
  expect(await model.run(given)).toEqual(first);
  model.dispose();
  return first;
}

/** A network of one layer, with its input. */
function layer(
  shape: readonly number[],
  build: (b: Builder, x: ReturnType<Builder['input']>, random: Random) => ReturnType<Builder['relu']>,
) {
  const random = new Random(3);
  const b = new Builder('layer');
  const x = b.input('x', [...shape]);
  b.output('y', build(b, x, random));
  return { graph: b.graph, inputs: new Map([['x', random.tensor([...shape])]]) };
}

const conv = (channels: number, to: number, kernel: number, options: object, size: number) =>
  layer([1, channels, size, size + 1], (b, x, random) => {
    const { group = 1 } = options as { readonly group?: number };
    const weights = b.constant('w', random.tensor([to, channels / group, kernel, kernel], -0.3, 0.3));
    return b.relu(b.conv(x, weights, { bias: b.constant('b', random.tensor([to])), ...options }));
  });

const bytes = (c: Omit<QuantisedConv, 'channels'> & { readonly channels?: number }) =>
  quantisedConv({ channels: 13, perChannel: true, bias: true, ...c });

const PADS = { pads: [1, 1, 1, 1] };

describe('threads give the bits of one', () => {
  test.each([
    ['pixels, with a rest', conv(8, 8, 1, {}, 9)],
    ['panels of weights, with a rest', conv(64, 44, 1, {}, 2)],
    ['one pixel', conv(32, 100, 1, {}, 1)],
    ['rows of a strided kernel', conv(3, 16, 3, { ...PADS, strides: [2, 2] }, 33)],
    ['groups', conv(32, 32, 3, { ...PADS, group: 8 }, 7)],
    ['depthwise rows with borders', conv(12, 12, 5, { pads: [2, 2, 2, 2], group: 12 }, 9)],
    ['more rows of border than others', conv(8, 8, 3, { ...PADS, group: 8 }, 2)],
    ['minimal filtering of many blocks', conv(32, 32, 3, PADS, 24)],
    [
      'minimal filtering of blocks of two pictures and two groups, onto another value',
      layer([2, 64, 21, 18], (b, x, random) => {
        const weights = b.constant('w', random.tensor([64, 32, 3, 3], -0.3, 0.3));
        return b.relu(b.op('Add', [b.conv(x, weights, { ...PADS, group: 2 }), x], {}));
      }),
    ],
    ['minimal filtering of one block', conv(64, 64, 3, PADS, 7)],
    ['bytes: pixels of a strided kernel', bytes({ x: [1, 6, 17, 13], kernel: [3, 3], strides: [2, 1] })],
    ['bytes: panels of weights, one pixel', bytes({ x: [1, 64, 1, 1], channels: 44, kernel: [1, 1] })],
    [
      'bytes: one long line, a rest of pixels',
      bytes({ x: [1, 16, 9, 8], kernel: [1, 1], types: ['i8', 'i8', 'i8'] }),
    ],
    [
      'bytes: groups',
      bytes({ x: [1, 32, 5, 5], channels: 32, kernel: [3, 3], pads: [1, 1, 1, 1], group: 8 }),
    ],
    ['a softmax', layer([5, 7], (b, x) => b.op('Softmax', [x], { axis: 1 }))],
    ['an elementwise function', layer([1, 3, 5, 7], (b, x) => b.op('Tanh', [x], {}))],
    ['a transpose', layer([6, 9, 5], (b, x) => b.op('Transpose', [x], { perm: [0, 2, 1] }))],
    ['a reduction', layer([6, 9, 5], (b, x) => b.op('ReduceMean', [x], { axes: [2], keepDims: false }))],
  ] as const)('%s', async (_, { graph, inputs }) => {
    const folder = await bundleFor(graph);
    const one = await run(folder, inputs, 1);
    for (const threads of [2, MOST]) expect(await run(folder, inputs, threads)).toEqual(one);
  });

  test('in stacks of convolutions', async () => {
    for (const spec of fc.sample(stackArbitrary, { seed: 11, numRuns: 6 })) {
      const { graph, inputs } = buildStack(spec);
      const folder = await bundleFor(graph);
      expect(await run(folder, inputs, 3)).toEqual(await run(folder, inputs, 1));
    }
  });
});

describe('loading', () => {
  test('of a bundle for one thread refuses more', async () => {
    const folder = await write(await compileGraph(smallNet()));
    await expect(loadBundle(folder, { threads: 2 })).rejects.toThrow('this bundle runs on 1 thread, not 2');
  });

  test.each([0, 1.5, MOST + 1])('refuses %s threads', async (threads) => {
    const folder = await bundleFor(smallNet());
    await expect(loadBundle(folder, { threads })).rejects.toThrow(
      `this bundle runs on 1 to ${MOST} threads, not ${threads}`,
    );
  });

  test('runs on one thread where workers do not start, and says why', async () => {
    const folder = await bundleFor(smallNet());
    await rm(join(folder, 'worker.js'));
    const model = await loadBundle(folder, { threads: 2, warmup: false });
    expect(model.info.threads).toBe(1);
    expect(model.info.threadsNote).toContain('threads do not start');
    const image = new Random(1).tensor([1, 3, 9, 7]).data as Float32Array;
    const alone = await loadBundle(folder, { warmup: false });
    expect(await model.run({ image })).toEqual(await alone.run({ image }));
  });

  test('with warm-up keeps the faster way, and says so', async () => {
    const model = await loadBundle(await bundleFor(smallNet()), { threads: 2, verify: true });
    const { threads, threadsNote } = model.info;
    expect([1, 2]).toContain(threads);
    expect(threadsNote === undefined).toBe(threads === 2);
    model.dispose();
  });

  test('a process ends by itself, whether the model is disposed of or not', async () => {
    const folder = await bundleFor(smallNet());
    const script = join(await temporaryFolder(), 'script.mjs');
    for (const end of ['', 'model.dispose();']) {
      await writeFile(
        script,
        `import { load } from ${JSON.stringify(join(folder, 'index.js'))};
const model = await load({ threads: 3, warmup: false });
await model.run({ image: new Float32Array(189) });
${end}
console.log(model.info.threads);`,
      );
      const { status, stdout } = spawnSync(process.execPath, [script], { encoding: 'utf8', timeout: 20_000 });
      expect({ status, stdout }).toEqual({ status: 0, stdout: '3\n' });
    }
  });
});

withBrowser.describe('in a page', () => {
  const script = `(async () => {
    const { load } = await import('/index.js');
    const model = await load({ threads: 2, warmup: false, relaxed: false });
    const { scores } = await model.run({ image: new Float32Array(189).map((_, i) => Math.sin(i)) });
    const result = { threads: model.info.threads, note: model.info.threadsNote ?? '', scores: [...scores] };
    model.dispose();
    return result;
  })()`;

  test.each([true, false])('isolated: %s', async (crossOriginIsolated) => {
    const folder = await bundleFor(smallNet());
    const files = { '/page.html': '<!doctype html><title>threads</title>' };
    const server = await serve(folder, { files, crossOriginIsolated });
    const browser = await launchBrowser();
    try {
      const page = await browser.newPage();
      await page.goto(`${server.url}/page.html`);
      const { threads, note, scores } = (await page.evaluate(script)) as {
        readonly threads: number;
        readonly note: string;
        readonly scores: number[];
      };
      expect(threads).toBe(crossOriginIsolated ? 2 : 1);
      expect(note).toContain(crossOriginIsolated ? '' : 'not cross-origin isolated');
      expect(server.requests).toContain(crossOriginIsolated ? '/model.threads.wasm' : '/model.wasm');
      const here = await loadBundle(folder, { warmup: false, relaxed: false });
      const image = new Float32Array(189).map((_, i) => Math.sin(i));
      const expected = (await here.run({ image })).scores as Float32Array;
      expect(scores).toEqual([...expected]);
    } finally {
      await browser.close();
      await server.close();
    }
  });
});
