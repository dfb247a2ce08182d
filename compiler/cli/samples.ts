/** Samples of what a network reads, from an array, a picture or a folder of these. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fail } from '#ir/diagnostics.ts';
import type { Value } from '#ir/graph.ts';
import { elementsOf, type Tensor } from '#ir/tensor.ts';
import { elementCount, formatType, sameShape } from '#ir/types.ts';
import { arrayHint } from '../files/array-hint.ts';
import { parseNpy } from '../files/npy.ts';
import { systemReason } from '../files/read-file.ts';
import { isImageFile, type PictureTexts, pictureInput, pictureOptions } from './pictures.ts';

/**
 * Each as the input asks for it. An .npy file may have a longer first axis than the input, and is then divided along it.
 * @param most samples that are taken, evenly from all; all unless given
 * @throws CompileError where there are none, or one does not fit
 */
export async function readSamples(
  path: string,
  input: Value,
  pictures: PictureTexts,
  most = Number.POSITIVE_INFINITY,
): Promise<readonly Tensor[]> {
  const info = await stat(path).catch((error: unknown) => fail('file-unreadable', path, systemReason(error)));
  const files = info.isDirectory()
    ? (await readdir(path))
        .filter((name) => isImageFile(name) || /\.npy$/i.test(name))
        .sort()
        .map((name) => join(path, name))
    : [path];
  if (files.length === 0) {
    fail('usage-invalid', path, 'the folder has no samples', 'samples are .npy, .png and .jpg files');
  }
  const options = await pictureOptions(pictures);
  const samples: Tensor[] = [];
  for (const file of evenly(files, most)) {
    const bytes = await readFile(file).catch((error: unknown) =>
      fail('file-unreadable', file, systemReason(error)),
    );
    if (isImageFile(file)) {
      samples.push((await pictureInput(input.name, file, bytes, options)).as(input.type));
    } else if (/\.npy$/i.test(file)) samples.push(...divided(parseNpy(bytes, file), input, file));
    else fail('usage-invalid', file, 'the file is none of .npy, .png, .jpg', 'save an array as .npy');
  }
  return evenly(samples, most);
}

const evenly = <T>(list: readonly T[], most: number): readonly T[] =>
  list.length <= most
    ? list
    : Array.from({ length: most }, (_, i) => list[Math.floor((i * list.length) / most)] as T);

function divided(all: Tensor, { name, type }: Value, file: string): readonly Tensor[] {
  const [count = 1, ...rest] = all.type.shape;
  const [batch = 1, ...wanted] = type.shape;
  const fits = all.type.dtype === type.dtype && sameShape(rest, wanted) && count > 0 && count % batch === 0;
  if (!fits) {
    const message = `the file has ${formatType(all.type)}, the model asks for ${formatType(type)}, or several of these`;
    fail('input-invalid', `${name} in ${file}`, message, arrayHint(all.type, type));
  }
  const size = elementCount(type.shape);
  return Array.from({ length: count / batch }, (_, i) => ({
    type,
    data: elementsOf(all, i * size, (i + 1) * size),
  }));
}
