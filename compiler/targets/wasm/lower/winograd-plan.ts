/** Which convolutions are computed by minimal filtering: where it is faster than the direct way, and exact enough. */
import { wholeAndRest } from '#compiler/schedule/loops.ts';
import type { WindowAxis } from '#ir/window.ts';
import { type Filters, isExactEnough, WINOGRAD_ERROR } from '../../../winograd/error.ts';
import { type TileSize, winogradTransform } from '../../../winograd/transforms.ts';
import { BUILT_IN_COSTS, type CostProfile } from '../costs.ts';
import { cheapestCost, type Tile, tileCost, widthOf } from '../tiles.ts';

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
  /** Output channels that are made of a block at once; as the block's size asks for, unless given. */
  readonly chunk?: number;
}

/** Bytes of weights that stay in the second-level cache. */
const CACHED_WEIGHTS = 1 << 19;
/** Bytes of transformed inputs and products of a block that stay in the second-level cache. */
const BLOCK_BYTES = 320 * 1024;
/**
 * Larger blocks read their weights less often. Of these the inputs may take so much, some of it from beyond that cache, and
 * the products of a chunk of channels as much as here.
 */
const INPUT_BYTES = 4096 * 1024;
const CHUNK_BYTES = 256 * 1024;
const LEAST_CHUNK = 32;
/** Tiles of a block, whatever they take. */
const LEAST_BLOCK = 4;

export interface WinogradOptions {
  /** This size of tiles, whatever its cost and error. */
  readonly only?: TileSize;
  /** On the error. */
  readonly limit?: number;
  readonly costs?: CostProfile;
}

/** The fastest way that is exact enough; undefined where that is the direct one. */
export function planWinograd(
  layer: WinogradLayer,
  { only, limit = WINOGRAD_ERROR, costs = BUILT_IN_COSTS }: WinogradOptions = {},
): WinogradPlan | undefined {
  if (!fitsWinograd(layer)) return undefined;
  if (only !== undefined) return cheapestBlock(layer, only, costs);
  if (hasNarrowGroups(layer.filters)) return undefined;
  const direct = directCost(layer, costs);
  const plans = WINOGRAD_SIZES.map((outputs) => cheapestBlock(layer, outputs, costs))
    .filter(({ cost }) => cost < direct)
    .sort((a, b) => a.cost - b.cost);
  return plans.find(({ outputs }) => isExactEnough(layer.filters, outputs, limit));
}

/**
 * Groups of few channels are faster the direct way by a factor of 1.5 to 2, with a quarter of the weights: their products are
 * short, and a tile at the border is copied with the channels of all groups.
 */
const hasNarrowGroups = ({ groups, inputChannels }: Filters): boolean => groups > 1 && inputChannels < 64;

export const WINOGRAD_SIZES = [4, 2] as const satisfies readonly TileSize[];

/** Whether minimal filtering computes such a convolution at all. */
export const fitsWinograd = ({ axes }: WinogradLayer): boolean =>
  axes.length === 2 && axes.every((a) => a.kernel === 3 && a.stride === 1 && a.dilation === 1);

/** Rows and columns of tiles, of which a block is a part. */
export const tilesOf = ({ outSize }: WinogradLayer, outputs: TileSize): readonly [number, number] => [
  Math.ceil(outSize[0] / outputs),
  Math.ceil(outSize[1] / outputs),
];

/** The cheapest plans with tiles of a size, each with another number of tiles in a block. */
export function cheapestPlans(
  layer: WinogradLayer,
  outputs: TileSize,
  count: number,
  costs: CostProfile = BUILT_IN_COSTS,
): readonly WinogradPlan[] {
  const plans = pricedPlans(layer, outputs, costs).sort((a, b) => a.cost - b.cost);
  const bySize = new Map<number, WinogradPlan>();
  for (const { block } of plans) {
    const tiles = block[0] * block[1];
    if (bySize.size < count && !bySize.has(tiles)) bySize.set(tiles, { outputs, block });
  }
  return [...bySize.values()];
}

function directCost({ filters, batch, outSize }: WinogradLayer, { engines }: CostProfile): number {
  const { groups, inputChannels, channels } = filters;
  const row = cheapestCost(engines.simd.tiles, outSize[1], channels);
  return batch * groups * outSize[0] * row * 9 * inputChannels;
}

interface PricedPlan extends WinogradPlan {
  readonly cost: number;
}

/**
 * Output channels that are made of a block at once: all, where its products stay in the cache with its inputs; else as large
 * a part as does.
 */
export function chunkOf(
  { inputChannels, channels }: Filters,
  { outputs, block, chunk: given }: WinogradPlan,
): number {
  if (given !== undefined) return given;
  const perChannel = 4 * winogradTransform(outputs).size ** 2 * block[0] * block[1];
  if (perChannel * (inputChannels + channels) <= BLOCK_BYTES) return channels;
  const [, width] = winogradTile(channels);
  for (let chunk = channels - (channels % width); chunk >= LEAST_CHUNK; chunk -= width) {
    if (channels % chunk === 0 && perChannel * chunk <= CHUNK_BYTES) return chunk;
  }
  return channels;
}

/** The first of the cheapest. */
function cheapestBlock(layer: WinogradLayer, outputs: TileSize, costs: CostProfile): PricedPlan {
  const none = { outputs, block: [1, 1], cost: Number.POSITIVE_INFINITY } as const;
  return pricedPlans(layer, outputs, costs).reduce<PricedPlan>(
    (best, plan) => (plan.cost < best.cost ? plan : best),
    none,
  );
}

/** Every block whose intermediate values stay in the second-level cache. */
function pricedPlans(layer: WinogradLayer, outputs: TileSize, costs: CostProfile): PricedPlan[] {
  const { filters, batch } = layer;
  const { groups, inputChannels, channels } = filters;
  const elements = winogradTransform(outputs).size ** 2;
  const [down, across] = tilesOf(layer, outputs);
  const tile = productTile(costs);
  const most = Math.max(LEAST_BLOCK, Math.floor(INPUT_BYTES / (4 * elements * inputChannels)));
  const weightBytes = 4 * elements * inputChannels * channels;
  const far = (bytes: number) => Math.max(0, bytes - CACHED_WEIGHTS) * costs.winograd.weightByte;
  const transforms =
    down *
    across *
    (Math.ceil(inputChannels / 4) * costs.winograd.input[outputs] +
      Math.ceil(channels / 4) * costs.winograd.output[outputs]);
  const plans: PricedPlan[] = [];
  for (let rows = 1; rows <= Math.min(down, most); rows++) {
    for (let columns = 1; columns <= Math.min(across, Math.floor(most / rows)); columns++) {
      const chunk = chunkOf(filters, { outputs, block: [rows, columns] });
      const tiles = rows * columns;
      // no chunk is small enough
      if (tiles > LEAST_BLOCK && 4 * elements * tiles * chunk > CHUNK_BYTES) continue;
      const inputBytes = 4 * elements * inputChannels * tiles;
      const perBlock = far(weightBytes) + (channels / chunk) * far(inputBytes);
      const blocks = wholeAndRest(down, rows).flatMap(([r, n]) =>
        wholeAndRest(across, columns).map(([c, k]) => ({ tiles: r * c, times: n * k })),
      );
      const products = blocks.reduce(
        (sum, { tiles, times }) =>
          sum + times * (elements * inputChannels * tileCost(tile, tiles, channels) + perBlock),
        0,
      );
      plans.push({ outputs, block: [rows, columns], cost: batch * groups * (products + transforms) });
    }
  }
  return plans;
}

/**
 * The register tile of the products. Few pixels go by for each panel of weights, which come from beyond the second-level
 * cache, so a tile of many pixels is better than its efficiency in long products says.
 */
const TILE = { pixels: 4, channels: 8 } as const;

function productTile({ engines }: CostProfile): Tile {
  const own = engines.simd.tiles.find((t) => t.pixels === TILE.pixels && t.channels === TILE.channels);
  return { ...TILE, efficiency: own?.efficiency ?? 1 };
}

export const winogradTile = (channels: number): readonly [number, number] => [
  TILE.pixels,
  widthOf(TILE.channels, channels),
];
