/** RepVGG and MobileOne: the trained form and the merged one compute the same. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  evaluateGraph,
  f32,
  formatSafetensors,
  type Graph,
  importJson,
  type Tensor,
} from '#compiler/index.ts';
import { repositoryFolder } from './support/collection.ts';
import { Random } from './support/random.ts';

type Weights = ReadonlyMap<string, Tensor>;

/** The constants of a described network, by their names in a file of weights. */
const weightsOf = (graph: Graph): Map<string, Tensor> =>
  new Map(
    graph.values.flatMap(({ name, source }) =>
      source.kind === 'constant' && !('missing' in source.constant) ? [[name, source.constant]] : [],
    ),
  );

/** Statistics as if the norms were trained: those of a seed are 0 and 1, and would hide mistakes. */
function trained(weights: Weights): Map<string, Tensor> {
  const random = new Random(7);
  const ranges: Readonly<Record<string, readonly [number, number]>> = {
    weight: [0.3, 0.9],
    bias: [-0.3, 0.3],
    running_mean: [-0.3, 0.3],
    running_var: [0.5, 2],
  };
  return new Map(
    [...weights].map(([key, value]) => {
      const [, of = ''] = /norm\d*\.(\w+)$/.exec(key) ?? [];
      const [low, high] = ranges[of] ?? [0, 0];
      if (ranges[of] === undefined) return [key, value];
      const { shape } = value.type;
      return [
        key,
        f32(
          shape,
          Array.from({ length: shape[0] ?? 0 }, () => random.between(low, high)),
        ),
      ];
    }),
  );
}

const EPSILON = 1e-5;

/**
 * Of the largest output. Merged weights are rounded to f32 once, 2⁻²⁴ of each, and so are values after every layer; over the
 * 23 layers of RepVGG-A0 that is at most some 3·10⁻⁶. Without the ε of the norms the difference would be beyond it.
 */
const BOUND = 1e-5;

/**
 * Ding et al. 2021, section 3.3: a norm is a scale γ/√(σ²+ε) on the filters and a shift β − μ·γ/√(σ²+ε); a 1×1 kernel is
 * the centre of a larger one, the identity is a 1×1 kernel of ones and zeros; branches add.
 */
function merged(
  weights: Weights,
  prefix: string,
  shape: readonly number[],
): { weight: Tensor; bias: Tensor } {
  const [outputs = 1, perGroup = 1, ...kernel] = shape;
  const taps = kernel.reduce((a, b) => a * b, 1);
  const weight = new Float64Array(outputs * perGroup * taps);
  const bias = new Float64Array(outputs);
  const branches = new Set(
    [...weights.keys()].flatMap((key) =>
      key.startsWith(`${prefix}.`) ? [key.slice(prefix.length + 1).split('.')[0]] : [],
    ),
  );
  expect(branches.size, prefix).toBeGreaterThan(1);
  for (const branch of branches) {
    const own = new Map([...weights].filter(([key]) => key.startsWith(`${prefix}.${branch}.`)));
    const find = (end: RegExp) =>
      [...own].find(([key]) => end.test(key))?.[1].data as Float32Array | undefined;
    const [gamma, beta] = [find(/norm\d*\.weight$/), find(/norm\d*\.bias$/)];
    const [mean, variance] = [find(/running_mean$/), find(/running_var$/)];
    const filters = find(/(conv|depthwise|pointwise)\d+\.weight$/);
    const ownTaps = filters ? filters.length / (outputs * perGroup) : 1;
    for (let o = 0; o < outputs; o++) {
      const scale = (gamma?.[o] ?? 1) / Math.sqrt((variance?.[o] ?? 1) + EPSILON);
      bias[o] = (bias[o] ?? 0) + (beta?.[o] ?? 0) - scale * (mean?.[o] ?? 0);
      for (let i = 0; i < perGroup; i++) {
        const first = (o * perGroup + i) * taps;
        const isSame = perGroup === 1 || i === o;
        for (let t = 0; t < ownTaps; t++) {
          const at = first + (ownTaps === 1 ? (taps - 1) / 2 : t);
          const value = filters ? (filters[(o * perGroup + i) * ownTaps + t] ?? 0) : Number(isSame);
          weight[at] = (weight[at] ?? 0) + scale * value;
        }
      }
    }
  }
  return { weight: f32(shape, weight), bias: f32([outputs], bias) };
}

const run = (graph: Graph, values: Tensor): Float32Array => {
  const [input] = graph.inputs;
  const [output] = graph.outputs;
  if (!input || !output) throw new Error('the network lacks an input or an output');
  const results = evaluateGraph(graph, new Map([[input.name, values]]));
  return results.get(output.value)?.data as Float32Array;
};

/** The join of the trained form that a convolution of the merged one stands for. */
const JOINS: Readonly<Record<string, (layer: string) => string>> = {
  repvgg: (layer) => layer.replace(/conv1$/, 'add1'),
  mobileone: (layer) => layer.replace(/1$/, ''),
};

test.each([
  ['repvgg', 64],
  ['mobileone', 14],
])('%s: the merged network computes what the trained one does', (name, size) => {
  const read = (file: string): { input: { name?: string; shape: number[] } | number[] } =>
    JSON.parse(readFileSync(join(repositoryFolder, 'examples', name, file), 'utf8'));
  const network = read('network.json');
  const { name: input = 'input', shape } = Array.isArray(network.input)
    ? { shape: network.input }
    : network.input;
  // a small picture, as the reference is slow; strides still end at more than one position
  const shapes = { [input]: [1, shape[0] ?? 1, size, size] };
  const form = (file: string, weights?: Weights): Graph =>
    importJson(read(file), weights ? { shapes, weights: formatSafetensors(weights) } : { shapes }).graph;

  const weights = trained(weightsOf(form('network.json')));
  const derived = new Map<string, Tensor>();
  for (const [key, value] of weightsOf(form('merged.json'))) {
    const [, layer = ''] = /^(.*)\.weight$/.exec(key) ?? [];
    if (weights.has(key)) derived.set(key, weights.get(key) ?? value);
    else if (layer !== '') {
      const { weight, bias } = merged(weights, JOINS[name]?.(layer) ?? '', value.type.shape);
      derived.set(key, weight).set(`${layer}.bias`, bias);
    }
  }
  const before = form('network.json', weights);
  const after = form('merged.json', derived);
  const values = new Random(1).tensor(shapes[input] ?? []);
  const [a, b] = [run(before, values), run(after, values)];
  const largest = a.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
  const worst = a.reduce((most, v, i) => Math.max(most, Math.abs(v - (b[i] ?? 0))), 0);
  expect(a.filter((v) => v !== 0).length).toBeGreaterThan(a.length / 4);
  expect(b).toHaveLength(a.length);
  expect(largest).toBeGreaterThan(0.01);
  expect(worst / largest).toBeLessThan(BOUND);
});
