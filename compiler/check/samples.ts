import type { Shape } from '#ir/types.ts';
import { rowMajorStrides } from '#ir/types.ts';
import { randomIntegers } from '#runtime/abi.ts';

/**
 * Flat indices of `atLeast` elements of a tensor or more, all of a small one, ascending. Half are anywhere; the other
 * half keep to the first and last three positions of each axis three times in four, as that is where padding,
 * remainders of tiles and partly filled vectors are.
 */
export function sampleElements(shape: Shape, atLeast: number, seed: number): number[] {
  const total = shape.reduce((a, b) => a * b, 1);
  if (total <= atLeast) return Array.from({ length: total }, (_, i) => i);
  const next = randomIntegers(seed);
  const strides = rowMajorStrides(shape);
  const found = new Set<number>([0, total - 1]);
  for (let tries = 0; found.size < atLeast && tries < 4 * atLeast; tries++) {
    const atEdge = tries % 2 === 0;
    let index = 0;
    shape.forEach((size, axis) => {
      const random = next();
      const edge = random % 3;
      let at = random % size;
      if (atEdge && next() % 4 !== 0)
        at = random & 4 ? Math.min(edge, size - 1) : Math.max(size - 1 - edge, 0);
      index += at * (strides[axis] ?? 0);
    });
    found.add(index);
  }
  for (let i = 1; found.size < atLeast; i++) found.add(i);
  return [...found].sort((a, b) => a - b);
}
