import { expect, test } from 'vitest';
import { agreement } from '#compiler/bench/agreement.ts';
import type { Values } from '#compiler/check/difference.ts';
import { CompileError } from '#ir/diagnostics.ts';

type Named = Readonly<Record<string, Values>>;
const compare = (ours: Named, theirs: Named) =>
  agreement(['ours', 'theirs'], new Map(Object.entries(ours)), new Map(Object.entries(theirs)));

test('the worst output counts, relative to its largest magnitude', () => {
  expect(compare({ a: [1, 100], b: [1] }, { a: [1, 100.01], b: [1.0005] })).toBeCloseTo(5e-4, 9);
  expect(compare({ a: [] }, { a: [], more: [1] })).toBe(0);
});

test('another tolerance may be asked for', () => {
  const named = (y: number) => new Map([['a', [y]]]);
  expect(agreement(['ours', 'theirs'], named(1), named(1.01), 0.1)).toBeCloseTo(0.01, 9);
  expect(() => agreement(['ours', 'theirs'], named(1), named(1.0005), 1e-4)).toThrow('0.0001 is allowed');
});

test('what is no number agrees with the same', () => {
  const odd = [Number.NaN, Number.POSITIVE_INFINITY, 1];
  expect(compare({ a: odd }, { a: odd })).toBe(0);
});

test('integers of 64 bits and booleans are numbers', () => {
  expect(compare({ a: [3n, 4n], b: [true] }, { a: [3, 4], b: [1] })).toBe(0);
});

test.each<[string, Named, Named, string]>([
  ['a difference', { a: [1, 2] }, { a: [1, 2.1] }, 'a: ours and theirs differ by 5.0e-2 of the largest'],
  ['only one is a number', { a: [1] }, { a: [Number.NaN] }, 'a: ours and theirs differ in kind'],
  ['another length', { a: [1] }, { a: [1, 2] }, 'a: 1 elements by ours, 2 by theirs'],
  ['an output is missing', { a: [1] }, {}, 'a: theirs does not give this output'],
])('%s is an error', (_, ours, theirs, message) => {
  expect(() => compare(ours, theirs)).toThrow(CompileError);
  expect(() => compare(ours, theirs)).toThrow(message);
});
