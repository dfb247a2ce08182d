/** What is said about every kind of wrong description: the path and what to do, all of it at once. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { formatOf, importModel } from '#compiler/import/index.ts';
import { importJson, type JsonImportOptions } from '#compiler/import/json/index.ts';
import { CATALOGUE } from '#ir/diagnostic-catalogue.ts';
import { CompileError, type Diagnostic } from '#ir/diagnostics.ts';
import { repositoryFolder } from '../../../support/collection.ts';
import { Random } from '../../../support/random.ts';

function found(network: string | object, options: JsonImportOptions = {}): readonly Diagnostic[] {
  try {
    importJson(network, options);
  } catch (error) {
    expect(error).toBeInstanceOf(CompileError);
    return (error as CompileError).diagnostics;
  }
  return [];
}

function errors(network: string | object, options: JsonImportOptions = {}): string {
  const diagnostics = found(network, options);
  expect(diagnostics.length, 'the network was accepted').toBeGreaterThan(0);
  return new CompileError(diagnostics).message;
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
  'an input in full': { input: { name: 3, shape: [1, 2, 3, 4, 5] }, layers: ['relu'] },
  'a block in full': { ...of('relu'), blocks: { a: { parameters: [], layers: 'relu' }, b: {} } },
  'options of a norm': of({ conv: { channels: 8, norm: { kind: 'batch', eps: 1 } } }),
  'a side of a padding': of({ pad: [[1, -1], '1'] }),
  'options that a kind cannot do without': of('interpolate', 'split'),
  'a factor beyond numbers': of({ interpolate: 1e300 }),
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
  'missing options': of({ conv: {} }, 'conv', { grouped: { channels: 8 } }),
  'neither scale nor size': of({ interpolate: {} }),
  'both scale and size': of({ interpolate: { scale: 2, size: 32 } }),
  'a scale to nothing': of({ interpolate: 0.01 }),
  'neither parts nor sizes': of({ split: {} }),
  'both parts and sizes': of({ split: { parts: 2, sizes: [16, 16] } }),
  'two kinds in one layer': of({ conv: 8, maxPool: 2 }, { conv: 8, activation: 'relu' }),
  'numbers and truths as text': { ...of({ conv: { channels: '8', bias: 'true' } }), seed: '1' },
  'a kind or a block alone': {
    ...of('pol', 'add', 'unit', 'cnov', 'reluu'),
    blocks: { unit: { layers: [] } },
  },
  'an activation as a kind': of({ relu: {} }, { sigmoidd: true }),
  'a list among layers': of(['relu']),
  'options of a kind that has none': of({ softmax: { axis: 1 } }, { flatten: 3 }),
  'a name among options': of({ conv: { channels: 8, name: 'stem' } }),
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
  'paddings of another rank, by axis': of({ spatiallySeparable: { channels: 8, padding: [1] } }),
  'depth to space of a volume': { input: [8, 4, 4, 4], layers: [{ depthToSpace: 2 }] },
  'pads as wide as the window': of({ maxPool: { kernel: 2, padding: 2 } }),
  'a reflection wider than the input': {
    input: [1, 4, 4],
    layers: [{ pad: { padding: [4, [0, 3]], mode: 'reflect' } }],
  },
  'output padding as large as the stride': of({ transposed: { channels: 8, outputPadding: 2 } }),
  'output padding without a stride': of({
    transposed: { channels: 8, kernel: 3, stride: 1, outputPadding: 1 },
  }),
  'a transposed convolution cut to nothing': of({ transposed: { channels: 8, padding: 16 } }),
  'causal padding of a transposed convolution': of({ transposed: { channels: 8, padding: 'causal' } }),
  'groups of a norm': of({ norm: { kind: 'group', groups: 5 } }),
  'groups of a norm unsaid': of({ conv: { channels: 12, norm: 'group' } }),
  'groups of another norm': of({ conv: { channels: 8, norm: { kind: 'batch', groups: 2 } } }),
  'corners of the nearest': of({ interpolate: { scale: 2, alignCorners: true } }),
  'a reduction to nothing': of({ squeezeExcite: 64 }),
  'a reduction by nothing': of({ squeezeExcite: 0 }),
  'a dense layer on a map': of({ dense: 10 }),
  'a convolution on a vector': of('flatten', { conv: 8 }),
  'a pool of a vector that is the input': { input: [8], layers: [{ maxPool: 2 }] },
  'names that are not there': of(
    { conv: 8, name: 'stem' },
    { conv: 8, from: 'stm' },
    { add: ['stem', 'nowhere'] },
  ),
  'a cycle': of({ add: ['previous', 'later'] }, { conv: 32, name: 'later' }),
  'a branch that reads ahead': of(
    { add: [[{ conv: 32, from: 'later' }], []], name: 'sum' },
    { conv: 32, name: 'later' },
  ),
  'a branch that reads its join': of({ add: [[{ conv: 32, from: 'sum' }], []], name: 'sum' }),
  'a cycle between layers of one name': of(
    { conv: 32, name: 'a', from: 'b' },
    { conv: 32, name: 'b', from: 'a' },
    { conv: 32, name: 'a', from: 'a' },
  ),
  'a layer that reads itself': of({ conv: 8, name: 'loop', from: 'loop' }),
  'names given twice, or taken': of(
    { conv: 8, name: 'a' },
    { conv: 8, name: 'a' },
    { conv: 8, name: 'previous' },
    { conv: 8, name: 'a/b' },
  ),
  'branches of different sizes': of({ add: [[], [{ conv: 16 }]] }, { conv: 8 }),
  'maps of different sizes': of({ concat: [[], [{ maxPool: 2 }]] }),
  'a sum that would broadcast': of({ conv: 32, name: 'map' }, 'globalPool', { add: 'map' }),
  'a map and a vector': of({ conv: 8, name: 'map' }, 'flatten', { dense: 8 }, { add: ['previous', 'map'] }),
  'a join of nothing': of({ add: [] }, { concat: 5 }, { add: [3, { conv: 8 }] }, { mul: {} }),
  'sizes of a split': of({ split: 5 }),
  'sizes of a split in full': of({ split: { sizes: [10, 20] } }),
  'repeats that are none': of(
    { repeat: 0, layers: ['relu'] },
    { repeat: 'x', layers: ['relu'] },
    { repeat: 2 },
    { repeat: 2, layers: [], times: 3 },
    { repeat: 2, conv: 8 },
  ),
  'blocks that are not there': {
    ...of({ use: 'bloc' }, { block: {} }),
    blocks: { block: { layers: ['relu'] } },
  },
  'parameters of blocks': {
    blocks: { wide: { parameters: { width: null }, layers: [{ conv: '$widht' }] } },
    ...of({ use: 'wide' }, { use: 'wide', with: { width: 8, depth: 3 } }, { conv: '$width' }),
  },
  'names of blocks and parameters': {
    ...of('relu'),
    blocks: { 'my block': { layers: [] }, b: { parameters: { 'a-b': 1 }, layers: [] }, c: [] },
  },
  'uses that are none': of({ use: 3 }, { use: 'unit', with: [] }),
  'division by nothing': {
    blocks: { odd: { parameters: { w: 0 }, layers: [{ conv: '8 // $w' }, { conv: '$w.5' }] } },
    ...of({ use: 'odd' }),
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
  'keys that stand twice':
    '{ "input": [3, 8, 8],\n"layers": [{ "conv": 8,\n"conv": 16 }, { "maxPool": { "kernel": 2, "kern\\u0065l": 3 } }],\n"layers": ["relu"] }',
  'weights outside': { ...of('relu'), weights: '../x/y.safetensors' },
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

const ALL = Object.values(WRONG).flatMap((network) => found(network));

test('every message has a hint, and none is a filler', () => {
  expect(CATALOGUE['network-invalid']).not.toHaveProperty('hint');
  const messages = new Map<string, Set<string>>();
  for (const { code, message, hint = '' } of ALL) {
    expect(hint.length, message).toBeGreaterThan(8);
    const of = CATALOGUE[code];
    expect(hint, message).not.toBe('hint' in of ? of.hint : undefined);
    messages.set(hint, (messages.get(hint) ?? new Set()).add(message.replace(/\d+|"[^"]*"/g, '…')));
  }
  for (const [hint, kinds] of messages) expect([...kinds], hint).toSatisfy((k: string[]) => k.length <= 4);
});

/** `layers[4].conv["a b"]` as keys. */
const keysOf = (path: string): (string | number)[] =>
  [...path.matchAll(/\[(\d+)\]|\["(.*?)"\]|([^.[\]]+)/g)].map((m) =>
    m[1] ? Number(m[1]) : (m[2] ?? m[3] ?? ''),
  );

/** The network with what a hint assigns, `"kernel": 3`, at its path. */
function withAssigned(network: object, { subject, hint = '' }: Diagnostic): object | undefined {
  const [, key, text] =
    /^(?:for example|add|write it without quotes:|take another, for example) "(\w+)": (.+)$/.exec(hint) ?? [];
  if (key === undefined || text === undefined) return undefined;
  const first = text.split(/; one| or "|, which|, or take/)[0] ?? '';
  const copy = structuredClone(network) as Record<string | number, unknown>;
  const keys = keysOf(subject);
  let [outside, inside] = [copy, copy];
  for (const step of keys) {
    outside = inside;
    inside = inside?.[step] as Record<string | number, unknown>;
  }
  // beside the option that is wrong, or within the object that lacks one
  const place = keys.at(-1) === key || typeof inside !== 'object' ? outside : inside;
  place[key] = JSON.parse(first);
  return copy;
}

test('what a hint assigns is right where it says', () => {
  let tried = 0;
  for (const [name, network] of Object.entries(WRONG)) {
    if (typeof network === 'string') continue;
    for (const problem of found(network)) {
      const fixed = withAssigned(network, problem);
      if (!fixed) continue;
      tried++;
      const left = found(fixed).map((d) => `${d.subject}: ${d.message}`);
      expect(left, `${name}: ${problem.hint}`).not.toContain(`${problem.subject}: ${problem.message}`);
    }
  }
  expect(tried).toBeGreaterThan(25);
});

/** All that stands in a value, by its holder and key. */
function placesIn(value: unknown): (readonly [holder: Record<string | number, unknown>, key: string])[] {
  if (typeof value !== 'object' || value === null) return [];
  const holder = value as Record<string | number, unknown>;
  return Object.keys(holder).flatMap((key) => [[holder, key] as const, ...placesIn(holder[key])]);
}

const JUNK: readonly unknown[] = [
  ...[
    null,
    true,
    0,
    -1,
    1.5,
    7,
    1e9,
    1e308,
    '',
    'x',
    '64',
    '$x',
    '$',
    'previous',
    'relu',
    'conv',
    'constructor',
  ],
  ...[[], [1], [1, 2, 3, 4, 5], ['a'], [[1, 2]], [[{ conv: 3 }]], {}, { a: 1 }, { conv: 8 }, { name: 'x' }],
];

test('whatever is done to a description, its errors have hints, and what they assign is right', () => {
  const manual = readFileSync(join(repositoryFolder, 'docs/json.md'), 'utf8');
  const networks = [...manual.matchAll(/```json\n([\s\S]*?)```/g)].map(
    (m) => JSON.parse(m[1] ?? '') as object,
  );
  const random = new Random(1);
  const counts = { wrong: 0, fixed: 0 };
  for (let i = 0; i < 400; i++) {
    const network = structuredClone(random.pick(networks));
    const [holder, key] = random.pick(placesIn(network));
    const how = random.integer(0, 3);
    if (how === 0 && !Array.isArray(holder)) delete holder[key];
    else if (how === 1 && !Array.isArray(holder)) {
      holder[`${key.slice(0, -1)}q`] = holder[key];
      delete holder[key];
    } else holder[key] = structuredClone(random.pick(JUNK));
    for (const problem of found(network)) {
      counts.wrong++;
      const place = `${problem.subject}: ${problem.message}`;
      expect(problem.hint?.length ?? 0, place).toBeGreaterThan(8);
      const fixed = withAssigned(network, problem);
      if (!fixed) continue;
      counts.fixed++;
      expect(
        found(fixed).map((d) => `${d.subject}: ${d.message}`),
        problem.hint,
      ).not.toContain(place);
    }
  }
  expect(counts.wrong).toBeGreaterThan(200);
  expect(counts.fixed).toBeGreaterThan(60);
});

const branches = (...list: unknown[][]) => of({ add: list });

/** A wrong network, a hint, and the network as the hint says. */
test.each<[string, object | string, string, object]>([
  [
    'a cycle',
    of({ add: ['previous', 'later'] }, { conv: 32, name: 'later' }),
    'move the layer "later" before this one',
    of({ conv: 32, name: 'later' }, { add: ['previous', 'later'] }),
  ],
  ['a vector', of('flatten', { conv: 8 }), 'put it before "flatten"', of({ conv: 8 }, 'flatten')],
  ['a vector, otherwise', of('flatten', { conv: 8 }), 'or use "dense"', of('flatten', { dense: 8 })],
  [
    'a vector from outside',
    { input: [8], layers: [{ maxPool: 2 }] },
    '"shape": [1, 8]',
    { input: { shape: [1, 8] }, layers: [{ maxPool: 2 }] },
  ],
  [
    'groups',
    of({ conv: { channels: 64, groups: 3 } }),
    '1, 2, 4, 8, 16, 32 would',
    of({ conv: { channels: 64, groups: 4 } }),
  ],
  [
    'groups, by channels',
    of({ grouped: { channels: 30, groups: 4 } }),
    'so would 28 or 32 channels',
    of({ grouped: { channels: 28, groups: 4 } }),
  ],
  ['a shuffle', of({ channelShuffle: 5 }), '1, 2, 4, 8, 16, 32 would', of({ channelShuffle: 8 })],
  [
    'depth to space',
    of({ depthToSpace: 3 }),
    '1, 2, 4 would; so would 27 or 36 channels',
    of({ conv: 36 }, { depthToSpace: 3 }),
  ],
  [
    'a kernel',
    of({ conv: { channels: 8, kernel: 17, padding: 'valid' } }),
    'a kernel of 16×16 would fit',
    of({ conv: { channels: 8, kernel: 16, padding: 'valid' } }),
  ],
  [
    'a dilated kernel',
    of({ conv: { channels: 8, dilation: 8, padding: 'valid' } }),
    'a kernel of 2×2 would fit',
    of({ conv: { channels: 8, kernel: 2, dilation: 8, padding: 'valid' } }),
  ],
  [
    'channels of a sum',
    branches([], [{ conv: 16 }]),
    'add { "pointwise": 32 } at the end of branch 1',
    branches([], [{ conv: 16 }, { pointwise: 32 }]),
  ],
  [
    'sizes of a sum',
    branches([{ maxPool: 4 }], []),
    'add { "maxPool": 4 } at the end of branch 1',
    branches([{ maxPool: 4 }], [{ maxPool: 4 }]),
  ],
  [
    'sizes and channels',
    branches([{ conv: { channels: 8, kernel: 4, padding: 'valid' } }], []),
    'add { "interpolate": { "size": [13, 13] } }, { "pointwise": 8 } at the end of branch 1',
    branches(
      [{ conv: { channels: 8, kernel: 4, padding: 'valid' } }],
      [{ interpolate: { size: [13, 13] } }, { pointwise: 8 }],
    ),
  ],
  [
    'a named operand',
    of({ conv: 8, name: 'a' }, { conv: 16 }, { add: 'a' }),
    'write { "add": ["previous", [{ "pointwise": 16, "from": "a" }]] }',
    of({ conv: 8, name: 'a' }, { conv: 16 }, { add: ['previous', [{ pointwise: 16, from: 'a' }]] }),
  ],
  [
    'a vector and a map',
    of({ conv: 8, name: 'map' }, 'flatten', { dense: 8 }, { add: ['previous', 'map'] }),
    'write { "add": ["previous", [{ "globalPool": {}, "from": "map" }, "flatten"]] }',
    of(
      { conv: 8, name: 'map' },
      'flatten',
      { dense: 8 },
      { add: ['previous', [{ globalPool: {}, from: 'map' }, 'flatten']] },
    ),
  ],
  [
    'a sum that would broadcast',
    of({ conv: 32, name: 'map' }, 'globalPool', { add: 'map' }),
    'write { "add": [[{ "interpolate": 16 }], "map"] }',
    of({ conv: 32, name: 'map' }, 'globalPool', { add: [[{ interpolate: 16 }], 'map'] }),
  ],
  ['a split', of({ split: { sizes: [10, 20] } }), '"sizes": [10, 22]', of({ split: { sizes: [10, 22] } })],
  [
    'a missing parameter',
    { blocks: { b: { parameters: { width: null }, layers: [{ conv: '$width' }] } }, ...of({ use: 'b' }) },
    '{ "use": "b", "with": { "width": … } }',
    {
      blocks: { b: { parameters: { width: null }, layers: [{ conv: '$width' }] } },
      ...of({ use: 'b', with: { width: 8 } }),
    },
  ],
  [
    'pads of a pool',
    of({ maxPool: { kernel: 3, padding: 3 } }),
    '"padding": 2 is the most',
    of({ maxPool: { kernel: 3, padding: 2 } }),
  ],
  [
    'a reflection',
    { input: [1, 4, 4], layers: [{ pad: { padding: 4, mode: 'reflect' } }] },
    '3 is the most',
    { input: [1, 4, 4], layers: [{ pad: { padding: 3, mode: 'reflect' } }] },
  ],
  [
    'output padding',
    of({ transposed: { channels: 8, stride: 3, outputPadding: 3 } }),
    '2 is the largest',
    of({ transposed: { channels: 8, stride: 3, outputPadding: 2 } }),
  ],
  [
    'two kinds',
    of({ conv: 8, activation: 'relu' }),
    '{ "conv": { …, "activation": … } }',
    of({ conv: { channels: 8, activation: 'relu' } }),
  ],
  [
    'a layer in a join',
    of({ add: ['previous', { conv: 32 }] }),
    '[{ "conv": … }]',
    of({ add: ['previous', [{ conv: 32 }]] }),
  ],
  [
    'a repeated layer',
    of({ repeat: 2, conv: 8 }),
    '{ "repeat": 2, "layers": [{ "conv": … }] }',
    of({ repeat: 2, layers: [{ conv: 8 }] }),
  ],
  [
    'default groups',
    of({ conv: { channels: 12, norm: 'group' } }),
    '{ "kind": "group", "groups": 12 }',
    of({ conv: { channels: 12, norm: { kind: 'group', groups: 12 } } }),
  ],
  [
    'the end of a list',
    '{ "input": [3, 8, 8], "layers": ["relu",] }',
    'take the comma before it away',
    { input: [3, 8, 8], layers: ['relu'] },
  ],
])('the hint fixes it: %s', (_, wrong, hint, fixed) => {
  expect(found(wrong)[0]?.hint).toContain(hint);
  expect(found(fixed)).toEqual([]);
});

test('text that is no JSON, by what is wrong with it', () => {
  const rows = [
    '',
    '{ "input": [3, 8, 8], "layers": ["relu"',
    '{ "input": [3, 8, 8] "layers": ["relu"] }',
    '{ "input": [3, 8, 8], "layers": ["relu"}',
    "{ 'input': [3, 8, 8] }",
    '{ input: [3, 8, 8] }',
    '{ "input": [3, 8, 8], // size\n"layers": ["relu"] }',
    '{ "input" [3, 8, 8] }',
    '{ "input": [3, 8, 8], }',
    '{ "layers": [{ "conv": { "channels": 8, "bias": True } }] }',
    '{ "layers": [relu] }',
    '{ "layers": [.5] }',
    '{ "description": "two\nlines" }',
    '{ "layers": [,] }',
    '{} {}',
    '{ "layers": [] , 5 }',
  ].map((text) => `${text}\n    ${errors(text).replaceAll('\n', '\n    ')}`);
  expect(rows.join('\n')).toMatchSnapshot();
});

test('a layer that reaches no output is told', () => {
  const warnings = (network: object) =>
    importJson(network, { dims: { batch: 1 } }).diagnostics.map(
      (d) => `${d.kind} ${d.subject}: ${d.message}\n${d.hint}`,
    );
  const forgotten = of({ conv: 8 }, 'relu', {
    conv: { channels: 4, norm: 'batch' },
    from: 'input',
    name: 'other',
  });
  expect(warnings(forgotten)).toEqual([
    'warning layers[1].activation: the result of "activation1" reaches no output, so it is not computed, nor what only it reads\nlist "activation1" under "outputs", or read it in a later layer: { "add": "activation1" }; else take it away',
  ]);
  expect(warnings({ ...forgotten, outputs: ['activation1', 'other'] })).toEqual([]);
  expect(warnings(of({ split: 2 }, { conv: 8 }))).toEqual([]);
  const block = {
    layers: [
      { conv: 8, name: 'side' },
      { conv: 4, from: 'input' },
    ],
  };
  expect(warnings({ ...of({ repeat: 3, layers: [{ use: 'b' }] }), blocks: { b: block } })).toHaveLength(1);
});

test('a file of JSON that is no network is told as one', () => {
  for (const text of [
    '[1, 2]',
    '[]',
    '"network"',
    '42',
    'null',
    '{ input: [3] }',
    '[{ "conv": 64 }]',
    ' [ "relu", ]',
  ]) {
    const bytes = new TextEncoder().encode(text);
    expect(formatOf(bytes), text).toBe('json');
    expect(() => importModel(bytes, { name: 'net' }), text).toThrow(
      /(network-invalid|json-malformed)\] net: [\s\S]*\n {2}hint: /,
    );
  }
  expect(() => importModel(new TextEncoder().encode('input: [3, 8, 8]\nlayers: [relu]\n'))).toThrow(
    /this is text[\s\S]*hint: give an ONNX file, or a network description/,
  );
});
