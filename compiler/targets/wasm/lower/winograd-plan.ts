/** Which convolutions are computed by minimal filtering: where it is faster than the direct way, and exact enough. */
import { wholeAndRest } from '#compiler/schedule/loops.ts';
import type { WindowAxis } from '#ir/window.ts';
import { SIMD } from '../engines.ts';
import { type Filters, winogradError } from '../kernels/winograd/filter.ts';
import { type TileSize, winogradTransform } from '../kernels/winograd/transforms.ts';
import { cheapestCost, type Tile, tileCost, widthOf } from '../tiles.ts';

/** Largest error of a layer, relative to its largest output, that Winograd may have. */
export const WINOGRAD_ERROR = 1e-5;

export interface WinogradLayer {
  readonly axes: readonly WindowAxis[];
  readonly filters: Filters;
  readonly batch: number;
  readonly outSize: readonly [number, number];
}

/** What a layer is computed with: outputs of a tile, and tiles of a block. */
export interface WinogradPlan {
  readonly outputs: TileSize;
  readonly block: readonly [number, number];
}

/**
 * Time in multiply-adds at peak that transforming one vector of one tile takes, and reading one byte of weights that do
 * not stay in the second-level cache; measured on V8 11.
 */
const INPUT_COST: Readonly<Record<TileSize, number>> = { 2: 200, 4: 670 };
const OUTPUT_COST: Readonly<Record<TileSize, number>> = { 2: 240, 4: 570 };
const WEIGHT_BYTE_COST = 0.12;
const CACHED_WEIGHTS = 1 << 19;
/** Bytes of transformed inputs and products of a block that stay in the second-level cache. */
const BLOCK_BYTES = 320 * 1024;

/**
 * The fastest way that is exact enough; undefined where that is the direct one.
 * @param only this size of tiles, whatever its cost and error
 * @param limit on the error
 */
export function planWinograd(
  layer: WinogradLayer,
  { only, limit = WINOGRAD_ERROR }: { readonly only?: TileSize; readonly limit?: number } = {},
): WinogradPlan | undefined {
  const { axes, filters } = layer;
  const fits = axes.length === 2 && axes.every((a) => a.kernel === 3 && a.stride === 1 && a.dilation === 1);
  if (!fits) return undefined;
  if (only !== undefined) return cheapestBlock(layer, only);
  const direct = directCost(layer);
  const plans = ([4, 2] as const)
    .map((outputs) => cheapestBlock(layer, outputs))
    .filter(({ cost }) => cost < direct)
    .sort((a, b) => a.cost - b.cost);
  return plans.find(({ outputs }) => errorOf(filters, outputs) <= limit);
}

function directCost({ filters, batch, outSize }: WinogradLayer): number {
  const { groups, inputChannels, channels } = filters;
  return batch * groups * outSize[0] * cheapestCost(SIMD.tiles, outSize[1], channels) * 9 * inputChannels;
}

function cheapestBlock(layer: WinogradLayer, outputs: TileSize): WinogradPlan & { readonly cost: number } {
  const { filters, batch, outSize } = layer;
  const { groups, inputChannels, channels } = filters;
  const elements = winogradTransform(outputs).size ** 2;
  const [down, across] = outSize.map((n) => Math.ceil(n / outputs)) as [number, number];
  const most = Math.max(4, Math.floor(BLOCK_BYTES / (4 * elements * (inputChannels + channels))));
  const weightBytes = 4 * elements * inputChannels * channels;
  const perBlock = Math.max(0, weightBytes - CACHED_WEIGHTS) * WEIGHT_BYTE_COST;
  const transforms =
    down *
    across *
    (Math.ceil(inputChannels / 4) * INPUT_COST[outputs] + Math.ceil(channels / 4) * OUTPUT_COST[outputs]);
  let best: (WinogradPlan & { cost: number }) | undefined;
  for (let rows = 1; rows <= Math.min(down, most); rows++) {
    for (let columns = 1; columns <= Math.min(across, Math.floor(most / rows)); columns++) {
      const blocks = wholeAndRest(down, rows).flatMap(([r, n]) =>
        wholeAndRest(across, columns).map(([c, k]) => ({ tiles: r * c, times: n * k })),
      );
      const products = blocks.reduce(
        (sum, { tiles, times }) =>
          sum + times * (elements * inputChannels * tileCost(TILE, tiles, channels) + perBlock),
        0,
      );
      const cost = batch * groups * (products + transforms);
      if (!best || cost < best.cost) best = { outputs, block: [rows, columns], cost };
    }
  }
  return best ?? { outputs, block: [1, 1], cost: Number.POSITIVE_INFINITY };
}

/**
 * The register tile of the products. Few pixels go by for each panel of weights, which come from beyond the second-level
 * cache, so a tile of many pixels is better than its efficiency in long products says.
 */
const TILE: Tile = { pixels: 4, channels: 8, efficiency: 0.95 };

export const winogradTile = (channels: number): readonly [number, number] => [
  TILE.pixels,
  widthOf(TILE, channels),
];

/** Of weights that were measured: the same layer is lowered more than once. */
const ERRORS = new WeakMap<Float32Array, Map<TileSize, number>>();

function errorOf(filters: Filters, outputs: TileSize): number {
  const known = ERRORS.get(filters.data) ?? new Map<TileSize, number>();
  ERRORS.set(filters.data, known);
  const error = known.get(outputs) ?? winogradError(filters, outputs);
  known.set(outputs, error);
  return error;
}
