/** The layers of a compiled program one by one: what each does, and how long it takes. */
import { classifyConv } from '#ir/conv-kind.ts';
import type { Tensor } from '#ir/tensor.ts';
import type { Shape } from '#ir/types.ts';
import { graphCost } from '#passes/analysis/cost.ts';
import type { EngineName } from '#runtime/engines.ts';
import { Stepper } from '../check/stepper.ts';
import type { KernelProgram, NodeStep } from '../schedule/program.ts';
import { ENGINES, kernelLabel, type WasmKernel, type WasmProgram } from '../targets/wasm/index.ts';
import { winogradTransform } from '../winograd/transforms.ts';
import type { Clock } from './measure.ts';
import { PeakProbe } from './peak.ts';

export interface TimedLayer {
  readonly name: string;
  /** Empty for the copies of outputs, which belong to no node. */
  readonly op: string;
  /** What the field calls a convolution; of other layers, the op. */
  readonly kind: string;
  readonly shape: Shape;
  /** Labels of the kernels that it calls, each once, in order. */
  readonly kernels: readonly string[];
  readonly macs: number;
  /** Multiply-accumulates that the kernels do: fewer with minimal filtering, whose transforms are not counted. */
  readonly doneMacs: number;
  readonly step: NodeStep | undefined;
  /** Labels of the kernels of its dispatches on a device, in order. */
  readonly dispatches?: readonly string[];
}

/** What the kernels of a program are to a table. */
export interface KernelNames<K> {
  label(kernel: K): string;
  /** Undefined where the kernels do what the node says. */
  doneMacs(kernels: readonly K[]): number | undefined;
}

/** All nodes that became calls, and the calls of no node as one more layer. */
export function timedLayers<K>(program: KernelProgram<K>, { label, doneMacs }: KernelNames<K>): TimedLayer[] {
  const { nodes } = graphCost(program.graph);
  const labels = (kernels: readonly K[]): string[] => [...new Set(kernels.map(label))];
  const layers = program.steps
    .filter(({ callCount }) => callCount > 0)
    .map((step): TimedLayer => {
      const kernels = program.calls
        .slice(step.firstCall, step.firstCall + step.callCount)
        .map(({ kernel }) => kernel);
      const macs = nodes.get(step.node)?.macs ?? 0;
      return {
        name: step.node.name || (step.node.outputs[0]?.name ?? ''),
        op: step.node.op,
        kind: classifyConv(step.node)?.kind ?? step.node.op,
        shape: step.node.outputs[0]?.type.shape ?? [],
        kernels: labels(kernels),
        macs,
        doneMacs: doneMacs(kernels) ?? macs,
        step,
      };
    });
  const rest = program.calls.filter(({ node }) => !node).map(({ kernel }) => kernel);
  if (rest.length === 0) return layers;
  const outputs = { name: '(outputs)', op: '', kind: '', shape: [], macs: 0, doneMacs: 0, step: undefined };
  return [...layers, { ...outputs, kernels: labels(rest) }];
}

export const WASM_KERNELS: KernelNames<WasmKernel> = { label: kernelLabel, doneMacs: filteredMacs };

/** The products of minimal filtering, one per element of a tile; undefined where there is none. */
function filteredMacs(kernels: readonly WasmKernel[]): number | undefined {
  const products = kernels.flatMap((kernel) => {
    if (kernel.family !== 'winograd') return [];
    const { outputs, outer, groups, inputChannels, channels, output } = kernel.params;
    const images = outer.reduce((n, { count }) => n * count, groups.count);
    const tiles = output.size.reduce((n, size) => n * Math.ceil(size / outputs), images);
    return [tiles * winogradTransform(outputs).size ** 2 * inputChannels * channels];
  });
  return products.length === 0 ? undefined : products.reduce((a, b) => a + b);
}

/** One pass through all layers. */
export interface LayerPass {
  /** Milliseconds, by layer; undefined where the clock told nothing. */
  readonly ms: readonly (number | undefined)[];
  /** Of each of the dispatches of a layer, on a device. */
  readonly dispatches?: readonly (readonly (number | undefined)[])[];
  /** What the peak probe reached right before, in GF/s. */
  readonly peak: number;
}

/** What times the layers of a program. */
export interface LayerClock {
  readonly layers: readonly TimedLayer[];
  pass(): LayerPass | Promise<LayerPass>;
}

/** Times layers in the order of a run, so that each finds in the caches what the one before left there. */
export class LayerTimer implements LayerClock {
  readonly layers: readonly TimedLayer[];
  readonly #stepper: Stepper;
  readonly #probe: PeakProbe;
  readonly #inputs: ReadonlyMap<string, Tensor>;
  readonly #clock: Clock;

  private constructor(stepper: Stepper, probe: PeakProbe, inputs: ReadonlyMap<string, Tensor>, clock: Clock) {
    this.layers = timedLayers(stepper.program, WASM_KERNELS);
    this.#stepper = stepper;
    this.#probe = probe;
    this.#inputs = inputs;
    this.#clock = clock;
  }

  static async load(
    program: WasmProgram,
    inputs: ReadonlyMap<string, Tensor>,
    engine: EngineName,
    clock: Clock,
  ): Promise<LayerTimer> {
    const stepper = await Stepper.load(program, engine === 'simd' ? {} : { engine: ENGINES[engine] });
    return new LayerTimer(stepper, await PeakProbe.load(engine), inputs, clock);
  }

  pass(): LayerPass {
    const clock = this.#clock;
    const stepper = this.#stepper;
    const peak = this.#probe.gflops(clock);
    // an input's memory is used again once it has been read
    stepper.setInputs(this.#inputs);
    const ms = this.layers.map(({ step }) => {
      const start = clock();
      if (step) stepper.runNode(step);
      else stepper.finish();
      return clock() - start;
    });
    return { ms, peak };
  }
}
