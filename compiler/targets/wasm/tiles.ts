/** Register tiles of the gemm family, and which of them suits a layer. */
import { wholeAndRest } from '#compiler/schedule/loops.ts';

export interface Tile {
  readonly pixels: number;
  readonly channels: number;
  /** Share of the machine's peak that the inner loop reaches, measured over long K on V8 11. */
  readonly efficiency: number;
}

/**
 * V8 11 schedules a block's loads before its arithmetic, so accumulators, B vectors, splats and one temporary must fit
 * in 15 registers together. Narrow tiles wait for the latency of addition.
 */
export const TILES: readonly Tile[] = [
  { pixels: 4, channels: 8, efficiency: 0.95 },
  { pixels: 2, channels: 16, efficiency: 0.97 },
  { pixels: 7, channels: 4, efficiency: 0.86 },
  { pixels: 1, channels: 24, efficiency: 0.86 },
];

/** Relative efficiency of a partial tile: it issues fewer independent additions than the adders can hold. */
const partial = (rows: number, vectors: number): number => Math.min(1, (rows * vectors + 1) / 9);

/** Relative time of covering `pixels` × `channels` with a tile; 1 is a full machine. */
export function tileCost(tile: Tile, pixels: number, channels: number): number {
  const vectorsOf = (n: number) => Math.ceil(n / 4);
  const rowsOf = wholeAndRest(pixels, tile.pixels);
  const columnsOf = wholeAndRest(channels, tile.channels);
  let time = 0;
  for (const [rows, rowCount] of rowsOf) {
    for (const [columns, columnCount] of columnsOf) {
      const vectors = vectorsOf(columns);
      const work = rows * vectors * 4;
      time += (rowCount * columnCount * work) / (tile.efficiency * partial(rows, vectors));
    }
  }
  return time;
}

/** The cheapest tile for `pixels` in a row and `channels` per group. */
export function chooseTile(pixels: number, channels: number): readonly [number, number] {
  return cheapest(TILES, pixels, channels);
}

/** The cheapest of some tiles, no wider than the channels. */
export function cheapest(
  tiles: readonly Tile[],
  pixels: number,
  channels: number,
): readonly [number, number] {
  let best = tiles[0] as Tile;
  for (const tile of tiles) {
    if (tileCost(tile, pixels, channels) < tileCost(best, pixels, channels)) best = tile;
  }
  return [best.pixels, widthOf(best, channels)];
}

export const widthOf = (tile: Tile, channels: number): number =>
  Math.min(tile.channels, Math.ceil(channels / 4) * 4);
