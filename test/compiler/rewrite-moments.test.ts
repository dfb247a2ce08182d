import { expect, test } from 'vitest';
import { MomentSums, ProductSums } from '#compiler/rewrite/moments.ts';
import { Builder } from '#ir/builder.ts';
import { f32 } from '#ir/tensor.ts';
import { fitForm } from '#passes/factorize/family.ts';
import { type ConvLayer, convLayer } from '#passes/factorize/layer.ts';
import { METHODS } from '#passes/factorize/methods.ts';
import { No } from '#passes/pattern.ts';
import { randomIntegers } from '#runtime/abi.ts';

const CHANNELS = 24;
const random = randomIntegers(7);
const numbers = (count: number) => Float32Array.from({ length: count }, () => random() / 2 ** 31 - 1);

/** y = W·x at one position. */
function pointwise(): ConvLayer {
  const b = new Builder('pointwise');
  const x = b.input('x', [1, CHANNELS, 1, 1]);
  const weight = b.constant('w', f32([CHANNELS, CHANNELS, 1, 1], numbers(CHANNELS ** 2)));
  b.output('y', b.conv(x, weight, { name: 'conv' }));
  const layer = b.graph.nodes.flatMap((node) => convLayer(node) ?? [])[0];
  if (!layer || layer instanceof No) throw new Error('the layer is a convolution');
  return layer;
}

const outputsOf = ({ weight, cin, cout }: ConvLayer, x: Float32Array) =>
  Float32Array.from({ length: cout }, (_, o) =>
    x.reduce((sum, value, c) => sum + value * (weight[o * cin + c] ?? 0), 0),
  );

/** Two pointwise convolutions, fitted on so many inputs. */
async function fitted(layer: ConvLayer, samples: number, rank: number, same = false) {
  const sums = await MomentSums.of(layer, samples, new ProductSums());
  const first = numbers(layer.cin);
  for (let i = 0; i < samples; i++) {
    const x = same ? first : numbers(layer.cin);
    sums.add(x, outputsOf(layer, x));
  }
  const moments = sums.moments();
  const family = METHODS.tucker.families(layer, moments)[0]?.make();
  const option = family?.options.find(({ features }) => features === rank);
  if (!family || !option) throw new Error(`there is no rank ${rank}`);
  const { weights, bias, error } = fitForm({ family, option }, moments);
  const [reduce = [], expand = []] = weights;
  const run = (x: Float32Array) => {
    const hidden = Array.from({ length: rank }, (_, r) =>
      x.reduce((sum, value, c) => sum + value * (reduce[r * layer.cin + c] ?? 0), 0),
    );
    return Float32Array.from(bias, (start, o) =>
      hidden.reduce((sum, h, r) => sum + h * (expand[o * rank + r] ?? 0), start),
    );
  };
  return { run, error };
}

/** Mean square of what it is off by on new inputs, as part of the outputs'. */
function errorOn(layer: ConvLayer, run: (x: Float32Array) => Float32Array): number {
  let [off, all] = [0, 0];
  for (let i = 0; i < 200; i++) {
    const x = numbers(layer.cin);
    const [wanted, got] = [outputsOf(layer, x), run(x)];
    wanted.forEach((y, o) => {
      off += (y - (got[o] ?? 0)) ** 2;
      all += y * y;
    });
  }
  return off / all;
}

test('at full rank a form is the layer, also in directions that the data does not show', async () => {
  const layer = pointwise();
  const { run } = await fitted(layer, 6, CHANNELS);
  // weights and products in f32
  expect(errorOn(layer, run)).toBeLessThan(1e-6);
});

test('a few samples do not promise what new data does not hold', async () => {
  const layer = pointwise();
  const { run, error } = await fitted(layer, 8, 16);
  expect(errorOn(layer, run)).toBeLessThan(0.5);
  expect(error).toBeGreaterThan(errorOn(layer, run) / 10);
});

test('many samples leave the data what it is', async () => {
  const layer = pointwise();
  const { run, error } = await fitted(layer, 4000, 16);
  const seen = errorOn(layer, run);
  expect(Math.abs(error - seen)).toBeLessThan(0.2 * seen);
});

test.each([1, 3])('what %i equal samples do not show is promised by the weights alone', async (count) => {
  const layer = pointwise();
  const { run, error } = await fitted(layer, count, 12, true);
  const seen = errorOn(layer, run);
  expect(seen).toBeLessThan(0.7);
  // the weights take inputs for independent numbers, and what the samples are is not known
  expect(error).toBeGreaterThan(seen / 3);
});
