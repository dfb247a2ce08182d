/** What the lowerings may choose among, and who chooses: by estimated cost, or one choice for several sizes. */
import { InternalError } from '#ir/diagnostics.ts';
import { ENGINES, SIMD } from './engines.ts';
import { planWinograd, type WinogradLayer, type WinogradPlan } from './lower/winograd-plan.ts';
import { cheapest, cheapestCost, tilesOfWidth, widthOf } from './tiles.ts';

/** Decides how a layer's weights are packed, and so what its kernels are. */
export interface Choices {
  /**
   * The register tile of a product whose weights are packed: its width decides their order.
   * @param layer the product, by a name that it has in every specialisation of a network
   */
  tile(layer: string, pixels: number, channels: number): readonly [number, number];
  /** Whether a convolution is computed by minimal filtering, and how. */
  winograd(layer: string, convolution: WinogradLayer): WinogradPlan | undefined;
}

/** The cheapest tile of baseline SIMD for `pixels` in a row and `channels` per group, of a width that suits all engines. */
export const chooseTile = (pixels: number, channels: number): readonly [number, number] =>
  tileOfWidth(chooseWidth([pixels], channels), pixels, channels);

const tileOfWidth = (width: number, pixels: number, channels: number): readonly [number, number] =>
  cheapest(tilesOfWidth(SIMD.tiles, width, channels), pixels, channels);

/**
 * How many channels a panel of packed weights has: the width with the smallest sum, over engines and rows of pixels, of
 * times relative to the best that there is.
 */
function chooseWidth(rows: readonly number[], channels: number): number {
  const loss = (width: number): number =>
    Object.values(ENGINES).reduce(
      (sum, { tiles }) =>
        rows.reduce(
          (part, pixels) =>
            part +
            cheapestCost(tilesOfWidth(tiles, width, channels), pixels, channels) /
              cheapestCost(tiles, pixels, channels),
          sum,
        ),
      0,
    );
  const widths = [...new Set(SIMD.tiles.map((tile) => widthOf(tile, channels)))];
  return widths.reduce((best, width) => (loss(width) < loss(best) ? width : best));
}

/** Each layer by itself. */
export const FREE_CHOICES: Choices = {
  tile: (_, pixels, channels) => chooseTile(pixels, channels),
  winograd: (_, convolution) => planWinograd(convolution),
};

/**
 * One way to pack each layer's weights for all specialisations of a network, so that they share them. First every
 * specialisation is lowered to learn what its layers want; after `settle`, the width of a tile is the one with the smallest
 * sum of times, each relative to the best that its specialisation could have. Minimal filtering is what the first of them
 * has.
 */
export class SharedChoices implements Choices {
  readonly #wanted = new Map<string, { readonly channels: number; readonly pixels: Set<number> }>();
  readonly #outputs = new Map<string, WinogradPlan['outputs'] | undefined>();
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
    return tileOfWidth(width, pixels, channels);
  }

  winograd(layer: string, convolution: WinogradLayer): WinogradPlan | undefined {
    if (!this.#outputs.has(layer)) this.#outputs.set(layer, planWinograd(convolution)?.outputs);
    const outputs = this.#outputs.get(layer);
    return outputs && planWinograd(convolution, { only: outputs });
  }

  settle(): void {
    this.#widths = new Map(
      [...this.#wanted].map(([key, { channels, pixels }]) => [key, chooseWidth([...pixels], channels)]),
    );
  }
}
