import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatJsonTensor, parseJsonTensor } from '#compiler/files/json-tensor.ts';
import { f32, i64, type Tensor, tensor } from '#ir/tensor.ts';
import type { DType } from '#ir/types.ts';
import { diagnosticsOf } from '../import/codes.ts';

const reread = (given: Tensor): Tensor =>
  parseJsonTensor(formatJsonTensor(given), 'x.json').as(given.type, 'x');

describe('numbers as JSON', () => {
  test('nested as the axes are', () => {
    expect(formatJsonTensor(f32([2, 1, 2], [1, 2.5, -3, 2 ** -30]))).toBe(
      '[[[1,2.5]],[[-3,9.313225746154785e-10]]]',
    );
    expect(formatJsonTensor(f32([], [2]))).toBe('2');
    expect(formatJsonTensor(f32([2, 0], []))).toBe('[[],[]]');
    expect(formatJsonTensor(f32([2], [Number.NaN, Number.NEGATIVE_INFINITY]))).toBe('[null,null]');
  });

  test('64-bit integers keep every digit, both ways', () => {
    const extremes = [2n ** 63n - 1n, -(2n ** 63n), 2n ** 53n + 1n, 0n, -1n];
    expect(formatJsonTensor(i64(extremes))).toBe(`[${extremes.join(',')}]`);
    expect(reread(i64(extremes))).toEqual(i64(extremes));
    fc.assert(
      fc.property(fc.array(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), { minLength: 1 }), (values) => {
        const given = tensor('u64', [1, values.length], values);
        expect(reread(given)).toEqual(given);
      }),
    );
  });

  test('what is no integer of the type is refused', () => {
    const wrong: readonly [string, DType, string][] = [
      ['[9223372036854775808]', 'i64', 'number 0 of the file is 9223372036854775808, which is no i64'],
      ['[0, 1.5]', 'i64', 'number 1 of the file is 1.5, which is no i64'],
      ['[1e300]', 'u64', 'number 0 of the file is 1e+300, which is no u64'],
      ['[256]', 'u8', 'number 0 of the file is 256, which is no u8'],
      ['[-1]', 'u32', 'number 0 of the file is -1, which is no u32'],
      ['[2]', 'bool', 'number 0 of the file is 2, which is no bool'],
    ];
    for (const [text, dtype, message] of wrong) {
      const given = parseJsonTensor(text, 'x.json');
      const shape = [given.shape?.length ?? text.split(',').length];
      const [found] = diagnosticsOf(() => given.as({ dtype, shape }, 'x'));
      expect(found).toMatchObject({ code: 'input-invalid', subject: 'x', message });
      expect(found?.hint).toMatch(/^the input takes whole numbers from -?\d+ to \d+$/);
    }
  });

  test('floats may be as long as they like', () => {
    const text = '[0.1000000000000000055511151231257827, 18446744073709551616, -1E+2, 1048576.5]';
    expect(parseJsonTensor(text, 'x.json').as({ dtype: 'f32', shape: [4] }, 'x')).toEqual(
      f32([4], [0.1, 2 ** 64, -100, 1048576.5]),
    );
  });

  test('what is no list of numbers is told with an example', () => {
    for (const text of [
      '[[1,2],[3]]',
      '["1"]',
      '{"x": 1}',
      '[1, nil]',
      '[1] [2]',
      '[1, NaN]',
      '[-Infinity]',
      '[1, "12345678901234567890"]',
      '[null]',
      '',
    ]) {
      const [found] = diagnosticsOf(() => parseJsonTensor(text, 'x.json'));
      expect(found).toMatchObject({ code: 'input-invalid', subject: 'x.json' });
      expect(found?.hint).toContain('[[1, 2, 3], [4, 5, 6]]');
    }
  });

  test('what is no JSON is told by its place, not in the words of an engine', () => {
    for (const [text, message, hint] of [
      ['[1,', 'this is not JSON at line 1, column 4', 'the text ends too early: ] is missing'],
      ['[1, 2\n3]', 'this is not JSON at line 2, column 1', 'write "," before it, or "]" if nothing follows'],
      ['[1,]', 'this is not JSON at line 1, column 4', 'take the comma before it away'],
      ['[1, NaN]', 'this is not JSON at line 1, column 5', 'JSON has neither NaN nor infinities'],
      ['[9223372036854775807, .5]', 'this is not JSON at line 1, column 23', 'a number is written as'],
    ] as const) {
      const [found] = diagnosticsOf(() => parseJsonTensor(text, 'x.json'));
      expect(found).toMatchObject({ code: 'input-invalid', subject: 'x.json', message });
      expect(found?.hint).toContain(hint);
    }
  });

  test('lists with the axes in another order are not to be written in one list, which would mix them up', () => {
    const pixels = Array.from({ length: 2 }, () => Array.from({ length: 4 }, () => [1, 2, 3]));
    const given = parseJsonTensor(JSON.stringify([pixels]), 'x.json');
    const [found] = diagnosticsOf(() => given.as({ dtype: 'f32', shape: [1, 3, 2, 4] }, 'x'));
    expect(found?.hint).toBe('nest the lists as 1×3×2×4, as by array.transpose(0, 3, 1, 2).tolist()');
  });
});
