import { describe, expect, test } from 'vitest';
import { allocate } from '#ir/tensor.ts';
import { ARRAYS, checksum, randomIntegers, sampledIndices, seededInput } from '#runtime/abi.ts';
import { Random } from '../support/graphs.ts';

// the runtime imports nothing, so the compiler has a table of its own
test('an element type has the same array at compile time and at run time', () => {
  for (const [dtype, type] of Object.entries(ARRAYS) as [keyof typeof ARRAYS, unknown][]) {
    expect(allocate(dtype, 1).constructor, dtype).toBe(type);
  }
});

describe('seeded inputs', () => {
  test('are these numbers, in every version', () => {
    const next = randomIntegers(1);
    expect([next(), next(), next()]).toEqual([2693262067, 11749833, 2265367787]);
    const random = new Random(1);
    expect(random.unit()).toBe(2693262067 / 2 ** 32);
    expect([...seededInput({ dtype: 'f32', shape: [3] }, 1, 0)]).toMatchInlineSnapshot(`
      [
        0.7829008102416992,
        -0.9869116544723511,
        -0.5718375444412231,
      ]
    `);
  });

  test('differ between inputs and seeds', () => {
    const at = (seed: number, index: number) => [...seededInput({ dtype: 'f32', shape: [4] }, seed, index)];
    expect(at(1, 0)).not.toEqual(at(1, 1));
    expect(at(1, 0)).not.toEqual(at(2, 0));
    expect(at(1, 1)).toEqual(at(1, 1));
  });

  test('fill their ranges', () => {
    const floats = [...seededInput({ dtype: 'f32', shape: [1000] }, 1, 0)].map(Number);
    expect(Math.min(...floats)).toBeLessThan(-0.99);
    expect(Math.max(...floats)).toBeGreaterThan(0.99);
    const set = (dtype: 'u8' | 'i8' | 'bool' | 'i32' | 'i64') =>
      new Set<number | bigint>(seededInput({ dtype, shape: [5000] }, 1, 0)).size;
    expect([set('u8'), set('i8'), set('bool'), set('i32'), set('i64')]).toEqual([256, 256, 2, 2, 2]);
  });

  test('a scalar has one element, an empty shape none', () => {
    expect(seededInput({ dtype: 'f32', shape: [] }, 1, 0)).toHaveLength(1);
    expect(seededInput({ dtype: 'f32', shape: [2, 0] }, 1, 0)).toHaveLength(0);
  });
});

test('samples are ascending, distinct, and all of a small output', () => {
  expect(sampledIndices(3, 8, 1)).toEqual([0, 1, 2]);
  const indices = sampledIndices(100_000, 4096, 1);
  expect(indices).toHaveLength(4096);
  expect(indices.every((x, i) => i === 0 || x > (indices[i - 1] ?? 0))).toBe(true);
  expect(indices.at(-1)).toBeLessThan(100_000);
});

test('a checksum tells bits apart, but not one NaN from another', () => {
  const bits = (word: number) => new Float32Array(Uint32Array.of(word, 0).buffer);
  expect(checksum(bits(0x7fc00000))).toBe(checksum(bits(0xffc00001)));
  expect(checksum(Float32Array.of(0))).not.toBe(checksum(Float32Array.of(-0)));
  expect(checksum(Float32Array.of(1, 2))).not.toBe(checksum(Float32Array.of(2, 1)));
  expect(checksum(BigInt64Array.of(1n))).not.toBe(checksum(BigInt64Array.of(2n)));
});
