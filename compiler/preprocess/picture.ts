/** Pictures to tensors, pixel by pixel: what `preprocessGraph` puts into a network, done outside of one. */
import { resizeAxis } from '#ir/ops/resize.ts';
import type { Tensor } from '#ir/tensor.ts';
import { type AxisPlacement, placePicture, resizeAttrs } from './geometry.ts';
import { channelMatrix, type PictureSize, type PictureTarget } from './options.ts';

/** Four channels per pixel, row by row, from 0 to 255; fractions where the file has more than eight bits. */
export interface Picture extends PictureSize {
  readonly data: Uint8Array | Uint8ClampedArray | Float32Array;
}

const PLANES = 4;

/** The f32 input of a network. Alpha is left out unless the network reads it. */
export function pictureTensor(picture: Picture, target: PictureTarget): Tensor {
  const { width, height, layout } = target;
  const [rows, columns] = placePicture(picture, target, target.resize);
  const wide = resizeLines(picture.data, picture.height, columns, PLANES);
  const resized = resizeLines(wide, 1, rows, columns.resized * PLANES);
  const { factors, shifts } = channelMatrix(target, 'rgba');
  const channels = factors.length;
  const data = new Float32Array(channels * width * height);
  const [step, plane] = layout === 'nchw' ? [1, width * height] : [channels, 1];
  for (let y = 0; y < height; y++) {
    const fromY = y + rows.start;
    for (let x = 0; x < width; x++) {
      const fromX = x + columns.start;
      const inside = fromY >= 0 && fromY < rows.resized && fromX >= 0 && fromX < columns.resized;
      const at = (fromY * columns.resized + fromX) * PLANES;
      factors.forEach((row, c) => {
        let sum = shifts[c] ?? 0;
        for (let p = 0; p < PLANES; p++) {
          sum += (row[p] ?? 0) * (inside ? (resized[at + p] as number) : target.pad);
        }
        data[c * plane + (y * width + x) * step] = sum;
      });
    }
  }
  const shape = layout === 'nchw' ? [1, channels, height, width] : [1, height, width, channels];
  return { type: { dtype: 'f32', shape }, data };
}

/** Resizes one axis of `count` blocks, each of `source` positions of `inner` numbers. */
function resizeLines(
  data: Picture['data'],
  count: number,
  { source, resized }: AxisPlacement,
  inner: number,
): Picture['data'] {
  if (source === resized) return data;
  const taps = resizeAxis(resizeAttrs([count, source, inner], 1, resized), 1, source);
  const out = new Float32Array(count * resized * inner);
  for (let block = 0; block < count; block++) {
    taps.forEach((list, position) => {
      const to = (block * resized + position) * inner;
      for (const { index, weight } of list) {
        const from = (block * source + index) * inner;
        for (let i = 0; i < inner; i++)
          out[to + i] = (out[to + i] as number) + weight * (data[from + i] as number);
      }
    });
  }
  return out;
}
