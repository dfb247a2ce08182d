import { describe, expect, test } from 'vitest';
import { Builder, type ConvOptions } from '#ir/builder.ts';
import { convClasses } from '#ir/conv-kind.ts';
import { CATALOGUE } from '#ir/diagnostic-catalogue.ts';
import { FINDINGS, type FindingCode } from '#ir/finding-catalogue.ts';
import type { Graph, Value } from '#ir/graph.ts';
import { f32 } from '#ir/tensor.ts';
import { product } from '#ir/types.ts';
import { composites } from '#passes/analysis/composites.ts';
import { graphCost } from '#passes/analysis/cost.ts';
import { type Finding, type FindingOptions, findings, RULES } from '#passes/analysis/findings/index.ts';
import { receptiveFields } from '#passes/analysis/receptive-field.ts';
import { passNames } from '#passes/pass.ts';
import { graphPipeline } from '#passes/pipeline.ts';
import { blocksRun } from '../../support/work.ts';
import { absent } from './networks.ts';

const all = (graph: Graph, options: FindingOptions = {}, sizesKnown = true): readonly Finding[] =>
  findings(
    {
      graph,
      cost: graphCost(graph),
      fields: receptiveFields(graph),
      classes: convClasses(graph),
      composites: composites(graph),
      sizesKnown,
      name: (node) => node.name,
    },
    options,
  );

const codes = (...args: Parameters<typeof all>) => all(...args).map((f) => f.code);

/** The finding of a code; undefined where there is none. */
const of = (code: FindingCode, graph: Graph): Finding | undefined => all(graph).find((f) => f.code === code);

const evidenceOf = (code: FindingCode, graph: Graph) => of(code, graph)?.places.map((p) => p.evidence);

type Weight = readonly [cout: number, perGroup: number, ...kernel: number[]];
type Conv = (x: Value, weight: Weight, options?: ConvOptions, values?: (index: number) => number) => Value;

function net(shape: readonly number[], build: (b: Builder, x: Value, conv: Conv) => Value): Graph {
  const b = new Builder('net');
  const conv: Conv = (x, weight, options = {}, values) => {
    const data =
      values &&
      f32(
        weight,
        Array.from({ length: product(weight) }, (_, i) => values(i)),
      );
    const pads = weight.slice(2).map((k, i) => ((k - 1) / 2) * (options.dilations?.[i] ?? 1));
    return b.conv(x, b.constant('w', data ?? absent(weight)), { pads: [...pads, ...pads], ...options });
  };
  b.output('y', build(b, b.input('x', shape), conv));
  return b.graph;
}

/** One transposed conv of stride 2. */
const upsampling = (kernel: number, strides = [2, 2]): Graph =>
  net([1, 4, 8, 8], (b, x) =>
    b.op('ConvTranspose', [x, b.constant('w', absent([4, 8, kernel, kernel]))], {
      strides,
      dilations: [1, 1],
      pads: [0, 0, 0, 0],
      outputPadding: [0, 0],
      group: 1,
    }),
  );

test('checkerboard: a kernel that is no multiple of the stride', () => {
  expect(evidenceOf('checkerboard', upsampling(3))).toEqual([
    { kernel: 3, stride: 2, fewestProducts: 1, mostProducts: 4 },
  ]);
  expect(evidenceOf('checkerboard', upsampling(5))).toEqual([
    { kernel: 5, stride: 2, fewestProducts: 4, mostProducts: 9 },
  ]);
  for (const graph of [upsampling(2), upsampling(4), upsampling(3, [1, 1])]) {
    expect(of('checkerboard', graph)).toBeUndefined();
  }
});

describe('gridding', () => {
  const stack = (...dilations: readonly number[]) =>
    net([1, 4, 32, 32], (b, x, conv) =>
      dilations.reduce((y, d) => b.relu(conv(y, [4, 4, 3, 3], { dilations: [d, d] })), x),
    );

  test('dilations 2, 2, 2 see 7² of 13² positions', () => {
    const finding = of('gridding', stack(2, 2, 2));
    expect(finding?.places.map((p) => p.evidence)).toEqual([{ factor: 2, density: (7 / 13) ** 2 }]);
    expect(finding?.layers).toEqual(['Conv_0', 'Conv_2', 'Conv_4']);
  });

  test('2 then 4 see no more', () => {
    expect(evidenceOf('gridding', stack(2, 4))).toEqual([{ factor: 2, density: (7 / 13) ** 2 }]);
  });

  test('not with dilations without a common factor, nor behind a layer of dilation 1, nor with one dilation', () => {
    for (const dilations of [[2, 3], [1, 2, 4], [2]]) {
      expect(of('gridding', stack(...dilations))).toBeUndefined();
    }
  });

  test('two branches behind a dilated layer are as many stacks', () => {
    const graph = net([1, 4, 32, 32], (b, x, conv) => {
      const trunk = conv(x, [4, 4, 3, 3], { dilations: [2, 2] });
      return [1, 2]
        .map(() => conv(trunk, [4, 4, 3, 3], { dilations: [4, 4] }))
        .reduce((sum, y) => b.add(sum, y), trunk);
    });
    expect(of('gridding', graph)?.places.map((p) => p.layers.length)).toEqual([2, 2]);
  });

  test('a thousand layers are looked at in twice the time of five hundred', async () => {
    const deep = (count: number) => stack(...Array.from({ length: count }, (_, i) => (i % 50 === 0 ? 2 : 1)));
    const [some, more] = [deep(500), deep(1000)];
    const context = (graph: Graph) => ({
      graph,
      cost: graphCost(graph),
      fields: receptiveFields(graph),
      classes: convClasses(graph),
      composites: [],
      sizesKnown: true,
      name: () => '',
    });
    const [a, b] = [context(some), context(more)];
    const [few = 0, twice = 0] = await blocksRun([
      () => RULES.gridding.find(a),
      () => RULES.gridding.find(b),
    ]);
    expect(twice / few).toBeLessThan(2.2);
    expect(few / some.nodes.length).toBeLessThan(40);
  });
});

describe('paths-misaligned', () => {
  const joined = (kernel: number, pads: readonly number[]) =>
    net([1, 4, 8, 8], (b, x, conv) => b.add(conv(x, [4, 4, kernel, kernel], { pads }), x));

  test('a path that is shifted by one position', () => {
    expect(evidenceOf('paths-misaligned', joined(3, [2, 2, 0, 0]))).toEqual([
      { shift: 1, stride: 1, otherStride: 1 },
    ]);
    expect(of('paths-misaligned', joined(3, [1, 1, 1, 1]))).toBeUndefined();
  });

  test('not along time, where paths end at the same position', () => {
    const causal = (pads: readonly number[]) =>
      net([1, 4, 16], (b, x, conv) => b.add(conv(x, [4, 4, 3], { pads }), x));
    expect(of('paths-misaligned', causal([2, 0]))).toBeUndefined();
    expect(evidenceOf('paths-misaligned', causal([0, 2]))).toEqual([{ shift: 1, stride: 1, otherStride: 1 }]);
  });
});

test('kernels-dense: what a separable pair would take', () => {
  const graph = net([1, 16, 8, 8], (_, x, conv) => conv(x, [32, 16, 3, 3], { name: 'dense' }));
  const positions = 64;
  const [macs, separableMacs] = [positions * 9 * 16 * 32, positions * (9 * 16 + 16 * 32)];
  expect(evidenceOf('kernels-dense', graph)).toEqual([{ macs, separableMacs }]);
  expect(of('kernels-dense', graph)?.saves).toEqual({
    macs: macs - separableMacs,
    parameters: 9 * 16 * 32 - (9 * 16 + 16 * 32),
    bytes: 0,
  });
  for (const weight of [
    [32, 16, 1, 1],
    [4, 16, 1, 2],
  ] as const) {
    expect(
      of(
        'kernels-dense',
        net([1, 16, 8, 8], (_, x, c) => c(x, weight, { pads: [0, 0, 0, 0] })),
      ),
    ).toBeUndefined();
  }
  const image = net([1, 3, 8, 8], (_, x, conv) => conv(x, [32, 3, 3, 3]));
  expect(of('kernels-dense', image)).toBeUndefined();
});

test('groups-narrow: fewer than four channels per group, but for depthwise layers', () => {
  const groups = (group: number, cout = 16) =>
    net([1, 16, 8, 8], (_, x, conv) => conv(x, [cout, 16 / group, 3, 3], { group }));
  expect(evidenceOf('groups-narrow', groups(8))).toEqual([
    { groups: 8, inputsPerGroup: 2, outputsPerGroup: 2, macsShare: 1 },
  ]);
  expect(evidenceOf('groups-narrow', groups(16, 32))).toEqual([
    { groups: 16, inputsPerGroup: 1, outputsPerGroup: 2, macsShare: 1 },
  ]);
  for (const graph of [groups(1), groups(4), groups(16)]) expect(of('groups-narrow', graph)).toBeUndefined();
});

describe('batch-norm-unfolded', () => {
  const normed = (b: Builder, x: Value, c: number): Value => {
    const constants = ['scale', 'bias', 'mean', 'variance'].map((name) => b.constant(name, absent([c])));
    return b.op('BatchNormalization', [x, ...constants], { epsilon: 1e-5 }, { name: `norm${c}` });
  };

  test('behind a conv: what is read and written', () => {
    const graph = net([1, 4, 8, 8], (b, x, conv) => normed(b, conv(x, [8, 4, 3, 3]), 8));
    const bytesMoved = 4 * (2 * 8 * 64 + 4 * 8);
    expect(evidenceOf('batch-norm-unfolded', graph)).toMatchObject([{ folds: 1, bytesMoved }]);
    expect(of('batch-norm-unfolded', graph)?.saves.bytes).toBe(bytesMoved);
  });

  test('one that folds and one that does not', () => {
    const graph = net([1, 4, 8, 8], (b, x, conv) =>
      normed(b, conv(b.relu(normed(b, x, 4)), [8, 4, 3, 3]), 8),
    );
    const finding = of('batch-norm-unfolded', graph);
    expect(finding?.places.map((p) => [p.layers, p.evidence.folds])).toEqual([
      [['norm8'], 1],
      [['norm4'], 0],
    ]);
    expect(finding?.message).toContain('compile folds 1 into layers beside them');
    expect(
      of(
        'batch-norm-unfolded',
        net([1, 4, 8, 8], (b, x) => b.relu(normed(b, x, 4))),
      ),
    ).toBeUndefined();
  });
});

test('lanes-unfilled: the last vector of channels', () => {
  const channels = (cout: number) => net([1, 8, 8, 8], (_, x, conv) => conv(x, [cout, 8, 1, 1]));
  expect(evidenceOf('lanes-unfilled', channels(9))).toEqual([
    { channels: 9, groups: 1, emptyLanes: 3, lost: 0.25, macsShare: 1 },
  ]);
  expect(of('lanes-unfilled', channels(9))?.saves.macs).toBe((64 * 8 * 9 * 3) / 9);
  // 58 of 60 lanes: 3.3 % lost
  for (const cout of [8, 58]) expect(of('lanes-unfilled', channels(cout))).toBeUndefined();
  const small = net([1, 8, 8, 8], (b, x, conv) => {
    b.output('other', conv(x, [512, 8, 1, 1]));
    return conv(x, [1, 8, 1, 1]);
  });
  expect(of('lanes-unfilled', small)).toBeUndefined();
});

describe('permutations-removable', () => {
  const shuffle = (b: Builder, x: Value) => b.op('ChannelShuffle', [x], { groups: 2 }, { name: 'shuffle' });
  const bytes = 4 * 2 * 8 * 64;

  test('a shuffle behind or before a conv without groups', () => {
    const behind = net([1, 8, 8, 8], (b, x, conv) =>
      shuffle(b, b.relu(conv(x, [8, 8, 1, 1], { name: 'c' }))),
    );
    const before = net([1, 8, 8, 8], (b, x, conv) =>
      conv(b.relu(shuffle(b, x)), [8, 8, 1, 1], { name: 'c' }),
    );
    for (const graph of [behind, before]) {
      expect(of('permutations-removable', graph)).toMatchObject({
        layers: ['shuffle', 'c'],
        saves: { bytes },
      });
    }
  });

  test('not between grouped convs, nor where somebody else reads', () => {
    const between = net([1, 8, 8, 8], (b, x, conv) => {
      const first = conv(x, [8, 4, 1, 1], { group: 2 });
      return conv(shuffle(b, first), [8, 4, 1, 1], { group: 2 });
    });
    const read = net([1, 8, 8, 8], (b, x, conv) => {
      const y = conv(x, [8, 8, 1, 1]);
      b.output('also', y);
      return shuffle(b, y);
    });
    for (const graph of [between, read]) expect(of('permutations-removable', graph)).toBeUndefined();
  });

  test('transposes that are one, or none', () => {
    const turned = (...perms: readonly (readonly number[])[]) =>
      net([1, 8, 8, 8], (b, x) => perms.reduce((y, perm) => b.op('Transpose', [y], { perm }), b.relu(x)));
    expect(evidenceOf('permutations-removable', turned([0, 2, 3, 1], [0, 3, 1, 2]))).toEqual([
      { transposes: 2, shuffles: 0 },
    ]);
    expect(of('permutations-removable', turned([0, 2, 3, 1]))).toBeUndefined();
  });
});

describe('by the values of weights', () => {
  const pair = (second: (index: number) => number) =>
    net([1, 8, 8, 8], (b, x, conv) =>
      conv(b.relu(conv(x, [8, 8, 1, 1], {}, Math.sin)), [8, 8, 1, 1], {}, second),
    );

  test('weights-duplicated: the same values, stored twice', () => {
    const finding = of('weights-duplicated', pair(Math.sin));
    expect(finding?.places.map((p) => p.evidence)).toEqual([{ copies: 2, bytesEach: 256, bytesSaved: 256 }]);
    expect(finding).toMatchObject({ layers: ['Conv_0', 'Conv_2'], saves: { parameters: 64 } });
    expect(of('weights-duplicated', pair(Math.cos))).toBeUndefined();
    const missing = net([1, 8, 8, 8], (_, x, conv) => conv(conv(x, [8, 8, 1, 1]), [8, 8, 1, 1]));
    expect(of('weights-duplicated', missing)).toBeUndefined();
  });

  test('kernels-rank-1: a column times a row, and one that is nearly', () => {
    const depthwise = (values: ((index: number) => number) | undefined, strides = [1, 1]) =>
      net([1, 8, 9, 9], (_, x, conv) => conv(x, [8, 1, 5, 5], { group: 8, strides }, values));
    const outer = (i: number) => Math.cos(Math.floor(i / 5) % 5) * (1 + (i % 5)) * (1 + Math.floor(i / 25));
    const positions = 8 * 81;
    expect(evidenceOf('kernels-rank-1', depthwise(outer))).toMatchObject([
      { height: 5, width: 5, macs: positions * 25, pairMacs: positions * 10 },
    ]);
    expect(of('kernels-rank-1', depthwise(outer))?.saves.parameters).toBe(8 * 15);
    // of stride 2, the column runs over all 9 columns of each of 5 rows
    expect(evidenceOf('kernels-rank-1', depthwise(outer, [2, 2]))).toMatchObject([
      { macs: 8 * 25 * 25, pairMacs: 8 * 5 * (9 * 5 + 5 * 5) },
    ]);
    const off = (part: number) => depthwise((i) => outer(i) * (i % 25 === 0 ? 1 + part : 1));
    expect(of('kernels-rank-1', off(1e-4))).toBeDefined();
    for (const graph of [off(1e-1), depthwise(Math.sin), depthwise(undefined)]) {
      expect(of('kernels-rank-1', graph)).toBeUndefined();
    }
  });

  test('filters-dead: all zero', () => {
    const dead = (filters: number) =>
      net([1, 8, 8, 8], (_, x, conv) => conv(x, [8, 8, 3, 3], {}, (i) => (i < filters * 72 ? 0 : 1 + i)));
    expect(evidenceOf('filters-dead', dead(3))).toEqual([{ dead: 3, filters: 8 }]);
    expect(of('filters-dead', dead(3))?.saves).toEqual({ macs: 3 * 72 * 64, parameters: 3 * 72, bytes: 0 });
    expect(of('filters-dead', dead(0))).toBeUndefined();
  });
});

test('branches-mergeable: a 1×1 and a scaled value beside a 3×3, and not what keeps an activation of its own', () => {
  const block = (active: boolean) =>
    net([1, 4, 8, 8], (b, x, conv) => {
      const small = conv(x, [4, 4, 1, 1], { name: 'small' });
      return b.add(conv(x, [4, 4, 3, 3], { name: 'large' }), active ? b.relu(small) : small);
    });
  const finding = of('branches-mergeable', block(false));
  expect(finding).toMatchObject({
    layers: ['small'],
    saves: { macs: 64 * 16, parameters: 16 },
    command: 'convolith rewrite MODEL -o rewritten.onnx',
  });
  expect(finding?.saves.bytes).toBeGreaterThan(0);
  expect(of('branches-mergeable', block(true))).toBeUndefined();
});

describe('past-border', () => {
  const chain = (count: number, flat: boolean) =>
    net([1, 4, 8, 8], (b, x, conv) => {
      let y = x;
      for (let i = 0; i < count; i++) y = conv(y, [4, 4, 3, 3], { name: `c${i}` });
      return flat ? b.op('GlobalAveragePool', [y], {}) : y;
    });

  test('what enters sees 9 of 8 positions', () => {
    const finding = of('past-border', chain(5, true));
    // the field of c4 is 11, and 5 of it are outside at a corner, along both axes
    expect(finding).toMatchObject({ layers: ['c4'], places: [{ evidence: { field: 9, macsShare: 0.2 } }] });
    expect(finding?.places[0]?.evidence.paddingShare).toBeCloseTo(1 - (6 / 11) ** 2, 12);
  });

  test('not before', () => {
    expect(of('past-border', chain(4, true))).toBeUndefined();
  });

  test('where outputs have positions, with what that means', () => {
    expect(of('past-border', chain(5, true))?.message).not.toContain('positions');
    expect(of('past-border', chain(5, false))?.message).toContain(
      'as outputs have positions, these layers may still place what they see',
    );
  });
});

describe('the list', () => {
  const graph = net([1, 16, 8, 8], (b, x, conv) => {
    const stacked = conv(conv(x, [16, 16, 3, 3], { dilations: [2, 2] }), [16, 16, 3, 3], {
      dilations: [2, 2],
    });
    return b.op('GlobalAveragePool', [conv(stacked, [17, 16, 1, 1])], {});
  });

  test('what spoils results comes first, then what saves most', () => {
    const found = all(graph);
    expect(found.map((f) => f.code)).toEqual(['gridding', 'kernels-dense', 'lanes-unfilled']);
    expect(found[1]?.share).toBeGreaterThan(found[2]?.share ?? 1);
  });

  test('codes that are ignored are not looked for, nor what needs sizes where there are none', () => {
    expect(codes(graph, { ignore: ['kernels-dense'] })).toEqual(['gridding', 'lanes-unfilled']);
    expect(codes(graph, {}, false)).toEqual(['gridding']);
  });

  test('names only passes that compile has, and has pages of its own', () => {
    const known = passNames(graphPipeline);
    const named = Object.values(RULES).flatMap((rule) => rule.passes ?? []);
    expect(named.filter((name) => !known.includes(name))).toEqual([]);
    expect(Object.keys(FINDINGS).filter((code) => Object.hasOwn(CATALOGUE, code))).toEqual([]);
  });
});
