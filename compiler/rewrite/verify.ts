/** The rewritten network against the original, on the same inputs. */
import { cloneGraph } from '#ir/clone.ts';
import type { Graph } from '#ir/graph.ts';
import { type Tensor, tensor } from '#ir/tensor.ts';
import { randomIntegers, seededInput } from '#runtime/abi.ts';
import { pause } from '../pause.ts';
import { runnableNetwork, type Sample } from './network.ts';

export interface OutputDifference {
  readonly output: string;
  /** The largest difference, and the mean one, as parts of the output's largest magnitude over all samples. */
  readonly largest: number;
  readonly mean: number;
  /** How often the largest element of a row is the same one; null for outputs that are no scores of classes. */
  readonly sameTop: number | null;
}

export interface Verification {
  readonly samples: number;
  /** Are the samples noise, as no data was given? */
  readonly noise: boolean;
  readonly outputs: readonly OutputDifference[];
  /** What an exact rewrite may differ by at most; null where the rewrite is not exact. */
  readonly bound: number | null;
}

/** Random inputs, the same each time. */
export const noiseSamples = (graph: Graph, count: number): readonly Sample[] =>
  Array.from({ length: count }, (_, seed) =>
    graph.inputs.map(({ type }, i): Tensor => {
      const data = seededInput({ dtype: type.dtype, shape: type.shape } as never, seed + 1, i);
      return tensor(type.dtype, type.shape, data);
    }),
  );

/** Part of the largest magnitude that a rewrite which only rounds otherwise may differ by. */
const EXACT_BOUND = 1e-5;
/** A network that amplifies rounding may differ by so many times what rounding its weights again does to it. */
const ROUNDINGS = 8;

/** @param exact does the rewrite claim to change nothing but rounding? */
export async function verifyRewrite(
  original: Graph,
  rewritten: Graph,
  samples: readonly Sample[],
  { exact, signal }: { readonly exact: boolean; readonly signal?: AbortSignal },
): Promise<Omit<Verification, 'noise'>> {
  // the original without the passes that are to be checked
  const before = await runnableNetwork(original, { passes: false });
  const after = await runnableNetwork(rewritten, { passes: false });
  const jittered = exact ? await runnableNetwork(jitteredWeights(original), { passes: false }) : undefined;
  const compared = original.outputs.map(
    ({ name, value }) => new Comparison(name, classesOf(value.type.shape)),
  );
  const amplified = original.outputs.map(({ name }) => new Comparison(name, undefined));
  for (const sample of samples) {
    const wanted = before.run(sample);
    const got = after.run(sample);
    const moved = jittered?.run(sample);
    wanted.forEach((tensor, i) => {
      compared[i]?.add(numbers(tensor), numbers(got[i]));
      if (moved) amplified[i]?.add(numbers(tensor), numbers(moved[i]));
    });
    await pause();
    signal?.throwIfAborted();
  }
  const rounding = Math.max(0, ...amplified.map((c) => c.result().largest));
  return {
    samples: samples.length,
    outputs: compared.map((c) => c.result()),
    bound: exact ? Math.max(EXACT_BOUND, ROUNDINGS * rounding) : null,
  };
}

const numbers = (tensor: Tensor | undefined): ArrayLike<number> => (tensor?.data ?? []) as ArrayLike<number>;

/** Scores of classes: one row per sample of the batch. */
const classesOf = (shape: readonly number[]): number | undefined =>
  shape.length === 2 && (shape[1] ?? 0) > 1 ? shape[1] : undefined;

class Comparison {
  readonly #output: string;
  readonly #classes: number | undefined;
  #largest = 0;
  #sum = 0;
  #count = 0;
  #magnitude = 0;
  #same = 0;
  #rows = 0;

  constructor(output: string, classes: number | undefined) {
    this.#output = output;
    this.#classes = classes;
  }

  add(wanted: ArrayLike<number>, got: ArrayLike<number>): void {
    for (let i = 0; i < wanted.length; i++) {
      const [w, g] = [Number(wanted[i]), Number(got[i])];
      this.#count++;
      if (Object.is(w, g)) continue;
      const difference = Math.abs(w - g);
      this.#largest = Number.isNaN(difference)
        ? Number.POSITIVE_INFINITY
        : Math.max(this.#largest, difference);
      this.#sum += difference;
      if (Number.isFinite(w)) this.#magnitude = Math.max(this.#magnitude, Math.abs(w));
    }
    for (let i = 0; i < wanted.length; i++) {
      const w = Math.abs(Number(wanted[i]));
      if (Number.isFinite(w)) this.#magnitude = Math.max(this.#magnitude, w);
    }
    if (this.#classes === undefined) return;
    for (let row = 0; row + this.#classes <= wanted.length; row += this.#classes) {
      this.#rows++;
      if (topOf(wanted, row, this.#classes) === topOf(got, row, this.#classes)) this.#same++;
    }
  }

  result(): OutputDifference {
    const scale = this.#magnitude || 1;
    return {
      output: this.#output,
      largest: this.#largest / scale,
      mean: this.#sum / Math.max(1, this.#count) / scale,
      sameTop: this.#rows === 0 ? null : this.#same / this.#rows,
    };
  }
}

function topOf(values: ArrayLike<number>, from: number, count: number): number {
  let best = 0;
  for (let i = 1; i < count; i++) if ((values[from + i] ?? 0) > (values[from + best] ?? 0)) best = i;
  return best;
}

/** Every weight moved by half a unit in its last place or not at all, as computing it again would. */
function jitteredWeights(graph: Graph): Graph {
  const random = randomIntegers(1);
  return cloneGraph(graph, (constant) => {
    if (!(constant.data instanceof Float32Array) || constant.data.length < 2) return constant;
    return {
      type: constant.type,
      data: constant.data.map((w) => w * (1 + ((random() & 3) - 1.5) * 2 ** -24)),
    };
  });
}
