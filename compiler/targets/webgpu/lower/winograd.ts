/** Which convolutions are computed by minimal filtering, and their weights. */
import type { PackedConstant } from '#compiler/schedule/program.ts';
import type { TensorData } from '#ir/tensor.ts';
import { filterTransform } from '#runtime/stored-weights.ts';
import { isExactEnough } from '../../../winograd/error.ts';
import { winogradTransform } from '../../../winograd/transforms.ts';
import type { ConvAxis } from '../kernels/conv.ts';
import type { GpuKernel } from '../kernels/index.ts';
import { TILE, type WinogradParams } from '../kernels/winograd.ts';
import type { MinimalTile } from '../tiles.ts';

/**
 * Transformed weights are 16 for 9: the fewer tiles share them, the more of the saving in products goes into reading (and
 * downloading) them.
 */
const FEWEST_TILES = 128;
/** Fewer would leave the transforms more work than the products they save. */
const FEWEST_CHANNELS = 16;

type Layer = Omit<WinogradParams, 'axes' | 'tile'> & { readonly axes: readonly ConvAxis[] };

/** Undefined where a layer is only possible without, or more exact, or where that is chosen. */
export function winogradCall(
  layer: Layer,
  weight: TensorData,
  choose: () => MinimalTile | undefined,
): { readonly kernel: GpuKernel; readonly weights: PackedConstant } | undefined {
  const { axes, groups, perGroup, channels, inputChannelStep, vectors, batch } = layer;
  const [vertical, horizontal] = axes;
  const plain = (a: ConvAxis) => a.kernel === 3 && a.stride === 1 && a.dilation === 1;
  if (!vertical || !horizontal || axes.length !== 2 || !axes.every(plain)) return undefined;
  if (!vectors || inputChannelStep !== 1 || perGroup % 4 !== 0) return undefined;
  if (Math.min(perGroup, channels) < FEWEST_CHANNELS || !(weight instanceof Float32Array)) return undefined;
  const tiles = axes.reduce((n, a) => n * Math.ceil(a.output / TILE), batch.count);
  if (tiles < FEWEST_TILES) return undefined;
  const tile = choose();
  if (!tile || !isExactEnough({ data: weight, groups, inputChannels: perGroup, channels }, TILE))
    return undefined;
  return {
    kernel: { family: 'winograd', params: { ...layer, axes: [vertical, horizontal], tile } },
    weights: packedFilters(weight, groups, perGroup, channels),
  };
}

/** In the order in which the kernel reads them; channels are whole quads. */
function packedFilters(
  data: Float32Array,
  groups: number,
  perGroup: number,
  channels: number,
): PackedConstant {
  const { size, filter } = winogradTransform(TILE);
  const elements = size * size;
  return {
    bytes: groups * perGroup * elements * channels * 4,
    write({ buffer, byteOffset }) {
      const words = new Float32Array(buffer, byteOffset, groups * perGroup * elements * channels);
      const transform = filterTransform(filter.flat());
      const one = new Float64Array(elements);
      for (let g = 0; g < groups; g++) {
        for (let o = 0; o < channels; o++) {
          for (let c = 0; c < perGroup; c++) {
            transform(data, ((g * channels + o) * perGroup + c) * 9, one);
            const quad = (g * perGroup + c - (c % 4)) * elements;
            for (let e = 0; e < elements; e++) words[(quad + e * 4 + (c % 4)) * channels + o] = one[e] ?? 0;
          }
        }
      }
    },
  };
}
