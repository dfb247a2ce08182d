import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { importOnnx } from '#compiler/import/onnx/index.ts';
import { Builder, type ConvOptions } from '#ir/builder.ts';
import type { Graph, Value } from '#ir/graph.ts';
import { composites } from '#passes/analysis/composites.ts';
import { collectionFile, withModels } from '../../support/collection.ts';
import { absent } from './networks.ts';

/** Kinds and the nodes of each, by name. */
const found = (graph: Graph) => composites(graph).map(({ id, nodes }) => [id, ...nodes.map((n) => n.name)]);

function net(build: (b: Builder, x: Value, conv: Conv) => Value, channels = 8): Graph {
  const b = new Builder('net');
  const conv: Conv = (x, [cout, perGroup, ...kernel], options = {}) =>
    b.conv(x, b.constant('w', absent([cout, perGroup, ...kernel])), {
      pads: [...kernel, ...kernel].map((k) => (k - 1) / 2),
      ...options,
    });
  b.output('y', build(b, b.input('x', [1, channels, 8, 8]), conv));
  return b.graph;
}
type Conv = (x: Value, weight: readonly [number, number, ...number[]], options?: ConvOptions) => Value;

const depthwise = (c: number): readonly [number, number, number, number] => [c, 1, 3, 3];

describe('inverted residual', () => {
  const block = (last: (b: Builder, y: Value) => Value, readTwice = false) =>
    net((b, x, conv) => {
      const wide = b.relu(conv(x, [32, 8, 1, 1], { name: 'expand' }));
      const deep = b.relu(conv(wide, depthwise(32), { group: 32, name: 'depthwise' }));
      if (readTwice) b.output('also', deep);
      return b.add(last(b, conv(deep, [8, 32, 1, 1], { name: 'project' })), x);
    });

  test('is all of it, with activations and the sum', () => {
    expect(found(block((_, y) => y))).toEqual([
      ['inverted-residual-1', 'expand', 'Relu_1', 'depthwise', 'Relu_3', 'project', 'Add_5'],
    ]);
  });

  test('with an activation at the end it is a separable pair', () => {
    const [only, ...more] = found(block((b, y) => b.relu(y)));
    expect(more).toEqual([]);
    expect(only).toEqual(['depthwise-separable-1', 'depthwise', 'Relu_3', 'project', 'Relu_5']);
  });

  test('a value that somebody else reads ends it', () => {
    expect(found(block((_, y) => y, true))).toEqual([]);
  });

  test('without expansion it is depthwise, activation, pointwise', () => {
    const graph = net((b, x, conv) =>
      conv(b.relu(conv(x, depthwise(8), { group: 8, name: 'dw' })), [4, 8, 1, 1], { name: 'pw' }),
    );
    expect(found(graph)).toEqual([['inverted-residual-1', 'dw', 'Relu_1', 'pw']]);
  });
});

test('spatially separable: halves along other axes; flattened: depthwise ones behind a pointwise conv', () => {
  const pair = (second: readonly [number, number]) =>
    net((b, x, conv) => conv(b.relu(conv(x, [8, 8, 3, 1])), [8, 8, ...second], { name: 'second' }));
  expect(found(pair([1, 3])).map(([id]) => id)).toEqual(['spatially-separable-1']);
  expect(found(pair([3, 1]))).toEqual([]);
  const flattened = net((_, x, conv) =>
    conv(conv(conv(x, [16, 8, 1, 1]), [16, 1, 3, 1], { group: 16 }), [16, 1, 1, 3], { group: 16 }),
  );
  expect(found(flattened)).toEqual([['flattened-1', 'Conv_0', 'Conv_1', 'Conv_2']]);
});

test('a chain of halves is pairs', () => {
  const graph = net((_, x, conv) =>
    conv(conv(conv(conv(x, [8, 8, 7, 1]), [8, 8, 1, 7]), [8, 8, 7, 1]), [8, 8, 1, 7]),
  );
  expect(found(graph)).toEqual([
    ['spatially-separable-1', 'Conv_0', 'Conv_1'],
    ['spatially-separable-2', 'Conv_2', 'Conv_3'],
  ]);
});

test('shuffles, as one op or spelled out, with a grouped conv before them', () => {
  const shuffled = (groups: number, perm: readonly number[]) =>
    net((b, x, conv) => {
      const y = conv(x, [8, 8 / groups, 1, 1], { group: groups, name: 'conv' });
      const view = b.op('Reshape', [y], { shape: [1, 2, 4, 8, 8] }, { name: 'split' });
      const turned = b.op('Transpose', [view], { perm }, { name: 'turn' });
      return b.op('Reshape', [turned], { shape: [1, 8, 8, 8] }, { name: 'join' });
    });
  expect(found(shuffled(2, [0, 2, 1, 3, 4]))).toEqual([
    ['grouped-shuffle-1', 'conv', 'split', 'turn', 'join'],
  ]);
  expect(found(shuffled(1, [0, 2, 1, 3, 4]))).toEqual([['channel-shuffle-1', 'split', 'turn', 'join']]);
  expect(found(shuffled(2, [0, 1, 2, 4, 3]))).toEqual([]);
  const read = net((b, x, conv) => {
    const y = conv(x, [8, 4, 1, 1], { group: 2 });
    b.output('also', y);
    return b.op('ChannelShuffle', [y], { groups: 2 }, { name: 'shuffle' });
  });
  expect(found(read)).toEqual([['channel-shuffle-1', 'shuffle']]);
  const op = net((b, x) => b.op('ChannelShuffle', [x], { groups: 2 }, { name: 'shuffle' }));
  expect(found(op)).toEqual([['channel-shuffle-1', 'shuffle']]);
});

test('squeeze-excite: the gate of a value by its own average', () => {
  const two = net((b, x, conv) => {
    const y = b.relu(x);
    const small = conv(b.op('GlobalAveragePool', [y], {}), [2, 8, 1, 1]);
    // x·sigmoid(x) between the two
    const active = b.op('Mul', [small, b.op('Sigmoid', [small], {})], {});
    return b.op('Mul', [b.op('Sigmoid', [conv(active, [8, 2, 1, 1])], {}), y], {});
  });
  expect(found(two).map(([id, ...nodes]) => [id, nodes.length])).toEqual([['squeeze-excite-1', 7]]);
  const one = net((b, x, conv) => {
    const gate = b.op('Sigmoid', [conv(b.op('GlobalAveragePool', [x], {}), [8, 8, 1, 1])], {});
    return b.op('Mul', [gate, x], {});
  });
  expect(found(one)).toEqual([]);
});

test('sub-pixel: a conv before DepthToSpace', () => {
  const graph = net((b, x, conv) =>
    b.op('DepthToSpace', [conv(x, [8, 8, 1, 1])], { blocksize: 2, mode: 'CRD' }),
  );
  expect(found(graph)).toEqual([['sub-pixel-1', 'Conv_0', 'DepthToSpace_1']]);
});

// mobilenet_v2, mnasnet, efficientnet and mobilenet_v3 each have one block without expansion among their inverted residuals
const ZOO: readonly (readonly [name: string, counts: Readonly<Record<string, number>>])[] = [
  ['mobilenet_v2', { 'inverted-residual': 17 }],
  ['mnasnet1_0', { 'inverted-residual': 17 }],
  ['efficientnet_b0', { 'inverted-residual': 16, 'squeeze-excite': 16 }],
  ['mobilenet_v3_large', { 'inverted-residual': 15, 'squeeze-excite': 8 }],
  ['mobilenet_v3_small', { 'inverted-residual': 11, 'squeeze-excite': 9 }],
  ['regnet_y_400mf', { 'squeeze-excite': 16 }],
  ['ghostnet_100', { 'depthwise-separable': 9, 'squeeze-excite': 7 }],
  ['mobilenetv1_100', { 'depthwise-separable': 13 }],
  ['legacy_xception', { 'depthwise-separable': 34 }],
  ['shufflenet_v1_g3', { 'channel-shuffle': 1, 'grouped-shuffle': 15 }],
  ['shufflenet_v2_x1_0', { 'channel-shuffle': 16, 'depthwise-separable': 19 }],
  ['inception_v3', { 'spatially-separable': 13 }],
  ['flattened_convnet', { flattened: 6 }],
  ['espcn_x3', { 'sub-pixel': 1 }],
  ['resnet50', {}],
  ['vgg16', {}],
];

withModels.describe('composites of the zoo', () => {
  test.each(ZOO)('%s', (name, counts) => {
    const { graph } = importOnnx(readFileSync(collectionFile(`zoo/${name}.onnx`)));
    const kinds: Record<string, number> = {};
    for (const { kind } of composites(graph)) kinds[kind] = (kinds[kind] ?? 0) + 1;
    expect(kinds).toEqual(counts);
    const nodes = composites(graph).flatMap((c) => c.nodes);
    expect(new Set(nodes).size).toBe(nodes.length);
  });
});
