/** Random small networks and their comparison, for property tests of passes and backends. */
import fc from 'fast-check';
import { cloneGraph } from '#ir/clone.ts';
import { evaluateGraph } from '#ir/evaluate.ts';
import type { Graph } from '#ir/graph.ts';
import { type Tensor, tensor } from '#ir/tensor.ts';
import { elementCount } from '#ir/types.ts';
import { CONVOLUTION } from './blocks/convolution.ts';
import { MOVEMENT } from './blocks/movement.ts';
import { NUMERIC } from './blocks/numeric.ts';
import { POINTWISE } from './blocks/pointwise.ts';
import { Random } from './random.ts';
import { type Block, RandomNet } from './random-net.ts';

export { Random } from './random.ts';

export interface RandomGraphOptions {
  /** Building blocks after the input. */
  readonly steps?: number;
}

const BLOCKS: readonly Block[] = [...CONVOLUTION, ...POINTWISE, ...MOVEMENT, ...NUMERIC];

/** A random small convolutional network in one to three dimensions; the same seed gives the same network. */
export function randomGraph(seed: number, { steps = 8 }: RandomGraphOptions = {}): Graph {
  const random = new Random(seed);
  const net = new RandomNet(random, seed);
  for (let i = 0; i < steps; i++) random.pick(BLOCKS)(net);
  net.finish();
  return net.b.graph;
}

/** For fast-check; shrinks the number of blocks. */
export const graphArbitrary = (mostSteps = 10): fc.Arbitrary<Graph> =>
  fc
    .record({ seed: fc.nat(), steps: fc.integer({ min: 1, max: mostSteps }) })
    .map(({ seed, steps }) => randomGraph(seed, { steps }));

/** Values for the graph's inputs, by name. */
export function randomInputs(graph: Graph, seed: number): Map<string, Tensor> {
  const random = new Random(seed);
  return new Map(
    graph.inputs.map(({ name, type }) => {
      if (type.dtype === 'f32') return [name, random.tensor(type.shape)];
      const values = Array.from({ length: elementCount(type.shape) }, () =>
        random.integer(0, type.dtype === 'bool' ? 1 : 9),
      );
      return [name, tensor(type.dtype, type.shape, values)];
    }),
  );
}

/** The largest difference between two graphs' outputs of one name, relative to the output's largest magnitude. */
export function compareGraphs(a: Graph, b: Graph, seed = 1): number {
  const run = (graph: Graph) => evaluateGraph(graph, randomInputs(a, seed));
  const [before, after] = [run(a), run(b)];
  let worst = 0;
  if (a.outputs.length !== b.outputs.length) throw new Error('the graphs have different outputs');
  for (const { name, value } of a.outputs) {
    const other = b.outputs.find((o) => o.name === name)?.value;
    const x = before.get(value);
    const y = other && after.get(other);
    if (!x || !y || x.data.length !== y.data.length) throw new Error(`output "${name}" differs in size`);
    let scale = 1e-3;
    let difference = 0;
    for (let i = 0; i < x.data.length; i++) {
      const [p, q] = [Number(x.data[i]), Number(y.data[i])];
      if (Object.is(p, q)) continue;
      scale = Math.max(scale, Number.isFinite(p) ? Math.abs(p) : 0);
      const d = Math.abs(p - q);
      difference = Math.max(difference, Number.isNaN(d) ? Number.POSITIVE_INFINITY : d);
    }
    for (let i = 0; i < x.data.length; i++) scale = Math.max(scale, Math.abs(Number(x.data[i])) || 0);
    worst = Math.max(worst, difference / scale);
  }
  return worst;
}

/** The graph with its f32 constants of more than one element missing, as a model without its weights has them. */
export const withoutWeights = (graph: Graph): Graph =>
  cloneGraph(graph, (c) =>
    c.type.dtype === 'f32' && elementCount(c.type.shape) > 1
      ? { type: c.type, data: null, missing: 'no weights' }
      : c,
  );
