/** Every method against the convolution that it stands for. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Builder } from '#ir/builder.ts';
import { cloneGraph } from '#ir/clone.ts';
import { evaluateGraph } from '#ir/evaluate.ts';
import { constantOf, type Graph, isOp, type Value } from '#ir/graph.ts';
import { f32 } from '#ir/tensor.ts';
import { product } from '#ir/types.ts';
import { graphCost } from '#passes/analysis/cost.ts';
import { replaceByChain } from '#passes/factorize/apply.ts';
import {
  candidates,
  type FactorizationName,
  type Family,
  fitForm,
  type RankOption,
} from '#passes/factorize/family.ts';
import { type ConvLayer, chainCost, convLayer } from '#passes/factorize/layer.ts';
import { METHODS } from '#passes/factorize/methods.ts';
import { weightMoments } from '#passes/factorize/moments.ts';
import { No } from '#passes/pattern.ts';
import { compareGraphs } from '../../support/graphs.ts';
import { Random } from '../../support/random.ts';

/** A random convolution alone; one to three spatial axes. */
function network(seed: number, rank: number, square = false): Graph {
  const random = new Random(seed);
  const b = new Builder('one');
  const each = (low: number, high: number) => Array.from({ length: rank }, () => random.integer(low, high));
  const kernel = square ? each(3, 3) : each(2, 3);
  const [cin, cout] = [random.integer(2, 5), random.integer(2, 6)];
  const x = b.input('x', [random.integer(1, 2), cin, ...each(7, 9)]);
  const bias = random.flip() ? { bias: b.constant('b', random.tensor([cout])) } : {};
  const y = b.conv(x, b.constant('w', random.tensor([cout, cin, ...kernel])), {
    strides: each(1, 2),
    dilations: each(1, 2),
    pads: [...each(0, 2), ...each(0, 2)],
    ...bias,
  });
  b.output('y', b.relu(y));
  return b.graph;
}

function layerOf(graph: Graph): ConvLayer {
  for (const node of graph.nodes) {
    const layer = convLayer(node);
    if (layer && !(layer instanceof No)) return layer;
  }
  throw new Error('no convolution');
}

function familiesOf(method: FactorizationName, graph: Graph): readonly Family[] {
  const layer = layerOf(graph);
  return METHODS[method].families(layer, weightMoments(layer)).flatMap(({ make }) => make() ?? []);
}

/** The network with its convolution in this form, and the error that was promised. */
function inForm(graph: Graph, family: Family, option: RankOption): { rewritten: Graph; error: number } {
  const rewritten = cloneGraph(graph);
  const layer = layerOf(rewritten);
  const fitted = fitForm({ family, option }, weightMoments(layer));
  replaceByChain(rewritten, layer, fitted);
  return { rewritten, error: fitted.error };
}

/** The rank at which each is exact. */
const EXACT_AT = {
  depthwise: 'T = min(k², Cout)',
  spatial: 'R = min(Cin·kh, Cout·kw)',
  tucker: '(Cin, Cout)',
} as const;

describe.each(['depthwise', 'spatial', 'tucker'] as const)('%s at its full rank', (method) => {
  test.each(method === 'spatial' ? [2, 3] : [1, 2, 3])(
    `is exact in %i dimensions: ${EXACT_AT[method]}`,
    (rank) => {
      for (let seed = 1; seed <= 12; seed++) {
        const graph = network(seed, rank);
        const families = familiesOf(method, graph);
        for (const family of method === 'tucker' ? families.slice(-1) : families) {
          const option = family.options.at(-1);
          if (!option) throw new Error('no rank');
          const { rewritten, error } = inForm(graph, family, option);
          expect(error).toBeLessThan(1e-10);
          // f32 weights of several factors; the bound is that of an exact form
          expect(compareGraphs(graph, rewritten)).toBeLessThan(1e-5);
        }
      }
    },
  );
});

/** The kernel of the chain as one convolution would have it, by sending unit impulses through it. */
function kernelError(graph: Graph, family: Family, option: RankOption): number {
  const layer = layerOf(graph);
  const { weights, chain } = fitForm({ family, option }, weightMoments(layer));
  const b = new Builder('impulses');
  const size = layer.axes.map((a) => 2 * (a.kernel - 1) * a.dilation + 1);
  // without padding and stride, of each input channel alone: the outputs are the kernel, turned around
  const plain = { strides: size.map(() => 1), pads: size.flatMap(() => [0, 0]) };
  let x: Value = b.input('x', [layer.cin, layer.cin, ...size]);
  const y = b.conv(
    x,
    b.constant('w', {
      type: { dtype: 'f32', shape: [layer.cout, layer.cin, ...layer.kernel] },
      data: layer.weight,
    }),
    {
      ...plain,
      dilations: layer.axes.map((a) => a.dilation),
    },
  );
  chain.forEach(({ cout, cinPerGroup, group, axes }, i) => {
    const shape = [cout, cinPerGroup, ...axes.map((a) => a.kernel)];
    const data = weights[i];
    if (!data) throw new Error('a factor without weights');
    x = b.conv(x, b.constant(`f${i}`, { type: { dtype: 'f32', shape }, data }), {
      ...plain,
      dilations: axes.map((a) => a.dilation),
      group,
    });
  });
  b.output('chain', x);
  b.output('whole', y);
  return impulseError(b.graph, layer.cin, size);
}

function impulseError(graph: Graph, cin: number, size: readonly number[]): number {
  const count = product(size);
  const data = new Float32Array(cin * cin * count);
  for (let c = 0; c < cin; c++) data[(c * cin + c) * count + Math.floor(count / 2)] = 1;
  const values = evaluateGraph(graph, new Map([['x', f32([cin, cin, ...size], data)]]));
  const [chain, whole] = graph.outputs.map(({ value }) => values.get(value)?.data ?? []);
  let [off, all] = [0, 0];
  for (let i = 0; i < (whole?.length ?? 0); i++) {
    off += (Number(chain?.[i]) - Number(whole?.[i])) ** 2;
    all += Number(whole?.[i]) ** 2;
  }
  return off / all;
}

test.each(['depthwise', 'spatial', 'tucker', 'cp'] as const)(
  '%s: the weight error that is reported is that of the factors multiplied out',
  (method) => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 0, max: 99 }), (seed, pick) => {
        const graph = network(seed, 2, true);
        const families = familiesOf(method, graph);
        const family = families[pick % Math.max(1, families.length)];
        const option = family?.options[pick % family.options.length];
        if (!family || !option) return;
        expect(kernelError(graph, family, option)).toBeCloseTo(inForm(graph, family, option).error, 5);
      }),
      { numRuns: 15 },
    );
  },
);

test('two pointwise convolutions in place of one: exact at min(Cin, Cout), off by what is reported', () => {
  for (let seed = 1; seed <= 8; seed++) {
    const random = new Random(seed);
    const b = new Builder('pointwise');
    const [cin, cout] = [random.integer(2, 7), random.integer(2, 7)];
    const weight = b.constant('w', random.tensor([cout, cin, 1, 1]));
    b.output('y', b.conv(b.input('x', [1, cin, 7, 6]), weight, { strides: [2, 1], pads: [1, 0, 0, 1] }));
    for (const family of familiesOf('tucker', b.graph)) {
      for (const option of family.options) {
        const { rewritten, error } = inForm(b.graph, family, option);
        expect(kernelError(b.graph, family, option)).toBeCloseTo(error, 6);
        if (option !== family.options.at(-1)) continue;
        expect(error).toBeLessThan(1e-10);
        expect(compareGraphs(b.graph, rewritten)).toBeLessThan(1e-5);
      }
    }
  }
});

test('a candidate costs what the rewritten network costs', () => {
  for (const method of ['depthwise', 'spatial', 'tucker', 'cp'] as const) {
    for (let seed = 1; seed <= 6; seed++) {
      const graph = network(seed, 2, true);
      for (const { family, option, cost } of candidates(
        METHODS[method],
        layerOf(graph),
        weightMoments(layerOf(graph)),
      )) {
        const { totals } = graphCost(inForm(graph, family, option).rewritten);
        expect([cost.macs, cost.parameters]).toEqual([totals.macs, totals.parameters]);
      }
    }
  }
});

test('a larger rank is never worse', () => {
  for (const method of ['depthwise', 'spatial', 'tucker'] as const) {
    const graph = network(3, 2, true);
    for (const family of familiesOf(method, graph)) {
      const errors = family.options.map((option) => inForm(graph, family, option).error);
      for (const [i, error] of errors.entries())
        expect(error).toBeLessThanOrEqual((errors[i - 1] ?? 1) + 1e-9);
    }
  }
});

// Network Decoupling, Guo et al., BMVC 2018: VGG16 on 224², all convs but the first
test('depthwise on the shapes of VGG16: 1.863, 3.639, 5.414, 7.190, 8.966, 10.742 GMACs at T = 1…6', () => {
  const shapes = [
    [64, 64, 224],
    [64, 128, 112],
    [128, 128, 112],
    [128, 256, 56],
    [256, 256, 56],
    [256, 256, 56],
    [256, 512, 28],
    [512, 512, 28],
    [512, 512, 28],
    [512, 512, 14],
    [512, 512, 14],
    [512, 512, 14],
  ] as const;
  const first = 3 * 64 * 9 * 224 ** 2;
  const axis = { kernel: 3, stride: 1, dilation: 1, padBegin: 1, padEnd: 1 };
  const point = { kernel: 1, stride: 1, dilation: 1, padBegin: 0, padEnd: 0 };
  const total = (t: number) =>
    shapes.reduce((sum, [cin, cout, size]) => {
      const layer = { batch: 1, cin, sizes: [size, size] } as unknown as ConvLayer;
      const chain = [
        { role: 'depthwise', cout: t * cin, cinPerGroup: 1, group: cin, axes: [axis, axis] },
        { role: 'pointwise', cout, cinPerGroup: t * cin, group: 1, axes: [point, point] },
      ];
      return sum + chainCost(layer, chain).macs;
    }, first);
  expect([1, 2, 3, 4, 5, 6].map((t) => (total(t) / 1e9).toFixed(3))).toEqual([
    '1.863',
    '3.639',
    '5.414',
    '7.190',
    '8.966',
    '10.742',
  ]);
});

test('layers that have no such form are refused with the reason', () => {
  const b = new Builder('refused');
  const x = b.input('x', [1, 4, 8, 8]);
  const weight = (shape: readonly number[]) => b.constant('w', new Random(1).tensor(shape));
  const grouped = b.conv(x, weight([4, 2, 3, 3]), { group: 2, name: 'grouped' });
  const pointwise = b.conv(x, weight([4, 4, 1, 1]), { name: 'pointwise' });
  const line = b.conv(x, weight([4, 4, 3, 1]), { name: 'line' });
  for (const y of [grouped, pointwise, line]) b.output(y.name, y);
  const reasonOf = (name: string, method: FactorizationName): string | undefined => {
    const node = b.graph.nodes.find((n) => n.name === name);
    const layer = node && convLayer(node);
    return layer instanceof No ? layer.reason : layer && METHODS[method].refuse(layer);
  };
  expect(reasonOf('grouped', 'tucker')).toBe('it has 2 groups already');
  expect(reasonOf('pointwise', 'depthwise')).toBe('its kernel has one element');
  expect(reasonOf('pointwise', 'cp')).toBe('its kernel has one element');
  expect(reasonOf('line', 'spatial')).toBe('its kernel is longer than 1 along one axis at most');
  expect(reasonOf('line', 'depthwise')).toBeUndefined();
  expect(b.graph.nodes.every((n) => isOp(n, 'Conv') && constantOf(n.operands[1] ?? x))).toBe(true);
});
