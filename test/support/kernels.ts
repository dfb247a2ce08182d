/**
 * Every lowering on random shapes, strides, pads and groups, against the reference evaluator on the module's own operands.
 *
 * The bound: f32 sums of at most some hundred terms of magnitude 1 differ from double arithmetic by about √n·2⁻²⁴ of the
 * largest result; 2e-6 of the largest magnitude leaves a factor of ten.
 */
import fc from 'fast-check';
import { expect } from 'vitest';
import { Builder } from '#ir/builder.ts';
import { parseExpr } from '#ir/expr.ts';
import type { Value } from '#ir/graph.ts';
import type { Tensor } from '#ir/tensor.ts';
import { elementCount, type Shape } from '#ir/types.ts';
import { noise } from './op.ts';
import { differences } from './wasm.ts';

export const BOUND = 2e-6;
export const RUNS = 60;

/** Values for an input or a constant of a shape; the seed keeps the tensors of one graph apart. */
export type Data = (shape: Shape, seed: number) => Tensor;

const positive: Data = (shape, seed) => {
  const tensor = noise(shape, seed);
  return { ...tensor, data: (tensor.data as Float32Array).map(Math.abs) };
};

/** With fewer results than this, all of them may be sums that cancel, and then none is large enough to measure by. */
const FEW = 8;

type Build = (b: Builder, input: (shape: Shape) => Value, data: Data) => Value | readonly Value[];

/** Builds a graph whose inputs are noise, runs it both ways. Where results are few, positive noise: nothing cancels. */
export async function check(
  build: Build,
  options: { bound?: number; values?: (t: Tensor) => Tensor } = {},
): Promise<void> {
  const signed = graphOf(build, noise, options.values);
  const few = signed.graph.nodes.some((n) => n.outputs.some((v) => elementCount(v.type.shape) < FEW));
  const { graph, inputs } = few && !options.values ? graphOf(build, positive) : signed;
  for (const { op, relative } of await differences(graph, inputs)) {
    expect(relative, op).toBeLessThan(options.bound ?? BOUND);
  }
}

function graphOf(build: Build, data: Data, values: (t: Tensor) => Tensor = (t) => t) {
  const b = new Builder('test');
  const inputs = new Map<string, Tensor>();
  const input = (shape: Shape): Value => {
    const name = `input${inputs.size}`;
    inputs.set(name, values(data(shape, inputs.size + 1)));
    return b.input(name, shape);
  };
  const results = [build(b, input, data)].flat();
  for (const [i, value] of results.entries()) b.output(`out${i}`, value);
  return { graph: b.graph, inputs };
}

export const small = (min: number, max: number) => fc.integer({ min, max });

export const window = fc.integer({ min: 1, max: 3 }).chain((rank) =>
  fc.record({
    rank: fc.constant(rank),
    kernel: fc.array(small(1, rank === 3 ? 2 : 4), { minLength: rank, maxLength: rank }),
    strides: fc.array(small(1, 3), { minLength: rank, maxLength: rank }),
    dilations: fc.array(small(1, 2), { minLength: rank, maxLength: rank }),
    pads: fc.array(small(0, 2), { minLength: 2 * rank, maxLength: 2 * rank }),
    extra: fc.array(small(0, rank === 3 ? 4 : 9), { minLength: rank, maxLength: rank }),
    batch: small(1, 2),
  }),
);

/** Input sizes that hold at least one window. */
export const sizes = (w: { kernel: number[]; dilations: number[]; extra: number[] }): number[] =>
  w.kernel.map((k, i) => (k - 1) * (w.dilations[i] ?? 1) + 1 + (w.extra[i] ?? 0));

/** A parameter of a layer: known when it is compiled, or computed by the network. */
export const parameter = (
  b: Builder,
  input: (shape: readonly number[]) => Value,
  shape: readonly number[],
  constant: boolean,
  data: Data,
): Value => (constant ? b.constant('parameter', data(shape, 7)) : input(shape));

export const EPILOGUES = ['none', 'relu', 'residual', 'scale'] as const;

/** Adds one of a few epilogues to the producer of `value`. */
export function withEpilogue(
  b: Builder,
  value: Value,
  kind: (typeof EPILOGUES)[number],
  input: (shape: readonly number[]) => Value,
): Value {
  if (kind === 'none' || value.source.kind !== 'node') return value;
  const { shape } = value.type;
  const { node } = value.source;
  const perChannel = shape.map((s, axis) => (axis < 2 ? s : 1));
  if (kind === 'relu') b.graph.setEpilogue(node, parseExpr('min(max(x0, 0), 6)'), []);
  if (kind === 'residual') b.graph.setEpilogue(node, parseExpr('max(add(x0, x1), 0)'), [input(shape)]);
  if (kind === 'scale') b.graph.setEpilogue(node, parseExpr('mul(x0, x1)'), [input(perChannel)]);
  return value;
}
