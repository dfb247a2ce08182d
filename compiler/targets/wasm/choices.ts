/** What the lowerings may choose among, and who chooses: by estimated cost, or one choice for several sizes. */
import { InternalError } from '#ir/diagnostics.ts';
import { planWinograd, type WinogradLayer, type WinogradPlan } from './lower/winograd-plan.ts';
import { cheapest, chooseTile, TILES, type Tile, tileCost, widthOf } from './tiles.ts';

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
    return cheapest(
      TILES.filter((tile) => widthOf(tile, channels) === width),
      pixels,
      channels,
    );
  }

  winograd(layer: string, convolution: WinogradLayer): WinogradPlan | undefined {
    if (!this.#outputs.has(layer)) this.#outputs.set(layer, planWinograd(convolution)?.outputs);
    const outputs = this.#outputs.get(layer);
    return outputs && planWinograd(convolution, { only: outputs });
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
