/** The ways to compute a layer that are timed against each other. */
import type { Node } from '#ir/graph.ts';
import { type Choices, freeChoices } from '../targets/wasm/choices.ts';
import type { CostProfile } from '../targets/wasm/costs.ts';
import { lowerGraph, type WasmProgram } from '../targets/wasm/index.ts';
import { kernelKey } from '../targets/wasm/kernels/index.ts';
import {
  cheapestPlans,
  fitsWinograd,
  WINOGRAD_SIZES,
  type WinogradLayer,
} from '../targets/wasm/lower/winograd-plan.ts';
import { isExactEnough } from '../winograd/error.ts';
import { TunedChoices } from './choices.ts';
import type { LoneLayer } from './layer.ts';
import { type LayerChoice, PANEL_WIDTHS } from './tuning.ts';

/** Blocks of minimal filtering that are tried for each size of tiles. */
const BLOCKS = 4;

export interface Candidate {
  readonly choice: LayerChoice;
  readonly program: WasmProgram;
}

export interface Candidates {
  readonly list: readonly Candidate[];
  /** Which of them the cost model chooses. */
  readonly usual: number;
}

/** Distinct programs of a layer; there is but one where nothing is to be chosen. */
export function candidatesOf({ graph, node }: LoneLayer, costs: CostProfile): Candidates {
  const asked = new AskedChoices(node, freeChoices(costs));
  const usual: Candidate = {
    choice: { way: 'model' },
    program: lowerGraph(graph, { choices: asked }),
  };
  const choices: LayerChoice[] = [
    ...(asked.products || asked.convolution
      ? PANEL_WIDTHS.map((width): LayerChoice => ({ way: 'direct', width }))
      : []),
    ...(asked.convolution ? filteringOf(asked.convolution, costs) : []),
  ];
  const byCalls = new Map<string, Candidate>();
  for (const choice of choices) {
    const forced = new TunedChoices((layer) => (layer === node ? choice : undefined), costs);
    const program = lowerGraph(graph, { choices: forced });
    const key = callsKey(program, node);
    if (!byCalls.has(key)) byCalls.set(key, { choice, program });
  }
  const own = callsKey(usual.program, node);
  if (!byCalls.has(own)) byCalls.set(own, usual);
  return { list: [...byCalls.values()], usual: [...byCalls.keys()].indexOf(own) };
}

/** Plans of minimal filtering that are exact enough with the layer's own filters. */
const filteringOf = (convolution: WinogradLayer, costs: CostProfile): LayerChoice[] =>
  WINOGRAD_SIZES.filter((outputs) => fitsWinograd(convolution) && isExactEnough(convolution.filters, outputs))
    .flatMap((outputs) => cheapestPlans(convolution, outputs, BLOCKS, costs))
    .map(({ outputs, block }) => ({ way: 'winograd', outputs, block: [block[0], block[1]] }));

/** Equal keys, equal work. */
const callsKey = ({ calls }: WasmProgram, node: Node): string =>
  calls
    .filter((call) => call.node === node)
    .map(({ kernel }) => kernelKey(kernel))
    .join('\n');

/** Notes what it is asked about a node. */
class AskedChoices implements Choices {
  readonly costs: CostProfile;
  products = false;
  convolution: WinogradLayer | undefined;
  readonly #node: Node;
  readonly #choices: Choices;

  constructor(node: Node, choices: Choices) {
    this.costs = choices.costs;
    this.#node = node;
    this.#choices = choices;
  }

  tile(layer: Node, product: number, pixels: number, channels: number): readonly [number, number] {
    if (layer === this.#node) this.products = true;
    return this.#choices.tile(layer, product, pixels, channels);
  }

  winograd(layer: Node, convolution: WinogradLayer) {
    if (layer === this.#node) this.convolution = convolution;
    return this.#choices.winograd(layer, convolution);
  }
}
