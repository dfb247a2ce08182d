import { describe, expect, test } from 'vitest';
import { arrayConversion, arrayHint, likelyShapes } from '#compiler/files/array-hint.ts';
import { type Shape, tensorType } from '#ir/types.ts';

const hint = (given: Shape, wanted: Shape) => arrayHint(tensorType('f32', given), tensorType('f32', wanted));

describe('an array of another shape', () => {
  test.each<[string, Shape, Shape, string]>([
    ['channels last', [1, 8, 8, 3], [1, 3, 8, 8], 'array.transpose(0, 3, 1, 2)'],
    ['channels last, as high as they are many', [1, 3, 8, 3], [1, 3, 3, 8], 'array.transpose(0, 3, 1, 2)'],
    ['channels first', [2, 3, 6, 8], [2, 6, 8, 3], 'array.transpose(0, 2, 3, 1)'],
    ['volumes', [1, 4, 5, 6, 2], [1, 2, 4, 5, 6], 'array.transpose(0, 4, 1, 2, 3)'],
    ['a matrix', [3, 5], [5, 3], 'array.transpose(1, 0)'],
    ['no batch', [3, 8, 8], [1, 3, 8, 8], 'array.reshape(1, 3, 8, 8)'],
    ['a batch too many', [1, 10], [10], 'array.reshape(10)'],
    ['one channel, last', [1, 28, 28, 1], [1, 1, 28, 28], 'array.reshape(1, 1, 28, 28)'],
    [
      'no batch, and channels last',
      [6, 8, 3],
      [1, 3, 6, 8],
      'array.reshape(1, 6, 8, 3).transpose(0, 3, 1, 2)',
    ],
    [
      'a batch too many, and channels last',
      [1, 6, 8, 3],
      [3, 6, 8],
      'array.reshape(6, 8, 3).transpose(2, 0, 1)',
    ],
  ])('%s', (_, given, wanted, conversion) => {
    expect(arrayConversion(tensorType('f32', given), tensorType('f32', wanted))).toBe(conversion);
    expect(hint(given, wanted)).toContain(`as by ${conversion}`);
  });

  test('is not reshaped where that would mix up its axes, though it has as many elements', () => {
    expect(hint([2, 4, 8], [1, 8, 8])).toBe('save an array of shape (1, 8, 8)');
    expect(hint([1, 4, 4, 3], [1, 3, 2, 8])).toBe('save an array of shape (1, 3, 2, 8)');
    expect(hint([16], [1, 1, 4, 4])).toBe(
      'save an array of shape (1, 1, 4, 4); array.reshape(1, 1, 4, 4) is one if the numbers are in its order already',
    );
    expect(hint([16], [1, 3, 4, 4])).toBe('save an array of shape (1, 3, 4, 4)');
  });

  test('is converted to the type by its NumPy name', () => {
    const wanted = tensorType('i16', [1, 3, 8, 8]);
    expect(arrayHint(tensorType('f32', [1, 3, 8, 8]), wanted)).toBe(
      'convert it, as by array.astype("int16")',
    );
    expect(arrayConversion(tensorType('u8', [1, 8, 8, 3]), wanted)).toBe(
      'array.transpose(0, 3, 1, 2).astype("int16")',
    );
  });
});

test('what a shape may have been meant as', () => {
  expect(likelyShapes([8, 6, 3])).toEqual([
    [8, 3, 6],
    [1, 8, 6, 3],
    [1, 3, 8, 6],
    [1, 6, 3, 8],
  ]);
  expect(likelyShapes([1, 5])).toEqual([[1, 1, 5], [1, 5, 1], [5]]);
});
