/** Whole networks against published or independently recomputed figures. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type AuditReport, audit } from '#compiler/audit/index.ts';
import { importJson } from '#compiler/import/json/index.ts';
import { ModelProto } from '#compiler/import/onnx/generated/onnx-proto.js';
import { importOnnx } from '#compiler/import/onnx/index.ts';
import { collectionFile, repositoryFolder, withModels } from '../support/collection.ts';

function auditZoo(name: string): AuditReport {
  const bytes = readFileSync(collectionFile(`zoo/${name}.onnx`));
  return audit((dims) => importOnnx(bytes, { dims, name }));
}

/** The exporter has fixed the input at 224², and the sizes to which the two Resize nodes go back. */
function deeplabAt520(): Uint8Array {
  const model = ModelProto.decode(readFileSync(collectionFile('zoo/deeplabv3_mobilenet_v3_large.onnx')));
  const sizes = new Map([
    [14n, 33n],
    [224n, 520n],
  ]);
  const dims = model.graph?.input[0]?.type?.tensorType?.shape?.dim ?? [];
  const input = dims.map((d) => ({ dimValue: Number(sizes.get(BigInt(d.dimValue ?? 0)) ?? d.dimValue) }));
  const node = (model.graph?.node ?? []).map((n) => {
    const tensor = n.opType === 'Constant' ? n.attribute[0]?.t : undefined;
    const data =
      tensor?.dataType === 7 ? new BigInt64Array(Uint8Array.from(tensor.rawData ?? []).buffer) : [];
    if (!tensor || ![...data].some((size) => sizes.has(size))) return n;
    const rawData = new Uint8Array(BigInt64Array.from(data, (size) => sizes.get(size) ?? size).buffer);
    return { ...n, attribute: [{ ...n.attribute[0], t: { ...tensor, rawData } }] };
  });
  const graph = model.graph && { ...model.graph, node };
  const first = graph?.input[0];
  const type = { tensorType: { elemType: 1, shape: { dim: input } } };
  return ModelProto.encode({ ...model, graph: { ...graph, input: [{ name: first?.name, type }] } });
}

/**
 * MACs by torchvision's convention (the "GFLOPS" of its documentation), exact, at 224² unless the file says otherwise;
 * parameters in the file, where the exporter has folded batch norm; buffers.
 */
const ZOO: readonly (readonly [name: string, macs: number, parameters: number])[] = [
  ['alexnet', 714_188_480, 61_100_840],
  ['vgg16', 15_470_264_320, 138_350_184],
  ['resnet18', 1_814_073_344, 11_684_712],
  ['resnet50', 4_089_184_256, 25_530_472],
  ['resnext50_32x4d', 4_230_479_872, 24_994_792],
  ['squeezenet1_1', 349_151_936, 1_233_288],
  ['googlenet', 1_498_376_192, 6_617_624],
  ['densenet121', 2_834_161_664, 7_936_424],
  ['inception_v3', 5_713_216_096, 23_817_352],
  ['mobilenet_v2', 300_774_272, 3_487_816],
  ['mobilenet_v3_small', 56_510_400, 2_535_632],
  ['mobilenet_v3_large', 216_589_760, 5_468_520],
  ['mnasnet1_0', 314_415_872, 4_364_352],
  ['shufflenet_v2_x1_0', 144_907_992, 2_270_514],
  ['efficientnet_b0', 385_814_752, 5_261_140],
  ['regnet_y_400mf', 401_842_848, 4_330_568],
  ['convnext_tiny', 4_455_531_264, 28_533_928],
  ['r3d_18', 40_696_553_472, 33_366_672],
];

withModels.describe('MACs and parameters of the zoo', () => {
  test.each(ZOO)('%s', (name, macs, parameters) => {
    const { totals } = auditZoo(name);
    expect(totals).toMatchObject({ macs, flops: 2 * macs, parameters, macsExpr: String(macs) });
    expect(totals.presets).toMatchObject({ torchvision: macs, papers: macs, torch: 2 * macs });
    expect(totals.buffers).toBe(name === 'densenet121' ? 68_672 : 0);
  });

  // torchvision publishes 10.452 G at 520², with the auxiliary head, which the file leaves out
  test('deeplabv3_mobilenet_v3_large', () => {
    const { totals } = auditZoo('deeplabv3_mobilenet_v3_large');
    expect([totals.macs, totals.parameters]).toEqual([1_882_169_120, 11_009_173]);
    const larger = audit(() => importOnnx(deeplabAt520()));
    expect(larger.outputs[0]?.shape).toEqual([1, 21, 520, 520]);
    expect(larger.totals.macs).toBe(10_436_350_688);
  });

  // ShuffleNet v1, the authors' repository: 138 M and 1.9 M parameters for 1.0×, 3 groups
  test('shufflenet_v1_g3', () => {
    const { totals, byKind } = auditZoo('shufflenet_v1_g3');
    expect([totals.macs, totals.parameters]).toEqual([137_460_672, 1_853_488]);
    expect(byKind[0]?.kind).toBe('pointwise-grouped');
  });

  // timm: mobilenetv1_100 0.58 GMACs (with its own rounding), legacy_xception 8.4, ghostnet_100 0.15; Howard et al.,
  // MobileNets, 2017: 569 M by the formula 568.74 M
  test.each([
    ['mobilenetv1_100', 568_740_352],
    ['legacy_xception', 8_357_403_496],
    ['ghostnet_100', 141_150_512],
  ])('%s', (name, macs) => {
    expect(auditZoo(name).totals.macs).toBe(macs);
  });

  // timm's macts: output elements of convolutions and linear layers, in millions
  test.each([
    ['resnet50', 11.11],
    ['vgg16', 13.56],
    ['mobilenetv1_100', 5.04],
    ['legacy_xception', 35.83],
    ['ghostnet_100', 3.55],
    ['repvgg_a0', 3.59],
    ['densenet121', 6.9],
    ['inception_v3', 8.97],
  ])('outputs of weighted layers: %s %f M', (name, millions) => {
    const layers = auditZoo(name).layers.filter((l) => (l.macs ?? 0) > 0);
    const outputs = layers.reduce((sum, l) => sum + l.outputShape.reduce((a, b) => a * b, 1), 0);
    expect(Math.round(outputs / 1e4) / 100).toBeCloseTo(millions, 2);
  });
});

/** The ONNX project's own networks, with batch norm left in, so that the training count can be read. */
withModels.describe('networks whose weights are made by ConstantOfShape', () => {
  test.each([
    ['resnet50', 4_089_184_256, 25_557_032, 53_120],
    ['squeezenet', 349_151_936, 1_235_496, 0],
    ['vgg19', 19_632_062_464, 143_667_240, 0],
  ])('%s: published parameters in training', (name, macs, parameters, buffers) => {
    const bytes = readFileSync(collectionFile(`onnx-light/light_${name}.onnx`));
    const { totals } = audit((dims) => importOnnx(bytes, { dims }));
    expect(totals).toMatchObject({ macs, parameters, buffers });
  });
});

/**
 * Published counts of training that a file does not show, what of them is missing there, and the description of the same
 * network that has it.
 */
const NOT_IN_THE_FILE: readonly (readonly [
  name: string,
  training: number,
  reason: string,
  example: string,
])[] = [
  [
    'densenet121',
    7_978_856,
    'the batch norms behind convolutions are folded; those before them are not',
    'densenet/network',
  ],
  ['mobilenet_v3_small', 2_542_856, 'all batch norms are folded', 'mobilenet-v3/small'],
  ['mobilenet_v3_large', 5_483_032, 'all batch norms are folded', 'mobilenet-v3/network'],
  ['efficientnet_b0', 5_288_548, 'all batch norms are folded', 'efficientnet/network'],
  [
    'convnext_tiny',
    28_589_128,
    'it has none; biases of equal initial values are stored once',
    'convnext/network',
  ],
  ['deeplabv3_mobilenet_v3_large', 11_025_477, 'all batch norms are folded', 'deeplab/network'],
  [
    'inception_v3',
    27_161_264,
    'all batch norms are folded, and the auxiliary head is not exported',
    'inception/auxiliary',
  ],
];

withModels.describe('parameters in training that cannot be derived from the file', () => {
  test.each(NOT_IN_THE_FILE)('%s: of %i, as %s', (name, training) => {
    const { totals } = auditZoo(name);
    expect(totals.trainingParameters).toBeNull();
    expect(totals.trainingParametersReason).toContain('batch norm is folded into the file');
    // what folding and sharing hide is little; the auxiliary head is a tenth of its network
    expect(totals.parameters).toBeLessThan(training);
    expect(totals.parameters / training).toBeGreaterThan(name === 'inception_v3' ? 0.87 : 0.99);
  });

  const weighted = ({ layers }: AuditReport) => layers.filter((l) => (l.macs ?? 0) > 0);
  // convnext_tiny has its channels last in the file
  const costs = (layers: AuditReport['layers']) =>
    layers.map((l) => `${[...l.outputShape].sort((a, b) => a - b).join('×')}: ${l.macs}`).sort();

  test.each(NOT_IN_THE_FILE)('%s: %i (%s), in examples/%s', (name, training, _, example) => {
    const text = readFileSync(join(repositoryFolder, `examples/${example}.json`), 'utf8');
    const report = audit(importJson(JSON.parse(text) as object).graph);
    expect(report.totals).toMatchObject({ parameters: training, trainingParameters: training });
    // but for an auxiliary head, its weighted layers cost what those of the file do
    const file = name.startsWith('deeplab') ? audit(() => importOnnx(deeplabAt520())) : auditZoo(name);
    const layers = weighted(report).filter((l) => !l.name.startsWith('auxiliary'));
    expect(layers.reduce((sum, l) => sum + (l.macs ?? 0), 0)).toBe(file.totals.presets.torchvision);
    expect(costs(layers)).toEqual(costs(weighted(file)));
  });
});

withModels.describe('receptive fields of torchvision networks', () => {
  // Araujo et al., Distill 2019, for variants with the stride in the first unit's 3×3
  test.each([
    ['resnet18', 435],
    ['resnet50', 427],
  ])('%s: layer4 sees %i, stride 32', (name, size) => {
    const { layers } = auditZoo(name);
    const last = layers.filter((l) => l.module.startsWith('layer4')).at(-1);
    expect(last?.receptiveField).toMatchObject([
      { size, stride: 32, period: 1 },
      { size, stride: 32, period: 1 },
    ]);
  });

  test('squeeze-excite: global, and local without the gates', () => {
    const gated = auditZoo('mobilenet_v3_large').layers.filter((l) => l.localReceptiveField);
    expect(gated.length).toBeGreaterThan(0);
    expect(gated.every((l) => l.receptiveField === 'global')).toBe(true);
  });
});

// Howard et al., MobileNets, 2017, table 2: 1×1 convolutions hold 94.86 % of the mult-adds; the formula gives the first
// 3×3 convolution 1.91 %, where the paper prints 1.19 % and its column then adds to less than 100
withModels.test('where the MACs of mobilenet_v1 are', () => {
  const { byKind } = auditZoo('mobilenetv1_100');
  const percent = new Map(byKind.map((k) => [k.kind, (100 * (k.macsShare ?? 0)).toFixed(2)]));
  expect(percent.get('pointwise')).toBe('94.86');
  expect(percent.get('standard')).toBe('1.91');
});
