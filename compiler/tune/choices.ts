/** Choices that were measured, where there are some; what the cost model chooses elsewhere. */
import { fail, InternalError } from '#ir/diagnostics.ts';
import type { Node } from '#ir/graph.ts';
import { type Choices, freeChoices, tileOfWidth } from '../targets/wasm/choices.ts';
import type { CostProfile } from '../targets/wasm/costs.ts';
import {
  fitsWinograd,
  tilesOf,
  type WinogradLayer,
  type WinogradPlan,
} from '../targets/wasm/lower/winograd-plan.ts';
import { isExactEnough } from '../winograd/error.ts';
import { layerKey } from './layer.ts';
import type { LayerChoice, TunedLayer, Tuning } from './tuning.ts';

/** Asked for the choice of a layer; undefined where the cost model chooses. */
type ChoiceOf = (layer: Node) => LayerChoice | undefined;

/** Follows what is chosen layer by layer. */
export class TunedChoices implements Choices {
  readonly costs: CostProfile;
  readonly #model: Choices;
  readonly #choiceOf: ChoiceOf;

  constructor(choiceOf: ChoiceOf, costs: CostProfile) {
    this.costs = costs;
    this.#model = freeChoices(costs);
    this.#choiceOf = choiceOf;
  }

  /** @param tuning of one machine */
  static of({ machines: [machine, ...more] }: Tuning, costs: CostProfile): TunedChoices {
    if (more.length > 0) throw new InternalError('a tuning of one machine is needed');
    const layers = new Map<string, TunedLayer>((machine?.layers ?? []).map((one) => [one.layer, one]));
    const keys = new WeakMap<Node, string>();
    return new TunedChoices((node) => {
      const key = keys.get(node) ?? layerKey(node);
      keys.set(node, key);
      return layers.get(key)?.choice;
    }, costs);
  }

  tile(layer: Node, product: number, pixels: number, channels: number): readonly [number, number] {
    const choice = this.#choiceOf(layer);
    return choice?.way === 'direct'
      ? tileOfWidth(choice.width, pixels, channels, this.costs)
      : this.#model.tile(layer, product, pixels, channels);
  }

  /** Layers of one shape have filters of their own: minimal filtering is only taken where it is exact with them. */
  winograd(layer: Node, convolution: WinogradLayer): WinogradPlan | undefined {
    const choice = this.#choiceOf(layer);
    if (choice?.way === 'direct') return undefined;
    if (choice?.way !== 'winograd') return this.#model.winograd(layer, convolution);
    const { outputs, block } = choice;
    const [rows, columns] = tilesOf(convolution, outputs);
    if (!fitsWinograd(convolution) || block[0] > rows || block[1] > columns) {
      const message = `the tuning has tiles of ${outputs}×${outputs} in blocks of ${block.join('×')} for it, which do not fit`;
      fail('usage-invalid', layer.name, message, 'measure again: compile --tune with a new file');
    }
    return isExactEnough(convolution.filters, outputs)
      ? { outputs, block }
      : this.#model.winograd(layer, convolution);
  }
}
