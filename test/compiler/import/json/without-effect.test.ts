/** What a description says that nothing comes of: told, not taken silently. */
import { expect, test } from 'vitest';
import { told } from './found.ts';

/** Nothing is to be said of the batch. */
const SIZED = { dims: { batch: 1 } };
const of = (...layers: unknown[]) => ({ input: [32, 16, 16], layers });

test.each<[string, object, string]>([
  [
    'the slope of an activation that has none',
    of({ activation: { name: 'relu', alpha: 0.5 } }),
    'layers[0].activation.alpha: it goes with leakyRelu and elu, not "relu"\ntake it away, or write "name": "leakyRelu"',
  ],
  [
    'a way to make weights that are written down',
    of({ conv: { channels: 8, weight: 0.5, init: 'ones' } }),
    'layers[0].conv.init: its weights are written down, so that none are made\ntake it away, or the weights',
  ],
  [
    'the same of a composite',
    of({ spatiallySeparable: { channels: 8, init: 'ones', weights: { vertical: 1, horizontal: 1 } } }),
    'layers[0].spatiallySeparable.init: its weights are written down, so that none are made\ntake it away, or the weights',
  ],
  [
    'the same of a transposed convolution',
    of({ transposed: { channels: 8, init: 'ones', weight: 1 } }),
    'layers[0].transposed.init: its weights are written down, so that none are made\ntake it away, or the weights',
  ],
  [
    'the value of a reflection',
    of({ pad: { padding: 1, mode: 'reflect', value: 7 } }),
    'layers[0].pad.value: it goes with "constant", not "reflect"\ntake it away, or write "mode": "constant"',
  ],
  [
    'a negative epsilon',
    of({ norm: { epsilon: -5 } }),
    'layers[0].norm.epsilon: expected a number of at least 0; got -5\nthe smallest is 0',
  ],
  [
    'a rate of dropout above 1',
    of({ dropout: 5 }),
    'layers[0].dropout: expected a number of at least 0 and less than 1; got 5\nwrite a number less than 1',
  ],
  [
    'a negative rate of dropout',
    of({ dropout: -1 }),
    'layers[0].dropout: expected a number of at least 0 and less than 1; got -1\nthe smallest is 0',
  ],
  [
    'a size that is called as the open batch is',
    { input: [3, 'batch', 8], layers: ['relu'] },
    'input: "batch" is the batch, which is before these sizes and open too\ncall the size otherwise, for example "length"; or fix the batch with "batch": 1',
  ],
  [
    'an input that is called as an expression is',
    { inputs: [{ shape: [3] }, { name: 'im$age/x y', shape: [3] }], layers: [{ add: 'im$age/x y' }] },
    'inputs[1].name: no layer can read "im$age/x y", which is an expression, with its "$"\ntake another, for example "name": "im_age/x_y"',
  ],
  [
    'an input that is called as the value before',
    { input: { name: 'previous', shape: [3] }, layers: ['relu'] },
    'input.name: no layer can read "previous", which is the value before it\ntake another, for example "name": "image"',
  ],
  [
    'a split whose part is called as a layer is',
    of({ conv: 32, name: 'h.0' }, { split: 2, name: 'h' }, { add: 'h.0' }),
    'layers[1].split: its part 0 is called "h.0", as a layer before it is\ngive one of them another "name"',
  ],
])('%s is accepted', (_, network, message) => {
  expect(told(network)).toContain(`network-invalid ${message}`);
});

test('what is at the border is taken', () => {
  expect(told(of({ dropout: 0 }, { dropout: 0.99 }, { norm: { epsilon: 0 } }), SIZED)).toEqual([]);
  expect(told(of({ activation: { name: 'elu', alpha: 0.5 } }), SIZED)).toEqual([]);
  expect(told(of({ pad: { padding: 1, value: 7 } }), SIZED)).toEqual([]);
  expect(told({ input: [3, 'batch'], batch: 4, layers: ['relu'] }, { dims: { batch: 8 } })).toEqual([]);
  const half = { channels: 8, init: 'ones', weights: { vertical: 1 } };
  expect(told(of({ spatiallySeparable: half }), SIZED)).toEqual([]);
});

test('a block that is used nowhere is not looked at', () => {
  const blocks = {
    forgotten: {
      parameters: { width: null, groups: 2 },
      layers: [{ conv: { channels: '$width', groups: '$groups' } }, { add: 'outside' }],
    },
    inner: { layers: ['relu'] },
  };
  expect(told({ ...of({ use: 'inner' }), blocks }, SIZED)).toEqual([
    'block-unused blocks.forgotten: no layer uses this block\nwrite { "use": "forgotten" } among the layers, or take it away',
  ]);
  const wrong = { layers: [{ cnov: 3 }, { conv: { channels: 8, stryde: 2 } }, { repeat: 2, layers: [7] }] };
  expect(told({ ...of('relu'), blocks: { wrong } }).map((t) => t.split('\n')[0])).toEqual([
    'network-invalid blocks.wrong.layers[0].cnov: there is no such kind of layer',
    'network-invalid blocks.wrong.layers[1].conv.stryde: there is no such option',
    'network-invalid blocks.wrong.layers[2].layers[0]: expected a layer; got 7',
  ]);
});

test('an input that nothing reads is not told', () => {
  const inputs = [
    { name: 'image', shape: [3, 8, 8] },
    { name: 'mask', shape: [3, 8, 8] },
  ];
  expect(told({ inputs, layers: ['relu'] }, SIZED)).toEqual([
    'input-unused inputs[1].name: nothing reads the input "mask"\nread it in a layer, with "from": "mask", or take it away',
  ]);
  expect(told({ inputs, layers: [{ add: 'mask' }] }, SIZED)).toEqual([]);
});
