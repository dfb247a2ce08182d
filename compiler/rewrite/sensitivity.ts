/** How much of what a layer is off by shows in the outputs of the network. */
import { cloneGraph } from '#ir/clone.ts';
import type { Graph } from '#ir/graph.ts';
import type { Tensor } from '#ir/tensor.ts';
import { product } from '#ir/types.ts';
import { replaceByChain } from '#passes/factorize/apply.ts';
import { type Candidate, fitForm } from '#passes/factorize/family.ts';
import { convLayer } from '#passes/factorize/layer.ts';
import { weightMoments } from '#passes/factorize/moments.ts';
import { No } from '#passes/pattern.ts';
import { pause } from '../pause.ts';
import type { FormOptions } from './forms.ts';
import { numbersOf, runnableNetwork, type Sample, withOutputs } from './network.ts';

/** Of a layer's forms, the one that is off by about so much is tried. */
const TRIED_ERROR = 0.1;
/** More samples hardly change a mean square. */
const MOST_SAMPLES = 16;

export interface TriedLayer {
  /** Of its node. */
  readonly name: string;
  readonly forms: readonly Candidate[];
}

/**
 * For each layer the mean square of what the network's outputs are off by, as part of their variance, over the same of the
 * layer's own outputs, with that layer alone in another form. Errors of layers are small and hardly correlated, so that
 * their sum, each times this, is about that of the network.
 */
export async function sensitivities(
  source: Graph,
  layers: readonly TriedLayer[],
  samples: readonly Sample[],
  { signal, onProgress }: Pick<FormOptions, 'signal' | 'onProgress'>,
): Promise<ReadonlyMap<string, number>> {
  const used = samples.filter((_, i) => i % Math.ceil(samples.length / MOST_SAMPLES) === 0);
  const outputs = source.outputs.map(({ value }) => value.name);
  const nodes = new Map(source.nodes.map((node) => [node.name, node]));
  const result = new Map<string, number>();
  const tried = layers.flatMap(({ name, forms }) => {
    const form = nearest(forms);
    const y = nodes.get(name)?.outputs[0];
    return form && y ? [{ name, form, y: y.name }] : [];
  });
  const original = await runnableNetwork(withOutputs(source, [...tried.map(({ y }) => y), ...outputs]));
  const wanted = used.map((sample) => original.run(sample));
  for (const [i, { name, form, y }] of tried.entries()) {
    onProgress?.('weigh', i / tried.length);
    await pause();
    signal?.throwIfAborted();
    const changed = await runnableNetwork(withOutputs(withForm(source, name, form), [y, ...outputs]));
    const [own, all] = [new RelativeError(), new RelativeError()];
    used.forEach((sample, s) => {
      const [layer, ...rest] = changed.run(sample);
      own.add(layer, wanted[s]?.[i]);
      rest.forEach((output, k) => {
        all.add(output, wanted[s]?.[tried.length + k]);
      });
    });
    if (own.value > 0 && Number.isFinite(all.value)) result.set(name, all.value / own.value);
  }
  return result;
}

function nearest(forms: readonly Candidate[]): Candidate | undefined {
  const far = ({ error }: Candidate) => Math.abs(Math.log(Math.max(error, 1e-9) / TRIED_ERROR));
  return [...forms].sort((a, b) => far(a) - far(b))[0];
}

function withForm(source: Graph, name: string, form: Candidate): Graph {
  const graph = cloneGraph(source);
  const node = graph.nodes.find((n) => n.name === name);
  const layer = node && convLayer(node);
  if (layer && !(layer instanceof No)) replaceByChain(graph, layer, fitForm(form, weightMoments(layer)));
  return graph;
}

/** Squares of differences, and of what is compared with about the mean of its channel. */
class RelativeError {
  #off = 0;
  #squares = 0;
  #count = 0;
  readonly #sums: number[] = [];

  add(got: Tensor | undefined, wanted: Tensor | undefined): void {
    const [a, b] = [numbersOf(got?.data), numbersOf(wanted?.data)];
    const shape = wanted?.type.shape ?? [];
    const [channels = 1, inner] = [shape[1], product(shape.slice(2))];
    for (let i = 0; i < b.length; i++) {
      const [x = 0, y = 0] = [a[i], b[i]];
      const channel = Math.floor(i / inner) % channels;
      this.#off += (x - y) ** 2;
      this.#squares += y * y;
      this.#sums[channel] = (this.#sums[channel] ?? 0) + y;
    }
    this.#count += b.length / channels;
  }

  get value(): number {
    const mean = this.#sums.reduce((sum, s) => sum + (s * s) / this.#count, 0);
    return this.#off / Math.max(Number.MIN_VALUE, this.#squares - mean);
  }
}
