/** Hints that did not fix what they stand beside. */
import { expect, test } from 'vitest';
import { told } from './found.ts';

const of = (...layers: unknown[]) => ({ input: [32, 16, 16], layers });
const hintOf = (network: string | object) => told(network)[0]?.split('\n')[1];

test.each<[string, object, string, object]>([
  [
    'an activation as a kind loses what is beside it',
    of('tanh', { relu: {}, from: 'input' }),
    'write { "activation": "relu", "from": "input" }',
    of({ activation: 'relu', from: 'input' }),
  ],
  [
    'an activation as a kind loses its slope',
    of({ leakyRelu: 0.1, name: 'x' }),
    'write { "activation": { "name": "leakyRelu", "alpha": 0.1 }, "name": "x" }',
    of({ activation: { name: 'leakyRelu', alpha: 0.1 }, name: 'x' }),
  ],
  [
    'the sizes of a split as a list',
    { input: [3, 4, 4], layers: [{ split: [1, 2] }] },
    'write { "split": { "sizes": [1, 2] } }',
    { input: [3, 4, 4], layers: [{ split: { sizes: [1, 2] } }] },
  ],
  [
    'sizes to resize to as a list',
    of({ interpolate: [30, 30] }),
    'write { "interpolate": { "scale": [30, 30] } } or { "interpolate": { "size": [30, 30] } }',
    of({ interpolate: { size: [30, 30] } }),
  ],
  [
    'a word of another framework',
    of('flatten', { Linear: 10, name: 'logits' }),
    'here it is called "dense": { "dense": 10, "name": "logits" }',
    of('flatten', { dense: 10, name: 'logits' }),
  ],
  [
    'fc',
    of('flatten', { fc: 10 }),
    'here it is called "dense": { "dense": 10 }',
    of('flatten', { dense: 10 }),
  ],
  [
    'upsample',
    of({ upsample: 2 }),
    'here it is called "interpolate": { "interpolate": 2 }',
    of({ interpolate: 2 }),
  ],
  ['gap', of('gap'), 'did you mean "globalPool"?', of('globalPool')],
  ['swish', of('swish'), 'did you mean "silu"?', of('silu')],
  [
    'swish as a kind',
    of({ swish: {}, name: 'x' }),
    'here it is called "silu": { "activation": "silu", "name": "x" }',
    of({ activation: 'silu', name: 'x' }),
  ],
  [
    'layer norm',
    of({ LayerNorm: {}, from: 'input' }),
    'here it is called "norm": { "norm": "layer", "from": "input" }',
    of({ norm: 'layer', from: 'input' }),
  ],
  ['filters', of({ conv: { filters: 8 } }), 'here it is called "channels"', of({ conv: { channels: 8 } })],
  [
    'channels of a dense layer',
    of('flatten', { dense: { channels: 8 } }),
    'here it is called "units"',
    of('flatten', { dense: { units: 8 } }),
  ],
  ['a word of a name', of('pol'), 'did you mean { "maxPool": 2 }, { "averagePool": 2 }', of({ maxPool: 2 })],
  ['NaN', of({ conv: Number.NaN }), 'for example "conv": 64', of({ conv: 64 })],
  ['a negative factor', of({ interpolate: -1 }), 'write a number greater than 0', of({ interpolate: 0.5 })],
  [
    'five sizes',
    { input: [3, 4, 4, 4, 4], layers: ['relu'] },
    'there are at most 4 sizes, channels and up to three axes, without the batch: for example [4, 4, 4, 4]',
    { input: [4, 4, 4, 4], layers: ['relu'] },
  ],
  [
    'a batch of null',
    { ...of('relu'), batch: null },
    'take it away, and the batch is open, for --dim batch=8; or write a number, which fixes it',
    { ...of('relu'), batch: 1 },
  ],
])('%s', (_, wrong, hint, fixed) => {
  const all = told(wrong).map((t) => t.split('\n')[1]);
  expect(
    all.some((h) => h?.includes(hint)),
    all.join('\n'),
  ).toBe(true);
  expect(told(fixed).filter((t) => t.startsWith('network-invalid'))).toEqual([]);
});

test('NaN and Infinity in a text are told to be quoted', () => {
  for (const word of ['NaN', 'Infinity'])
    expect(hintOf(`{ "input": [1], "layers": [{ "conv": ${word} }] }`)).toBe(
      `JSON has no ${word}; write a number`,
    );
});
