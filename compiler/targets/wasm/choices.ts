/** What the lowerings may choose among, and who chooses: by estimated cost, or one choice for several sizes. */
import { InternalError } from '#ir/diagnostics.ts';
import type { Node } from '#ir/graph.ts';
import { BUILT_IN_COSTS, type CostProfile } from './costs.ts';
import { planWinograd, type WinogradLayer, type WinogradPlan } from './lower/winograd-plan.ts';
import { cheapest, cheapestCost, tilesOfWidth, widthOf } from './tiles.ts';

/** Decides how a layer's weights are packed, and so what its kernels are. */
export interface Choices {
  /** What costs are estimated from. */
  readonly costs: CostProfile;
  /**
   * The register tile of a product whose weights are packed: its width decides their order.
   * @param layer the node, whose name is the same in every specialisation of a network
   * @param product which of the node's products it is
   */
  tile(layer: Node, product: number, pixels: number, channels: number): readonly [number, number];
  /** Whether a convolution is computed by minimal filtering, and how. */
  winograd(layer: Node, convolution: WinogradLayer): WinogradPlan | undefined;
}

/** The cheapest tile of baseline SIMD for `pixels` in a row and `channels` per group, of a width that suits all engines. */
export const chooseTile = (
  pixels: number,
  channels: number,
  costs: CostProfile = BUILT_IN_COSTS,
): readonly [number, number] => tileOfWidth(chooseWidth([pixels], channels, costs), pixels, channels, costs);

/** The cheapest tile of baseline SIMD that reads panels of `width`. */
export const tileOfWidth = (
  width: number,
  pixels: number,
  channels: number,
  { engines }: CostProfile,
): readonly [number, number] =>
  cheapest(tilesOfWidth(engines.simd.tiles, widthOf(width, channels), channels), pixels, channels);

/**
 * How many channels a panel of packed weights has: the width with the smallest sum, over engines and rows of pixels, of
 * times relative to the best that there is.
 */
function chooseWidth(rows: readonly number[], channels: number, { engines }: CostProfile): number {
  const loss = (width: number): number =>
    Object.values(engines).reduce(
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
  const widths = [...new Set(engines.simd.tiles.map((tile) => widthOf(tile.channels, channels)))];
  return widths.reduce((best, width) => (loss(width) < loss(best) ? width : best));
}

/** Each layer by itself. */
export const freeChoices = (costs: CostProfile): Choices => ({
  costs,
  tile: (_layer, _product, pixels, channels) => chooseTile(pixels, channels, costs),
  winograd: (_layer, convolution) => planWinograd(convolution, { costs }),
});

export const FREE_CHOICES: Choices = freeChoices(BUILT_IN_COSTS);

/**
 * One way to pack each layer's weights for all specialisations of a network, so that they share them. First every
 * specialisation is lowered to learn what its layers want; after `settle`, the width of a tile is the one with the smallest
 * sum of times, each relative to the best that its specialisation could have. Minimal filtering is what the first of them
 * has.
 */
export class SharedChoices implements Choices {
  readonly costs: CostProfile;
  readonly #wanted = new Map<string, { readonly channels: number; readonly pixels: Set<number> }>();
  readonly #outputs = new Map<string, WinogradPlan['outputs'] | undefined>();
  #widths: Map<string, number> | undefined;

  constructor(costs: CostProfile = BUILT_IN_COSTS) {
    this.costs = costs;
  }

  tile({ name }: Node, product: number, pixels: number, channels: number): readonly [number, number] {
    const key = `${name}/${product}:${channels}`;
    if (!this.#widths) {
      const wanted = this.#wanted.get(key) ?? { channels, pixels: new Set() };
      this.#wanted.set(key, wanted);
      wanted.pixels.add(pixels);
      return chooseTile(pixels, channels, this.costs);
    }
    const width = this.#widths.get(key);
    if (width === undefined) throw new InternalError(`product ${product} of ${name} was not there before`);
    return tileOfWidth(width, pixels, channels, this.costs);
  }

  winograd({ name }: Node, convolution: WinogradLayer): WinogradPlan | undefined {
    const { costs } = this;
    if (!this.#outputs.has(name)) this.#outputs.set(name, planWinograd(convolution, { costs })?.outputs);
    const outputs = this.#outputs.get(name);
    return outputs && planWinograd(convolution, { only: outputs, costs });
  }

  settle(): void {
    this.#widths = new Map(
      [...this.#wanted].map(([key, { channels, pixels }]) => [
        key,
        chooseWidth([...pixels], channels, this.costs),
      ]),
    );
  }
}
