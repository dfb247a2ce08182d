/** Inputs that a network is fitted to: an array with one sample after the other, or a folder with a file for each. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fail } from '#ir/diagnostics.ts';
import type { Graph } from '#ir/graph.ts';
import type { Tensor } from '#ir/tensor.ts';
import { elementCount, formatType, type TensorType } from '#ir/types.ts';
import { parseNpy } from '../files/npy.ts';
import { systemReason } from '../files/read-file.ts';
import type { Sample } from '../rewrite/index.ts';
import { isImageFile, type PictureTexts } from './pictures.ts';
import { bindInputs, readInputs } from './tensors.ts';

const HINT = 'give an .npy file of shape [samples, …], or a folder of .npy, .png or .jpg files';

/**
 * @param most samples that are taken, evenly from all
 * @throws CompileError `input-invalid` for what does not fit the network, `usage-invalid` for networks of several inputs
 */
export async function readSamples(
  graph: Graph,
  path: string,
  pictures: PictureTexts,
  most: number,
): Promise<readonly Sample[]> {
  const [input, other] = graph.inputs;
  if (!input || other) {
    const message = `the network has ${graph.inputs.length} inputs, and --calibrate takes samples for one`;
    fail('usage-invalid', '--calibrate', message, 'give a network of one input');
  }
  const found = await stat(path).catch((error: unknown) =>
    fail('file-unreadable', path, systemReason(error)),
  );
  if (found.isDirectory()) return fromFolder(path, input.name, input.type, pictures, most);
  if (!/\.npy$/i.test(path))
    fail('usage-invalid', `--calibrate ${path}`, 'this is no .npy file and no folder', HINT);
  return fromArray(parseNpy(await readFile(path), path), input.type, path, most).map((tensor) => [tensor]);
}

async function fromFolder(
  folder: string,
  name: string,
  type: TensorType,
  pictures: PictureTexts,
  most: number,
): Promise<readonly Sample[]> {
  const files = (await readdir(folder)).filter((file) => isImageFile(file) || /\.npy$/i.test(file)).sort();
  if (files.length === 0) fail('usage-invalid', `--calibrate ${folder}`, 'there is no such file in it', HINT);
  const samples: Sample[] = [];
  for (const file of evenly(files, most)) {
    const given = await readInputs([`${name}=${join(folder, file)}`], pictures);
    samples.push([...bindInputs([{ name, type }], given, undefined).values()]);
  }
  return samples;
}

function fromArray(
  { type, data }: Tensor,
  wanted: TensorType,
  path: string,
  most: number,
): readonly Tensor[] {
  const [batch = 1, ...rest] = wanted.shape;
  const [rows = 0, ...sizes] = type.shape;
  if (type.dtype !== wanted.dtype || sizes.join() !== rest.join()) {
    const message = `the file has ${formatType(type)}, the network asks for ${formatType(wanted)}`;
    fail('input-invalid', path, message, `save samples × ${rest.join(' × ')} numbers of ${wanted.dtype}`);
  }
  const size = elementCount(wanted.shape);
  const count = Math.floor(rows / batch);
  if (count === 0) fail('input-invalid', path, `${rows} samples are less than one batch of ${batch}`, HINT);
  return evenly(
    Array.from({ length: count }, (_, i) => i),
    most,
  ).map((i) => ({ type: wanted, data: data.slice(i * size, (i + 1) * size) }));
}

const evenly = <T>(list: readonly T[], most: number): readonly T[] =>
  list.length <= most
    ? list
    : Array.from({ length: most }, (_, i) => list[Math.floor((i * list.length) / most)] as T);
