/** Register tiles of the gemm family, and which of them suits a layer. */
import { wholeAndRest } from '#compiler/schedule/loops.ts';

export interface Tile {
  readonly pixels: number;
  readonly channels: number;
  /** Share of the machine's peak that the inner loop reaches, measured over long K. */
  readonly efficiency: number;
}

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

/** The cheapest of some tiles for `pixels` in a row and `channels` per group, no wider than the channels. */
export function cheapest(
  tiles: readonly Tile[],
  pixels: number,
  channels: number,
): readonly [number, number] {
  let best = tiles[0] as Tile;
  for (const tile of tiles) {
    if (tileCost(tile, pixels, channels) < tileCost(best, pixels, channels)) best = tile;
  }
  return [best.pixels, widthOf(best.channels, channels)];
}

export const cheapestCost = (tiles: readonly Tile[], pixels: number, channels: number): number =>
  Math.min(...tiles.map((tile) => tileCost(tile, pixels, channels)));

/** How wide panels for tiles of `width` are where there are only so many channels. */
export const widthOf = (width: number, channels: number): number =>
  Math.min(width, Math.ceil(channels / 4) * 4);

/** The tiles that read weights which are packed in panels of `width`. */
export const tilesOfWidth = (tiles: readonly Tile[], width: number, channels: number): readonly Tile[] =>
  tiles.filter((tile) => widthOf(tile.channels, channels) === width);
