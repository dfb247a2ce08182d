/** What presets count for whole networks: against published figures, and against a second, plain count. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type AuditReport, audit } from '#compiler/audit/index.ts';
import { auditSchema } from '#compiler/audit/schema.ts';
import { importJson } from '#compiler/import/json/index.ts';
import { importOnnx } from '#compiler/import/onnx/index.ts';
import type { Graph } from '#ir/graph.ts';
import type { PresetName } from '#passes/analysis/presets/index.ts';
import { collectionFile, repositoryFolder, withModels, zooNames } from '../support/collection.ts';
import { addCounts, naiveCounts } from '../support/naive-counts.ts';

const zoo = (name: string): Graph =>
  importOnnx(readFileSync(collectionFile(`zoo/${name}.onnx`)), { name }).graph;
const example = (path: string): Graph =>
  importJson(JSON.parse(readFileSync(join(repositoryFolder, 'examples', `${path}.json`), 'utf8'))).graph;
const total = (graph: Graph, preset: PresetName): number | null => audit(graph, { preset }).totals.counted;
/** Billions, as a table of three digits prints them. */
const giga = (n: number | null, digits = 2): string => ((n ?? Number.NaN) / 1e9).toFixed(digits);

withModels.describe('each node of the zoo, by every preset and by a plain count', () => {
  test.each(zooNames())('%s', (name) => {
    const graph = zoo(name);
    const plain = graph.nodes.map((node) => [node.name, naiveCounts(node)] as const);
    const { totals } = audit(graph);
    expect(totals.presets).toEqual(addCounts(plain.map(([, counts]) => counts)));
    const names = Object.keys(totals.presets) as PresetName[];
    for (const preset of names) {
      const { layers } = audit(graph, { preset });
      expect(layers.map((l) => [l.name, l.counted])).toEqual(plain.map(([node, c]) => [node, c[preset]]));
    }
  });
});

// thop 0.1.1 prints these for torchvision's networks: MACs + 4 per element of a batch norm + pooling
describe('thop, to the unit', () => {
  test('resnet50: 4·11,113,984 for batch norm, 50·2048 for the global pool', () => {
    expect(total(example('resnet/network'), 'thop')).toBe(4_133_742_592);
    expect(4_133_742_592).toBe(4_089_184_256 + 4 * 11_113_984 + 50 * 2048);
  });
  test('resnet18', () => {
    expect(total(example('resnet/resnet18'), 'thop')).toBe(1_824_033_792);
  });
  withModels.test('vgg16, whose adaptive pool has windows of 1', () => {
    expect(total(zoo('vgg16'), 'thop')).toBe(15_470_314_496);
  });
});

test('fvcore: resnet50 is 4.0892 G and 2·11.11 M, and the pool', () => {
  const count = total(example('resnet/network'), 'fvcore');
  expect(count).toBe(4_089_184_256 + 2 * 11_113_984 + 7 * 7 * 2048);
  expect(giga(count, 3)).toBe('4.112');
});

/** What fvcore adds for a batch norm that the exporter has folded: 2 per output of a convolution with a bias. */
function foldedNorms(graph: Graph): number {
  const { layers } = audit(graph);
  const biased = graph.nodes.filter((node) => node.op === 'Conv' && node.operands[2] !== undefined);
  const outputs = biased.map(({ name }) => layers.find((l) => l.name === name)?.outputShape ?? []);
  return 2 * outputs.reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0);
}

// the tables of timm print the count of fvcore, in billions
describe('gmacs of timm', () => {
  test.each([
    ['resnet/network', 'resnet50', '4.11'],
    ['mobilenet/network', 'mobilenetv1_100', '0.58'],
    ['inception/network', 'inception_v3', '5.73'],
    ['repvgg/network', 'repvgg_a0 in training form', '1.52'],
  ])('examples/%s: %s, %s', (path, _, gmacs) => {
    expect(giga(total(example(path), 'fvcore'))).toBe(gmacs);
  });
  test('legacy_xception, 8.4', () => {
    expect(giga(total(example('xception/network'), 'fvcore'), 1)).toBe('8.4');
  });
  withModels.describe('with the batch norms that are folded added', () => {
    test.each([
      ['densenet121', '2.87'],
      ['ghostnet_100', '0.15'],
      ['mobilenetv1_100', '0.58'],
      ['inception_v3', '5.73'],
      ['resnet50', '4.11'],
    ])('%s: %s', (name, gmacs) => {
      const graph = zoo(name);
      expect(giga((total(graph, 'fvcore') ?? 0) + foldedNorms(graph))).toBe(gmacs);
    });
  });
  withModels.test('vgg16, 15.47', () => {
    expect(giga(total(zoo('vgg16'), 'fvcore'))).toBe('15.47');
  });
});

describe('papers', () => {
  // Howard et al., MobileNets, 2017: 4,866 M and 569 M mult-adds; by the formula 4,867.3 M and 568.74 M
  test('MobileNet v1, and its twin of standard convolutions', () => {
    expect(total(example('mobilenet/network'), 'papers')).toBe(568_740_352);
    expect(total(example('mobilenet/standard'), 'papers')).toBe(4_867_293_184);
  });
  // the same, table 3: one layer, its width and resolution
  test.each([
    ['as it is', 512, 14, '52.28'],
    ['width 0.75', 384, 14, '29.58'],
    ['resolution 0.714', 384, 10, '15.09'],
  ])('depthwise separable 3×3, %s', (_, channels, size, millions) => {
    const layers = [{ depthwiseSeparable: channels }];
    const count = total(importJson({ input: [channels, size, size], layers }).graph, 'papers');
    expect(((count ?? 0) / 1e6).toFixed(2)).toBe(millions);
  });
  // Kim et al. 2016 print 725 M and 15,484 M: they count one operation per bias too
  test('AlexNet in two groups, with bias', () => {
    const { totals, layers } = audit(example('grouped/alexnet'), { preset: 'papers' });
    expect(totals.counted).toBe(724_406_816);
    expect(((724_406_816 + outputsWithBias(layers)) / 1e6).toFixed(2)).toBe('725.07');
  });
  withModels.test('VGG16, with bias', () => {
    const { totals, layers } = audit(zoo('vgg16'), { preset: 'papers' });
    expect((((totals.counted ?? 0) + outputsWithBias(layers)) / 1e6).toFixed(2)).toBe('15483.82');
  });
  // Xie et al. 2017, table 2: about 0.22 G of the block at 56² for any pair of cardinality and width
  test.each([
    [64, 1],
    [40, 2],
    [24, 4],
    [14, 8],
    [4, 32],
  ])(
    'a block of ResNeXt of width %i and cardinality %i costs what that of ResNet does',
    (width, cardinality) => {
      const channels = width * cardinality;
      const layers = [
        { pointwise: channels },
        { grouped: { channels, groups: cardinality } },
        { pointwise: 256 },
      ];
      const graph = importJson({ input: [256, 56, 56], layers }).graph;
      const count = total(graph, 'papers') ?? 0;
      expect(count).toBe(56 * 56 * cardinality * (256 * width + 9 * width * width + width * 256));
      expect(Math.abs(count / (56 * 56 * 69_632) - 1)).toBeLessThan(0.03);
    },
  );
});

const outputsWithBias = (layers: AuditReport['layers']): number =>
  layers
    .filter((l) => (l.op === 'Conv' || l.op === 'Gemm') && (l.otherOps ?? 0) > 0)
    .reduce((sum, l) => sum + l.outputShape.reduce((a, b) => a * b, 1), 0);

// ShuffleNet, the authors' repository: 138 M and 1.9 M parameters for 1.0×, 524 M for 2.0×, both with 3 groups; without
// the last layer's bias and in their own rounding
describe('ShuffleNet v1 with 3 groups', () => {
  test('1.0×', () => {
    const { totals } = audit(example('shuffled-grouped/shufflenet'), { preset: 'papers' });
    expect([totals.counted, totals.trainingParameters]).toEqual([137_460_672, 1_864_728]);
  });
  test('2.0×', () => {
    const text = readFileSync(join(repositoryFolder, 'examples/shuffled-grouped/shufflenet.json'), 'utf8');
    const graph = importJson(widened(JSON.parse(text), 2) as object).graph;
    expect(Math.round((total(graph, 'papers') ?? 0) / 1e6)).toBe(524);
  });
});

/** The description with so many times the channels everywhere: 24 in the stem, 240, 480 and 960 in the stages. */
function widened(value: unknown, by: number): unknown {
  if (typeof value === 'number') return [24, 240, 480, 960].includes(value) ? value * by : value;
  if (Array.isArray(value)) return value.map((v) => widened(v, by));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, widened(v, by)]));
}

// a well-known primer on the kinds of convolution
describe('multiplications', () => {
  test.each([
    ['channels/single', 81],
    ['channels/multi', 86_400],
    ['spatially-separable/sobel', 81],
    ['spatially-separable/separated', 45 + 27],
    ['depthwise-separable/standard', 86_400],
    ['depthwise-separable/separable', 675 + 9_600],
  ])('examples/%s: %i', (path, count) => {
    const report = audit(example(path), { preset: 'multiplications' });
    expect([report.totals.counted, report.preset.unit]).toEqual([count, 'multiplication']);
  });
  test.each([
    [7, 9, 3, 128, 3],
    [12, 12, 5, 16, 4],
  ])('%i×%i×%i → %i channels, %i×%i: standard and depthwise separable', (h, w, d, nc, k) => {
    const of = (layers: readonly unknown[]) =>
      total(importJson({ input: [d, h, w], layers }).graph, 'multiplications') ?? 0;
    const plane = (h - k + 1) * (w - k + 1);
    const standard = of([{ conv: { channels: nc, kernel: k, padding: 'valid' } }]);
    const separable = of([{ depthwiseSeparable: { channels: nc, kernel: k, padding: 'valid' } }]);
    expect([standard, separable]).toEqual([nc * k * k * d * plane, (k * k + nc) * d * plane]);
    expect(separable / standard).toBeCloseTo(1 / nc + 1 / k ** 2, 12);
  });
});

/**
 * Published counts of parameters in training, of networks whose convolutions all had a batch norm, but for those that
 * make gates of a pooled map, and whose files do not share equal biases.
 */
const TRAINING: readonly (readonly [name: string, parameters: number])[] = [
  ['resnet18', 11_689_512],
  ['resnet50', 25_557_032],
  ['resnext50_32x4d', 25_028_904],
  ['googlenet', 6_624_904],
  ['inception_v3', 23_834_568],
  ['mobilenet_v2', 3_504_872],
  ['mnasnet1_0', 4_383_312],
  ['shufflenet_v2_x1_0', 2_278_604],
  ['r3d_18', 33_371_472],
  ['regnet_y_400mf', 4_344_144],
];

withModels.describe('parameters of training that are not in the file', () => {
  test.each(TRAINING)('%s: %i, with one scale more for each channel', (name, n) => {
    const graph = zoo(name);
    const { totals } = audit(graph);
    expect(totals.trainingParameters).toBeNull();
    expect(totals.trainingParametersReason).toMatch(/^batch norm is folded into the file/);
    const scales = graph.nodes.reduce((sum, node) => {
      const [, channels = 0, ...sizes] = node.outputs[0]?.type.shape ?? [];
      return node.op === 'Conv' && sizes.some((size) => size > 1) ? sum + channels : sum;
    }, 0);
    expect(totals.parameters + scales).toBe(n);
  });
  test('what is left of batch norm where a part is folded gives no number', () => {
    const { totals } = audit(zoo('densenet121'));
    expect([totals.trainingParameters, totals.buffers > 0]).toEqual([null, true]);
    expect(totals.trainingParametersReason).toContain('where it follows a convolution');
  });
});

describe('parameters of training where batch norm is in the file', () => {
  test.each([
    ['resnet/network', 25_557_032],
    ['resnet/resnet18', 11_689_512],
    ['inception/network', 23_834_568],
    ['grouped/resnext50', 25_028_904],
    ['repvgg/network', 9_108_968],
  ])('examples/%s has batch norm: %i', (path, parameters) => {
    expect(audit(example(path)).totals.trainingParameters).toBe(parameters);
  });
});

test('a report under a preset keeps its schema', () => {
  const report = audit(example('resnet/resnet18'), { preset: 'thop' });
  expect(auditSchema.parse(report)).toEqual(report);
  expect(report.preset.name).toBe('thop');
  expect(report.layers.reduce((sum, l) => sum + (l.counted ?? 0), 0)).toBe(report.totals.counted);
});
