/** The filters of a Winograd convolution, transformed while compiling. */
import type { PackedConstant } from '#compiler/schedule/program.ts';
import { panelWidths, transformFilters } from '#runtime/stored-weights.ts';
import type { Filters } from '../../../../winograd/error.ts';
import { type TileSize, winogradTransform } from '../../../../winograd/transforms.ts';
import { packed } from '../../pack.ts';

/** Transformed filters, as `transformFilters` orders them in panels of `width` output channels. */
export function packFilters(
  { data, groups, inputChannels, channels }: Filters,
  m: TileSize,
  width: number,
): PackedConstant & { readonly elementBytes: number } {
  const { size, filter } = winogradTransform(m);
  const shape = { groups, inputChannels, channels, width, matrix: filter.flat() };
  const elementFloats = inputChannels * panelWidths(channels, width).reduce((n, w) => n + w, 0);
  return {
    ...packed(groups * size * size * elementFloats, (target) => transformFilters(data, shape, target)),
    compact: { kind: 'winograd', filters: data, shape },
    elementBytes: elementFloats * 4,
  };
}
