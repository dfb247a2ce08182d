import { expect, test } from 'vitest';
import { formsOf } from '#compiler/rewrite/forms.ts';
import { Builder } from '#ir/builder.ts';
import { f32 } from '#ir/tensor.ts';
import { randomIntegers } from '#runtime/abi.ts';

const random = randomIntegers(3);
const numbers = (count: number) => Float32Array.from({ length: count }, () => random() / 2 ** 31 - 1);
const [CHANNELS, SIZE] = [12, 8];
const samples = Array.from({ length: 24 }, () => [
  f32([1, CHANNELS, SIZE, SIZE], numbers(CHANNELS * SIZE ** 2)),
]);

test('the error of a layer counts for as much as its outputs add to those of the network', async () => {
  const b = new Builder('sum');
  const x = b.input('x', [1, CHANNELS, SIZE, SIZE]);
  const conv = (name: string) => {
    const weight = b.constant(`${name}.w`, f32([CHANNELS, CHANNELS, 1, 1], numbers(CHANNELS ** 2)));
    return b.conv(x, weight, { name });
  };
  const [large, small] = [conv('large'), conv('small')];
  b.output('y', b.add(large, b.op('Mul', [small, b.constant('part', f32([1], [0.1]))], {})));
  const forms = await formsOf(b.graph, { methods: ['tucker'], samples });
  const weight = (name: string) => forms.get(name)?.weight ?? Number.NaN;
  // independent weights: the variance of the sum is that of the one, and a hundredth of the other
  expect(Math.abs(weight('large') - 1 / 1.01)).toBeLessThan(0.2);
  expect(Math.abs(weight('small') - 0.01 / 1.01)).toBeLessThan(0.005);
});

test('that of a last layer counts for what it is; without data that of each does', async () => {
  const b = new Builder('chain');
  const x = b.input('x', [1, CHANNELS, SIZE, SIZE]);
  const weight = (name: string) =>
    b.constant(`${name}.w`, f32([CHANNELS, CHANNELS, 3, 3], numbers(9 * CHANNELS ** 2)));
  const first = b.relu(b.conv(x, weight('first'), { name: 'first', pads: [1, 1, 1, 1] }));
  b.output('y', b.conv(first, weight('last'), { name: 'last', pads: [1, 1, 1, 1] }));
  const methods = ['spatial', 'tucker'] as const;
  const measured = await formsOf(b.graph, { methods, samples });
  expect(measured.get('last')?.weight).toBeCloseTo(1, 6);
  expect(measured.get('first')?.weight).not.toBe(1);
  const unmeasured = await formsOf(b.graph, { methods, samples: [] });
  expect([...unmeasured.values()].map((layer) => layer.weight)).toEqual([1, 1]);
});
