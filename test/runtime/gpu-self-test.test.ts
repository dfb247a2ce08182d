/** How far the outputs of a device may be from what the compiler expects. */
import { describe, expect, test } from 'vitest';
import { makeSelfTest } from '#compiler/bundle/self-test.ts';
import type { ManifestTensor, TensorArray } from '#runtime/abi.ts';
import { selfTestProblem } from '#runtime/gpu-self-test.ts';

const floats = (name: string, length: number): ManifestTensor => ({ name, dtype: 'f32', shape: [length] });
const wave = (length: number): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length }, (_, i) => Math.sin(i));

function problem(
  tensors: readonly ManifestTensor[],
  want: readonly TensorArray[],
  got: readonly TensorArray[],
  half = false,
): string | undefined {
  const { selfTest, bytes } = makeSelfTest(
    tensors.map(({ name }) => name),
    want,
  );
  const outputs = got.map((data) => ({ data, shape: [data.length] }));
  return selfTestProblem(selfTest, new Uint8Array(bytes), tensors, outputs, half);
}

const one = (got: TensorArray, half = false, want = wave(got.length)) =>
  problem([floats('y', got.length)], [want], [got], half);

describe('of the norm of an output', () => {
  // a factor of 1 + d is a difference of d by the norm
  test('1 % may be missing', () => {
    expect(one(wave(50))).toBeUndefined();
    expect(one(wave(50).map((x) => 1.009 * x))).toBeUndefined();
    expect(one(wave(50).map((x) => 1.011 * x))).toBe('output "y" is 0.011 of its size away');
  });

  test('in half precision 10 %', () => {
    expect(
      one(
        wave(50).map((x) => 1.09 * x),
        true,
      ),
    ).toBeUndefined();
    expect(
      one(
        wave(50).map((x) => 1.11 * x),
        true,
      ),
    ).toBe('output "y" is 0.11 of its size away');
  });

  test('a NaN is any part of it, unless one is expected', () => {
    const spoilt = wave(50).fill(Number.NaN, 7, 8);
    expect(one(spoilt)).toBe('output "y" is NaN of its size away');
    expect(one(wave(50), false, spoilt)).toBeUndefined();
    expect(one(wave(50).fill(Number.POSITIVE_INFINITY, 3, 4))).toContain('output "y" is Infinity');
  });

  test('zeros are zeros', () => {
    expect(one(new Float32Array(4), false, new Float32Array(4))).toBeUndefined();
    expect(one(Float32Array.of(0, 0, 1e-9, 0), false, new Float32Array(4))).toContain('output "y"');
  });
});

test('a large output is compared where it is sampled', () => {
  const large = wave(100_000);
  expect(one(large)).toBeUndefined();
  expect(one(large.map((x) => -x))).toBe('output "y" is 2.0 of its size away');
});

test('integers and outputs whose size depends on data are left out, and what comes after them is not', () => {
  const tensors: ManifestTensor[] = [
    { name: 'indices', dtype: 'i64', shape: [3] },
    { name: 'found', dtype: 'f32', shape: [4], count: { axis: 0 } },
    floats('y', 8),
  ];
  const want = [BigInt64Array.of(1n, 2n, 3n), wave(4), wave(8)];
  expect(problem(tensors, want, [BigInt64Array.of(9n, 9n, 9n), wave(2), wave(8)])).toBeUndefined();
  expect(problem(tensors, want, [...want.slice(0, 2), wave(8).map((x) => 2 * x)] as TensorArray[])).toBe(
    'output "y" is 1.0 of its size away',
  );
});
