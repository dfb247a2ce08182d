/** What is said about every kind of wrong description: the path and what to do, all of it at once. */
import { expect, test } from 'vitest';
import { importJson, type JsonImportOptions } from '#compiler/import/json/index.ts';
import { CompileError } from '#ir/diagnostics.ts';

function errors(network: string | object, options: JsonImportOptions = {}): string {
  try {
    importJson(network, options);
  } catch (error) {
    expect(error).toBeInstanceOf(CompileError);
    return (error as CompileError).message;
  }
  throw new Error('the network was accepted');
}

const of = (...layers: unknown[]) => ({ input: [32, 16, 16], layers });
const deep = (levels: number): unknown => {
  let value: unknown = 1;
  for (let i = 0; i < levels; i++) value = [value];
  return value;
};

const WRONG: Readonly<Record<string, string | object>> = {
  'no JSON': '{ "input": [3, 8, 8], "layers": [ "relu", ] }',
  'no object': '[1, 2]',
  'nothing in it': {},
  'wrong types at the top': { input: 'image', layers: {}, batch: 0, outputs: [], seed: -1, blocks: [] },
  'unknown keys at the top': { input: [3, 8, 8], layer: [], layers: ['relu'] },
  'no input': { layers: ['relu'] },
  'two kinds of input': { input: [3, 8, 8], inputs: [{ shape: [3] }], layers: ['relu'] },
  'inputs of one name': {
    inputs: [
      { name: 'a', shape: [3] },
      { name: 'a', shape: [3] },
    ],
    layers: ['relu'],
  },
  'a size that is none': { input: [3, 0, 1.5], layers: ['relu'] },
  'no layers': { input: [3, 8, 8], layers: [] },
  'unknown layers': of({ cnov: 64 }, 'relO', { zzz: 1 }, 7, null, {}),
  'unknown options': of(
    { conv: { chanels: 3, channels: 8, kernal: 3 } },
    { conv: 8, nme: 'x' },
    { conv: 8, stride: 2 },
  ),
  'wrong types of options': of(
    { conv: 'many' },
    { conv: { channels: 8, kernel: 'big', padding: 'around', bias: 'yes', activation: 'rleu', norm: 1 } },
    { maxPool: { kernel: [3, -1] } },
  ),
  'missing options': of(
    { conv: {} },
    'conv',
    { grouped: { channels: 8 } },
    { interpolate: {} },
    { split: {} },
  ),
  'two kinds in one layer': of({ conv: 8, maxPool: 2 }),
  'groups that do not divide': of(
    { conv: { channels: 64, groups: 3 } },
    { grouped: { channels: 30, groups: 4 } },
  ),
  'a shuffle that does not divide': of({ channelShuffle: 5 }, { depthToSpace: 3 }),
  'kernels that do not fit': of({ conv: { channels: 8, kernel: 17, padding: 'valid' } }),
  'a dilated kernel that does not fit': of({ conv: { channels: 8, dilation: 8, padding: 'valid' } }),
  'ranks that do not agree': of({ conv: { channels: 8, kernel: [3, 3, 3] } }),
  'other ranks': of({ maxPool: { kernel: 2, stride: [2] } }),
  'paddings of another rank': of({ conv: { channels: 8, padding: [1] } }),
  'a dense layer on a map': of({ dense: 10 }),
  'a convolution on a vector': of('flatten', { conv: 8 }),
  'names that are not there': of(
    { conv: 8, name: 'stem' },
    { conv: 8, from: 'stm' },
    { add: ['stem', 'nowhere'] },
  ),
  'a cycle': of({ add: ['previous', 'later'] }, { conv: 32, name: 'later' }),
  'a layer that reads itself': of({ conv: 8, name: 'loop', from: 'loop' }),
  'names given twice, or taken': of(
    { conv: 8, name: 'a' },
    { conv: 8, name: 'a' },
    { conv: 8, name: 'previous' },
    { conv: 8, name: 'a/b' },
  ),
  'branches of different sizes': of({ add: [[], [{ conv: 16 }]] }, { conv: 8 }),
  'maps of different sizes': of({ concat: [[], [{ maxPool: 2 }]] }),
  'a join of nothing': of({ add: [] }, { concat: 5 }, { add: [3] }),
  'sizes of a split': of({ split: 5 }),
  'sizes of a split in full': of({ split: { sizes: [10, 20] } }),
  'repeats that are none': of(
    { repeat: 0, layers: ['relu'] },
    { repeat: 'x', layers: ['relu'] },
    { repeat: 2 },
    { repeat: 2, layers: [], times: 3 },
  ),
  'blocks that are not there': {
    ...of({ use: 'bloc' }, { block: {} }),
    blocks: { block: { layers: ['relu'] } },
  },
  'parameters of blocks': {
    blocks: { wide: { parameters: { width: null }, layers: [{ conv: '$widht' }] } },
    ...of({ use: 'wide' }, { use: 'wide', with: { width: 8, depth: 3 } }, { conv: '$width' }),
  },
  'expressions that are none': {
    blocks: {
      odd: {
        parameters: { w: 5 },
        layers: [{ conv: '$w / 2' }, { conv: '$w +' }, { conv: '$w ^ 2' }, { conv: '($w' }],
      },
    },
    ...of({ use: 'odd' }),
  },
  'a mistake in a block, used twice': {
    blocks: { bad: { layers: [{ conv: { channels: 8, groups: 5 } }] } },
    ...of({ use: 'bad' }, { use: 'bad' }),
  },
  'blocks that use each other': {
    blocks: { a: { layers: [{ use: 'b' }] }, b: { layers: [{ use: 'a' }] } },
    ...of({ use: 'a' }),
  },
  'outputs that are not there': { ...of({ conv: 8, name: 'stem' }), outputs: ['stam', 'stem', 'stem'] },
  'numbers of another count': of({ conv: { channels: 1, kernel: 1, weight: [1, 2, 3] } }),
  'parts that are not there': of({ spatiallySeparable: { channels: 8, weights: { upwards: [1] } } }),
  'huge sizes': of({ conv: 10_000_000 }),
  'huge weights': { input: [1_000_000, 64, 64], layers: [{ conv: 1_000_000 }] },
  'huge results': of({ interpolate: { size: 16_000_000 } }),
  'huge repeats': of({ repeat: 10_000, layers: [{ repeat: 10_000, layers: ['relu'] }] }),
  'nested too deep': of(deep(5_000)),
};

test.each(Object.entries(WRONG))('%s', (_, network) => {
  expect(errors(network)).toMatchSnapshot();
});

test('open dimensions without a size, and sizes that do not fit', () => {
  const open = { input: { name: 'image', shape: [3, 'height', 'width'] }, layers: ['relu'] };
  expect(errors(open)).toMatchSnapshot();
  expect(errors(open, { dims: { height: 3, depth: 5 }, shapes: { other: [1] } })).toMatchSnapshot();
});
