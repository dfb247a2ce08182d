/** Normalisation, norms under windows, sums by equation and determinants against plain definitions. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { f32, type Tensor, tensor } from '#ir/tensor.ts';
import type { Shape } from '#ir/types.ts';
import { at, build, costOf, evalOp, noise, positions, typesOf, values } from '../support/op.ts';

function expectClose(got: Tensor, want: Tensor, digits = 4): void {
  expect(got.type).toEqual(want.type);
  values(got).forEach((v, i) => {
    expect(v).toBeCloseTo(Number(want.data[i]), digits);
  });
}

const mean = (list: readonly number[]) => list.reduce((a, b) => a + b, 0) / list.length;
const variance = (list: readonly number[]) => mean(list.map((v) => (v - mean(list)) ** 2));

/** Every element that agrees with `position` on the axes that are not in `axes`. */
const groupOf = (x: Tensor, position: readonly number[], axes: readonly number[]): number[] =>
  positions(x.type.shape)
    .filter((p) => p.every((v, axis) => axes.includes(axis) || v === position[axis]))
    .map((p) => at(x, p));

describe('statistics of the data', () => {
  const x = noise([2, 4, 3, 5]);

  test('LayerNormalization', () => {
    const [scale, bias] = [noise([3, 5], 2), noise([5], 3)];
    const want = build([2, 4, 3, 5], (p) => {
      const group = groupOf(x, p, [2, 3]);
      const normal = (at(x, p) - mean(group)) / Math.sqrt(variance(group) + 0.1);
      return normal * at(scale, p.slice(2)) + at(bias, p.slice(3));
    });
    expectClose(evalOp('LayerNormalization', { axis: 2, epsilon: 0.1 }, [x, scale, bias]), want, 5);
    expect(() => typesOf('LayerNormalization', { axis: 2 }, [x, noise([4])])).toThrow('does not broadcast');
  });

  test('RMSNormalization', () => {
    const scale = noise([4, 3, 5], 2);
    const want = build([2, 4, 3, 5], (p) => {
      const square = mean(groupOf(x, p, [1, 2, 3]).map((v) => v * v));
      return (at(x, p) / Math.sqrt(square + 1e-5)) * at(scale, p.slice(1));
    });
    expectClose(evalOp('RMSNormalization', { axis: 1 }, [x, scale]), want, 5);
  });

  test.each([1, 2, 4])('GroupNormalization in %i groups', (groups) => {
    const [scale, bias] = [noise([4], 2), noise([4], 3)];
    const width = 4 / groups;
    const want = build([2, 4, 3, 5], (p) => {
      const [n = 0, c = 0] = p;
      const group = positions([2, 4, 3, 5])
        .filter((q) => q[0] === n && Math.floor((q[1] ?? 0) / width) === Math.floor(c / width))
        .map((q) => at(x, q));
      return ((at(x, p) - mean(group)) / Math.sqrt(variance(group) + 1e-5)) * at(scale, [c]) + at(bias, [c]);
    });
    expectClose(evalOp('GroupNormalization', { groups }, [x, scale, bias]), want, 5);
    if (groups === 4) expectClose(evalOp('InstanceNormalization', {}, [x, scale, bias]), want, 5);
    expect(() => typesOf('GroupNormalization', { groups: 3 }, [x, scale, bias])).toThrow('3 groups');
  });

  test('MeanVarianceNormalization and LpNormalization', () => {
    const axes = [0, 2];
    const normal = build([2, 4, 3, 5], (p) => {
      const group = groupOf(x, p, axes);
      return (at(x, p) - mean(group)) / (Math.sqrt(variance(group)) + 1e-9);
    });
    expectClose(evalOp('MeanVarianceNormalization', { axes }, [x]), normal, 5);
    for (const p of [1, 2]) {
      const want = build([2, 4, 3, 5], (q) => {
        const sum = groupOf(x, q, [1]).reduce((s, v) => s + Math.abs(v) ** p, 0);
        return at(x, q) / sum ** (1 / p);
      });
      expectClose(evalOp('LpNormalization', { axis: 1, p }, [x]), want, 5);
    }
    expect(values(evalOp('LpNormalization', { axis: 0 }, [f32([2], [0, 0])]))).toEqual([0, 0]);
  });

  test('far from zero', () => {
    const far = f32([1, 1, 2], [1e4 - 1, 1e4 + 1]);
    const [one, zero] = [f32([1], [1]), f32([1], [0])];
    expectClose(evalOp('InstanceNormalization', {}, [far, one, zero]), f32([1, 1, 2], [-1, 1]), 4);
  });
});

test('LogSoftmax is the logarithm of Softmax', () => {
  for (const axis of [0, 1, 2]) {
    const x = noise([2, 3, 4], axis + 1);
    const soft = evalOp('Softmax', { axis }, [x]);
    expectClose(
      evalOp('LogSoftmax', { axis }, [x]),
      build([2, 3, 4], (p) => Math.log(at(soft, p))),
      5,
    );
  }
  expect(values(evalOp('LogSoftmax', { axis: 0 }, [f32([2], [1e4, 0])]))).toEqual([0, -1e4]);
});

test('Hardmax marks the first of the largest', () => {
  const x = f32([2, 3], [1, 3, 3, -1, -2, -3]);
  expect(values(evalOp('Hardmax', { axis: 1 }, [x]))).toEqual([0, 1, 0, 1, 0, 0]);
  expect(values(evalOp('Hardmax', { axis: 0 }, [x]))).toEqual([1, 1, 1, 0, 0, 0]);
});

test.each([1, 2, 3, 4, 5])('LRN over a window of %i channels', (size) => {
  const x = noise([2, 4, 3]);
  const attrs = { size, alpha: 0.5, beta: 0.75, bias: 2 };
  const want = build([2, 4, 3], ([n = 0, c = 0, i = 0]) => {
    let sum = 0;
    for (let k = c - Math.floor((size - 1) / 2); k <= c + Math.ceil((size - 1) / 2); k++)
      sum += at(x, [n, k, i]) ** 2;
    return at(x, [n, c, i]) / (2 + (0.5 / size) * sum) ** 0.75;
  });
  expectClose(evalOp('LRN', attrs, [x]), want, 5);
});

test.each([1, 2, 3])('LpPool with p = %i', (p) => {
  const x = noise([1, 2, 5, 6]);
  const attrs = { kernel: [2, 3], strides: [2, 1], dilations: [1, 2], pads: [1, 2, 0, 1], p };
  const got = evalOp('LpPool', attrs, [x]);
  const want = build(got.type.shape, ([n = 0, c = 0, y = 0, z = 0]) => {
    let sum = 0;
    for (let i = 0; i < 2; i++)
      for (let j = 0; j < 3; j++) sum += Math.abs(at(x, [n, c, 2 * y - 1 + i, z - 2 + 2 * j])) ** p;
    return sum ** (1 / p);
  });
  expectClose(got, want, 5);
});

describe('Einsum', () => {
  const LETTERS = ['a', 'b', 'c', 'd'] as const;
  const SIZES: Record<string, number> = { a: 2, b: 3, c: 1, d: 4 };

  test('is the sum over all values of the labels that the result lacks', () => {
    const term = fc.array(fc.constantFrom(...LETTERS), { maxLength: 3 });
    fc.assert(
      fc.property(
        fc.array(term, { minLength: 1, maxLength: 3 }),
        fc.shuffledSubarray([...LETTERS]),
        (terms, wanted) => {
          const present = LETTERS.filter((l) => terms.some((t) => t.includes(l)));
          const output = wanted.filter((l) => present.includes(l));
          const sizes = (labels: readonly string[]): Shape => labels.map((l) => SIZES[l] ?? 1);
          const inputs = terms.map((t, i) => noise(sizes(t), i + 1));
          const all = positions(sizes(present));
          const want = build(sizes(output), (out) => {
            let sum = 0;
            for (const value of all) {
              const of = (label: string) => value[present.indexOf(label as 'a')] ?? 0;
              if (output.some((label, i) => of(label) !== out[i])) continue;
              sum += terms.reduce((p, t, i) => p * at(inputs[i] as Tensor, t.map(of)), 1);
            }
            return sum;
          });
          const equation = `${terms.map((t) => t.join('')).join(',')}->${output.join('')}`;
          expectClose(evalOp('Einsum', { equation }, inputs), want, 4);
        },
      ),
    );
  });

  test('without an arrow the result has what occurs once, in alphabetical order', () => {
    const x = noise([2, 3]);
    expectClose(evalOp('Einsum', { equation: 'ba' }, [x]), evalOp('Transpose', { perm: [1, 0] }, [x]));
    expectClose(
      evalOp('Einsum', { equation: 'ij, jk' }, [x, noise([3, 4], 2)]),
      evalOp('MatMul', {}, [x, noise([3, 4], 2)]),
    );
    expect(costOf('Einsum', { equation: 'ij,jk' }, [x, noise([3, 4])])).toEqual({ macs: 24, otherOps: 0 });
  });

  test('ellipses broadcast from the right', () => {
    const [x, y] = [noise([5, 1, 2, 3]), noise([4, 3, 2], 2)];
    const got = evalOp('Einsum', { equation: '...ij,...jk->...ik' }, [x, y]);
    expectClose(got, evalOp('MatMul', {}, [x, y]));
  });

  test.each([
    [
      'ij,jk->ik',
      [
        [2, 3],
        [4, 5],
      ],
      'axes "j" have 3 and 4 positions',
    ],
    ['ij->i', [[2]], 'does not name the axes'],
    ['ij->ik', [[2, 3]], 'no operand has the axis "k"'],
    ['ij->ii', [[2, 3]], 'twice'],
    ['i,j->ij', [[2]], '2 terms for 1 operands'],
    ['i1->i', [[2, 3]], '"1" is not a label'],
    ['......->', [[2, 3]], 'more than one ellipsis'],
  ] as const)('refuses %s', (equation, shapes, message) => {
    const inputs = shapes.map((shape) => noise(shape));
    expect(() => typesOf('Einsum', { equation }, inputs)).toThrow(message);
  });

  test('integers are exact', () => {
    const big = tensor('i64', [2], [2n ** 53n + 1n, 1n]);
    const one = tensor('i64', [2], [1n, 1n]);
    expect(evalOp('Einsum', { equation: 'i,i' }, [big, one]).data).toEqual(BigInt64Array.of(2n ** 53n + 2n));
  });
});

/** Leibniz' sum over permutations. */
function leibniz(a: Tensor, from: readonly number[], m: number): number {
  const expand = (row: number, columns: readonly number[]): number =>
    row === m
      ? 1
      : columns.reduce(
          (sum, column, i) =>
            sum +
            (i % 2 === 0 ? 1 : -1) * at(a, [...from, row, column]) * expand(row + 1, columns.toSpliced(i, 1)),
          0,
        );
  return expand(0, [...Array(m).keys()]);
}

test.each([1, 2, 3, 4, 5])('Det of matrices of %i rows', (m) => {
  const x = noise([2, 3, m, m]);
  const want = build([2, 3], (p) => leibniz(x, p, m));
  expectClose(evalOp('Det', {}, [x]), want, 5);
  expect(values(evalOp('Det', {}, [f32([2, 2], [1, 2, 2, 4])]))).toEqual([0]);
  expect(() => typesOf('Det', {}, [noise([2, 3])])).toThrow('square');
});
