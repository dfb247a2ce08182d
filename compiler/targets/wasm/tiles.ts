/** Register tiles of the gemm family, and which of them suits a layer. */
import { InternalError } from '#ir/diagnostics.ts';

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
  const rowsOf = split(pixels, tile.pixels);
  const columnsOf = split(channels, tile.channels);
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

function cheapest(tiles: readonly Tile[], pixels: number, channels: number): readonly [number, number] {
  let best = tiles[0] as Tile;
  for (const tile of tiles) {
    if (tileCost(tile, pixels, channels) < tileCost(best, pixels, channels)) best = tile;
  }
  return [best.pixels, widthOf(best, channels)];
}

const widthOf = (tile: Tile, channels: number): number =>
  Math.min(tile.channels, Math.ceil(channels / 4) * 4);

/** Chooses the tiles of products whose weights are packed: the tile's width decides the order of the weights. */
export interface TilePlan {
  /** @param layer the product, by a name that it has in every specialisation of a network */
  tile(layer: string, pixels: number, channels: number): readonly [number, number];
}

/** Each product by itself. */
export const FREE_TILES: TilePlan = { tile: (_, pixels, channels) => chooseTile(pixels, channels) };

/**
 * One width per layer in all specialisations of a network, so that they share its packed weights. First every
 * specialisation is lowered to learn what its layers want; after `settle`, the width is the one with the smallest sum of
 * times, each relative to the best that its specialisation could have.
 */
export class SharedTiles implements TilePlan {
  readonly #wanted = new Map<string, { readonly channels: number; readonly pixels: Set<number> }>();
  #widths: Map<string, number> | undefined;

  tile(layer: string, pixels: number, channels: number): readonly [number, number] {
    const key = `${layer}:${channels}`;
    if (!this.#widths) {
      const wanted = this.#wanted.get(key) ?? { channels, pixels: new Set() };
      this.#wanted.set(key, wanted);
      wanted.pixels.add(pixels);
      return chooseTile(pixels, channels);
    }
    const width = this.#widths.get(key);
    if (width === undefined) throw new InternalError(`the product ${layer} was not there before`);
    return cheapest(
      TILES.filter((tile) => widthOf(tile, channels) === width),
      pixels,
      channels,
    );
  }

  settle(): void {
    const widths = [...this.#wanted].map(([key, { channels, pixels }]) => {
      const loss = (width: number): number => {
        const tiles = TILES.filter((tile) => widthOf(tile, channels) === width);
        const cost = (among: readonly Tile[], p: number) =>
          Math.min(...among.map((t) => tileCost(t, p, channels)));
        return [...pixels].reduce((sum, p) => sum + cost(tiles, p) / cost(TILES, p), 0);
      };
      const [best = 4] = [...new Set(TILES.map((tile) => widthOf(tile, channels)))].sort(
        (a, b) => loss(a) - loss(b),
      );
      return [key, best] as const;
    });
    this.#widths = new Map(widths);
  }
}

const split = (count: number, size: number): (readonly [number, number])[] =>
  [
    [size, Math.floor(count / size)],
    [count % size, 1],
  ].filter((entry): entry is [number, number] => (entry[0] ?? 0) > 0 && (entry[1] ?? 0) > 0);
