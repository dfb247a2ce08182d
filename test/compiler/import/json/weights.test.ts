/** Weights that a description writes down or a file holds, and what is wrong with them. */
import { expect, test } from 'vitest';
import { importJson } from '#compiler/import/json/index.ts';
import { formatSafetensors, parseSafetensors } from '#compiler/weights/safetensors.ts';
import { fail } from '#ir/diagnostics.ts';
import { tensorOf } from '#ir/graph.ts';
import { f32, type Tensor, tensor } from '#ir/tensor.ts';
import type { DType } from '#ir/types.ts';
import { told } from './found.ts';

const NET = { input: [2, 8, 8], layers: [{ conv: 4 }] };
const fileOf = (weight: Tensor, others: Record<string, Tensor> = { 'conv1.bias': f32([4], [0, 0, 0, 0]) }) =>
  formatSafetensors(new Map(Object.entries({ 'conv1.weight': weight, ...others })));

test.each(['i64', 'i32', 'i8', 'u8', 'bool'] as const)(
  'a weight of %s ends in an internal error',
  (dtype) => {
    const weights = fileOf(tensor(dtype satisfies DType, [4, 2, 3, 3], new Array<number>(72).fill(1)));
    expect(told(NET, { weights })).toEqual([
      `weights-invalid layers[0].conv: the tensor is ${dtype}; f32, f16, bf16 and f64 are read\nsave "conv1.weight" as one of them, for example with tensor.float() in PyTorch`,
    ]);
  },
);

test('a file of weights whose header is a list, a number or null is taken as empty', () => {
  for (const text of ['[]', '5', 'null', '[{"dtype":"F32"}]']) {
    const file = new Uint8Array(8 + text.length);
    file[0] = text.length;
    file.set(new TextEncoder().encode(text), 8);
    expect(() => parseSafetensors(file), text).toThrow('its header is not an object');
  }
});

test('a missing bias is taken for a misspelt weight; names are near step by step', () => {
  const weight = f32([4, 2, 3, 3], new Float32Array(72));
  const bias = f32([4], [0, 0, 0, 0]);
  const hints = (tensors: Record<string, Tensor>) =>
    told(NET, { weights: formatSafetensors(new Map(Object.entries(tensors))) }).map((t) => t.split('\n')[1]);
  expect(hints({ 'conv1.weigth': weight })).toEqual([
    'did you mean conv1.weigth?',
    'the file has conv1.weigth; a tensor is named by the path of its layer',
  ]);
  expect(hints({ 'model.conv1.weight': weight, 'conv1.bais': bias })).toEqual([
    'did you mean model.conv1.weight?',
    'did you mean conv1.bais?',
  ]);
});

test('numbers nested in another way than the weight are read as if they were flat', () => {
  const of = (weight: unknown) => ({
    input: [2, 4, 4],
    layers: [{ conv: { channels: 3, kernel: 1, bias: false, weight } }],
  });
  const numbers = (weight: unknown) => {
    const { graph } = importJson(of(weight));
    return graph.values.flatMap((v) => Array.from((tensorOf(v)?.data ?? []) as Float32Array));
  };
  expect(numbers([1, 2, 3, 4, 5, 6])).toEqual([1, 2, 3, 4, 5, 6]);
  const point = (v: number) => [[v]];
  expect(numbers([1, 3, 5].map((v) => [point(v), point(v + 1)]))).toEqual([1, 2, 3, 4, 5, 6]);
  for (const wrong of [
    [
      [1, 2, 3],
      [4, 5, 6],
    ],
    [[1], [2, 3, 4], 5, 6],
    [[1, 2, 3, 4, 5, 6]],
  ])
    expect(told(of(wrong))).toEqual([
      'network-invalid layers[0].conv.weight: its lists are not nested as [3, 2, 1, 1] is\nwrite its 6 numbers in one list, in the order of [3, 2, 1, 1], or in lists of 3 of 2 of 1 of 1',
    ]);
});

test('numbers that no f32 holds become infinite', () => {
  const of = (options: string) => `{ "input": [1, 4, 4], "layers": [${options}] }`;
  for (const number of ['1e39', '-1e39', '1e999'])
    for (const layer of [
      `{ "conv": { "channels": 1, "weight": ${number} } }`,
      `{ "conv": { "channels": 1, "bias": [${number}] } }`,
      `{ "pad": { "padding": 1, "value": ${number} } }`,
      `{ "activation": { "name": "elu", "alpha": ${number} } }`,
      `{ "norm": { "epsilon": ${number} } }`,
    ]) {
      const [first = ''] = told(of(layer));
      expect(first, layer).toMatch(/^network-invalid layers\[0\]/);
      expect(first, layer).not.toContain('null');
    }
  expect(told(of('{ "conv": 1e999 }'))).toEqual([
    'network-invalid layers[0].conv: expected a whole number from 1 to 1048576; got Infinity\nthe largest is 1048576',
  ]);
});

test('the folder of a description as its file of weights is told as external data of ONNX', () => {
  const externalData = () =>
    fail('external-outside', '.', 'this is a link to /x, outside the model’s folder');
  for (const weights of ['.', './', 'sub/', '.\\'])
    expect(told({ ...NET, weights }, { externalData })).toEqual([
      `network-invalid weights: expected the name of a safetensors file; got "${weights}", a folder\nfor example "weights": "network.safetensors", which lies beside the description`,
    ]);
  expect(told({ ...NET, weights: 'link' }, { externalData })[0]).toMatch(
    /^external-outside weights: "link": this is a link[^\n]*\nfor example "weights": "network.safetensors"/,
  );
});
