/** As `kernels.ts`, on tensors that the test chooses: of any type, few distinct values, indices that may be hostile. */
import fc from 'fast-check';
import { expect } from 'vitest';
import { Builder } from '#ir/builder.ts';
import type { Value } from '#ir/graph.ts';
import { type Tensor, tensor } from '#ir/tensor.ts';
import type { DType, Shape } from '#ir/types.ts';
import { BOUND, small } from './kernels.ts';
import { noise } from './op.ts';
import { type Difference, differences } from './wasm.ts';

type Build = (b: Builder, input: (tensor: Tensor) => Value) => readonly Value[];

/** Runs a graph of one op (or a few) on the given inputs both ways. */
export function bothWays(build: Build): Promise<Difference[]> {
  const b = new Builder('test');
  const inputs = new Map<string, Tensor>();
  const results = build(b, (given) => {
    const name = `input${inputs.size}`;
    inputs.set(name, given);
    return b.input(name, given.type.shape, given.type.dtype);
  });
  for (const [i, value] of results.entries()) b.output(`out${i}`, value);
  return differences(b.graph, inputs);
}

/** No result may differ by more than `bound` of its largest magnitude. */
export async function check(build: Build, bound = BOUND): Promise<void> {
  for (const { op, relative } of await bothWays(build)) expect(relative, op).toBeLessThanOrEqual(bound);
}

export const list = (length: number, min: number, max: number) =>
  fc.array(small(min, max), { minLength: length, maxLength: length });

export const TYPES = ['f32', 'i8', 'u8', 'i32', 'i64', 'u64'] as const satisfies readonly DType[];

/** Few distinct values, so that equal ones meet. */
export function values(dtype: DType, shape: Shape, seed: number): Tensor {
  const from = noise(shape, seed).data;
  const scaled = Array.from(from as Float32Array, (x) => {
    if (dtype === 'f32') return Math.round(x * 8) / 4;
    return dtype.startsWith('u') || dtype === 'bool' ? Math.abs(Math.round(x * 5)) : Math.round(x * 5);
  });
  return tensor(dtype, shape, dtype === 'bool' ? scaled.map((x) => (x > 2 ? 1 : 0)) : scaled);
}

/** Noise in [−reach, reach). */
export const wide = (shape: Shape, seed: number, reach: number): Float32Array =>
  Float32Array.from(noise(shape, seed).data as Float32Array, (x) => x * reach);

/** Indices of which most are positions, some count from the end, and some are far outside. */
export function indices(
  dtype: 'i32' | 'i64',
  shape: Shape,
  size: number,
  seed: number,
  hostile: boolean,
): Tensor {
  const from = noise(shape, seed).data as Float32Array;
  const far = dtype === 'i64' ? [2n ** 32n, -(2n ** 40n), 2n ** 63n - 1n] : [2 ** 31 - 1, -(2 ** 31), size];
  const list = Array.from(from, (x, i): number | bigint => {
    if (hostile && i % 4 === 3) return far[i % 3] ?? 0;
    return Math.min(size - 1, Math.floor(x * size));
  });
  return tensor(dtype, shape, list);
}
